// What times and numbers tell: quantiles against sorted lists, and gaps whose losses are known.
#include "store/interval_statistics.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "tests/sanitized.h"

using namespace reelstore;

namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

RowVisitor frames_at(const std::vector<double>& times, const std::vector<int64_t>& numbers = {}) {
    return [=](const std::function<bool(const FrameRow&)>& visit) {
        for (size_t i = 0; i < times.size(); ++i) {
            FrameRow row;
            row.index = static_cast<int64_t>(i);
            row.number = numbers.empty() ? row.index : numbers[i];
            row.time = times[i];
            if (!visit(row)) return;
        }
    };
}

/// Frames with these intervals, in frames of 1/25 s.
RowVisitor frames_after(const std::vector<double>& intervals) {
    std::vector<double> times = {1577836800};
    for (const double interval : intervals) times.push_back(times.back() + interval / 25);
    return frames_at(times);
}

/// `before` and behind it, so that the median is 1.
RowVisitor among_normal_ones(std::vector<double> intervals) {
    std::vector<double> all(40, 1);
    all.insert(all.end(), intervals.begin(), intervals.end());
    all.insert(all.end(), 40, 1);
    return frames_after(all);
}

double quantile(std::vector<double> values, double part) {
    std::sort(values.begin(), values.end());
    const double place = part * static_cast<double>(values.size() - 1);
    const auto below = static_cast<size_t>(place);
    if (below + 1 == values.size()) return values[below];
    return values[below] + (values[below + 1] - values[below]) * (place - static_cast<double>(below));
}

}  // namespace

TEST_CASE("interval_statistics: no frame, one, two") {
    const IntervalStatistics none = interval_statistics(frames_at({}));
    CHECK(none.frames == 0);
    CHECK(none.intervals == 0);
    CHECK(std::isnan(none.median));
    CHECK(std::isnan(none.rate()));
    CHECK(!none.first_time);
    const IntervalStatistics one = interval_statistics(frames_at({5}));
    CHECK(one.frames == 1);
    CHECK(one.intervals == 0);
    CHECK(one.first_time == 5);
    CHECK(!one.gap_limit);
    const IntervalStatistics two = interval_statistics(frames_at({5, 5.5}));
    CHECK(two.median == 0.5);
    CHECK(two.mean == 0.5);
    CHECK(two.rate() == 2);
    CHECK(two.standard_deviation == 0);
    CHECK(two.median_deviation == 0);
    CHECK(two.gaps == 0);
    CHECK(two.last_time == 5.5);
}

TEST_CASE("interval_statistics: frames without times") {
    const IntervalStatistics none = interval_statistics(frames_at({kNone, kNone, kNone}));
    CHECK(none.frames_without_time == 3);
    CHECK(none.intervals == 0);
    // There is no interval over a frame that has no time.
    const IntervalStatistics some = interval_statistics(frames_at({0, 1, kNone, 3, 4, kNone, 100, 101}));
    CHECK(some.frames_without_time == 2);
    CHECK(some.intervals == 3);
    CHECK(some.max == 1);
    CHECK(some.gaps == 0);
    CHECK(some.last_time == 101);
    // Nor one to or from a time that cannot be, nor one larger than numbers are.
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    const IntervalStatistics damaged =
        interval_statistics(frames_at({kInfinity, 1, 2, kInfinity, kInfinity, -kInfinity, 7, 8, -1.7e308, 1.7e308}));
    CHECK(damaged.frames_without_time == 4);
    CHECK(damaged.first_time == 1);
    CHECK(damaged.last_time == 1.7e308);
    CHECK(damaged.intervals == 3);
    CHECK(damaged.median == 1);
    CHECK(damaged.max == 1);
}

TEST_CASE("interval_statistics: quantiles are those of a sorted list") {
    std::mt19937_64 random(11);
    for (const size_t count : {3, 4, 101, 5000}) {
        std::vector<double> times = {100};
        std::vector<double> intervals;
        std::normal_distribution<double> jitter(0.04, 0.01);
        for (size_t i = 0; i < count; ++i) {
            times.push_back(times.back() + jitter(random));
            intervals.push_back(times[i + 1] - times[i]);
        }
        const IntervalStatistics found = interval_statistics(frames_at(times));
        CHECK(found.exact);
        CHECK(found.median == quantile(intervals, 0.5));
        std::vector<double> deviations = intervals;
        for (double& value : deviations) value = std::abs(value - found.median);
        CHECK(found.median_deviation == quantile(deviations, 0.5));
        CHECK(found.p99_deviation == quantile(deviations, 0.99));
        double squares = 0;
        for (const double interval : intervals) squares += (interval - found.mean) * (interval - found.mean);
        CHECK(found.standard_deviation ==
              doctest::Approx(std::sqrt(squares / static_cast<double>(count))).epsilon(1e-12));
        CHECK(found.mean ==
              doctest::Approx((times.back() - times.front()) / static_cast<double>(count)).epsilon(1e-12));
        CHECK(found.min == *std::min_element(intervals.begin(), intervals.end()));
        CHECK(found.max == *std::max_element(intervals.begin(), intervals.end()));
    }
}

TEST_CASE("interval_statistics: losses and delays") {
    const auto count = [](std::vector<double> intervals) {
        return interval_statistics(among_normal_ones(std::move(intervals)));
    };
    struct Case {
        std::vector<double> intervals;
        int64_t gaps;
        int64_t delays;
        int64_t missing;
    };
    const std::vector<Case> cases = {
        {{1, 1.4, 0.6, 1.49}, 0, 0, 0},          // jitter
        {{2}, 1, 0, 1},                          // one frame lost
        {{3}, 1, 0, 2},                          //
        {{2, 1, 2}, 2, 0, 2},                    // twice
        {{3, 0.001, 0.001}, 1, 1, 0},            // two frames late, then at once
        {{2, 0.001}, 1, 1, 0},                   // one
        {{3, 0.5, 0.5, 0.5, 0.5}, 1, 1, 0},      // slowly caught up
        {{4, 0.001}, 1, 0, 2},                   // one of three was late
        {{2, 2, 0.001, 0.001}, 1, 1, 0},         // two long ones in a row, all caught up
        {{2, 2, 0.001}, 1, 0, 1},                //
        {{0.2, 1.8}, 1, 1, 0},                   // the frame before came early
        {{2, 1, 0.001}, 1, 0, 1},                // a short one later is no catch-up
        {{1.6, 0.9, 0.95, 1.05}, 1, 1, 0},       // most of half a frame comes back
        {{5, 0.001, 0.001, 3, 0.001}, 1, 0, 3},  // late again before all had come
        {{90000}, 1, 0, 89999},                  // an hour
        {{2, -5, 1}, 1, 1, 0},                   // the clock was set back: no more than one frame each
        {{4, -5, 1}, 1, 0, 2},                   //
    };
    for (const Case& known : cases) {
        const IntervalStatistics found = count(known.intervals);
        CAPTURE(known.intervals.front());
        CAPTURE(known.intervals.size());
        CHECK(found.gaps == known.gaps);
        CHECK(found.delays == known.delays);
        CHECK(found.missing_frames == known.missing);
        CHECK(found.longest_gaps.size() == static_cast<size_t>(known.gaps));
    }
    CHECK(count({2, 2, 0.001}).long_intervals == 2);
    CHECK(count({2, 2, 0.001}).longest_gaps[0].long_intervals == 2);
}

TEST_CASE("interval_statistics: exactly 1.5 times the median is no gap") {
    const IntervalStatistics found = interval_statistics(frames_at({0, 1, 2, 3.5, 4.5, 5.5}));
    CHECK(found.gap_limit == 1.5);
    CHECK(found.gaps == 0);
    CHECK(interval_statistics(frames_at({0, 1, 2, std::nextafter(3.5, 4), 4.5, 5.5})).gaps == 1);
}

TEST_CASE("interval_statistics: gaps at the ends, and where they are") {
    std::vector<double> intervals(100, 1);
    intervals.front() = 4;
    intervals.back() = 3;
    intervals[50] = 7;
    const IntervalStatistics found = interval_statistics(frames_after(intervals), 2);
    CHECK(found.gaps == 3);
    CHECK(found.missing_frames == 3 + 2 + 6);
    REQUIRE(found.longest_gaps.size() == 2);
    CHECK(found.longest_gaps[0].index == 1);
    CHECK(found.longest_gaps[0].missing == 3);
    CHECK(found.longest_gaps[1].index == 51);
    CHECK(found.longest_gaps[1].number == 51);
    CHECK(found.longest_gaps[1].interval == doctest::Approx(7.0 / 25).epsilon(1e-6));
    CHECK(std::abs(found.longest_gaps[1].time - (1577836800 + 60.0 / 25)) < 1e-4);
    CHECK(interval_statistics(frames_after(intervals), 0).longest_gaps.empty());
}

TEST_CASE("interval_statistics: losses and delays at random, with jitter, are those that were made") {
    std::mt19937_64 random(1);
    std::normal_distribution<double> jitter(0, 0.08);
    std::uniform_real_distribution<double> chance(0, 1);
    constexpr double kSeldom = 0.001;
    std::vector<double> times;
    std::vector<int64_t> numbers;
    int64_t number = 0;
    int64_t delays = 0;
    double free_again = 0;
    for (int i = 0; i < 30000; ++i) {
        while (chance(random) < kSeldom) ++number;
        double time = static_cast<double>(number) + jitter(random);
        if (chance(random) < kSeldom) {
            free_again = time + 1 + 4 * chance(random);
            ++delays;
        }
        // What has to wait is handed over in short order.
        if (time < free_again) {
            time = free_again;
            free_again += 0.05 + 0.3 * chance(random);
        }
        times.push_back(1577836800 + time / 25);
        numbers.push_back(number++);
    }
    const IntervalStatistics found = interval_statistics(frames_at(times, numbers));
    CHECK(found.missing_numbers == number - 30000);
    CHECK(found.missing_numbers > 20);
    CHECK(delays > 20);
    CHECK(found.missing_frames == found.missing_numbers);
    CHECK(found.delays >= delays);
}

TEST_CASE("interval_statistics: equal times") {
    const IntervalStatistics found = interval_statistics(frames_at({3, 3, 3, 3}));
    CHECK(found.median == 0);
    CHECK(found.repeated_times == 3);
    CHECK(std::isnan(found.rate()));
    CHECK(!found.gap_limit);
    const IntervalStatistics pairs = interval_statistics(frames_at({0, 0, 1, 1, 2, 2, 3, 3}));
    CHECK(pairs.repeated_times == 4);
    CHECK(!pairs.gap_limit);
    const IntervalStatistics back = interval_statistics(frames_at({5, 4, 3, 2}));
    CHECK(back.backward_times == 3);
    CHECK(back.median == -1);
    CHECK(!back.gap_limit);
}

TEST_CASE("interval_statistics: numbers") {
    using Limits = std::numeric_limits<int64_t>;
    const IntervalStatistics found =
        interval_statistics(frames_at(std::vector<double>(9, kNone), {5, 6, 6, 8, 20, 3, 4, 5, 5}));
    CHECK(found.number_jumps == 2);
    CHECK(found.missing_numbers == 1 + 11);
    CHECK(found.repeated_numbers == 2);
    CHECK(found.backward_numbers == 1);
    REQUIRE(found.largest_jump);
    CHECK(found.largest_jump->index == 4);
    CHECK(found.largest_jump->number == 20);
    CHECK(found.largest_jump->missing == 11);
    const IntervalStatistics wide = interval_statistics(
        frames_at(std::vector<double>(4, kNone), {Limits::min(), Limits::max(), Limits::min(), Limits::max()}));
    CHECK(wide.missing_numbers == Limits::max());
    CHECK(wide.backward_numbers == 1);
}

TEST_CASE("interval_statistics: frames that do not follow each other") {
    const IntervalStatistics found = interval_statistics([](const std::function<bool(const FrameRow&)>& visit) {
        for (const int64_t index : {0, 1, 2, 10, 11, 12}) {
            FrameRow row;
            row.index = row.number = index;
            row.time = static_cast<double>(index);
            visit(row);
        }
    });
    CHECK(found.frames == 6);
    CHECK(found.intervals == 4);
    CHECK(found.max == 1);
    CHECK(found.number_jumps == 0);
}

TEST_CASE("interval_statistics: more different intervals than can be told apart") {
    // Each interval is another one.
    const size_t count = kSanitized ? 1'200'000 : 2'500'000;
    std::mt19937_64 random(3);
    std::uniform_real_distribution<double> interval(0.03, 0.05);
    std::vector<double> times(count);
    std::vector<double> intervals(count - 1);
    for (size_t i = 1; i < count; ++i) {
        times[i] = times[i - 1] + interval(random);
        intervals[i - 1] = times[i] - times[i - 1];
    }
    const IntervalStatistics found = interval_statistics(frames_at(times));
    CHECK(!found.exact);
    const double median = quantile(intervals, 0.5);
    CHECK(std::abs(found.median - median) < 1e-5 * median);
    std::vector<double> deviations = intervals;
    for (double& value : deviations) value = std::abs(value - median);
    CHECK(std::abs(found.median_deviation - quantile(deviations, 0.5)) < 2e-5 * median);
    CHECK(std::abs(found.p99_deviation - quantile(deviations, 0.99)) < 2e-5 * median);
    CHECK(found.min == *std::min_element(intervals.begin(), intervals.end()));
}
