#include "tools/format_bench.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <random>

#include <fmt/format.h>

#include "base/error.h"
#include "filters/image_quality.h"
#include "store/frame_equality.h"
#include "store/selected_frames.h"
#include "store/stored_packets.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

/// Runs that a sample is made of at most, and frames in one at least: video needs neighbours.
constexpr int64_t kMostRuns = 5;
constexpr int64_t kLeastRun = 15;
/// Frames that are written and read before the clock runs.
constexpr size_t kWarmUpFrames = 5;
constexpr size_t kPage = 4096;

class Stopwatch {
public:
    double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

std::vector<IndexRun> spread_runs(IndexRun range, int64_t frames) {
    const int64_t count = range.last - range.first;
    if (frames >= count) return {range};
    const int64_t runs = std::clamp<int64_t>(frames / kLeastRun, 1, kMostRuns);
    std::vector<IndexRun> found;
    int64_t taken = 0;
    for (int64_t run = 0; run < runs; ++run) {
        const int64_t length = (frames - taken) / (runs - run);
        // The middle of the run's share of the recording.
        const int64_t begin = range.first + count / runs * run + (count / runs - length) / 2;
        found.push_back({begin, begin + length});
        taken += length;
    }
    return found;
}

void check_stop(const std::stop_token& stop) {
    if (stop.stop_requested()) throw Error(ErrorCode::cancelled, "stopped");
}

/// Looks at a byte of every page, so that a format that maps its files has to read them too.
void touch(const cv::Mat& image) {
    const size_t row_bytes = static_cast<size_t>(image.cols) * image.elemSize();
    size_t next = 0;
    for (int row = 0; row < image.rows; ++row) {
        const size_t begin = static_cast<size_t>(row) * row_bytes;
        const volatile uint8_t* bytes = image.ptr(row);
        for (; next < begin + row_bytes; next += kPage) static_cast<void>(bytes[next - begin]);
    }
}

uint64_t size_on_disk(const fs::path& path) {
    try {
        if (!fs::is_directory(path)) return fs::file_size(path);
        uint64_t bytes = 0;
        for (const auto& entry : fs::directory_iterator(path)) bytes += entry.file_size();
        return bytes;
    } catch (const fs::filesystem_error& error) {
        throw Error(ErrorCode::io, {path.string(), {}, {}}, error.code().message());
    }
}

/// One chunk of the sample.
class SampleChunk {
public:
    SampleChunk(const ChunkFormat& format, const std::vector<cv::Mat>& frames, const CodecOptions& codec,
                std::stop_token stop)
        : format_(format), frames_(frames), codec_(codec), stop_(std::move(stop)), type_(ImageType::of(frames[0])) {}

    /// Seconds that it took.
    double write(const fs::path& path, size_t count) {
        path_ = path;
        std::vector<StoredFrame> stored;
        const Stopwatch watch;
        const std::unique_ptr<ChunkWriter> writer = format_.create(path, type_, codec_);
        const auto take_stored = [&] {
            for (StoredFrame& frame : writer->take_stored()) stored.push_back(std::move(frame));
        };
        for (size_t i = 0; i < count; ++i) {
            check_stop(stop_);
            writer->write(frames_[i]);
            take_stored();
        }
        writer->finish();
        const double seconds = watch.seconds();
        take_stored();
        packets_ = packets_of(stored, writer->stream());
        return seconds;
    }

    /// Seconds that it took to read these frames with a reader of its own.
    double read(const std::vector<size_t>& order) const {
        const std::unique_ptr<ChunkReader> reader = open();
        const Stopwatch watch;
        for (const size_t position : order) {
            check_stop(stop_);
            touch(reader->read(static_cast<int64_t>(position)));
        }
        return watch.seconds();
    }

    void compare(double peak, FormatFigures& figures) const {
        const std::unique_ptr<ChunkReader> reader = open();
        const size_t step = (frames_.size() + kSsimFrames - 1) / kSsimFrames;
        double error = 0;
        double similarity = 0;
        int64_t similar = 0;
        figures.exact = true;
        for (size_t i = 0; i < frames_.size(); ++i) {
            check_stop(stop_);
            const cv::Mat image = reader->read(static_cast<int64_t>(i));
            const bool exact = same_pixels(image, frames_[i]);
            figures.exact = figures.exact && exact;
            if (!exact) error += mean_squared_error(image, frames_[i]);
            if (i % step != 0) continue;
            const std::optional<double> ssim = exact ? 1 : structural_similarity(image, frames_[i], peak);
            if (!ssim) continue;
            similarity += *ssim;
            ++similar;
        }
        figures.psnr = psnr(error / static_cast<double>(frames_.size()), peak);
        if (similar > 0) figures.ssim = similarity / static_cast<double>(similar);
    }

private:
    std::unique_ptr<ChunkReader> open() const {
        ChunkReadOptions options;
        // As the store's index does. Decoded frames are not kept: a recording has more than memory holds.
        options.packets = [packets = packets_](std::optional<int64_t>) { return packets; };
        options.cache_bytes = 0;
        return format_.open(path_, type_, options);
    }

    const ChunkFormat& format_;
    const std::vector<cv::Mat>& frames_;
    const CodecOptions& codec_;
    std::stop_token stop_;
    ImageType type_;
    fs::path path_;
    std::shared_ptr<const PacketTable> packets_;
};

}  // namespace

FormatSample take_sample(Recording& recording, IndexRun range, int64_t frames, size_t bytes, std::stop_token stop) {
    FormatSample sample;
    range.last = std::min(range.last, recording.frame_count());
    if (range.first >= range.last) throw Error(ErrorCode::not_found, "there is no frame to take a sample of");
    sample.wanted = std::min(frames, range.last - range.first);
    int64_t most = sample.wanted;
    if (const ImageType& type = recording.info().image_type; !type.empty())
        most = std::clamp<int64_t>(static_cast<int64_t>(bytes / type.bytes()), 1, most);
    sample.runs = spread_runs(range, most);
    SelectedFrames source(recording, {sample.runs});
    size_t taken = 0;
    while (taken == 0 || taken < bytes) {
        check_stop(stop);
        try {
            const std::optional<Frame> frame = source.next();
            if (!frame) break;
            const ImageType type = ImageType::of(frame->image);
            if (sample.frames.empty()) sample.type = type;
            if (!(type == sample.type)) {
                throw Error(ErrorCode::wrong_type, {recording.path().string(), {}, frame->index},
                            fmt::format("is {}, the frames before it are {}", type.text(), sample.type.text()));
            }
            sample.frames.push_back(frame->image.clone());
            taken += type.bytes();
        } catch (const Error& error) {
            if (error.code() == ErrorCode::wrong_type) throw;
            if (sample.damaged++ == 0) sample.first_damage = error.what();
        }
    }
    if (sample.frames.empty()) throw Error(ErrorCode::corrupt, "no frame can be read: " + sample.first_damage);
    return sample;
}

std::string sample_chunk_name(const ChunkFormatInfo& info) {
    std::string name = info.name;
    std::replace(name.begin(), name.end(), '/', '_');
    return info.kind == ChunkKind::file ? name + info.extension : name;
}

FormatFigures measure_format(const ChunkFormat& format, const std::vector<cv::Mat>& frames, const CodecOptions& codec,
                             double peak, const fs::path& folder, std::stop_token stop) {
    FormatFigures figures;
    figures.format = format.info().name;
    SampleChunk chunk(format, frames, codec, std::move(stop));
    const std::string name = sample_chunk_name(format.info());
    const fs::path warm_up = folder / ("warm_up_" + name);
    chunk.write(warm_up, std::min(kWarmUpFrames, frames.size()));
    std::error_code ignored;
    fs::remove_all(warm_up, ignored);
    const fs::path path = folder / name;
    figures.write_seconds = chunk.write(path, frames.size());
    figures.bytes = size_on_disk(path);
    std::vector<size_t> order(frames.size());
    std::iota(order.begin(), order.end(), size_t{0});
    chunk.read({order.begin(), order.begin() + static_cast<ptrdiff_t>(std::min(kWarmUpFrames, frames.size()))});
    figures.sequential_seconds = chunk.read(order);
    std::shuffle(order.begin(), order.end(), std::mt19937(42));
    figures.random_seconds = chunk.read(order);
    chunk.compare(peak, figures);
    return figures;
}

}  // namespace reelstore
