#include <doctest/doctest.h>
#include <opencv2/core.hpp>

#include "base/error.h"
#include "base/numbered_frames.h"
#include "base/pipeline.h"
#include "filters/temporal.h"
#include "filters/tone.h"
#include "tests/process_use.h"
#include "tests/sanitized.h"

using namespace reelstore;

namespace {

constexpr int64_t kFrames = kSanitized ? 20000 : 1000000;
const ImageType kType{20, 32, 1, CV_8U};

/// Numbered frames at 500 a second, made when they are asked for. Each time anew, as a camera that is played back.
class LongSource : public FrameSource {
public:
    LongSource() {
        info_.name = "long recording";
        info_.image_type = kType;
        info_.frame_count = kFrames;
        info_.frame_rate = 500;
        info_.has_times = true;
    }
    const SourceInfo& info() const override { return info_; }
    std::optional<Frame> next() override {
        if (next_ == kFrames) return std::nullopt;
        Frame frame;
        frame.image = make_numbered_image(kType, int(next_ % 60000));
        frame.index = frame.number = next_;
        frame.time = double(next_) / 500;
        ++next_;
        return frame;
    }
    bool rewind() override {
        next_ = 0;
        return true;
    }

private:
    SourceInfo info_;
    int64_t next_ = 0;
};

/// Checks the order of what comes and forgets it.
class OrderSink : public FrameSink {
public:
    void write(const Frame& frame) override {
        if (frame.index != count * step) ++wrong;
        last_type = ImageType::of(frame.image);
        ++count;
    }
    void close() override {}

    int64_t step = 1;
    int64_t count = 0;
    int64_t wrong = 0;
    ImageType last_type;
};

}  // namespace

TEST_SUITE_BEGIN("large");

TEST_CASE("a million frames pass through temporal filters in constant memory") {
    LongSource source;
    OrderSink sink;
    Filters filters;
    filters.push_back(smooth_spatiotemporal({.sigma_temporal = 1, .sigma_spatial = 0}));
    filters.push_back(gamma_correction(1.5));
    filters.push_back(mean_filter({.size_temporal = 31, .size_spatial = 3}));
    filters.push_back(temporal_difference({.n = 3}));
    filters.push_back(normalize_pixelwise_sliding(101));
    filters.push_back(subtract_background());
    filters.push_back(skip_frames(2));
    sink.step = 2;
    const MemoryGrowth growth;
    const PipelineResult result = run_pipeline(source, filters, sink);
    CHECK(result.frames_written == kFrames / 2);
    CHECK(sink.count == kFrames / 2);
    CHECK(sink.wrong == 0);
    CHECK(sink.last_type == ImageType{20, 32, 1, CV_32F});
    check_growth(growth, 200);
}

TEST_CASE("a filter that has to see a million frames first keeps none of them") {
    LongSource source;
    OrderSink sink;
    Filters filters;
    filters.push_back(temporal_difference({.n = 10, .center = true}));
    filters.push_back(normalize_pixelwise());
    const MemoryGrowth growth;
    CHECK(run_pipeline(source, filters, sink).frames_written == kFrames);
    CHECK(sink.wrong == 0);
    check_growth(growth, 150);
}
