#include "codecs/chunk_format.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/error.h"

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
    for (const auto& [name, value] : options) {
        const auto is_named = [&name = name](const CodecOptionInfo& option) { return option.name == name; };
        if (std::any_of(info.options.begin(), info.options.end(), is_named)) continue;
        std::string known;
        for (const CodecOptionInfo& option : info.options) known += (known.empty() ? "" : ", ") + option.name;
        throw Error(ErrorCode::invalid_argument,
                    known.empty() ? fmt::format("format {} has no options, so none named \"{}\"", info.name, name)
                                  : fmt::format("format {} has no option \"{}\"; it knows {}", info.name, name, known));
    }
}

}  // namespace reelstore
