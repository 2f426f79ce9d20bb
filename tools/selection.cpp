#include "tools/selection.h"

#include <CLI/CLI.hpp>

#include "tools/match.h"
#include "tools/ranges.h"

namespace reelstore {

void SelectionOptions::declare(CLI::App& app) {
    CLI::Option_group* which = app.add_option_group("which frames (one of these; all if none)");
    which->add_option("--index", index_, "places in the recording A:B[:STEP]; negative values count from the end");
    which->add_option("--number", number_, "the camera's numbers A:B; negative values are numbers");
    which->add_option("--time", time_,
                      "times T0..T1, in seconds, for a store also as dates (UTC unless they name a zone)");
    which->require_option(0, 1);
}

std::optional<std::string> SelectionOptions::indices() const {
    return number_ || time_ ? std::nullopt : std::optional(index_.value_or(":"));
}

FrameSelection SelectionOptions::frames_of(const Recording& recording) const {
    if (number_) {
        const NumberRange range = parse_number_range(*number_);
        return frames_with_numbers(recording, range.first, range.last);
    }
    if (time_) {
        const TimeRange range = parse_time_range(*time_);
        refuse_dates(recording.info(), *time_);
        return frames_with_times(recording, range.first, range.last);
    }
    const IndexRange range = parse_index_range(*indices(), recording.frame_count());
    return {{{range.first, range.last}}, range.step};
}

}  // namespace reelstore
