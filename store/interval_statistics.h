#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <vector>

#include "store/frame_row.h"
#include "store/recording.h"
#include "store/selected_frames.h"

namespace reelstore {

/// Frames that came late, or not at all: an interval of more than 1.5 times the median, or several with nothing but
/// frames that catch up between them.
struct FrameGap {
    int64_t index = 0;           ///< of the frame behind its longest interval
    int64_t number = 0;          ///< of that frame
    double time = 0;             ///< of that frame
    double interval = 0;         ///< its longest interval, in seconds
    int64_t long_intervals = 1;  ///< how many there were
    int64_t missing = 0;         ///< frames that were lost; 0: they were only late
};

/// A frame whose number lies more than 1 above the one before it.
struct NumberJump {
    int64_t index = 0;
    int64_t number = 0;
    int64_t missing = 0;  ///< numbers between
};

/// What times and numbers of frames say about how they were recorded. Intervals are those between frames that follow
/// each other directly and both have a time; they are in seconds, and NaN where there is none.
struct IntervalStatistics {
    int64_t frames = 0;

    // Times
    int64_t frames_without_time = 0;
    std::optional<double> first_time = {};  ///< of the first frame that has one
    std::optional<double> last_time = {};
    int64_t intervals = 0;
    double mean = std::numeric_limits<double>::quiet_NaN();
    double median = std::numeric_limits<double>::quiet_NaN();  ///< of an even number, the mean of the two in the middle
    double min = std::numeric_limits<double>::quiet_NaN();
    double max = std::numeric_limits<double>::quiet_NaN();
    double standard_deviation = std::numeric_limits<double>::quiet_NaN();
    double median_deviation = std::numeric_limits<double>::quiet_NaN();  ///< median distance from the median
    double p99_deviation = std::numeric_limits<double>::quiet_NaN();     ///< distance that 99 % keep below
    int64_t repeated_times = 0;                                          ///< frames with the time of the one before
    int64_t backward_times = 0;                                          ///< frames with an earlier time
    /// False where there were more than a million different intervals: median, median_deviation and p99_deviation are
    /// then good to a hundred-thousandth of the median.
    bool exact = true;

    // Gaps; none are known where the median is not above 0.
    std::optional<double> gap_limit = {};  ///< intervals above it are long: 1.5 times the median
    int64_t long_intervals = 0;
    int64_t gaps = 0;
    int64_t delays = 0;                       ///< those of the gaps behind which no frame is missing
    int64_t missing_frames = 0;               ///< of all gaps
    std::vector<FrameGap> longest_gaps = {};  ///< as many as were asked for, in order of index

    // Numbers
    int64_t number_jumps = 0;
    int64_t missing_numbers = 0;   ///< passed over by all jumps
    int64_t repeated_numbers = 0;  ///< frames with the number of the one before
    int64_t backward_numbers = 0;  ///< frames with a smaller one
    std::optional<NumberJump> largest_jump = {};

    /// Frames a second: 1 / mean; NaN where the mean is not above 0.
    double rate() const;
};

/// Hands the rows of some frames to the function given, in order, until it returns false.
using RowVisitor = std::function<void(const std::function<bool(const FrameRow&)>&)>;

/// Looks at rows once, and once more where there are gaps; memory does not grow with their number (100 MB at most).
///
/// An interval above 1.5 times the median opens a gap of interval / median - 1 frames. Frames that were recorded in
/// time but reached the clock late come in short intervals afterwards, and each of the directly following intervals
/// below the median gives 1 - interval / median frames back, until all are back or one is not shorter. So does the
/// interval directly before a gap: its frame came early. What is left, rounded, is missing: 0.04 0.04 0.12 0.00 0.00
/// 0.04 is a delay, 0.04 0.04 0.12 0.04 is a loss of two frames.
///
/// `most_gaps`: of longest_gaps.
IntervalStatistics interval_statistics(const RowVisitor& rows, size_t most_gaps = 50);
/// Of selected frames of a recording; frames between which others were left out have no interval and no jump.
IntervalStatistics interval_statistics(const Recording& recording, const FrameSelection& selection,
                                       size_t most_gaps = 50);

}  // namespace reelstore
