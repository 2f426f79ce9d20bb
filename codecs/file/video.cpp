#include <algorithm>
#include <memory>
#include <utility>

#include <opencv2/core.hpp>

#include "base/error.h"
#include "base/parallel_reader.h"
#include "base/text.h"
#include "codecs/file_format.h"
#include "codecs/video/decoder.h"
#include "codecs/video/demuxer.h"
#include "codecs/video/encoder_options.h"
#include "codecs/video/packet_cache.h"
#include "codecs/video/packet_scan.h"
#include "codecs/video/pixel_convert.h"
#include "codecs/video/video_sink.h"

namespace reelstore {

namespace {

const std::vector<std::string> kReadExtensions = {".mp4", ".m4v", ".mov",  ".mkv",  ".webm", ".avi",  ".ts",  ".m2ts",
                                                  ".mts", ".mpg", ".mpeg", ".h264", ".264",  ".hevc", ".265", ".ogv",
                                                  ".flv", ".asf", ".wmv",  ".y4m",  ".nut",  ".ivf",  ".3gp"};

class VideoSource : public FrameSource, public RandomAccess {
public:
    VideoSource(const std::filesystem::path& path, const SourceOptions& options)
        : path_(path), threads_(options.threads) {
        VideoScan scan = learn_packets(options);
        scanned_.bytes_read = scan.bytes_read;
        table_ = std::make_shared<const PacketTable>(std::move(scan.table));
        const VideoStream& stream = table_->stream;
        info_.name = path.string();
        info_.format = stream.codec + " in " + table_->container;
        const bool gray = is_gray_format(stream.pixel_format);
        const bool deep = is_deep_format(stream.pixel_format) && (options.deep || gray);
        coded_type_ = {.height = stream.height,
                       .width = stream.width,
                       .channels = options.gray || gray ? 1 : 3,
                       .depth = deep ? CV_16U : CV_8U};
        info_.image_type = coded_type_;
        if (stream.rotation % 180 != 0) std::swap(info_.image_type.height, info_.image_type.width);
        info_.frame_count = table_->frame_count();
        info_.frame_rate = average_rate();
        info_.has_times = true;
        info_.creation_time = scan.creation_time;
        info_.pixel_format = stream.pixel_format;
        info_.rotation = stream.rotation;
        info_.mirrored = stream.mirrored;
        if (table_->frame_count() > 0 && (stream.width <= 0 || stream.height <= 0)) {
            throw Error(ErrorCode::corrupt, {info_.name, {}, {}}, "holds no frame that can be decoded");
        }
        if (table_->frame_count() > 0 && !plausible(info_.image_type)) {
            throw Error(ErrorCode::corrupt, {info_.name, {}, {}}, "has an impossible picture size");
        }
    }

    const SourceInfo& info() const override { return info_; }

    const std::vector<std::string>& warnings() const override { return warnings_; }

    std::optional<Frame> next() override {
        if (!sequential_) {
            sequential_ = std::make_unique<SequentialReader>(*this, ReadAheadOptions{.threads = threads_});
        }
        return sequential_->next();
    }

    RandomAccess* random_access() override { return this; }

    int64_t frame_count() const override { return table_->frame_count(); }

    Frame at_index(int64_t index) override { return frame_at(index); }

    FrameStamp stamp(int64_t index) override { return {.number = index, .time = time_of(index)}; }

    int64_t entry_of(int64_t index) override { return decoder().entry_position(index); }

    void will_read(std::span<const int64_t> indices) override { decoder().will_read(indices); }

    std::unique_ptr<RandomAccess> clone_access() override {
        return std::unique_ptr<VideoSource>(new VideoSource(*this));
    }

    int threads() const override { return threads_; }

    DecodeCounters counters() const override {
        DecodeCounters counters = scanned_;
        if (decoder_) counters += decoder_->counters();
        if (sequential_) counters += sequential_->counters();
        return counters;
    }

private:
    VideoSource(const VideoSource& other)
        : path_(other.path_),
          table_(other.table_),
          coded_type_(other.coded_type_),
          info_(other.info_),
          threads_(other.threads_) {}

    /// Mirrored and turned as the file asks of players.
    cv::Mat as_shown(cv::Mat image) const {
        if (table_->stream.mirrored) cv::flip(image, image, 1);
        if (table_->stream.rotation == 0) return image;
        const int turn = table_->stream.rotation == 90    ? cv::ROTATE_90_CLOCKWISE
                         : table_->stream.rotation == 180 ? cv::ROTATE_180
                                                          : cv::ROTATE_90_COUNTERCLOCKWISE;
        cv::Mat turned;
        cv::rotate(image, turned, turn);
        return turned;
    }

    VideoScan learn_packets(const SourceOptions& options) {
        std::optional<VideoScan> scan;
        if (options.use_packet_cache) scan = load_packet_cache(path_, warnings_);
        if (!scan) {
            scanned_.demux_scans = 1;
            scan = scan_packets(path_);
        }
        for (const std::string& warning : scan->warnings) warnings_.push_back(path_.string() + ": " + warning);
        return std::move(*scan);
    }

    VideoDecoder& decoder() {
        if (!decoder_) decoder_ = std::make_unique<VideoDecoder>(path_, table_);
        return *decoder_;
    }

    Frame frame_at(int64_t index) {
        try {
            Frame frame;
            frame.image = as_shown(converter_.convert(decoder().read(index), coded_type_));
            frame.index = index;
            frame.number = index;
            frame.time = time_of(index);
            return frame;
        } catch (const Error& error) {
            throw error.at({info_.name, {}, index});
        }
    }

    double time_of(int64_t index) const {
        return static_cast<double>(table_->packet_of(index).pts) * static_cast<double>(table_->stream.time_base_num) /
               static_cast<double>(table_->stream.time_base_den);
    }

    std::optional<double> average_rate() const {
        const int64_t count = table_->frame_count();
        const double duration = count > 1 ? time_of(count - 1) - time_of(0) : 0;
        if (duration > 0) return static_cast<double>(count - 1) / duration;
        if (table_->stream.frame_rate > 0) return table_->stream.frame_rate;
        return std::nullopt;
    }

    std::filesystem::path path_;
    std::shared_ptr<const PacketTable> table_;
    std::unique_ptr<VideoDecoder> decoder_;
    FrameToImage converter_;
    ImageType coded_type_;  ///< before the frames are turned
    SourceInfo info_;
    std::vector<std::string> warnings_;
    DecodeCounters scanned_;
    int threads_ = 0;
    std::unique_ptr<SequentialReader> sequential_;  // for next()
};

/// Of all containers, the default ones first.
std::vector<std::string> written_encoders() {
    std::vector<std::string> encoders;
    for (const VideoContainer& container : video_containers()) {
        for (const std::string& encoder : container.encoders) {
            if (std::find(encoders.begin(), encoders.end(), encoder) == encoders.end()) encoders.push_back(encoder);
        }
    }
    return encoders;
}

class VideoFileFormat : public FileFormat {
public:
    VideoFileFormat() {
        info_.name = "video";
        info_.extensions = kReadExtensions;
        info_.reads = true;
        info_.writes = true;
        info_.types =
            "read: uint8 gray and BGR, uint16 where the video has more bits; written: .mp4 .m4v .mkv .mov (H.264), "
            ".webm (VP9), .avi (MJPEG), uint8 gray or BGR, most encoders also uint16 gray of 10 or 12 bits, FFV1 of "
            "all";
        info_.tested = "files of the ffmpeg program in every codec and container named, a real recording";
        info_.options = encoder_option_list(written_encoders());
        info_.streams = true;
        info_.true_times = true;
        info_.sound = true;
    }

    const FileFormatInfo& info() const override { return info_; }

    bool recognises(const std::filesystem::path& path, std::span<const uint8_t> head) const override {
        if (head.empty()) return false;
        const std::string extension = lower_case_extension(path);
        const bool called_video =
            std::find(kReadExtensions.begin(), kReadExtensions.end(), extension) != kReadExtensions.end();
        return called_video || !probe_container(head).empty();
    }

    bool writes_to(const std::filesystem::path& path) const override {
        return video_container(lower_case_extension(path)) != nullptr;
    }

    std::unique_ptr<FrameSource> open(const std::filesystem::path& path, const SourceOptions& options) const override {
        return std::make_unique<VideoSource>(path, options);
    }

    std::unique_ptr<FrameSink> create(const std::filesystem::path& path, const SinkOptions& options) const override {
        const VideoContainer* container =
            video_container(options.kind.empty() ? lower_case_extension(path) : options.kind);
        if (!container) {
            std::string known;
            for (const VideoContainer& other : video_containers()) known += " " + other.extension;
            throw Error(ErrorCode::unsupported, {path.string(), {}, {}}, "video is written as" + known);
        }
        return make_video_sink(*container,
                               options.stream ? video_stream_to(options.stream, path.string()) : new_video_file(path),
                               options);
    }

private:
    FileFormatInfo info_;
};

}  // namespace

void add_file_formats_video(FileFormatTable& table) {
    table.push_back(std::make_unique<VideoFileFormat>());
}

}  // namespace reelstore
