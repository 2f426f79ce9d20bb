// Times that mislead: variable rate, starts other than zero, cuts, missing and equal time stamps, short and cut off
// files.

#include <cmath>

#include "tests/codecs/exactness_kit.h"
#include "tests/codecs/video_kit.h"
#include "tests/temporary_folder.h"

using namespace reelstore;

namespace {

constexpr int kFrames = 72;
constexpr int64_t kAccesses = kSanitized ? 100 : 500;

const std::string kX264 = "-pix_fmt yuv420p -c:v libx264 -x264-params bframes=3:b-adapt=0:keyint=12";
const std::string kX264Open = "-pix_fmt yuv420p -c:v libx264 -x264-params open-gop=1:bframes=3:b-adapt=0:keyint=10";
const std::string kX265Open =
    "-pix_fmt yuv420p -c:v libx265 -x265-params log-level=none:ctu=16:open-gop=1:bframes=3:b-adapt=0:keyint=12";
const std::string kMpeg2 = "-pix_fmt yuv420p -c:v mpeg2video -q:v 2 -bf 2 -g 12";
const std::string kMpeg4 = "-pix_fmt yuv420p -c:v mpeg4 -q:v 2 -bf 2 -g 12";
const std::string kVp9 =
    "-pix_fmt yuv420p -c:v libvpx-vp9 -cpu-used 8 -lag-in-frames 16 -auto-alt-ref 1 -g 24 -crf 15 -b:v 0";

class Videos {
public:
    std::filesystem::path encode(const std::string& name, const std::string& options, int frames = kFrames,
                                 int width = 64, int height = 48, double rate = 25) const {
        const auto raw = write_raw_frames(folder_.path(), width, height, frames);
        run_ffmpeg(fmt::format("-f rawvideo -pix_fmt gray -s {}x{} -r {} -i '{}' {} '{}'", width, height, rate,
                               raw.string(), options, (folder_ / name).string()));
        return folder_ / name;
    }

    std::filesystem::path remux(const std::filesystem::path& from, const std::string& name,
                                const std::string& before = {}, const std::string& after = {}) const {
        run_ffmpeg(fmt::format("{} -i '{}' -c copy {} '{}'", before, from.string(), after, (folder_ / name).string()));
        return folder_ / name;
    }

private:
    TemporaryFolder folder_;
};

double time_of(RandomAccess& access, int64_t index) {
    return access.stamp(index).time;
}

}  // namespace

TEST_CASE("variable frame rate") {
    const Videos videos;
    const std::string vfr = "-vf 'setpts=(N+floor(N*N/40)+0.01)/25/TB' -vsync vfr ";
    for (const auto& [name, options] : {std::pair<std::string, std::string>{"h264.mp4", kX264},
                                        {"h264.mkv", kX264},
                                        {"h264.ts", kX264},
                                        {"hevc.mp4", kX265Open},
                                        {"vp9.webm", kVp9},
                                        {"mpeg4.mp4", kMpeg4}}) {
        ExactnessCheck check("variable rate, " + name, videos.encode(name, vfr + options));
        check.expect_numbers(0, kFrames);
        check.run(kAccesses);
        RandomAccess& access = *check.source().random_access();
        for (int i = 0; i < kFrames; ++i) {
            CHECK(time_of(access, i) - time_of(access, 0) == doctest::Approx((i + i * i / 40) / 25.0).epsilon(0.002));
        }
    }
}

TEST_CASE("start time other than zero") {
    const Videos videos;
    for (const auto& [name, start, options] :
         {std::tuple<std::string, double, std::string>{"late.mkv", 10, kX264},
          {"late.ts", 10, kX264},
          {"late.mp4", 10, kX264},
          {"late_vp9.webm", 3, kVp9},
          {"early.mp4", -1, kX264 + " -avoid_negative_ts disabled"},
          {"early.mov", -1, kX265Open + " -avoid_negative_ts disabled"},
          {"negative_composition.mp4", 0, kX264 + " -movflags negative_cts_offsets"},
          {"wrapping.ts", 95443.0, kX264}}) {
        ExactnessCheck check("start at " + std::to_string(start) + ", " + name,
                             videos.encode(name, options + fmt::format(" -output_ts_offset {}", start)));
        // Frames before zero are cut away by the edit list that the muxer of mp4 writes.
        check.run(kAccesses);
        CHECK(check.truth().images.size() >= 40);
    }
}

TEST_CASE("cuts without new encoding: edit lists and missing references") {
    const Videos videos;
    for (const auto& [codec, options, from] : {std::tuple<std::string, std::string, std::string>{"h264", kX264, "mp4"},
                                               {"h264_open", kX264Open, "mkv"},
                                               {"hevc_open", kX265Open, "mkv"},
                                               {"mpeg2", kMpeg2, "mkv"},
                                               {"mpeg4", kMpeg4, "mp4"},
                                               {"vp9", kVp9, "webm"}}) {
        const auto whole = videos.encode(codec + "." + from, options);
        for (const std::string to : {"mp4", "mov", "mkv", "ts"}) {
            // Their parameters do not get into the transport stream.
            if (to == "ts" && (codec == "h264_open" || codec == "mpeg4" || codec == "vp9")) continue;
            if (to == "mov" && codec == "vp9") continue;
            for (const std::string start : {"0.5", "1.04", "1.96"}) {
                const std::string name = codec + "_" + start + "." + to;
                ExactnessCheck check("cut at " + start + ", " + name,
                                     videos.remux(whole, name, "-ss " + start, "-t 0.7"));
                CHECK(check.truth().images.size() >= 10);
                check.run(kAccesses / 3);
            }
        }
    }
}

TEST_CASE("no time stamps: byte streams") {
    const Videos videos;
    for (const auto& [name, options] : {std::pair<std::string, std::string>{"b.h264", kX264},
                                        {"open.h264", kX264Open},
                                        {"b.hevc", kX265Open},
                                        {"b.m4v", kMpeg4},
                                        {"b.m2v", kMpeg2},
                                        {"b.ivf", kVp9},
                                        {"b.mjpeg", "-pix_fmt yuvj420p -c:v mjpeg -q:v 2"},
                                        {"b.obu", "-pix_fmt yuv420p -c:v libaom-av1 -cpu-used 8 -crf 20 -g 24"},
                                        {"b.y4m", "-pix_fmt yuv420p"}}) {
        ExactnessCheck check("byte stream, " + name, videos.encode(name, options));
        check.expect_numbers(0, kFrames);
        check.run(kAccesses);
    }
}

TEST_CASE("equal time stamps: the pictures themselves say in which order they are shown") {
    const Videos videos;
    for (const auto& [name, options] :
         {std::pair<std::string, std::string>{"h264.mkv", kX264}, {"hevc.mkv", kX265Open}, {"h264.flv", kX264}}) {
        ExactnessCheck check("2800 frames a second, " + name, videos.encode(name, options, kFrames, 64, 48, 2800));
        check.expect_numbers(0, kFrames);
        check.run(kAccesses);
    }
}

TEST_CASE("times of decoding written for those of display") {
    const Videos videos;
    for (const auto& [codec, options] :
         {std::pair<std::string, std::string>{"h264", kX264}, {"hevc", kX265Open}, {"mpeg4", kMpeg4}}) {
        const auto whole = videos.encode(codec + ".mp4", options);
        ExactnessCheck check("decode times, " + codec,
                             videos.remux(whole, codec + "_dts.mkv", "", "-bsf:v setts=pts=DTS"));
        check.expect_numbers(0, kFrames);
        check.run(kAccesses);
    }
}

TEST_CASE("one and two frames") {
    const Videos videos;
    for (const int frames : {1, 2}) {
        for (const auto& [extension, options] : {std::pair<std::string, std::string>{"mp4", kX264},
                                                 {"mkv", kX265Open},
                                                 {"mov", kMpeg2},
                                                 {"webm", kVp9},
                                                 {"avi", kMpeg4},
                                                 {"h264", kX264}}) {
            const std::string name = fmt::format("{}.{}", frames, extension);
            ExactnessCheck check(fmt::format("{} frames, {}", frames, extension), videos.encode(name, options, frames));
            check.expect_numbers(0, frames);
            check.run(50);
        }
    }
}

TEST_CASE("odd sizes") {
    const Videos videos;
    for (const auto& [name, options] :
         {std::pair<std::string, std::string>{"h264.mp4", "-c:v libx264 -pix_fmt yuv444p -g 12 -bf 2"},
          {"vp9.webm", kVp9},
          {"ffv1.mkv", "-c:v ffv1 -pix_fmt gray"},
          {"mjpeg.avi", "-c:v mjpeg -pix_fmt yuvj420p -q:v 2"},
          {"raw.avi", "-c:v rawvideo -pix_fmt gray"},
          {"mpeg4.avi", kMpeg4},
          {"mpeg2.ts", kMpeg2}}) {
        ExactnessCheck check("65x49, " + name, videos.encode(name, options, kFrames, 65, 49));
        check.expect_numbers(0, kFrames);
        CHECK(check.source().info().image_type.width == 65);
        CHECK(check.source().info().image_type.height == 49);
        check.run(kAccesses);
    }
}

TEST_CASE("files cut off at the end") {
    const Videos videos;
    for (const auto& [name, options] :
         {std::pair<std::string, std::string>{"h264.mkv", kX264},
          {"h264.ts", kX264},
          {"h264.avi", kX264},
          {"fragmented.mp4", kX264 + " -movflags frag_keyframe+empty_moov+default_base_moof"},
          {"hevc.mkv", kX265Open},
          {"vp9.webm", kVp9},
          {"mjpeg.avi", "-c:v mjpeg -pix_fmt yuvj420p -q:v 2"},
          {"ffv1.mkv", "-c:v ffv1 -pix_fmt gray"},
          {"mpeg2.ts", kMpeg2},
          {"b.h264", kX264}}) {
        const auto whole = videos.encode(name, options);
        ExactnessCheck complete("whole, " + name, whole);
        const std::vector<char> bytes = bytes_of(whole);
        for (const double part : {0.9, 0.62}) {
            const auto cut = whole.parent_path() / fmt::format("cut{}_{}", part, name);
            write_bytes(cut, {bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(bytes.size() * part)});
            const auto source = video_file_format().open(cut, {.gray = true});
            RandomAccess& access = *source->random_access();
            const int64_t count = access.frame_count();
            INFO(name);
            const Truth cut_truth = sequential_truth(cut, complete.table().stream, source->info().image_type);
            const auto shown = static_cast<int64_t>(cut_truth.images.size());
            CHECK(shown >= 10);
            // A program that plays the file may also show what it could guess of the last picture.
            CHECK(count <= shown);
            CHECK(count >= shown - 1);
            std::vector<int64_t> order(static_cast<size_t>(count));
            std::iota(order.begin(), order.end(), int64_t{0});
            std::shuffle(order.begin(), order.end(), std::mt19937(3));
            int64_t errors = 0;
            int64_t wrong = 0;
            for (const int64_t i : order) {
                try {
                    const Frame frame = access.at_index(i);
                    // The last pictures may stand in another order when one between them is missing.
                    const auto right = [&](const cv::Mat& image) { return same_image(frame.image, image); };
                    const auto& images = complete.truth().images;
                    const bool known = i < count - 5 ? right(images[static_cast<size_t>(i)])
                                                     : std::any_of(images.begin(), images.end(), right);
                    wrong += !known;
                } catch (const Error& error) {
                    CHECK(error.code() == ErrorCode::corrupt);
                    CHECK(i >= count - 5);
                    ++errors;
                }
            }
            CHECK(wrong == 0);
            CHECK(errors <= 4);
            all_accesses().accesses += count;
            all_accesses().wrong += wrong;
            std::printf("  cut off at %.2f, %-42s %4lld frames %5lld wrong %lld errors\n", part, name.c_str(),
                        static_cast<long long>(count), static_cast<long long>(wrong), static_cast<long long>(errors));
        }
    }
}

TEST_CASE("a display matrix turns and mirrors the frames as players show them") {
    const Videos videos;
    const auto upright = videos.encode("upright.mp4", "-pix_fmt yuvj420p -c:v mjpeg -q:v 2", 6);
    const std::vector<char> bytes = bytes_of(upright);
    const std::string name = "tkhd";
    const auto box = std::search(bytes.begin(), bytes.end(), name.begin(), name.end());
    REQUIRE(box != bytes.end());
    const auto matrix_at = (box - bytes.begin()) + 4 + 40;
    // The eight ways to lay a picture on its sides: a, b, c, d of (x, y) -> (a x + c y, b x + d y).
    const int ways[8][4] = {{1, 0, 0, 1},  {0, 1, -1, 0}, {-1, 0, 0, -1}, {0, -1, 1, 0},
                            {-1, 0, 0, 1}, {1, 0, 0, -1}, {0, 1, 1, 0},   {0, -1, -1, 0}};
    for (const auto& way : ways) {
        CAPTURE(way[0]);
        CAPTURE(way[1]);
        CAPTURE(way[2]);
        CAPTURE(way[3]);
        std::vector<char> turned = bytes;
        const auto put = [&](int index, int value) {
            const uint32_t fixed = static_cast<uint32_t>(value) << 16;
            for (int byte = 0; byte < 4; ++byte) {
                turned[static_cast<size_t>(matrix_at + index * 4 + byte)] = static_cast<char>(fixed >> (24 - 8 * byte));
            }
        };
        put(0, way[0]);
        put(1, way[1]);
        put(3, way[2]);
        put(4, way[3]);
        const auto path = upright.parent_path() / "turned.mp4";
        write_bytes(path, turned);
        const auto source = video_file_format().open(path, {.gray = true});
        const ImageType type = source->info().image_type;
        const bool on_side = way[0] == 0;
        CHECK(type.width == (on_side ? 48 : 64));
        CHECK(type.height == (on_side ? 64 : 48));
        // The program turns by itself; full range, so that luma is gray.
        const std::vector<uint8_t> shown = run_command("ffmpeg -nostdin -v error -i '" + path.string() +
                                                       "' -vsync passthrough -f rawvideo -pix_fmt yuvj420p -");
        const size_t frame_bytes = size_t{64} * 48 * 3 / 2;
        REQUIRE(shown.size() == 6 * frame_bytes);
        for (const int i : {3, 0, 5, 4}) {
            const cv::Mat expected(type.height, type.width, CV_8UC1,
                                   const_cast<uint8_t*>(shown.data()) + static_cast<size_t>(i) * frame_bytes);
            CHECK(same_image(source->random_access()->at_index(i).image, expected));
            ++all_accesses().accesses;
        }
    }
}
