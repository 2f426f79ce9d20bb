// Every codec in every container it may stand in: the frame asked for is the frame that a decode from the beginning
// shows at that place.

#include "tests/codecs/exactness_kit.h"
#include "tests/temporary_folder.h"

using namespace reelstore;

namespace {

constexpr int kFrames = 72;
constexpr int64_t kAccesses = kSanitized ? 150 : 800;

struct Container {
    const char* extension;
    const char* muxer;  ///< for ffmpeg's tee, with options
};

constexpr Container kMp4 = {"mp4", "f=mp4"};
constexpr Container kFragmented = {"fragmented.mp4", "f=mp4:movflags=frag_keyframe+empty_moov+default_base_moof"};
constexpr Container kMov = {"mov", "f=mov"};
constexpr Container kMkv = {"mkv", "f=matroska"};
constexpr Container kWebm = {"webm", "f=webm"};
constexpr Container kAvi = {"avi", "f=avi"};
constexpr Container kTs = {"ts", "f=mpegts"};
constexpr Container kProgram = {"mpg", "f=mpeg"};
constexpr Container kTsWithHeaders = {"ts", "f=mpegts:bsfs=dump_extra"};

struct EncodedAs {
    const char* name;
    const char* options;
    std::vector<Container> containers;
    int frames = kFrames;
    int shown = 0;  ///< of them; 0: all
    int width = 64;
    int height = 48;
    bool scattered = false;  ///< payloads that have to be demuxed
};

void check_encoding(const EncodedAs& encoding) {
    CAPTURE(std::string(encoding.name));
    const TemporaryFolder folder;
    const auto raw = write_raw_frames(folder.path(), encoding.width, encoding.height, encoding.frames);
    std::string outputs;
    for (const Container& container : encoding.containers) {
        if (!outputs.empty()) outputs += "|";
        outputs +=
            fmt::format("[{}]{}", container.muxer, (folder / (std::string("0.") + container.extension)).string());
    }
    run_ffmpeg(
        fmt::format("-f rawvideo -pix_fmt gray -s {}x{} -r 25 -i '{}' -flags +global_header {} -map 0:v -f tee '{}'",
                    encoding.width, encoding.height, raw.string(), encoding.options, outputs));
    for (const Container& container : encoding.containers) {
        ExactnessCheck check(fmt::format("{}, {}", encoding.name, container.extension),
                             folder / (std::string("0.") + container.extension));
        check.expect_numbers(0, encoding.shown > 0 ? encoding.shown : encoding.frames);
        CHECK(encoding.scattered != (check.table().contiguous || check.table().in_cells));
        check.run(kAccesses);
    }
}

}  // namespace

TEST_CASE("H.264") {
    const std::vector<Container> all = {kMp4, kMov, kMkv, kAvi, kTs, kFragmented};
    const std::vector<Container> two = {kMp4, kMkv};
    const EncodedAs encodings[] = {
        {"H.264 without B-frames", "-pix_fmt yuv420p -c:v libx264 -bf 0 -g 12", all},
        {"H.264 B-frames", "-pix_fmt yuv420p -c:v libx264 -x264-params bframes=2:b-adapt=0:b-pyramid=none:keyint=12",
         all},
        {"H.264 B-pyramid", "-pix_fmt yuv420p -c:v libx264 -x264-params bframes=7:b-adapt=0:b-pyramid=normal:keyint=24",
         all},
        {"H.264 open GOP", "-pix_fmt yuv420p -c:v libx264 -x264-params open-gop=1:bframes=3:b-adapt=0:keyint=10", all},
        {"H.264 slices", "-pix_fmt yuv420p -c:v libx264 -x264-params slices=3:bframes=2:keyint=12", two},
        {"H.264 intra refresh", "-pix_fmt yuv420p -c:v libx264 -x264-params intra-refresh=1:keyint=20:bframes=2", all},
        {"H.264 8 references", "-pix_fmt yuv420p -c:v libx264 -x264-params ref=8:bframes=3:keyint=24", two},
        {"H.264 lossless", "-pix_fmt yuv420p -c:v libx264 -qp 0 -g 12", two},
        {"H.264 10 bit", "-pix_fmt yuv420p10 -c:v libx264 -g 12", two},
        {"H.264 interlaced",
         "-pix_fmt yuv420p -c:v libx264 -x264-params interlaced=1:bframes=2:keyint=12",
         {kMp4, kTs}},
        {"H.264 g=1", "-pix_fmt yuv420p -c:v libx264 -g 1", two},
        {"H.264 g=2", "-pix_fmt yuv420p -c:v libx264 -g 2 -bf 1", two},
        {"H.264 g=250", "-pix_fmt yuv420p -c:v libx264 -g 250", two},
        {"H.264 zerolatency", "-pix_fmt yuv420p -c:v libx264 -tune zerolatency -g 12", {kFragmented}},
    };
    for (const EncodedAs& encoding : encodings) check_encoding(encoding);
}

TEST_CASE("HEVC") {
    const std::vector<Container> all = {kMp4, kMov, kMkv, kTs, kFragmented};
    const std::string options;
    const EncodedAs encodings[] = {
        {"HEVC without B-frames",
         "-pix_fmt yuv420p -c:v libx265 -x265-params log-level=none:ctu=16:bframes=0:keyint=12", all},
        {"HEVC closed GOP",
         "-pix_fmt yuv420p -c:v libx265 -x265-params log-level=none:ctu=16:bframes=4:b-adapt=0:open-gop=0:keyint=12",
         all},
        {"HEVC open GOP",
         "-pix_fmt yuv420p -c:v libx265 -x265-params log-level=none:ctu=16:bframes=4:b-adapt=0:open-gop=1:keyint=12",
         all},
        {"HEVC RADL",
         "-pix_fmt yuv420p -c:v libx265 -x265-params "
         "log-level=none:ctu=16:bframes=4:b-adapt=0:open-gop=0:radl=2:keyint=12",
         all},
        {"HEVC temporal layers",
         "-pix_fmt yuv420p -c:v libx265 -x265-params "
         "log-level=none:ctu=16:bframes=3:b-adapt=0:temporal-layers=1:open-gop=0:keyint=24",
         all},
        {"HEVC temporal layers, open GOP",
         "-pix_fmt yuv420p -c:v libx265 -x265-params "
         "log-level=none:ctu=16:bframes=3:b-adapt=0:temporal-layers=1:open-gop=1:keyint=24",
         {kMp4}},
        {"HEVC intra refresh",
         "-pix_fmt yuv420p -c:v libx265 -x265-params log-level=none:ctu=16:intra-refresh=1:bframes=0:keyint=20",
         {kMp4, kMkv}},
        {"HEVC 10 bit", "-pix_fmt yuv420p10 -c:v libx265 -x265-params log-level=none:ctu=16:keyint=12", {kMp4}},
        {"HEVC g=1", "-pix_fmt yuv420p -c:v libx265 -x265-params log-level=none:ctu=16:keyint=1", {kMp4}},
        {"HEVC g=250", "-pix_fmt yuv420p -c:v libx265 -x265-params log-level=none:ctu=16:keyint=250", {kMkv}},
    };
    for (const EncodedAs& encoding : encodings) check_encoding(encoding);
}

TEST_CASE("AV1, VP9 and VP8") {
    const EncodedAs encodings[] = {
        {"AV1 libaom, hidden frames",
         "-pix_fmt yuv420p -c:v libaom-av1 -cpu-used 8 -lag-in-frames 19 -g 24 -crf 20",
         {kMp4, kMkv, kWebm, kFragmented}},
        {"AV1 libaom, low delay",
         "-pix_fmt yuv420p -c:v libaom-av1 -cpu-used 8 -lag-in-frames 0 -g 24 -crf 20",
         {kMp4, kWebm}},
        {"AV1 SVT",
         "-pix_fmt yuv420p -c:v libsvtav1 -preset 10 -g 24 -crf 20 2>/dev/null",
         {kMp4, kMkv},
         kFrames,
         0,
         64,
         64},
        {"VP9 hidden frames",
         "-pix_fmt yuv420p -c:v libvpx-vp9 -deadline good -cpu-used 5 -lag-in-frames 16 -auto-alt-ref 1 -g 24 -crf 15 "
         "-b:v 0",
         {kWebm, kMkv, kMp4, kAvi}},
        {"VP9 g=1", "-pix_fmt yuv420p -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 1 -crf 15 -b:v 0", {kWebm}},
        {"VP8 hidden frames",
         "-pix_fmt yuv420p -c:v libvpx -deadline good -cpu-used 5 -lag-in-frames 16 -auto-alt-ref 1 -g 24 -crf 10 -b:v "
         "2M",
         {kWebm, kMkv, kAvi}},
    };
    for (const EncodedAs& encoding : encodings) check_encoding(encoding);
}

TEST_CASE("MPEG-4 and MPEG-2") {
    const EncodedAs encodings[] = {
        {"MPEG-4", "-pix_fmt yuv420p -c:v mpeg4 -q:v 2 -g 12", {kMp4, kAvi, kMkv, kMov, kTsWithHeaders}},
        {"MPEG-4 B-frames", "-pix_fmt yuv420p -c:v mpeg4 -q:v 2 -bf 2 -g 12", {kMp4, kAvi, kMkv, kMov, kTsWithHeaders}},
        // Its encoder never gives the last two frames away.
        {"MPEG-4 packed B-frames",
         "-flags -global_header -pix_fmt yuv420p -c:v libxvid -q:v 2 -bf 2 -g 12",
         {kAvi},
         kFrames,
         kFrames - 2,
         64,
         48,
         true},
        {"MPEG-2", "-pix_fmt yuv420p -c:v mpeg2video -q:v 2 -g 12", {kTsWithHeaders, kMkv, kAvi, kMp4}},
        {"MPEG-2 program stream",
         "-flags -global_header -pix_fmt yuv420p -c:v mpeg2video -q:v 2 -bf 2 -g 12",
         {kProgram},
         kFrames,
         0,
         64,
         48,
         true},
        {"MPEG-2 B-frames", "-pix_fmt yuv420p -c:v mpeg2video -q:v 2 -bf 2 -g 12", {kTsWithHeaders, kMkv, kAvi, kMp4}},
    };
    for (const EncodedAs& encoding : encodings) check_encoding(encoding);
}

TEST_CASE("codecs of independent frames") {
    const EncodedAs encodings[] = {
        {"MJPEG", "-pix_fmt yuvj420p -c:v mjpeg -q:v 2", {kAvi, kMkv, kMov, kMp4}},
        {"FFV1", "-pix_fmt gray -c:v ffv1 -level 3 -slices 4", {kMkv, kAvi, kMov}},
        {"FFV1 with contexts over frames", "-pix_fmt yuv420p -c:v ffv1 -level 3 -g 12", {kMkv, kAvi}},
        {"raw gray", "-pix_fmt gray -c:v rawvideo", {kAvi, kMov, kMkv}},
        {"raw colour", "-pix_fmt yuv420p -c:v rawvideo", {kAvi, kMkv}},
        {"ProRes", "-pix_fmt yuv422p10 -c:v prores_ks", {kMov, kMkv}},
    };
    for (const EncodedAs& encoding : encodings) check_encoding(encoding);
}
