#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "store/frame_row.h"

namespace reelstore::bench {

/// How numbers and times of a recording run.
enum class Course {
    ascending,     ///< as a camera gives them that drops a frame now and then
    wrapping,      ///< numbers of 16 bits
    clock_step,    ///< the clock steps back by an hour, once, inside of a chunk
    paired_times,  ///< every time stands twice
    shuffled,      ///< numbers run up and down inside of their chunk
};
std::string course_name(Course course);

/// Numbers and times of a recording, by formula: a hundred million frames need no memory, and it is known what a lookup
/// must find. Frames of 100 per second with jitter; one number of ten is missing.
class FramePlan {
public:
    /// `chunks` of equal length; the last one is shorter where they do not come out even.
    FramePlan(int64_t frames, int64_t chunks, Course course = Course::ascending);

    int64_t frames() const { return frames_; }
    int64_t chunks() const { return (frames_ + chunk_frames_ - 1) / chunk_frames_; }
    int64_t chunk_frames() const { return chunk_frames_; }
    int64_t first_of(int64_t chunk) const { return chunk * chunk_frames_; }
    int64_t end_of(int64_t chunk) const;
    Course course() const { return course_; }
    /// "100000 frames, wrapping"
    std::string name() const;

    int64_t number(int64_t index) const;
    double time(int64_t index) const;

    /// Numbers that no frame has, each between those of two frames; only where numbers ascend.
    int64_t gaps() const;
    int64_t missing_number(int64_t gap) const;

    /// frame_index of what a lookup must find; only for Course::ascending.
    std::optional<int64_t> find_number(int64_t number, Match match) const;
    std::optional<int64_t> find_time(double time, Match match) const;

private:
    int64_t frames_;
    int64_t chunk_frames_;
    Course course_;
};

}  // namespace reelstore::bench
