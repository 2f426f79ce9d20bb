#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/filter.h"
#include "base/frame_source.h"
#include "filters/image_motion.h"
#include "filters/image_statistics.h"

namespace reelstore {

struct NamedRegion {
    std::string name;
    Region region;
};

/// Which frame the motion of each frame is measured against.
enum class MotionFrom { none, first, previous };

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
    std::vector<Histogram> histograms;  ///< one a channel; empty unless asked for
    std::vector<ChannelTotals> channels;
};

struct MotionTotals {
    ValueStatistics dx;
    ValueStatistics dy;
    ValueStatistics degrees;
    int64_t unknown = 0;
    Extreme farthest;  ///< frame of the longest shift, in pixels
};

/// Adds up what is measured in frames, and writes it down frame by frame: the end of a pipeline, whose last filter is
/// measuring().
class FrameTotals : public FrameSink {
public:
    using LineReceiver = std::function<void(const std::string&)>;

    /// `trace` gets the lines of a CSV table, the heading first; null: none is wanted.
    FrameTotals(std::vector<NamedRegion> regions, MotionFrom motion, LineReceiver trace);

    /// Measures frames, each by itself, on as many threads as a pipeline has for it; what it finds goes with the frame.
    /// This object must outlive it.
    std::unique_ptr<Filter> measuring(const StatisticsOptions& options);

    /// Throws Error(wrong_type) when the frame is of another type than those before.
    void write(const Frame& frame) override;
    void close() override { pass_on(); }
    const std::vector<std::string>& notes() const override { return notes_; }

    int64_t frames() const { return frames_; }
    const ImageType& type() const { return type_; }  ///< of the frames; empty() without
    const std::vector<NamedRegion>& names() const { return named_; }
    const std::vector<RegionTotals>& regions() const { return totals_; }  ///< in the same order
    const MotionTotals& motion() const { return motion_; }

private:
    void add_histograms(size_t region, std::vector<Histogram> histograms);
    void begin(const ImageType& type);
    void pass_on();
    std::vector<std::optional<ImageMotion>> motions_of_waiting();
    void add(int64_t index, const std::optional<ImageMotion>& motion);
    void write_trace(const Frame& frame, const std::optional<ImageMotion>& motion) const;

    const std::vector<NamedRegion> named_;
    MotionFrom motion_from_;
    LineReceiver trace_;
    ImageType type_;
    int64_t frames_ = 0;
    /// Counts of histograms are added where they are made, in any order: they may be larger than the frames that wait.
    std::mutex histograms_mutex_;
    std::vector<RegionTotals> totals_;
    MotionTotals motion_;
    std::vector<Frame> waiting_;  ///< for others, so that some motions can be measured at once
    std::optional<MotionImage> reference_;
    std::vector<std::string> notes_;
};

}  // namespace reelstore
