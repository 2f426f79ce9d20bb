#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/filter.h"
#include "base/frame_source.h"
#include "filters/image_statistics.h"
#include "filters/measurements.h"

namespace reelstore {

struct NamedRegion {
    std::string name;
    Region region;
};

/// Which frame the motion of each frame is measured against.
enum class MotionFrom { none, first, previous };

/// Measures frames, each by itself; what it finds goes with the frame to a FrameTotals. `regions` must outlive it.
std::unique_ptr<Filter> measuring(const std::vector<NamedRegion>& regions, const StatisticsOptions& options);

/// The frame whose mean was the lowest or highest.
struct Extreme {
    int64_t index = 0;
    double mean = std::numeric_limits<double>::quiet_NaN();
};

/// What is known of one channel in one region, image by image.
struct ChannelTotals {
    ValueStatistics frame_means;
    Extreme darkest;
    Extreme brightest;

    void add(int64_t index, double mean);
};

struct RegionTotals {
    RegionStatistics pixels;
    std::vector<ChannelTotals> channels;
};

struct MotionTotals {
    ValueStatistics dx;
    ValueStatistics dy;
    ValueStatistics degrees;
    int64_t unknown = 0;
    Extreme farthest;  ///< frame of the longest shift, in pixels
};

/// Adds up what measuring() found, and writes it down frame by frame; the end of a pipeline.
class FrameTotals : public FrameSink {
public:
    using LineReceiver = std::function<void(const std::string&)>;

    /// `regions` as measuring() got them; they must outlive this. `trace` gets the lines of a CSV table, the heading
    /// first; null: none is wanted.
    FrameTotals(const std::vector<NamedRegion>& regions, MotionFrom motion, LineReceiver trace);

    /// Throws Error(wrong_type) when the frame is of another type than those before.
    void write(const Frame& frame) override;
    void close() override { pass_on(); }
    const std::vector<std::string>& notes() const override { return notes_; }

    int64_t frames() const { return frames_; }
    const ImageType& type() const { return type_; }  ///< of the frames; empty() without
    const std::vector<RegionTotals>& regions() const { return totals_; }
    const MotionTotals& motion() const { return motion_; }

private:
    void begin(const ImageType& type);
    void pass_on();
    std::vector<std::optional<ImageMotion>> motions_of_waiting();
    void add(int64_t index, const std::optional<ImageMotion>& motion);
    void write_trace(const Frame& frame, const std::optional<ImageMotion>& motion) const;

    const std::vector<NamedRegion>& named_;
    MotionFrom motion_from_;
    LineReceiver trace_;
    ImageType type_;
    int64_t frames_ = 0;
    std::vector<RegionTotals> totals_;
    MotionTotals motion_;
    std::vector<Frame> waiting_;  ///< for others, so that some motions can be measured at once
    std::optional<MotionImage> reference_;
    std::vector<std::string> notes_;
};

}  // namespace reelstore
