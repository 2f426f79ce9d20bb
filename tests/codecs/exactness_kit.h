#pragma once

// Videos made by the ffmpeg program, the truth about them by an independent decode, and every way to ask for frames.

#include <sys/wait.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

extern "C" {
#include <libavutil/imgutils.h>
}

#include "base/error.h"
#include "base/frame_source.h"
#include "base/numbered_frames.h"
#include "base/parallel_reader.h"
#include "codecs/file_format.h"
#include "codecs/video/libav.h"
#include "codecs/video/packet_scan.h"
#include "codecs/video/pixel_convert.h"

namespace reelstore {

void add_file_formats_video(FileFormatTable& table);

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

inline const FileFormat& video_file_format() {
    static const FileFormatTable table = [] {
        FileFormatTable formats;
        add_file_formats_video(formats);
        return formats;
    }();
    return *table.front();
}

/// What the program wrote to its standard output. A failing command fails the test.
inline std::vector<uint8_t> run_command(const std::string& command) {
    std::vector<uint8_t> output;
    FILE* pipe = ::popen(command.c_str(), "r");
    REQUIRE(pipe);
    uint8_t buffer[1 << 16];
    for (size_t got = 0; (got = std::fread(buffer, 1, sizeof(buffer), pipe)) > 0;)
        output.insert(output.end(), buffer, buffer + got);
    const int status = ::pclose(pipe);
    INFO(command);
    REQUIRE(WIFEXITED(status));
    REQUIRE(WEXITSTATUS(status) == 0);
    return output;
}

inline void run_ffmpeg(const std::string& arguments) {
    run_command("ffmpeg -nostdin -v error -y -threads 1 " + arguments);
}

/// Gray frames with the numbers 0, 1, 2... as one file for ffmpeg.
inline std::filesystem::path write_raw_frames(const std::filesystem::path& folder, int width, int height, int count) {
    const auto path = folder / fmt::format("{}x{}_{}.raw", width, height, count);
    if (std::filesystem::exists(path)) return path;
    std::ofstream out(path, std::ios::binary);
    for (int number = 0; number < count; ++number) {
        const cv::Mat image =
            make_numbered_image({.height = height, .width = width, .channels = 1, .depth = CV_8U}, number);
        out.write(reinterpret_cast<const char*>(image.data), static_cast<std::streamsize>(image.total()));
    }
    return path;
}

/// Frames in the order in which a decoder of its own process, fed from the beginning, shows them.
struct Truth {
    std::vector<cv::Mat> images;              ///< converted as the source under test converts
    std::vector<std::optional<int>> numbers;  ///< in their bars
};

/// `stream` and `type` say how the pixels are to be read, nothing about which frames there are.
inline Truth sequential_truth(const std::filesystem::path& path, const VideoStream& stream, const ImageType& type,
                              const std::string& input_options = {}) {
    const std::vector<uint8_t> bytes =
        run_command("ffmpeg -nostdin -v quiet -threads 1 -noautorotate " + input_options + " -i '" + path.string() +
                    "' -map 0:v:0 -vsync passthrough -f rawvideo -");
    Truth truth;
    FrameToImage converter;
    const AVPixelFormat format = av_get_pix_fmt(stream.pixel_format.c_str());
    const int size = av_image_get_buffer_size(format, stream.width, stream.height, 1);
    if (size <= 0) return truth;
    const size_t frame_bytes = static_cast<size_t>(size);
    CHECK(bytes.size() % frame_bytes == 0);
    for (size_t at = 0; at + frame_bytes <= bytes.size(); at += frame_bytes) {
        const UniqueFrame frame = make_frame();
        frame->width = stream.width;
        frame->height = stream.height;
        frame->format = format;
        frame->color_range =
            static_cast<AVColorRange>(std::max(0, av_color_range_from_name(stream.color_range.c_str())));
        frame->colorspace = stream.color_space == "unknown"
                                ? AVCOL_SPC_UNSPECIFIED
                                : static_cast<AVColorSpace>(av_color_space_from_name(stream.color_space.c_str()));
        av_image_fill_arrays(frame->data, frame->linesize, bytes.data() + at, format, stream.width, stream.height, 1);
        truth.images.push_back(converter.convert(*frame, type));
        truth.numbers.push_back(read_image_number(truth.images.back()));
    }
    return truth;
}

inline bool same_image(const cv::Mat& a, const cv::Mat& b) {
    if (a.size() != b.size() || a.type() != b.type() || !a.isContinuous() || !b.isContinuous()) return false;
    return std::memcmp(a.data, b.data, a.total() * a.elemSize()) == 0;
}

struct AccessCount {
    int64_t accesses = 0;
    int64_t wrong = 0;
};

/// Sum over all cases of a run; printed at its end.
inline AccessCount& all_accesses() {
    struct Printed : AccessCount {
        ~Printed() {
            if (accesses > 0)
                std::printf("exactness: %lld accesses, %lld wrong\n", static_cast<long long>(accesses),
                            static_cast<long long>(wrong));
        }
    };
    static Printed sum;
    return sum;
}

/// Most packets that a single read needs: those from the last key packet that is not shown after the frame up to the
/// frame, without those that no other frame needs.
inline int64_t minimal_packets(const PacketTable& table, int64_t position) {
    const auto target = static_cast<int64_t>(table.display_order.at(static_cast<size_t>(position)));
    const auto packet = [&](int64_t place) { return table.packets.at(static_cast<size_t>(place)); };
    const auto not_after = [&](int64_t place) {
        const auto& order = table.display_order;
        const auto shown = std::find(order.begin(), order.end(), static_cast<uint32_t>(place));
        return shown == order.end() ? packet(place).pts <= packet(target).pts : shown - order.begin() <= position;
    };
    int64_t entry = target;
    while (entry > 0 && !(packet(entry).key && not_after(entry))) --entry;
    int64_t needed = 1;
    for (int64_t place = entry; place < target; ++place) needed += !packet(place).disposable;
    return needed;
}

/// Asks one source for frames in every order and compares each with the truth.
class ExactnessCheck {
public:
    ExactnessCheck(std::string name, const std::filesystem::path& path, const std::string& truth_options = {})
        : name_(std::move(name)),
          path_(path),
          source_(video_file_format().open(path, {.gray = true})),
          scan_(scan_packets(path)) {
        truth_ = sequential_truth(path, scan_.table.stream, source_->info().image_type, truth_options);
    }

    ~ExactnessCheck() {
        all_accesses().accesses += count_.accesses;
        all_accesses().wrong += count_.wrong;
        std::printf("  %-60s %4lld frames %6lld accesses %5lld wrong %s\n", name_.c_str(),
                    static_cast<long long>(truth_.images.size()), static_cast<long long>(count_.accesses),
                    static_cast<long long>(count_.wrong), note_.c_str());
    }

    ExactnessCheck(const ExactnessCheck&) = delete;
    ExactnessCheck& operator=(const ExactnessCheck&) = delete;

    const Truth& truth() const { return truth_; }
    const PacketTable& table() const { return scan_.table; }
    FrameSource& source() { return *source_; }
    const AccessCount& count() const { return count_; }

    /// The sequential decode shows exactly `first`, `first` + 1... `count` frames in all.
    void expect_numbers(int first, int count) {
        INFO(name_);
        CHECK(truth_.images.size() == static_cast<size_t>(count));
        for (size_t i = 0; i < truth_.numbers.size(); ++i) CHECK(truth_.numbers[i] == first + static_cast<int>(i));
    }

    /// Every order of access, at least `accesses` in all.
    void run(int64_t accesses) {
        INFO(name_);
        const auto frames = static_cast<int64_t>(truth_.images.size());
        CHECK(source_->info().frame_count == frames);
        if (source_->info().frame_count != frames || frames == 0) {
            ++count_.wrong;
            note_ += fmt::format("[count {}]", source_->info().frame_count.value_or(-1));
            return;
        }
        RandomAccess& access = *source_->random_access();
        std::mt19937 random(7);
        std::vector<int64_t> order(static_cast<size_t>(frames));
        std::iota(order.begin(), order.end(), int64_t{0});
        for (const int64_t i : order) check(source_->next(), i, "next");
        CHECK_FALSE(source_->next());
        for (auto i = order.rbegin(); i != order.rend(); ++i) check(access.at_index(*i), *i, "backward");
        single_reads(access, random);
        do {
            std::shuffle(order.begin(), order.end(), random);
            for (const int64_t i : order) read(access, i, "shuffled");
            for (const int64_t step : {int64_t{3}, int64_t{7}, int64_t{13}}) {
                for (int64_t i = static_cast<int64_t>(random()) % step; i < frames; i += step)
                    read(access, i, "strided");
            }
            batch(access, random);
            mixed(access, random);
        } while (count_.accesses < accesses);
        CHECK(count_.wrong == 0);
        if (!table().contiguous && !table().in_cells) return;
        const int64_t scans = access.counters().demux_scans - 1 + scans_;
        if (scans > 0) note_ += fmt::format("[{} scans]", scans);
        CHECK(scans == 0);
    }

private:
    void check(const std::optional<Frame>& frame, int64_t index, const char* how) {
        ++count_.accesses;
        const bool right =
            frame && frame->index == index && same_image(frame->image, truth_.images[static_cast<size_t>(index)]);
        if (right) return;
        ++count_.wrong;
        if (count_.wrong > 3) return;
        INFO(name_);
        const auto number = frame ? read_image_number(frame->image) : std::nullopt;
        FAIL_CHECK(fmt::format("{}: frame {} shows {} where {} is right", how, index, number.value_or(-1),
                               truth_.numbers[static_cast<size_t>(index)].value_or(-1)));
    }

    void read(RandomAccess& access, int64_t index, const char* how) {
        try {
            check(access.at_index(index), index, how);
        } catch (const Error& error) {
            ++count_.accesses;
            if (++count_.wrong > 3) return;
            INFO(name_);
            FAIL_CHECK(fmt::format("{} {}: {}", how, index, error.what()));
        }
    }

    /// Fresh decoders and far jumps, with the work they cost.
    void single_reads(RandomAccess& access, std::mt19937& random) {
        const auto frames = static_cast<int64_t>(truth_.images.size());
        int too_many = 0;
        int64_t previous = -1;
        const auto jumped = access.clone_access();
        REQUIRE(jumped);
        for (int i = 0; i < 40; ++i) {
            const int64_t index = static_cast<int64_t>(random()) % frames;
            const int64_t allowed = minimal_packets(scan_.table, index);
            if (i < 20) {
                const auto fresh = access.clone_access();
                const int64_t before = fresh->counters().packets_sent;
                read(*fresh, index, "fresh");
                // The first frame of a file is where reading on begins.
                const int64_t sent = fresh->counters().packets_sent - before;
                if (index > 0 && sent > allowed) {
                    ++too_many;
                    note_ += fmt::format("[fresh {}: {} packets of {}]", index, sent, allowed);
                }
                if (fresh->counters().demux_scans > 0) ++scans_;
            }
            // What continues a run or steps back a little is taken for the beginning of more of it, at another price.
            const bool near = previous >= 0 && (jumped->entry_of(index) == jumped->entry_of(previous) ||
                                                (index >= previous - 8 && index <= previous + 1));
            const int64_t before = jumped->counters().packets_sent;
            read(*jumped, index, "jumped");
            const int64_t sent = jumped->counters().packets_sent - before;
            if (!near && index > 0 && sent > allowed) {
                ++too_many;
                note_ += fmt::format("[from {} to {}: {} packets of {}]", previous, index, sent, allowed);
            }
            previous = index;
        }
        CHECK(too_many == 0);
    }

    void batch(RandomAccess& access, std::mt19937& random) {
        const auto frames = static_cast<int64_t>(truth_.images.size());
        std::vector<int64_t> indices;
        for (int i = 0; i < 40; ++i) indices.push_back(static_cast<int64_t>(random()) % frames);
        indices.push_back(indices.front());
        if (random() % 2 == 0) std::sort(indices.begin(), indices.end());
        try {
            const std::vector<Frame> frames_read = read_frames(access, indices, 2);
            REQUIRE(frames_read.size() == indices.size());
            for (size_t i = 0; i < indices.size(); ++i) check(frames_read[i], indices[i], "batch");
        } catch (const Error& error) {
            ++count_.wrong;
            INFO(name_);
            FAIL_CHECK(fmt::format("batch: {}", error.what()));
        }
    }

    /// Jumps, runs forward and steps back in turn, with next() in between on another reader of the source.
    void mixed(RandomAccess& access, std::mt19937& random) {
        const auto frames = static_cast<int64_t>(truth_.images.size());
        int64_t at = 0;
        for (int move = 0; move < 16; ++move) {
            const auto steps = static_cast<int64_t>(random() % 7);
            switch (random() % 3) {
                case 0:
                    at = static_cast<int64_t>(random()) % frames;
                    read(access, at, "mixed jump");
                    break;
                case 1:
                    for (int64_t i = 0; i < steps && at + 1 < frames; ++i) read(access, ++at, "mixed forward");
                    break;
                default:
                    for (int64_t i = 0; i < steps && at > 0; ++i) read(access, --at, "mixed backward");
            }
        }
    }

    std::string name_;
    std::filesystem::path path_;
    std::unique_ptr<FrameSource> source_;
    VideoScan scan_;
    Truth truth_;
    AccessCount count_;
    int64_t scans_ = 0;  ///< besides the one at opening
    std::string note_;
};

}  // namespace reelstore
