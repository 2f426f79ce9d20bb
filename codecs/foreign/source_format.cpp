#include "codecs/foreign/source_format.h"

#include <fmt/format.h>

#include "base/error.h"

namespace reelstore {

SourceFormat::SourceFormat(FileFormatInfo info) : info_(std::move(info)) {
    info_.reads = true;
}

std::unique_ptr<FrameSink> SourceFormat::create(const std::filesystem::path& path, const SinkOptions&) const {
    throw Error(ErrorCode::unsupported, {path.string(), {}, {}}, fmt::format("{} is only read", info_.name));
}

}  // namespace reelstore
