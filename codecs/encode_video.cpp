#include "codecs/encode_video.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "codecs/file_format.h"
#include "codecs/video/video_sink.h"

namespace reelstore {

namespace {

const VideoContainer& container_of(const EncodeVideoOptions& options) {
    const std::string& name = options.container;
    if (const VideoContainer* container = video_container(name.starts_with('.') ? name : "." + name)) return *container;
    std::vector<std::string> known;
    for (const VideoContainer& container : video_containers()) known.push_back(container.extension.substr(1));
    throw Error(ErrorCode::invalid_argument,
                fmt::format("there is no kind of video file named \"{}\"; there are {}", name, fmt::join(known, ", ")));
}

SinkOptions sink_options(const EncodeVideoOptions& options) {
    SinkOptions sink;
    sink.frame_rate = options.frame_rate;
    sink.codec = options.codec;
    sink.true_times = options.true_times;
    sink.audio = options.audio;
    return sink;
}

template <typename WriteFrames>
std::vector<uint8_t> encoded(const EncodeVideoOptions& options, WriteFrames write_frames) {
    auto file = std::make_shared<MemoryFile>();
    VideoTarget target{.name = options.container + " in memory",
                       .open = [&file] { return file; },
                       .fragmented = options.fragmented,
                       .index_first = !options.fragmented};
    const auto sink = make_video_sink(container_of(options), std::move(target), sink_options(options));
    write_frames(*sink);
    sink->close();
    return file->take();
}

}  // namespace

std::vector<uint8_t> encode_video(FrameSource& source, const EncodeVideoOptions& options) {
    EncodeVideoOptions completed = options;
    if (!completed.frame_rate && completed.codec.count("frame_rate") == 0)
        completed.frame_rate = source.info().frame_rate;
    return encoded(completed, [&](FrameSink& sink) {
        while (const std::optional<Frame> frame = source.next()) sink.write(*frame);
    });
}

std::vector<uint8_t> encode_video(std::span<const Frame> frames, const EncodeVideoOptions& options) {
    return encoded(options, [&](FrameSink& sink) {
        for (const Frame& frame : frames) sink.write(frame);
    });
}

std::vector<uint8_t> encode_video(std::span<const cv::Mat> images, const EncodeVideoOptions& options) {
    return encoded(options, [&](FrameSink& sink) {
        Frame frame;
        for (const cv::Mat& image : images) {
            frame.image = image;
            sink.write(frame);
            ++frame.index;
            ++frame.number;
        }
    });
}

std::unique_ptr<FrameSink> stream_sink(ByteWriter writer, const EncodeVideoOptions& options, const std::string& name) {
    return make_video_sink(container_of(options), video_stream_to(std::move(writer), name), sink_options(options));
}

std::unique_ptr<FrameSink> stream_sink(int descriptor, const EncodeVideoOptions& options) {
    const std::string name = fmt::format("file descriptor {}", descriptor);
    return stream_sink(descriptor_writer(descriptor, name), options, name);
}

}  // namespace reelstore
