#include "bench/video_access/contender.h"

#include <utility>

#include "bench/footage.h"

namespace reelstore::bench {

namespace {

class FileAlreadyOpen : public Contender {
public:
    FileAlreadyOpen(const Clip& clip, std::unique_ptr<Contender> contender)
        : clip_(clip), contender_(std::move(contender)) {}

    Pass run(std::span<const int64_t> indices) override {
        Pass sum;
        for (const int64_t index : indices) {
            const int64_t other = other_frame_of_file(index);
            contender_->run({&other, 1});
            const Pass pass = contender_->run({&index, 1});
            sum.seconds += pass.seconds;
            sum.cpu_seconds += pass.cpu_seconds;
            sum.frames += pass.frames;
            *sum.wrong_frames += *pass.wrong_frames;
            sum.request_seconds.push_back(pass.seconds);
            if (!pass.work) continue;
            if (!sum.work) sum.work = Work{};
            sum.work->packets_sent += pass.work->packets_sent;
            sum.work->frames_decoded += pass.work->frames_decoded;
        }
        return sum;
    }

private:
    /// In the group of pictures two further on, so that neither lies just ahead of the other.
    int64_t other_frame_of_file(int64_t index) const {
        const int64_t position = clip_.position_in_file(index);
        return index - position + (position + int64_t{2} * clip_.coding.gop) % clip_.coding.chunk_frames;
    }

    const Clip& clip_;
    std::unique_ptr<Contender> contender_;
};

}  // namespace

void stop(const Stopwatch& watch, Pass& pass) {
    pass.seconds = watch.seconds();
    pass.cpu_seconds = watch.cpu_seconds();
}

std::unique_ptr<Contender> file_already_open(const Clip& clip, std::unique_ptr<Contender> contender) {
    return std::make_unique<FileAlreadyOpen>(clip, std::move(contender));
}

Pass read_each(std::span<const int64_t> indices, const std::function<cv::Mat(int64_t)>& read) {
    Pass pass{.frames = static_cast<int64_t>(indices.size())};
    pass.request_seconds.reserve(indices.size());
    int64_t wrong = 0;
    const Stopwatch watch;
    double before = 0;
    for (const int64_t index : indices) {
        if (!shows_number(read(index), index)) ++wrong;
        const double after = watch.seconds();
        pass.request_seconds.push_back(after - before);
        before = after;
    }
    stop(watch, pass);
    pass.wrong_frames = wrong;
    return pass;
}

}  // namespace reelstore::bench
