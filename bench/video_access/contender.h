#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <opencv2/core/mat.hpp>

#include "bench/stopwatch.h"
#include "bench/video_access/clip.h"

namespace reelstore::bench {

/// What a decoder was made to do.
struct Work {
    int64_t packets_sent = 0;
    int64_t frames_decoded = 0;
};

/// What reading some frames took and gave.
struct Pass {
    double seconds = 0;      ///< on the wall clock
    double cpu_seconds = 0;  ///< of all threads and child processes
    int64_t frames = 0;
    std::optional<int64_t> wrong_frames = 0;  ///< none: the pixels cannot be seen from here
    std::optional<Work> work = {};
    std::vector<double> request_seconds = {};  ///< of each request; empty where they are not made one by one
};

/// One way to get at frames of a clip. A new one is made for every repetition, so that nothing is left from the one
/// before; those that keep something open have read frame 0 when they are made.
class Contender {
public:
    virtual ~Contender() = default;
    /// Gets the frames in this order, as images where it can, and checks the number in each.
    virtual Pass run(std::span<const int64_t> indices) = 0;
};

using ContenderFactory = std::function<std::unique_ptr<Contender>(const Clip&)>;

/// Notes the time that a pass has taken.
void stop(const Stopwatch& watch, Pass& pass);

/// Reads another frame of the same file before each, which is not counted: what is left is a jump inside a file that is
/// open already.
std::unique_ptr<Contender> file_already_open(const Clip& clip, std::unique_ptr<Contender> contender);

/// Calls `read` with every index and looks at what it gives.
Pass read_each(std::span<const int64_t> indices, const std::function<cv::Mat(int64_t)>& read);

}  // namespace reelstore::bench
