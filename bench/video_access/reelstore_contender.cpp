#include <optional>
#include <utility>

#include "bench/footage.h"
#include "bench/video_access/contenders.h"
#include "codecs/file_format.h"
#include "store/store_reader.h"

namespace reelstore::bench {

namespace {

Work operator-(const DecodeCounters& after, const DecodeCounters& before) {
    return {after.packets_sent - before.packets_sent, after.frames_decoded - before.frames_decoded};
}

class SingleFrames : public Contender {
public:
    explicit SingleFrames(std::unique_ptr<FrameSource> source) : source_(std::move(source)) {
        source_->random_access()->at_index(0);
    }

    Pass run(std::span<const int64_t> indices) override {
        RandomAccess& frames = *source_->random_access();
        const DecodeCounters before = frames.counters();
        Pass pass = read_each(indices, [&](int64_t index) { return frames.at_index(index).image; });
        pass.work = frames.counters() - before;
        return pass;
    }

private:
    std::unique_ptr<FrameSource> source_;
};

class Batch : public Contender {
public:
    explicit Batch(const Clip& clip) : reader_(clip.store) {}

    Pass run(std::span<const int64_t> indices) override {
        const DecodeCounters before = reader_.counters();
        Pass pass{.frames = static_cast<int64_t>(indices.size())};
        int64_t wrong = 0;
        const Stopwatch watch;
        const std::vector<Frame> frames = reader_.at_indices(indices);
        for (size_t i = 0; i < indices.size(); ++i) wrong += shows_number(frames.at(i).image, indices[i]) ? 0 : 1;
        stop(watch, pass);
        pass.wrong_frames = wrong;
        pass.work = reader_.counters() - before;
        return pass;
    }

private:
    StoreReader reader_;
};

class InOrder : public Contender {
public:
    explicit InOrder(std::function<std::unique_ptr<FrameSource>()> open) : open_(std::move(open)) {}

    Pass run(std::span<const int64_t> indices) override {
        const Stopwatch watch;
        const std::unique_ptr<FrameSource> source = open_();
        Pass pass = read_each(indices, [&](int64_t) {
            std::optional<Frame> frame = source->next();
            return frame ? frame->image : cv::Mat();
        });
        stop(watch, pass);
        pass.work = source->random_access()->counters() - DecodeCounters{};
        return pass;
    }

private:
    std::function<std::unique_ptr<FrameSource>()> open_;
};

}  // namespace

std::unique_ptr<Contender> reelstore_file(const Clip& clip) {
    return std::make_unique<SingleFrames>(open_file_source(clip.files.front(), {.gray = clip.gray()}));
}

std::unique_ptr<Contender> reelstore_store(const Clip& clip) {
    return std::make_unique<SingleFrames>(std::make_unique<StoreReader>(clip.store));
}

std::unique_ptr<Contender> reelstore_batch(const Clip& clip) {
    return std::make_unique<Batch>(clip);
}

std::unique_ptr<Contender> reelstore_file_in_order(const Clip& clip) {
    return std::make_unique<InOrder>([&clip] { return open_file_source(clip.files.front(), {.gray = clip.gray()}); });
}

std::unique_ptr<Contender> reelstore_store_in_order(const Clip& clip) {
    return std::make_unique<InOrder>([&clip] { return std::make_unique<StoreReader>(clip.store); });
}

}  // namespace reelstore::bench
