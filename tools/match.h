#pragma once

#include <string>

#include "store/frame_index.h"
#include "tools/verb.h"

namespace reelstore {

/// "exact", "nearest", "previous", "next"; empty gives `otherwise`. Throws UsageError.
inline Match parse_match(const std::string& word, Match otherwise) {
    if (word.empty()) return otherwise;
    if (word == "exact") return Match::exact;
    if (word == "nearest") return Match::nearest;
    if (word == "previous") return Match::previous;
    if (word == "next") return Match::next;
    throw UsageError("--match must be exact, nearest, previous or next, not \"" + word + "\"");
}

}  // namespace reelstore
