#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <opencv2/core.hpp>

#include "base/pipeline.h"
#include "bench/filters/parts.h"
#include "bench/filters/recordings.h"
#include "bench/footage.h"
#include "bench/machine.h"
#include "codecs/file_format.h"
#include "filters/filter_table.h"

namespace reelstore::bench {

namespace fs = std::filesystem;

namespace {

constexpr char kConverted[] = "converted";
constexpr char kSlower[] = "the slower of reading and writing alone";
constexpr char kReading[] = "reading alone";
constexpr char kWriting[] = "writing alone";

struct Conversion {
    std::string extension;
    CodecOptions codec;
    std::string filters;
    int64_t frames = 0;
};

std::unique_ptr<FrameSink> sink_of(const fs::path& path, const Conversion& conversion) {
    return create_file_sink(path, {.frame_rate = 25, .codec = conversion.codec, .expected_frames = conversion.frames});
}

/// Frames that are in memory already.
Pass write_alone(const fs::path& path, const Conversion& conversion, const std::vector<cv::Mat>& images) {
    return timed(conversion.frames, [&] {
        const auto sink = sink_of(path, conversion);
        for (int64_t i = 0; i < conversion.frames; ++i) {
            Frame frame;
            frame.image = images[static_cast<size_t>(i) % images.size()];
            frame.index = frame.number = i;
            frame.time = static_cast<double>(i) / 25;
            sink->write(frame);
        }
        sink->close();
    });
}

Pass read_alone(const fs::path& path, const Conversion& conversion) {
    CountingSink sink;
    Pass pass = timed(conversion.frames, [&] { run_pipeline(*open_file_source(path), {}, sink); });
    pass.wrong_frames = std::abs(sink.frames() - conversion.frames);
    return pass;
}

struct Memory {
    size_t before = 0;
    size_t early = 0;  ///< at most, until a tenth of the frames was written
    size_t most = 0;
};

Pass convert(const fs::path& from, const fs::path& to, const Conversion& conversion, Memory& memory) {
    memory.before = resident_bytes();
    PipelineOptions options;
    options.progress = [&](const PipelineProgress& progress) {
        const size_t now = resident_bytes();
        memory.most = std::max(memory.most, now);
        if (progress.frames_written * 10 <= conversion.frames) memory.early = std::max(memory.early, now);
    };
    int64_t written = 0;
    Pass pass = timed(conversion.frames, [&] {
        const auto source = open_file_source(from);
        const Filters filters = make_filters(conversion.filters);
        const auto sink = sink_of(to, conversion);
        written = run_pipeline(*source, filters, *sink, options).frames_written;
    });
    pass.wrong_frames = std::abs(written - conversion.frames);
    return pass;
}

}  // namespace

Part measure_long_conversion(const Scale& scale, std::string_view only, const fs::path& folder) {
    Part part = {.title = "A long recording through temporal filters",
                 .explanation =
                     "uint8 gray of 64x48, through a running background and means of 5 frames. *Reading* "
                     "drops the frames, *writing* takes them from memory."};
    const std::string filters = "background=result=absolute,mean=5";
    const std::vector<Conversion> conversions = {
        {".mp4", {{"preset", "ultrafast"}, {"tune", "zerolatency"}}, filters, scale.quick ? 500 : 1000000},
        {".npy", {}, filters, scale.quick ? 500 : 200000}};
    const auto footage = synthetic_footage({.height = 48, .width = 64});
    std::vector<cv::Mat> images;
    for (int i = 0; i < 64; ++i) images.push_back(footage->next().clone());
    const auto image_bytes = static_cast<double>(ImageType::of(images[0]).bytes());
    for (const Conversion& conversion : conversions) {
        const std::string name = fmt::format("{} frames from {} to {}", conversion.frames,
                                             conversion.extension.substr(1), conversion.extension.substr(1));
        if (name.find(only) == std::string::npos) continue;
        const fs::path from = folder / ("long" + conversion.extension);
        const fs::path to = folder / ("converted" + conversion.extension);
        Work work = {name, {"", image_bytes, {}}, {{kConverted, kSlower, 0.9}}};
        work.comparison.series = {{.name = kConverted}, {.name = kReading}, {.name = kWriting}, {.name = kSlower}};
        Memory memory;
        // The longest one is long enough not to be repeated as often.
        const int repetitions = conversion.frames > 500000 ? std::min(scale.repetitions, 2) : scale.repetitions;
        for (int repetition = 0; repetition < repetitions; ++repetition) {
            fs::remove(from);
            fs::remove(to);
            const Pass writing = write_alone(from, conversion, images);
            const Pass reading = read_alone(from, conversion);
            const Pass converted = convert(from, to, conversion, memory);
            const std::vector<Pass> passes = {converted, reading, writing,
                                              reading.seconds > writing.seconds ? reading : writing};
            for (size_t i = 0; i < passes.size(); ++i) work.comparison.series[i].passes.push_back(passes[i]);
        }
        constexpr double kMega = 1e6;
        part.remarks.push_back(
            fmt::format("{}: resident memory {:.0f} MB before, at most {:.0f} MB until a tenth of the frames was "
                        "written and {:.0f} "
                        "MB in all.",
                        name, static_cast<double>(memory.before) / kMega, static_cast<double>(memory.early) / kMega,
                        static_cast<double>(memory.most) / kMega));
        part.works.push_back(work);
        fs::remove(from);
        fs::remove(to);
    }
    return part;
}

}  // namespace reelstore::bench
