#include "bench/recording/recorder.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <memory>

#include <fmt/format.h>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/videoio.hpp>

#include "base/error.h"
#include "base/npy.h"
#include "bench/machine.h"
#include "bench/stopwatch.h"

namespace reelstore::bench {

namespace {

namespace fs = std::filesystem;

/// As many files a folder as reelstore and imgstore make.
constexpr int64_t kFilesPerFolder = 200;
/// What imgstore tells OpenCV.
constexpr double kFrameRate = 25;

Error failed(const fs::path& path, const std::string& what) {
    return Error(ErrorCode::io, {path.string(), {}, {}}, what);
}

Recorder reelstore(const Coding& coding, const std::string& name, std::optional<double> commit_interval) {
    const auto record = [=](const Clip& clip, int64_t frames, const fs::path& path) {
        StoreWriter writer(path, writer_options(coding, commit_interval));
        for (int64_t i = 0; i < frames; ++i) writer.add(clip.image(i), i, static_cast<double>(i) / kFrameRate);
        writer.close();
        return std::optional(writer.stats());
    };
    return {name, record, commit_interval == 0.0};
}

Recorder opencv_video(const char* fourcc, const std::string& extension) {
    const int code = cv::VideoWriter::fourcc(fourcc[0], fourcc[1], fourcc[2], fourcc[3]);
    const auto record = [=](const Clip& clip, int64_t frames, const fs::path& path) {
        fs::create_directory(path);
        const std::string file = (path / ("000000" + extension)).string();
        cv::VideoWriter writer(file, cv::CAP_FFMPEG, code, kFrameRate, cv::Size(clip.type.width, clip.type.height),
                               !clip.type.gray());
        if (!writer.isOpened()) throw failed(file, "OpenCV cannot write it");
        for (int64_t i = 0; i < frames; ++i) writer.write(clip.image(i));
        writer.release();
        return std::optional<WriterStats>();
    };
    return {"OpenCV VideoWriter", record, true};
}

fs::path file_of(const fs::path& folder, int64_t index, const std::string& extension) {
    const fs::path chunk = folder / fmt::format("{:06}", index / kFilesPerFolder);
    if (index % kFilesPerFolder == 0) fs::create_directories(chunk);
    return chunk / fmt::format("{:06}{}", index % kFilesPerFolder, extension);
}

Recorder opencv_images(const std::string& extension) {
    const auto record = [=](const Clip& clip, int64_t frames, const fs::path& path) {
        for (int64_t i = 0; i < frames; ++i) {
            const std::string file = file_of(path, i, extension).string();
            if (!cv::imwrite(file, clip.image(i))) throw failed(file, "OpenCV cannot write it");
        }
        return std::optional<WriterStats>();
    };
    return {"OpenCV imwrite", record, true};
}

Recorder plain_npy(const std::string& name, bool sync) {
    const auto record = [=](const Clip& clip, int64_t frames, const fs::path& path) {
        for (int64_t i = 0; i < frames; ++i) write_npy_plainly(file_of(path, i, ".npy"), clip.image(i));
        for (int64_t i = 0; sync && i < frames; ++i) {
            const fs::path file = path / fmt::format("{:06}/{:06}.npy", i / kFilesPerFolder, i % kFilesPerFolder);
            const int descriptor = ::open(file.c_str(), O_WRONLY | O_CLOEXEC);
            if (descriptor < 0 || ::fdatasync(descriptor) != 0) throw failed(file, "cannot sync it");
            ::close(descriptor);
        }
        return std::optional<WriterStats>();
    };
    return {name, record, true};
}

uint64_t bytes_below(const fs::path& folder) {
    uint64_t bytes = 0;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        if (entry.is_regular_file()) bytes += entry.file_size();
    }
    return bytes;
}

}  // namespace

const std::vector<Coding>& codings() {
    static const std::vector<Coding> all = {{"avc1/mp4", "avc1/mp4"},
                                            {"avc1/mp4, ultrafast", "avc1/mp4", {{"preset", "ultrafast"}}},
                                            {"mjpeg/avi", "mjpeg/avi"},
                                            {"npy", "npy"},
                                            {"png", "png"}};
    return all;
}

StoreWriterOptions writer_options(const Coding& coding, std::optional<double> commit_interval) {
    StoreWriterOptions options;
    options.format = coding.format;
    options.codec = coding.options;
    options.commit_interval = commit_interval;
    return options;
}

std::vector<Recorder> recorders(const Coding& coding) {
    std::vector<Recorder> all = {reelstore(coding, kOff, std::nullopt), reelstore(coding, kDefault, 1.0),
                                 reelstore(coding, kTenth, 0.1), reelstore(coding, kEveryFrame, 0.0)};
    // OpenCV has no options for its encoder.
    if (coding.name == "avc1/mp4") all.push_back(opencv_video("avc1", ".mp4"));
    if (coding.name == "mjpeg/avi") all.push_back(opencv_video("MJPG", ".avi"));
    if (coding.name == "png") all.push_back(opencv_images(".png"));
    if (coding.name == "npy") {
        all.push_back(plain_npy("write() alone", false));
        all.push_back(plain_npy("write(), fdatasync() at the end", true));
    }
    return all;
}

Run measure(const Recorder& recorder, const Clip& clip, int64_t frames, const fs::path& folder) {
    const fs::path path = folder / "recording";
    // What an earlier run has left to be written is none of this one's business.
    ::sync();
    const ProcessorTimes before = processor_times();
    const Stopwatch watch;
    Run run = {.frames = frames};
    run.stats = recorder.record(clip, frames, path);
    run.seconds = watch.seconds();
    run.cpu_seconds = watch.cpu_seconds();
    run.others = (processor_times().busy - before.busy - run.cpu_seconds) / run.seconds;
    run.bytes = bytes_below(path);
    fs::remove_all(path);
    return run;
}

void write_npy_plainly(const fs::path& path, const cv::Mat& image) {
    const ImageType type = ImageType::of(image);
    std::vector<uint8_t> header = make_npy_header(npy_descr(type.depth), type.shape());
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (file < 0) throw failed(path, "cannot create it");
    const std::array<iovec, 2> parts = {{{header.data(), header.size()}, {image.data, type.bytes()}}};
    const bool written = ::writev(file, parts.data(), 2) == static_cast<ssize_t>(header.size() + type.bytes());
    if (::close(file) != 0 || !written) throw failed(path, "cannot write it");
}

}  // namespace reelstore::bench
