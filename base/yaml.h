#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/json.h"

namespace reelstore {

/// A YAML document as JSON, with the lines its keys stand on.
struct YamlDocument {
    Json value;
    /// Line (from 1) of each key of the first two levels: "chunksize" under "__store" is "__store.chunksize".
    std::map<std::string, int> lines;
};

/// Limits on a document; beyond them it is refused as damaged or hostile.
struct YamlLimits {
    size_t bytes = size_t{64} << 20;
    int depth = 64;
    size_t nodes = 2'000'000;  ///< counted with every alias expanded
};

/// Reads one YAML document the way PyYAML's safe loader (YAML 1.1) does, because that is what wrote it: yes/no/on/off
/// are booleans, 010 is 8, 1:30 is 90, 1_000 is 1000. Dates stay text. Integers beyond 64 bits and other plain scalars
/// stay text; a document of one scalar gives that scalar; an empty one gives null. Keys become text as it is spelled;
/// `{1: a}` has the key "1". Of equal keys the last one counts; `<<` merges mappings. Python's tuples (!!python/tuple)
/// are lists. Only \r and \n break lines, not the three rarer characters that YAML 1.1 also lets do so.
/// Throws Error(corrupt) naming `path` and line; other tags than these and the core ones (such as !!python/object) are
/// refused.
YamlDocument parse_yaml(std::string_view text, const std::string& path, const YamlLimits& limits = {});

/// YAML that both YAML 1.1 and 1.2 readers read back as exactly this value (block style, keys in the given order,
/// UTF-8; text is quoted wherever a reader could take it for something else; NaN and infinity as .nan and .inf).
/// Throws Error(invalid_argument) when text is not valid UTF-8 or the value is nested deeper than parse_yaml() reads.
std::string to_yaml(const Json& value);

}  // namespace reelstore
