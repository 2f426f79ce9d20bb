#include "bench/index/frame_plan.h"

#include <algorithm>

#include <fmt/format.h>

namespace reelstore::bench {

namespace {

constexpr int64_t kFirstNumber = 1000;
/// Frames between two missing numbers.
constexpr int64_t kRun = 9;
constexpr double kBegin = 1700000000;
constexpr double kInterval = 0.01;
constexpr double kJitter = 0.004;
constexpr double kClockStep = 3600;
constexpr int64_t kWrap = 0x10000;
/// The clock steps so many frames behind the middle, not where a chunk begins.
constexpr int64_t kBehindMiddle = 123;

int64_t ascending_number(int64_t index) {
    return kFirstNumber + index + index / kRun;
}

/// 0 to 1, without any pattern.
double noise(int64_t index) {
    auto bits = static_cast<uint64_t>(index) + 0x9e3779b97f4a7c15ull;
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9ull;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebull;
    return static_cast<double>((bits ^ (bits >> 31)) >> 11) * 0x1p-53;
}

double ascending_time(int64_t index) {
    return kBegin + static_cast<double>(ascending_number(index)) * kInterval + noise(index) * kJitter;
}

/// The match among `count` ascending values that are all different.
template <typename Value, typename ValueAt>
std::optional<int64_t> find(int64_t count, Value target, Match match, ValueAt value_at) {
    int64_t next = 0;
    for (int64_t left = count; left > 0;) {
        const int64_t half = left / 2;
        if (value_at(next + half) < target) {
            next += half + 1;
            left -= half + 1;
        } else {
            left = half;
        }
    }
    const bool has_next = next < count;
    if (has_next && value_at(next) == target) return next;
    const bool has_previous = next > 0;
    if (match == Match::exact) return std::nullopt;
    if (match == Match::next) return has_next ? std::optional(next) : std::nullopt;
    if (match == Match::previous) return has_previous ? std::optional(next - 1) : std::nullopt;
    if (!has_next || !has_previous) return has_next ? next : next - 1;
    return value_at(next) - target < target - value_at(next - 1) ? next : next - 1;
}

}  // namespace

std::string course_name(Course course) {
    switch (course) {
        case Course::ascending:
            return "ascending";
        case Course::wrapping:
            return "numbers of 16 bits";
        case Course::clock_step:
            return "clock set back once";
        case Course::paired_times:
            return "equal times in pairs";
        case Course::shuffled:
            return "numbers shuffled inside of chunks";
    }
    return "";
}

FramePlan::FramePlan(int64_t frames, int64_t chunks, Course course)
    : frames_(frames), chunk_frames_((frames + chunks - 1) / chunks), course_(course) {}

int64_t FramePlan::end_of(int64_t chunk) const {
    return std::min(frames_, first_of(chunk) + chunk_frames_);
}

std::string FramePlan::name() const {
    return fmt::format("{} frames, {}", frames_, course_name(course_));
}

int64_t FramePlan::number(int64_t index) const {
    if (course_ == Course::wrapping) return ascending_number(index) % kWrap;
    if (course_ != Course::shuffled) return ascending_number(index);
    const int64_t first = index / chunk_frames_ * chunk_frames_;
    const int64_t size = std::min(frames_, first + chunk_frames_) - first;
    // Two primes: one of them does not divide the length.
    const int64_t step = size % 7919 != 0 ? 7919 : 7927;
    return ascending_number(first + (index - first) * step % size);
}

double FramePlan::time(int64_t index) const {
    if (course_ == Course::paired_times) return ascending_time(index / 2 * 2);
    if (course_ == Course::clock_step && index >= frames_ / 2 + kBehindMiddle) {
        return ascending_time(index) - kClockStep;
    }
    return ascending_time(index);
}

int64_t FramePlan::gaps() const {
    return (frames_ - 1) / kRun;
}

int64_t FramePlan::missing_number(int64_t gap) const {
    return ascending_number((gap + 1) * kRun) - 1;
}

std::optional<int64_t> FramePlan::find_number(int64_t number, Match match) const {
    return find(frames_, number, match, ascending_number);
}

std::optional<int64_t> FramePlan::find_time(double time, Match match) const {
    return find(frames_, time, match, ascending_time);
}

}  // namespace reelstore::bench
