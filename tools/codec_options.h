#pragma once

#include <string>
#include <vector>

#include "codecs/chunk_format.h"

namespace reelstore {

/// NAME=VALUE pairs given with `option`. Throws UsageError for one without '='.
CodecOptions parse_codec_options(const std::vector<std::string>& pairs, const char* option = "--set");
/// KEY=VALUE pairs of `--meta` as the text of a YAML mapping; a value is YAML ("3", "[1, 2]", "wild type").
std::string parse_user_pairs(const std::vector<std::string>& pairs);

}  // namespace reelstore
