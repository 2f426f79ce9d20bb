#include "bench/formats/frame_access.h"

#include <utility>

#include <opencv2/core.hpp>
#include <opencv2/videoio.hpp>

#include "base/error.h"
#include "codecs/chunk_format.h"
#include "store/store_reader.h"
#include "store/store_writer.h"

namespace reelstore::bench {

namespace {

namespace fs = std::filesystem;

/// Reads with a function that gives a Frame, whose owner is kept until its pixels have been compared.
template <typename Read>
class InProcess : public FrameAccess {
public:
    InProcess(const Clip& clip, Read read, bool copy) : clip_(clip), read_(std::move(read)), copy_(copy) { get(0); }

    Pass run(std::span<const int64_t> indices) override {
        Pass pass;
        for (const int64_t index : indices) {
            Frame frame;
            pass.time([&] { frame = get(index); });
            if (!identical(frame.image, clip_.images.at(static_cast<size_t>(index)))) ++pass.wrong_frames;
        }
        return pass;
    }

private:
    Frame get(int64_t index) {
        Frame frame = read_(index);
        if (copy_) frame.image = frame.image.clone();
        return frame;
    }

    const Clip& clip_;
    Read read_;
    bool copy_;
};

template <typename Read>
std::unique_ptr<FrameAccess> in_process(const Clip& clip, Read read, bool copy = false) {
    return std::make_unique<InProcess<Read>>(clip, std::move(read), copy);
}

cv::Mat read_gray(cv::VideoCapture& capture, int64_t index) {
    capture.set(cv::CAP_PROP_POS_FRAMES, static_cast<double>(index));
    cv::Mat bgr;
    cv::Mat gray;
    if (capture.read(bgr)) cv::extractChannel(bgr, gray, 0);
    return gray;
}

}  // namespace

std::string chunk_reader_name(const std::string& what) {
    return what + ": chunk reader";
}

std::string store_reader_name(const std::string& what) {
    return what + ": StoreReader";
}

std::string copied_name(const std::string& reader_name) {
    return reader_name + ", copied";
}

ClipStore::ClipStore(const Clip& clip, const std::string& what, const std::string& format,
                     const std::map<std::string, std::string>& options, const fs::path& folder)
    : clip_(clip), what_(what), format_(format), folder_(folder) {
    StoreWriterOptions writer_options;
    writer_options.format = format;
    writer_options.codec = options;
    writer_options.chunk_frames = static_cast<int64_t>(clip.images.size());
    StoreWriter writer(folder, writer_options);
    int64_t number = 0;
    for (const cv::Mat& image : clip.images) {
        writer.add(image, number, static_cast<double>(number) / 25);
        ++number;
    }
    writer.close();
    chunk_ = folder / ("000000" + find_chunk_format(format)->info().extension);
    frame_bytes_ = static_cast<double>(fs::file_size(chunk_)) / static_cast<double>(clip.images.size());
}

AccessEntry ClipStore::chunk_reader(bool copy) const {
    const std::string name = chunk_reader_name(what_);
    return {.name = copy ? copied_name(name) : name,
            .make =
                [this, copy] {
                    std::shared_ptr<ChunkReader> reader = find_chunk_format(format_)->open(chunk_, clip_.type);
                    return in_process(
                        clip_,
                        [reader](int64_t index) {
                            Frame frame;
                            frame.image = reader->read(index);
                            return frame;
                        },
                        copy);
                },
            .frame_bytes = frame_bytes_};
}

AccessEntry ClipStore::store_reader(bool copy) const {
    const std::string name = store_reader_name(what_);
    return {.name = copy ? copied_name(name) : name,
            .make =
                [this, copy] {
                    StoreReaderOptions options;
                    options.threads = 1;
                    const auto store = std::make_shared<StoreReader>(folder_, options);
                    return in_process(
                        clip_, [store](int64_t index) { return store->at_index(index); }, copy);
                },
            .frame_bytes = frame_bytes_};
}

AccessEntry opencv_access(const Clip& clip, const fs::path& video) {
    return {.name = kOpenCv, .make = [&clip, video] {
                const auto capture = std::make_shared<cv::VideoCapture>(video.string(), cv::CAP_FFMPEG);
                if (!capture->isOpened()) {
                    throw Error(ErrorCode::io, {video.string(), {}, {}}, "OpenCV cannot open the file");
                }
                return in_process(clip, [capture](int64_t index) {
                    Frame frame;
                    frame.image = read_gray(*capture, index);
                    return frame;
                });
            }};
}

}  // namespace reelstore::bench
