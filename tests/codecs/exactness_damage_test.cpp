// Damage that nobody recorded a checksum against: the frame is an error, those that do not need it are right.

#include <chrono>

#include "tests/codecs/exactness_kit.h"
#include "tests/codecs/video_kit.h"
#include "tests/temporary_folder.h"

using namespace reelstore;

namespace {

constexpr int kFrames = 48;
constexpr int kGroup = 12;

struct Damaged {
    const char* name;
    const char* options;
    const char* extension;
    /// Whether nearly every change of bits is found. Most codecs give it some meaning and carry no checksum.
    bool tells_own = true;
    bool tells_dependent = true;
};

enum class Change { all_bytes, zeros, behind_header, every_seventh };

void change(std::vector<char>& bytes, const Packet& packet, Change how) {
    for (size_t i = how == Change::behind_header || how == Change::every_seventh ? 24 : 0; i < packet.size;
         i += how == Change::every_seventh ? 7 : 1) {
        char& byte = bytes[packet.offset + i];
        byte = how == Change::zeros ? '\0' : static_cast<char>(byte ^ 0x55);
    }
}

}  // namespace

TEST_CASE("a damaged packet in the middle costs its own group of pictures at most") {
    const Damaged videos[] = {
        {"H.264", "-pix_fmt yuv420p -c:v libx264 -x264-params keyint=12:scenecut=0:bframes=2:b-adapt=0", "mp4"},
        {"H.264 without B-frames", "-pix_fmt yuv420p -c:v libx264 -x264-params keyint=12:scenecut=0:bframes=0", "mkv"},
        {"HEVC",
         "-pix_fmt yuv420p -c:v libx265 -x265-params log-level=none:ctu=16:keyint=12:scenecut=0:open-gop=0:bframes=2",
         "mp4", false, false},
        {"HEVC with hashes",
         "-pix_fmt yuv420p -c:v libx265 -x265-params "
         "log-level=none:ctu=16:keyint=12:scenecut=0:open-gop=0:bframes=2:hash=1",
         "mp4", false},
        {"HEVC slices",
         "-pix_fmt yuv420p -c:v libx265 -x265-params "
         "log-level=none:ctu=16:keyint=12:scenecut=0:open-gop=0:bframes=0:slices=3",
         "mkv", false, false},
        {"MJPEG", "-pix_fmt yuvj420p -c:v mjpeg -q:v 2", "avi"},
        {"FFV1", "-pix_fmt gray -c:v ffv1 -level 3 -slicecrc 1 -slices 4", "mkv"},
        {"VP9", "-pix_fmt yuv420p -c:v libvpx-vp9 -cpu-used 8 -lag-in-frames 0 -g 12 -crf 15 -b:v 0", "webm", false,
         false},
        {"VP8", "-pix_fmt yuv420p -c:v libvpx -cpu-used 8 -lag-in-frames 0 -g 12 -crf 10 -b:v 2M", "webm", false,
         false},
        {"AV1", "-pix_fmt yuv420p -c:v libaom-av1 -cpu-used 8 -lag-in-frames 0 -g 12 -crf 20", "mp4", false, false},
        {"MPEG-4", "-pix_fmt yuv420p -c:v mpeg4 -q:v 2 -g 12 -sc_threshold 1000000000", "avi"},
        {"MPEG-2", "-pix_fmt yuv420p -c:v mpeg2video -q:v 2 -g 12 -sc_threshold 1000000000", "mkv"},
    };
    for (const Damaged& video : videos) {
        CAPTURE(std::string(video.name));
        const TemporaryFolder folder;
        const auto raw = write_raw_frames(folder.path(), 64, 48, kFrames);
        const auto path = folder / (std::string("0.") + video.extension);
        run_ffmpeg(fmt::format("-f rawvideo -pix_fmt gray -s 64x48 -r 25 -i '{}' {} '{}'", raw.string(), video.options,
                               path.string()));
        ExactnessCheck whole(video.name, path);
        whole.expect_numbers(0, kFrames);
        const PacketTable& table = whole.table();
        REQUIRE(table.contiguous);
        const std::vector<char> bytes = bytes_of(path);
        int64_t reads = 0;
        int64_t wrong_elsewhere = 0;
        int64_t wrong_in_group = 0;
        int64_t undetected = 0;
        int64_t broken = 0;
        for (int position = kGroup; position < 2 * kGroup; ++position) {
            const size_t damaged = table.display_order[static_cast<size_t>(position)];
            size_t begin = damaged;
            while (begin > 0 && !table.packets[begin].key) --begin;
            size_t end = damaged + 1;
            while (end < table.packets.size() && !table.packets[end].key) ++end;
            for (const Change how : {Change::all_bytes, Change::zeros, Change::behind_header, Change::every_seventh}) {
                std::vector<char> other = bytes;
                change(other, table.packets[damaged], how);
                const auto changed = folder / (std::string("changed.") + video.extension);
                write_bytes(changed, other);
                std::shared_ptr<FrameSource> source;
                try {
                    source = video_file_format().open(changed, {.gray = true});
                } catch (const Error& error) {
                    FAIL_CHECK(error.what());
                    continue;
                }
                RandomAccess& access = *source->random_access();
                CHECK(access.frame_count() == kFrames);
                std::vector<int> order(kFrames);
                std::iota(order.begin(), order.end(), 0);
                for (int round = 0; round < 4; ++round) {
                    if (round == 2) std::reverse(order.begin(), order.end());
                    if (round == 3) std::shuffle(order.begin(), order.end(), std::mt19937(5));
                    for (const int i : order) {
                        ++reads;
                        const size_t place = table.display_order[static_cast<size_t>(i)];
                        const bool depends = place >= damaged && place < end;
                        try {
                            const Frame frame = round == 0 ? source->next().value() : access.at_index(i);
                            const bool right = same_image(frame.image, whole.truth().images[static_cast<size_t>(i)]);
                            if (right) continue;
                            if (place == damaged) {
                                ++undetected;
                            } else if (depends) {
                                ++wrong_in_group;
                            } else {
                                ++wrong_elsewhere;
                            }
                        } catch (const Error& error) {
                            CHECK(error.code() == ErrorCode::corrupt);
                            if (!depends) ++broken;
                        }
                    }
                }
            }
        }
        all_accesses().accesses += reads;
        std::printf(
            "  damaged %-50s %5lld reads, wrong elsewhere %lld, lost elsewhere %lld, own frame not told %lld, "
            "dependent not told %lld\n",
            video.name, static_cast<long long>(reads), static_cast<long long>(wrong_elsewhere),
            static_cast<long long>(broken), static_cast<long long>(undetected), static_cast<long long>(wrong_in_group));
        CHECK(wrong_elsewhere == 0);
        CHECK(broken == 0);
        if (video.tells_own) CHECK(undetected == 0);
        if (video.tells_dependent) CHECK(wrong_in_group == 0);
    }
}

TEST_CASE("two video streams: the first is read, and that is told; attached pictures are passed over") {
    const TemporaryFolder folder;
    const auto small = write_raw_frames(folder.path(), 64, 48, 10);
    const auto large = write_raw_frames(folder.path(), 96, 64, 10);
    const std::string inputs =
        fmt::format("-f rawvideo -pix_fmt gray -s 96x64 -r 25 -i '{}' -f rawvideo -pix_fmt gray -s 64x48 -r 25 -i '{}'",
                    large.string(), small.string());
    for (const char* extension : {"mp4", "mkv", "ts"}) {
        CAPTURE(std::string(extension));
        const auto path = folder / (std::string("two.") + extension);
        run_ffmpeg(inputs + " -map 0 -map 1 -pix_fmt yuv420p -c:v libx264 '" + path.string() + "'");
        const auto source = video_file_format().open(path, {.gray = true});
        CHECK(source->info().image_type.width == 96);
        CHECK(source->info().frame_count == 10);
        for (const int i : {9, 0, 4}) CHECK(read_image_number(source->random_access()->at_index(i).image) == i);
        REQUIRE(source->warnings().size() == 1);
        CHECK(source->warnings().front().find("holds 2 video streams; only the first is read") != std::string::npos);
    }
    const auto path = folder / "picture.mp4";
    const auto picture = folder / "picture.png";
    run_ffmpeg(
        fmt::format("-f rawvideo -pix_fmt gray -s 96x64 -i '{}' -frames:v 1 '{}'", large.string(), picture.string()));
    run_ffmpeg(
        fmt::format("-i '{}' -f rawvideo -pix_fmt gray -s 64x48 -r 25 -i '{}' -map 1 -map 0 -c:v:0 libx264 "
                    "-pix_fmt:v:0 yuv420p -c:v:1 copy -disposition:v:1 attached_pic '{}'",
                    picture.string(), small.string(), path.string()));
    const auto source = video_file_format().open(path, {.gray = true});
    CHECK(source->info().image_type.width == 64);
    CHECK(source->info().frame_count == 10);
    CHECK(source->warnings().empty());
    CHECK(read_image_number(source->random_access()->at_index(7).image) == 7);
}

TEST_CASE("files without a frame that can be decoded, and headers with huge sizes, are quick and clear errors") {
    const TemporaryFolder folder;
    const auto raw = write_raw_frames(folder.path(), 64, 48, 12);
    const std::string input = fmt::format("-f rawvideo -pix_fmt gray -s 64x48 -r 25 -i '{}' ", raw.string());
    for (const auto& [name, options] : {std::pair<std::string, std::string>{"a.mkv", "-pix_fmt yuv420p -c:v libx264"},
                                        {"b.avi", "-pix_fmt yuvj420p -c:v mjpeg"},
                                        {"c.mkv", "-pix_fmt gray -c:v ffv1"},
                                        {"d.avi", "-pix_fmt gray -c:v rawvideo"},
                                        {"e.webm", "-pix_fmt yuv420p -c:v libvpx-vp9 -cpu-used 8"}}) {
        CAPTURE(name);
        const auto path = folder / name;
        run_ffmpeg(input + options + " '" + path.string() + "'");
        const PacketTable table = scan_packets(path).table;
        const std::vector<char> bytes = bytes_of(path);
        std::vector<char> noise = bytes;
        for (const Packet& packet : table.packets) {
            if (name == "d.avi") break;  // every byte is a pixel
            for (uint32_t i = 0; i < packet.size; ++i) noise[packet.offset + i] = static_cast<char>(i * 37 + 11);
        }
        // Everywhere in the header: 64 and 48 as numbers of two or four bytes.
        std::vector<char> huge = bytes;
        for (size_t i = 0; i + 4 < table.packets.front().offset; ++i) {
            const bool wide = name.ends_with("avi");
            if (wide && (huge[i] == 64 || huge[i] == 48) && huge[i + 1] == 0 && huge[i + 2] == 0 && huge[i + 3] == 0) {
                huge[i] = huge[i + 1] = '\xff';
            }
            // Matroska: PixelWidth and PixelHeight in one byte each become 127 with the same length at most; more
            // room is not there.
            if (!wide && (huge[i] == '\xb0' || huge[i] == '\xba') && huge[i + 1] == '\x81') huge[i + 2] = '\x7f';
        }
        for (const auto& [changed, what] :
             {std::pair<const std::vector<char>*, const char*>{&noise, "noise"}, {&huge, "huge"}}) {
            if (*changed == bytes) continue;
            CAPTURE(std::string(what));
            const auto other = folder / (std::string(what) + name);
            write_bytes(other, *changed);
            const auto begin = std::chrono::steady_clock::now();
            try {
                const auto source = video_file_format().open(other, {.gray = true});
                for (int64_t i = 0; i < source->info().frame_count.value_or(0); ++i) {
                    try {
                        const Frame frame = source->random_access()->at_index(i);
                        // A size in the header is only a hint where the pictures have their own.
                        if (frame.image.cols == 64) CHECK(read_image_number(frame.image) == i);
                        CHECK(std::string(what) == "huge");
                    } catch (const Error& error) {
                        CHECK(error.code() == ErrorCode::corrupt);
                        CHECK(std::string(error.what()).find(other.string()) != std::string::npos);
                    }
                }
            } catch (const Error& error) {
                CHECK((error.code() == ErrorCode::corrupt || error.code() == ErrorCode::unsupported));
            }
            const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
            CHECK(seconds < (kSanitized ? 30 : 5));
        }
    }
}

TEST_CASE("playlists and scripts under a video name are refused, whatever they name") {
    const TemporaryFolder folder;
    const auto raw = write_raw_frames(folder.path(), 64, 48, 3);
    const auto secret = folder / "secret.mp4";
    run_ffmpeg(fmt::format("-f rawvideo -pix_fmt gray -s 64x48 -r 25 -i '{}' -pix_fmt yuv420p -c:v libx264 '{}'",
                           raw.string(), secret.string()));
    const std::string texts[] = {
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.mp4\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile secret.mp4\n",
        "import vapoursynth as vs\nvs.core.ffms2.Source('secret.mp4').set_output()\n",
        "AVISource(\"secret.mp4\")\n",
        "<?xml version=\"1.0\"?>\n<MPD "
        "xmlns=\"urn:mpeg:dash:schema:mpd:2011\"><Period><BaseURL>secret.mp4</BaseURL></Period></MPD>\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 "
        "H264/90000\n",
        "file secret.mp4\nfile secret.mp4\n"};
    for (const std::string& text : texts) {
        CAPTURE(text);
        for (const char* extension : {".mp4", ".mkv", ".avi", ".ts", ".m3u8", ".ffconcat", ".sdp", ".vpy", ".mpd"}) {
            const auto path = folder / (std::string("list") + extension);
            write_bytes(path, {text.begin(), text.end()});
            try {
                video_file_format().open(path, {});
                FAIL_CHECK("it was opened");
            } catch (const Error& error) {
                CHECK(error.code() == ErrorCode::unsupported);
                CHECK(std::string(error.what()).find("is not a video file") != std::string::npos);
            }
        }
    }
}
