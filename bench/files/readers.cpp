#include <cstring>
#include <utility>

#include <opencv2/imgcodecs.hpp>
#include <opencv2/videoio.hpp>

#include "base/error.h"
#include "base/file_system.h"
#include "bench/command.h"
#include "bench/files/files.h"

namespace reelstore::bench {

namespace fs = std::filesystem;

namespace {

Error unreadable(const fs::path& path) {
    return Error(ErrorCode::internal, {path.string(), {}, {}}, "a contender cannot read this");
}

/// Pixels that lie in a mapped file are copied, because a view alone says nothing of how fast they come.
class ReelstoreReader : public FileReader {
public:
    ReelstoreReader(const fs::path& path, const SourceOptions& options, Order order)
        : source_(open_file_source(path, options)), forward_(order == Order::forward) {}

    cv::Mat read(int64_t index) override {
        if (forward_) {
            auto frame = source_->next();
            if (!frame || frame->index != index) throw unreadable(source_->info().name);
            frame_ = std::move(*frame);
        } else {
            frame_ = source_->random_access()->at_index(index);
        }
        if (!frame_.owner) return frame_.image;
        frame_.image.copyTo(copy_);
        return copy_;
    }

private:
    std::unique_ptr<FrameSource> source_;
    bool forward_;
    Frame frame_;
    cv::Mat copy_;
};

class MemcpyReader : public FileReader {
public:
    MemcpyReader(const fs::path& path, uint64_t start, uint64_t stride, const ImageType& type)
        : file_(file_system().open(path, OpenMode::read)),
          map_(file_->map(file_->size())),
          start_(start),
          stride_(stride),
          image_(type.height, type.width, type.cv_type()),
          bytes_(type.bytes()) {
        if (!map_) throw unreadable(path);
    }

    cv::Mat read(int64_t index) override {
        std::memcpy(image_.data, map_.get() + start_ + stride_ * static_cast<uint64_t>(index), bytes_);
        return image_;
    }

private:
    std::unique_ptr<File> file_;
    std::shared_ptr<const uint8_t> map_;
    uint64_t start_;
    uint64_t stride_;
    cv::Mat image_;
    size_t bytes_;
};

/// Forward all pages at once, as it is mostly used; single ones where they are asked for out of order.
class OpenCvPages : public FileReader {
public:
    OpenCvPages(fs::path path, Order order) : path_(std::move(path)) {
        if (order == Order::forward && !cv::imreadmulti(path_.string(), pages_, cv::IMREAD_UNCHANGED)) {
            throw unreadable(path_);
        }
    }

    cv::Mat read(int64_t index) override {
        if (!pages_.empty()) return pages_.at(static_cast<size_t>(index));
        std::vector<cv::Mat> page;
        if (!cv::imreadmulti(path_.string(), page, static_cast<int>(index), 1, cv::IMREAD_UNCHANGED)) {
            throw unreadable(path_);
        }
        return page.front();
    }

private:
    fs::path path_;
    std::vector<cv::Mat> pages_;
};

class OpenCvImages : public FileReader {
public:
    explicit OpenCvImages(std::vector<fs::path> paths) : paths_(std::move(paths)) {}
    cv::Mat read(int64_t index) override {
        return cv::imread(paths_.at(static_cast<size_t>(index)).string(), cv::IMREAD_UNCHANGED);
    }

private:
    std::vector<fs::path> paths_;
};

class OpenCvVideo : public FileReader {
public:
    explicit OpenCvVideo(const fs::path& path) : capture_(path.string()) {
        if (!capture_.isOpened()) throw unreadable(path);
    }
    cv::Mat read(int64_t /*index*/) override {
        cv::Mat image;
        if (!capture_.read(image)) return {};
        cv::Mat gray;
        cv::extractChannel(image, gray, 0);
        return gray;
    }

private:
    cv::VideoCapture capture_;
};

class OpenCvJpegs : public FileReader {
public:
    OpenCvJpegs(const fs::path& path, std::vector<std::pair<uint64_t, size_t>> places)
        : file_(file_system().open(path, OpenMode::read)), places_(std::move(places)) {}
    cv::Mat read(int64_t index) override {
        const auto [offset, size] = places_.at(static_cast<size_t>(index));
        bytes_.resize(size);
        file_->read_at(bytes_.data(), size, offset);
        return cv::imdecode(bytes_, cv::IMREAD_UNCHANGED);
    }

private:
    std::unique_ptr<File> file_;
    std::vector<std::pair<uint64_t, size_t>> places_;
    std::vector<uint8_t> bytes_;
};

}  // namespace

std::unique_ptr<FileReader> open_reelstore(const fs::path& path, const SourceOptions& options, Order order) {
    return std::make_unique<ReelstoreReader>(path, options, order);
}

std::unique_ptr<FileReader> open_memcpy(const fs::path& path, uint64_t start, uint64_t stride, const ImageType& type) {
    return std::make_unique<MemcpyReader>(path, start, stride, type);
}

std::unique_ptr<FileReader> open_opencv_pages(const fs::path& path, Order order) {
    return std::make_unique<OpenCvPages>(path, order);
}

std::unique_ptr<FileReader> open_opencv_images(std::vector<fs::path> paths) {
    return std::make_unique<OpenCvImages>(std::move(paths));
}

std::unique_ptr<FileReader> open_opencv_video(const fs::path& path) {
    return std::make_unique<OpenCvVideo>(path);
}

std::unique_ptr<FileReader> open_opencv_jpegs(const fs::path& path, std::vector<std::pair<uint64_t, size_t>> places) {
    return std::make_unique<OpenCvJpegs>(path, std::move(places));
}

Json ask_python(const Json& request) {
    const std::string answer =
        run_command({REELSTORE_BENCH_PYTHON, "-B", REELSTORE_BENCH_FOLDER "/python_files.py", request.dump()});
    Json result = Json::parse(answer, nullptr, false);
    if (!result.is_object()) throw Error(ErrorCode::internal, "python_files.py answers no JSON: " + answer);
    return result;
}

}  // namespace reelstore::bench
