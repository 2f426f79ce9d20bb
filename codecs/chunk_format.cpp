#include "codecs/chunk_format.h"

#include <algorithm>

#include "codecs/option_values.h"

namespace reelstore {

const ChunkFormat* find_chunk_format(std::string_view name) {
    for (const auto& format : chunk_formats()) {
        const ChunkFormatInfo& info = format->info();
        const bool is_alias = std::find(info.aliases.begin(), info.aliases.end(), name) != info.aliases.end();
        if (is_alias || info.name == name) return format.get();
    }
    return nullptr;
}

void check_option_names(const ChunkFormatInfo& info, const CodecOptions& options) {
    check_option_names("format " + info.name, info.options, options);
}

}  // namespace reelstore
