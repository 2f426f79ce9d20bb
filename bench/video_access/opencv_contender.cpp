#include <opencv2/core.hpp>
#include <opencv2/videoio.hpp>

#include "base/error.h"
#include "bench/video_access/contenders.h"

namespace reelstore::bench {

namespace {

class Capture {
public:
    explicit Capture(const Clip& clip) : clip_(clip) { open(0); }

    /// Opens another file where the frame is in another, as readers of chunked recordings do.
    cv::Mat read(int64_t index) {
        if (clip_.file_of(index) != file_) open(clip_.file_of(index));
        capture_.set(cv::CAP_PROP_POS_FRAMES, static_cast<double>(clip_.position_in_file(index)));
        return next();
    }

    cv::Mat next() {
        cv::Mat bgr;
        if (!capture_.read(bgr) || !clip_.gray()) return bgr;
        // It always gives BGR; taking one channel is the fastest way to gray.
        cv::Mat gray;
        cv::extractChannel(bgr, gray, 0);
        return gray;
    }

private:
    void open(size_t file) {
        file_ = file;
        if (!capture_.open(clip_.files[file].string(), cv::CAP_FFMPEG)) {
            throw Error(ErrorCode::io, {clip_.files[file].string(), {}, {}}, "OpenCV cannot open the file");
        }
    }

    const Clip& clip_;
    cv::VideoCapture capture_;
    size_t file_ = 0;
};

class OpenCv : public Contender {
public:
    explicit OpenCv(const Clip& clip) : capture_(clip) { capture_.read(0); }

    Pass run(std::span<const int64_t> indices) override {
        return read_each(indices, [this](int64_t index) { return capture_.read(index); });
    }

private:
    Capture capture_;
};

class OpenCvInOrder : public Contender {
public:
    explicit OpenCvInOrder(const Clip& clip) : clip_(clip) {}

    Pass run(std::span<const int64_t> indices) override {
        const Stopwatch watch;
        Capture capture(clip_);
        Pass pass = read_each(indices, [&](int64_t) { return capture.next(); });
        stop(watch, pass);
        return pass;
    }

private:
    const Clip& clip_;
};

}  // namespace

std::unique_ptr<Contender> opencv(const Clip& clip) {
    return std::make_unique<OpenCv>(clip);
}

std::unique_ptr<Contender> opencv_in_order(const Clip& clip) {
    return std::make_unique<OpenCvInOrder>(clip);
}

}  // namespace reelstore::bench
