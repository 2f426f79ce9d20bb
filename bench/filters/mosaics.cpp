#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <opencv2/core.hpp>

#include "base/pipeline.h"
#include "bench/command.h"
#include "bench/filters/parts.h"
#include "bench/filters/recordings.h"
#include "codecs/file_format.h"
#include "filters/mosaic.h"

namespace reelstore::bench {

namespace fs = std::filesystem;

namespace {

constexpr char kFfmpeg[] = "ffmpeg xstack";
constexpr char kFfmpegYuv[] = "ffmpeg xstack, YUV as decoded";
constexpr int kItems = 4;

std::vector<std::string> ffmpeg_command(const std::vector<fs::path>& inputs, const std::vector<std::string>& output) {
    std::vector<std::string> command = {"ffmpeg", "-v", "error", "-y"};
    for (const fs::path& input : inputs) command.insert(command.end(), {"-i", input.string()});
    command.insert(command.end(), {"-filter_complex", "xstack=inputs=4:layout=0_0|w0_0|0_h0|w0_h0"});
    command.insert(command.end(), output.begin(), output.end());
    return command;
}

std::unique_ptr<FrameSource> mosaic_of(const std::vector<fs::path>& inputs) {
    std::vector<MosaicItem> items(inputs.size());
    for (size_t i = 0; i < inputs.size(); ++i) items[i].source.frames = open_file_source(inputs[i]);
    MosaicOptions options;
    options.columns = 2;
    return mosaic(std::move(items), options);
}

/// How many frames of the mosaic do not show the four frames at their places.
int64_t wrong_frames(const std::vector<fs::path>& inputs, int64_t frames) {
    const auto whole = mosaic_of(inputs);
    std::vector<std::unique_ptr<FrameSource>> parts;
    for (const fs::path& input : inputs) parts.push_back(open_file_source(input));
    int64_t right = 0;
    while (const auto frame = whole->next()) {
        bool same = true;
        for (int i = 0; i < kItems; ++i) {
            const auto part = parts[static_cast<size_t>(i)]->next();
            const cv::Size size = part->image.size();
            const cv::Rect place(i % 2 * size.width, i / 2 * size.height, size.width, size.height);
            same = same && frame->image.size() == cv::Size(2 * size.width, 2 * size.height) &&
                   cv::norm(frame->image(place), part->image, cv::NORM_INF) == 0;
        }
        right += same;
    }
    return frames - right;
}

int64_t frame_count(const fs::path& video) {
    int64_t count = 0;
    for (const auto source = open_file_source(video); source->next();) ++count;
    return count;
}

}  // namespace

Part measure_mosaics(const Scale& scale, std::string_view only, const fs::path& folder) {
    Part part = {.title = "Four videos side by side",
                 .explanation =
                     "H.264 of 640x480, color, in a grid of two columns. *Images*: BGR in memory (FFmpeg: raw "
                     "video to /dev/null). *Export*: H.264 again, x264's preset ultrafast, crf 23."};
    const int64_t frames = scale.quick ? 10 : 500;
    const ImageType type = {.height = 480, .width = 640, .channels = 3};
    const ImageType whole = {.height = 2 * type.height, .width = 2 * type.width, .channels = 3};
    const auto wanted = [&](const char* name) { return std::string_view(name).find(only) != std::string_view::npos; };
    if (!wanted("mosaic, images") && !wanted("mosaic, export")) return part;
    std::vector<fs::path> inputs;
    for (int i = 0; i < kItems; ++i) {
        inputs.push_back(folder / fmt::format("mosaic_{}.mp4", i));
        make_recording(inputs.back(), type, frames);
    }
    if (wanted("mosaic, images")) {
        Work work = {"mosaic, images", {"", static_cast<double>(whole.bytes()), {}}, {{kReelstore, kFfmpeg, 1}}};
        work.comparison.series = {{.name = kReelstore}, {.name = kFfmpeg}, {.name = kFfmpegYuv}};
        for (int repetition = 0; repetition < scale.repetitions; ++repetition) {
            CountingSink sink;
            Pass pass = timed(frames, [&] { run_pipeline(*mosaic_of(inputs), {}, sink); });
            pass.wrong_frames = std::abs(sink.frames() - frames);
            work.comparison.series[0].passes.push_back(pass);
            const std::vector<std::string> images = {"-f", "rawvideo", "-pix_fmt", "bgr24", "/dev/null"};
            work.comparison.series[1].passes.push_back(timed_command(ffmpeg_command(inputs, images), frames));
            const std::vector<std::string> planes = {"-f", "rawvideo", "/dev/null"};
            work.comparison.series[2].passes.push_back(timed_command(ffmpeg_command(inputs, planes), frames));
        }
        work.comparison.series[0].passes.back().wrong_frames += wrong_frames(inputs, frames);
        part.works.push_back(work);
    }
    if (wanted("mosaic, export")) {
        Work work = {"mosaic, export", {"", static_cast<double>(whole.bytes()), {}}, {{kReelstore, kFfmpeg, 1}}};
        work.comparison.series = {{.name = kReelstore}, {.name = kFfmpeg}};
        const fs::path output = folder / "mosaic.mp4";
        for (int repetition = 0; repetition < scale.repetitions; ++repetition) {
            std::vector<std::string> command = {REELSTORE_BENCH_STORE, "extract"};
            for (const fs::path& input : inputs) command.push_back(input.string());
            command.insert(command.end(), {output.string(), "--force", "--mosaic", "columns=2", "--set",
                                           "preset=ultrafast", "--set", "crf=23", "--set", "gop=250"});
            Pass pass = timed_command(command, frames);
            pass.wrong_frames = std::abs(frame_count(output) - frames);
            work.comparison.series[0].passes.push_back(pass);
            pass = timed_command(ffmpeg_command(inputs, {"-c:v", "libx264", "-preset", "ultrafast", "-crf", "23",
                                                         "-pix_fmt", "yuv420p", output.string()}),
                                 frames);
            work.comparison.series[1].passes.push_back(pass);
        }
        part.works.push_back(work);
    }
    for (const fs::path& input : inputs) fs::remove(input);
    return part;
}

}  // namespace reelstore::bench
