#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>

#include <fmt/format.h>

#include "base/error.h"
#include "bench/command.h"
#include "bench/formats/measure.h"
#include "bench/stopwatch.h"
#include "store/store_writer.h"

namespace reelstore::bench {

namespace {

namespace fs = std::filesystem;

/// Writes so many frames of the clip to a path where nothing is, and has them on the disk when it returns.
struct Recorder {
    std::string name;
    std::function<void(const Clip& clip, int64_t frames, const fs::path& path)> record;
};

/// There and back, so that no two that follow each other differ more than the camera moves.
const cv::Mat& image_at(const Clip& clip, int64_t index) {
    const auto last = static_cast<int64_t>(clip.images.size()) - 1;
    return clip.images[static_cast<size_t>(last - std::abs(last - index % (2 * last)))];
}

Recorder store_recorder(const std::string& format) {
    return {store_recorder_name(format), [format](const Clip& clip, int64_t frames, const fs::path& path) {
                StoreWriterOptions options;
                options.format = format;
                StoreWriter writer(path, options);
                for (int64_t i = 0; i < frames; ++i) writer.add(image_at(clip, i), i, static_cast<double>(i) / 25);
                writer.close();
            }};
}

Recorder dd_recorder() {
    return {kDd, [](const Clip& clip, int64_t frames, const fs::path& path) {
                run_command({"dd", "if=/dev/zero", "of=" + path.string(), fmt::format("bs={}", clip.type.bytes()),
                             fmt::format("count={}", frames), "conv=fsync", "status=none"});
            }};
}

Recorder plain_recorder() {
    return {"write() of the images, fsync() at the end", [](const Clip& clip, int64_t frames, const fs::path& path) {
                const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
                bool written = file >= 0;
                for (int64_t i = 0; i < frames && written; ++i) {
                    const size_t size = clip.type.bytes();
                    written = ::write(file, image_at(clip, i).data, size) == static_cast<ssize_t>(size);
                }
                written = written && ::fsync(file) == 0;
                if (file >= 0) ::close(file);
                if (!written) throw Error(ErrorCode::io, {path.string(), {}, {}}, "cannot write the file");
            }};
}

}  // namespace

std::string store_recorder_name(const std::string& format) {
    return "StoreWriter, " + format;
}

Comparison measure_recording(const Clip& clip, const Scale& scale, const fs::path& folder) {
    const std::vector<Recorder> recorders = {store_recorder("raw/npy"), dd_recorder(), plain_recorder(),
                                             store_recorder("npy")};
    Comparison result = {clip.name, static_cast<double>(clip.type.bytes())};
    for (const Recorder& recorder : recorders) result.series.push_back({.name = recorder.name});
    for (int repetition = 0; repetition < scale.repetitions; ++repetition) {
        for (size_t turn = 0; turn < recorders.size(); ++turn) {
            const size_t i = repetition % 2 == 0 ? turn : recorders.size() - 1 - turn;
            const fs::path path = folder / "recording";
            // What an earlier run has left to be written is none of this one's business.
            ::sync();
            const Stopwatch watch;
            recorders[i].record(clip, scale.recorded_frames, path);
            Pass pass;
            pass.frames = scale.recorded_frames;
            pass.seconds = watch.seconds();
            pass.cpu_seconds = watch.cpu_seconds();
            result.series[i].passes.push_back(pass);
            fs::remove_all(path);
        }
    }
    return result;
}

}  // namespace reelstore::bench
