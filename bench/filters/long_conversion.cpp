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
    ImageType type;
    int64_t frames = 0;
    std::string filters;

    std::string name() const {
        return fmt::format("{} frames of {}x{}, {} to {}, {}", frames, type.width, type.height, extension.substr(1),
                           extension.substr(1), filters);
    }
};

std::vector<Conversion> all_conversions(bool quick) {
    const CodecOptions codec = {{"preset", "ultrafast"}, {"tune", "zerolatency"}};
    const ImageType small = {.height = 48, .width = 64};
    const ImageType large = {.height = 480, .width = 640};
    if (quick) return {{".mp4", codec, small, 500, "background,mean=3"}, {".npy", {}, small, 500, "background,mean=3"}};
    // Filters that cost little beside the others' work.
    return {{".mp4", codec, small, 1000000, "background,mean=3"},
            {".mp4", codec, large, 10000, "difference=5:type=uint8"},
            {".npy", {}, large, 4000, "difference=5:type=uint8"}};
}

/// What the filters make of some frames.
std::vector<cv::Mat> converted_images(const std::vector<cv::Mat>& images, const std::string& list) {
    std::vector<cv::Mat> results = images;
    for (const auto& filter : make_filters(list)) {
        SourceInfo info;
        info.image_type = ImageType::of(images[0]);
        info.frame_count = static_cast<int64_t>(images.size());
        filter->begin(info);
        std::vector<cv::Mat> changed;
        const auto take = [&](Frame frame) { changed.push_back(std::move(frame.image)); };
        for (size_t i = 0; i < results.size(); ++i) {
            Frame frame;
            frame.image = results[i];
            frame.index = static_cast<int64_t>(i);
            filter->push(std::move(frame), take);
        }
        filter->finish(take);
        results = std::move(changed);
    }
    return results;
}

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
    Pass pass = timed(conversion.frames, [&] { run_pipeline(*open_file_source(path, {.gray = true}), {}, sink); });
    pass.wrong_frames = std::abs(sink.frames() - conversion.frames);
    return pass;
}

struct Memory {
    size_t before = 0;
    size_t most = 0;
};

Pass convert(const fs::path& from, const fs::path& to, const Conversion& conversion, Memory& memory) {
    memory.before = resident_bytes();
    PipelineOptions options;
    options.progress = [&](const PipelineProgress&) { memory.most = std::max(memory.most, resident_bytes()); };
    int64_t written = 0;
    Pass pass = timed(conversion.frames, [&] {
        const auto source = open_file_source(from, {.gray = true});
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
                     "uint8 gray, through the filters named. *Reading* drops the frames, *writing* takes the "
                     "converted ones from memory."};
    for (const Conversion& conversion : all_conversions(scale.quick)) {
        const std::string name = conversion.name();
        if (name.find(only) == std::string::npos) continue;
        const auto footage = synthetic_footage(conversion.type);
        std::vector<cv::Mat> images;
        for (int i = 0; i < 64; ++i) images.push_back(footage->next().clone());
        const std::vector<cv::Mat> results = converted_images(images, conversion.filters);
        const fs::path from = folder / ("long" + conversion.extension);
        const fs::path to = folder / ("converted" + conversion.extension);
        Work work = {name, {"", static_cast<double>(conversion.type.bytes()), {}}, {{kConverted, kSlower, 0.9}}};
        work.comparison.series = {{.name = kConverted}, {.name = kReading}, {.name = kWriting}, {.name = kSlower}};
        Memory memory;
        // The longest one is long enough not to be repeated as often.
        const int repetitions = conversion.frames > 500000 ? std::min(scale.repetitions, 2) : scale.repetitions;
        for (int repetition = 0; repetition < repetitions; ++repetition) {
            fs::remove(from);
            fs::remove(to);
            const Pass writing = write_alone(to, conversion, results);
            fs::remove(to);
            write_alone(from, conversion, images);
            const Pass reading = read_alone(from, conversion);
            const Pass converted = convert(from, to, conversion, memory);
            const std::vector<Pass> passes = {converted, reading, writing,
                                              reading.seconds > writing.seconds ? reading : writing};
            for (size_t i = 0; i < passes.size(); ++i) work.comparison.series[i].passes.push_back(passes[i]);
        }
        constexpr double kMega = 1e6;
        part.remarks.push_back(fmt::format("{}: resident memory {:.0f} MB before, then at most {:.0f} MB.", name,
                                           static_cast<double>(memory.before) / kMega,
                                           static_cast<double>(memory.most) / kMega));
        part.works.push_back(work);
        fs::remove(from);
        fs::remove(to);
    }
    return part;
}

}  // namespace reelstore::bench
