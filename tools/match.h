#pragma once

#include <cctype>
#include <string>

#include "base/frame_source.h"
#include "store/frame_row.h"
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

/// Throws UsageError when `text`, a time or a range of times, is given as a date where times count from the beginning
/// of the file: every date would then lie behind the last frame.
inline void refuse_dates(const SourceInfo& info, const std::string& text) {
    if (info.times_are_absolute) return;
    bool date = text.find_first_of(":T") != std::string::npos;
    for (size_t place = 1; place < text.size(); ++place) {
        if (text[place] == '-' && std::isdigit(static_cast<unsigned char>(text[place - 1])) != 0) date = true;
    }
    if (date) throw UsageError("the times of " + info.name + " count from its own start: give seconds, not a date");
}

}  // namespace reelstore
