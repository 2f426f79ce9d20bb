#include "store/interval_statistics.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "filters/image_statistics.h"

namespace reelstore {

namespace {

constexpr double kGapFactor = 1.5;
constexpr double kOftenEnough = 0.99;
constexpr double kMostFrames = 9e18;

/// How often each value occurred: times are multiples of what a double, or the clock, can tell apart, so that there are
/// few different intervals even where there are many frames. Should there be too many, neighbours are put together.
class ValueCounts {
public:
    void add(double value, int64_t times = 1) {
        total_ += times;
        count(rounded(std::bit_cast<uint64_t>(value)), times);
    }
    int64_t total() const { return total_; }
    bool exact() const { return dropped_bits_ == 0; }

    /// Values with how often they occurred, smallest first.
    std::vector<std::pair<double, int64_t>> sorted() const {
        std::vector<std::pair<double, int64_t>> values;
        values.reserve(different_);
        for (const Slot& slot : slots_) {
            if (slot.times > 0) values.emplace_back(std::bit_cast<double>(slot.bits), slot.times);
        }
        std::sort(values.begin(), values.end());
        return values;
    }

private:
    struct Slot {
        uint64_t bits = 0;
        int64_t times = 0;  ///< 0: free
    };

    static constexpr size_t kFewestSlots = 1024;
    static constexpr size_t kMostSlots = size_t{1} << 21;
    static constexpr int kBitsAtATime = 4;

    /// To the nearest one with zeros in the bits that are no longer told apart.
    uint64_t rounded(uint64_t bits) const {
        if (dropped_bits_ == 0) return bits;
        const uint64_t half = uint64_t{1} << (dropped_bits_ - 1);
        return (bits + half) >> dropped_bits_ << dropped_bits_;
    }

    void count(uint64_t bits, int64_t times) {
        constexpr uint64_t kGolden = 0x9E3779B97F4A7C15;
        size_t place = (bits ^ bits >> 29) * kGolden >> 20 & (slots_.size() - 1);
        while (slots_[place].times > 0 && slots_[place].bits != bits) place = (place + 1) & (slots_.size() - 1);
        Slot& slot = slots_[place];
        slot.times += times;
        if (slot.times > times) return;
        slot.bits = bits;
        if (++different_ > slots_.size() / 2) grow();
    }

    void grow() {
        const std::vector<Slot> old = slots_;
        size_t size = slots_.size() * 2;
        if (size > kMostSlots) {
            size = kMostSlots;
            dropped_bits_ += kBitsAtATime;
        }
        slots_.assign(size, {});
        different_ = 0;
        for (const Slot& slot : old) {
            if (slot.times > 0) count(rounded(slot.bits), slot.times);
        }
    }

    std::vector<Slot> slots_ = std::vector<Slot>(kFewestSlots);
    size_t different_ = 0;
    int dropped_bits_ = 0;
    int64_t total_ = 0;
};

/// The value at place 0..total-1 of sorted values.
double value_at(const std::vector<std::pair<double, int64_t>>& sorted, int64_t place) {
    for (const auto& [value, times] : sorted) {
        if (place < times) return value;
        place -= times;
    }
    return sorted.back().first;
}

/// As numpy's quantile: between two values where it falls between them.
double quantile(const std::vector<std::pair<double, int64_t>>& sorted, int64_t total, double part) {
    const double place = part * static_cast<double>(total - 1);
    const auto below = static_cast<int64_t>(std::floor(place));
    const double low = value_at(sorted, below);
    const double rest = place - static_cast<double>(below);
    return rest > 0 ? low + (value_at(sorted, below + 1) - low) * rest : low;
}

/// Passes over frames and hands over the intervals between those that follow each other.
class Intervals {
public:
    /// The interval before `row`; nothing when it has none.
    std::optional<double> take(const FrameRow& row) {
        std::optional<double> interval;
        // A damaged store may hold any time; what is infinite cannot be sorted or summed up with the others.
        if (follows(row) && std::isfinite(row.time - last_->time)) interval = row.time - last_->time;
        last_ = row;
        return interval;
    }
    bool follows(const FrameRow& row) const { return last_ && row.index == last_->index + 1; }
    const std::optional<FrameRow>& last() const { return last_; }

private:
    std::optional<FrameRow> last_;
};

class NumberCheck {
public:
    explicit NumberCheck(IntervalStatistics& result) : result_(result) {}

    void take(int64_t before, const FrameRow& row) {
        if (row.number == before) {
            ++result_.repeated_numbers;
        } else if (row.number < before) {
            ++result_.backward_numbers;
        } else {
            jump(static_cast<uint64_t>(row.number) - static_cast<uint64_t>(before) - 1, row);
        }
    }

private:
    void jump(uint64_t passed_over, const FrameRow& row) {
        constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
        if (passed_over == 0) return;
        const auto missing = static_cast<int64_t>(std::min<uint64_t>(passed_over, kMost));
        ++result_.number_jumps;
        result_.missing_numbers += std::min(missing, kMost - result_.missing_numbers);
        if (!result_.largest_jump || result_.largest_jump->missing < missing)
            result_.largest_jump = NumberJump{row.index, row.number, missing};
    }

    IntervalStatistics& result_;
};

/// Gaps and what is given back behind them, once the median is known.
class GapCount {
public:
    GapCount(IntervalStatistics& result, size_t most_gaps) : result_(result), most_gaps_(most_gaps) {}

    /// `interval`: nothing where the row does not follow the one before.
    void take(const FrameRow& row, const std::optional<double>& interval) {
        if (!interval) {
            end();
            early_ = 0;
        } else if (*interval > *result_.gap_limit) {
            lengthen(row, *interval);
            early_ = 0;
        } else {
            const double short_of = 1 - std::max(*interval, 0.0) / result_.median;
            const bool given_back = gap_ && short_of > 0;
            if (given_back) open_frames_ -= short_of;
            if (!given_back || open_frames_ <= 0) end();
            early_ = given_back ? 0 : std::max(short_of, 0.0);
        }
    }

    void end() {
        if (!gap_) return;
        gap_->missing = static_cast<int64_t>(std::llround(std::clamp(open_frames_, 0.0, kMostFrames)));
        ++result_.gaps;
        if (gap_->missing == 0) ++result_.delays;
        result_.missing_frames += std::min(gap_->missing, std::numeric_limits<int64_t>::max() - result_.missing_frames);
        keep(*gap_);
        gap_.reset();
    }

private:
    void lengthen(const FrameRow& row, double interval) {
        ++result_.long_intervals;
        const double frames = interval / result_.median - 1;
        if (gap_) {
            ++gap_->long_intervals;
            open_frames_ += frames;
        } else {
            gap_ = FrameGap{};
            open_frames_ = frames - early_;
        }
        if (gap_->interval >= interval) return;
        gap_->index = row.index;
        gap_->number = row.number;
        gap_->time = row.time;
        gap_->interval = interval;
    }

    /// The shortest one kept stands in front.
    void keep(const FrameGap& gap) {
        constexpr auto kLonger = [](const FrameGap& a, const FrameGap& b) { return a.interval > b.interval; };
        std::vector<FrameGap>& kept = result_.longest_gaps;
        if (kept.size() == most_gaps_) {
            if (most_gaps_ == 0 || kept.front().interval >= gap.interval) return;
            std::pop_heap(kept.begin(), kept.end(), kLonger);
            kept.pop_back();
        }
        kept.push_back(gap);
        std::push_heap(kept.begin(), kept.end(), kLonger);
    }

    IntervalStatistics& result_;
    size_t most_gaps_;
    std::optional<FrameGap> gap_;
    double open_frames_ = 0;
    double early_ = 0;  ///< by how many frames the last one was early
};

void set_quantiles(IntervalStatistics& result, const ValueCounts& counts) {
    const auto values = counts.sorted();
    constexpr double kMiddle = 0.5;
    result.exact = counts.exact();
    result.median = quantile(values, counts.total(), kMiddle);
    std::vector<std::pair<double, int64_t>> deviations = values;
    for (auto& [value, times] : deviations) value = std::abs(value - result.median);
    std::sort(deviations.begin(), deviations.end());
    result.median_deviation = quantile(deviations, counts.total(), kMiddle);
    result.p99_deviation = quantile(deviations, counts.total(), kOftenEnough);
}

}  // namespace

double IntervalStatistics::rate() const {
    return mean > 0 ? 1 / mean : std::numeric_limits<double>::quiet_NaN();
}

IntervalStatistics interval_statistics(const RowVisitor& rows, size_t most_gaps) {
    IntervalStatistics result;
    NumberCheck numbers(result);
    ValueCounts counts;
    ValueStatistics values;
    Intervals first_pass;
    rows([&](const FrameRow& row) {
        ++result.frames;
        if (!std::isfinite(row.time)) {
            ++result.frames_without_time;
        } else {
            if (!result.first_time) result.first_time = row.time;
            result.last_time = row.time;
        }
        if (first_pass.follows(row)) numbers.take(first_pass.last()->number, row);
        if (const std::optional<double> interval = first_pass.take(row)) {
            counts.add(*interval);
            values.add_reals(1, *interval, 0, *interval, *interval);
            result.repeated_times += *interval == 0 ? 1 : 0;
            result.backward_times += *interval < 0 ? 1 : 0;
        }
        return true;
    });
    result.intervals = values.count;
    if (result.intervals == 0) return result;
    result.mean = values.mean();
    result.standard_deviation = values.standard_deviation();
    result.min = values.min();
    result.max = values.max();
    set_quantiles(result, counts);
    if (!(result.median > 0)) return result;
    result.gap_limit = result.median * kGapFactor;
    if (result.max <= *result.gap_limit) return result;
    GapCount gaps(result, most_gaps);
    Intervals second_pass;
    rows([&](const FrameRow& row) {
        gaps.take(row, second_pass.take(row));
        return true;
    });
    gaps.end();
    std::sort(result.longest_gaps.begin(), result.longest_gaps.end(),
              [](const FrameGap& a, const FrameGap& b) { return a.index < b.index; });
    return result;
}

IntervalStatistics interval_statistics(const Recording& recording, const FrameSelection& selection, size_t most_gaps) {
    return interval_statistics(
        [&](const std::function<bool(const FrameRow&)>& visit) { visit_rows(recording, selection, visit); }, most_gaps);
}

}  // namespace reelstore
