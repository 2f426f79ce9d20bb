#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/filter.h"
#include "base/frame_source.h"
#include "base/pixel_type.h"
#include "bench/series.h"

namespace reelstore::bench {

/// Writes `count` numbered frames of a moving texture to `path`, whose extension says how, at 25 frames a second.
void make_recording(const std::filesystem::path& path, const ImageType& type, int64_t count);

/// Where frames end that are only wanted in memory. It counts them.
class CountingSink : public FrameSink {
public:
    void write(const Frame& frame) override;
    void close() override {}
    int64_t frames() const { return frames_; }

private:
    int64_t frames_ = 0;
};

/// Times a program with the processor time of its threads; `frames`: how many it handles.
Pass timed_command(const std::vector<std::string>& command, int64_t frames);
/// Times `work`, which handles so many frames.
Pass timed(int64_t frames, const std::function<void()>& work);

}  // namespace reelstore::bench
