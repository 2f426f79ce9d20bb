// Ranges of a video, copied without decoding and joined: whoever decodes the copies sees exactly the frames asked for,
// with the pixels that a decode of the whole source gives.

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <opencv2/core.hpp>

extern "C" {
#include <libavutil/imgutils.h>
}

#include "base/numbered_frames.h"
#include "codecs/checksum.h"
#include "codecs/video/decoder.h"
#include "codecs/video/packet_cutter.h"
#include "codecs/video/packet_scan.h"
#include "codecs/video/remux.h"
#include "tests/codecs/exactness_kit.h"
#include "tests/codecs/video_kit.h"
#include "tests/temporary_folder.h"
#include "tests/thrown_error.h"

using namespace reelstore;

namespace {

namespace fs = std::filesystem;

constexpr int kFrames = 24;
constexpr int kWidth = 64;
constexpr int kHeight = 48;

/// A frame as decoded, before any conversion.
struct Picture {
    uint32_t pixels = 0;  ///< checksum of all planes
    int number = -1;

    bool operator==(const Picture&) const = default;
};

Picture picture_of(const AVFrame& frame) {
    const auto format = static_cast<AVPixelFormat>(frame.format);
    std::vector<uint8_t> bytes(static_cast<size_t>(av_image_get_buffer_size(format, frame.width, frame.height, 1)));
    av_image_copy_to_buffer(bytes.data(), static_cast<int>(bytes.size()), frame.data, frame.linesize, format,
                            frame.width, frame.height, 1);
    const int bits = av_pix_fmt_desc_get(format)->comp[0].depth;
    cv::Mat luma(frame.height, frame.width, bits > 8 ? CV_16U : CV_8U, frame.data[0],
                 static_cast<size_t>(frame.linesize[0]));
    if (bits > 8) luma.convertTo(luma, CV_8U, 1.0 / (1 << (bits - 8)));
    return {frame_checksum(bytes), read_image_number(luma).value_or(-1)};
}

std::vector<Picture> decode(const fs::path& path, const std::shared_ptr<const PacketTable>& table,
                            bool backward = false) {
    VideoDecoder decoder(path, table);
    std::vector<Picture> pictures(static_cast<size_t>(table->frame_count()));
    for (int64_t i = 0; i < table->frame_count(); ++i) {
        const int64_t position = backward ? table->frame_count() - 1 - i : i;
        pictures[static_cast<size_t>(position)] = picture_of(decoder.read(position));
    }
    return pictures;
}

std::vector<Picture> part_of(const std::vector<Picture>& pictures, int64_t first, int64_t last) {
    return {pictures.begin() + first, pictures.begin() + last};
}

std::vector<int> numbers_of(const std::vector<Picture>& pictures) {
    std::vector<int> numbers;
    for (const Picture& picture : pictures) numbers.push_back(picture.number);
    return numbers;
}

/// What the ffmpeg program shows of a file, frame by frame.
std::vector<std::string> ffmpeg_frames(const fs::path& path, const std::string& codec) {
    // FFmpeg 5.1 forgets what an edit list hides when it decodes by libdav1d.
    const std::string decoder = codec == "av1" ? "-c:v libaom-av1" : "";
    const std::vector<uint8_t> output =
        run_command(fmt::format("ffmpeg -nostdin -v error -threads 1 -noautorotate {} -i '{}' -map 0:v:0 -vsync "
                                "passthrough -f framemd5 -",
                                decoder, path.string()));
    std::vector<std::string> frames;
    std::string line;
    for (const uint8_t byte : output) {
        if (byte != '\n') {
            line += static_cast<char>(byte);
            continue;
        }
        if (!line.empty() && line[0] != '#') frames.push_back(line.substr(line.rfind(',') + 1));
        line.clear();
    }
    return frames;
}

/// A video of numbered frames made by ffmpeg, and all that is known of it.
struct Source {
    std::string name;
    fs::path path;
    std::shared_ptr<const PacketTable> table;
    std::vector<Picture> pictures;
    std::vector<std::string> ffmpeg;
};

Source make_source(const TemporaryFolder& folder, const std::string& name, const std::string& options,
                   const std::string& file, int frames = kFrames) {
    const auto raw = write_raw_frames(folder.path(), kWidth, kHeight, frames);
    Source source{.name = name, .path = folder / file, .table = {}, .pictures = {}, .ffmpeg = {}};
    run_ffmpeg(fmt::format("-f rawvideo -pix_fmt gray -s {}x{} -r 25 -i '{}' {} '{}'", kWidth, kHeight, raw.string(),
                           options, source.path.string()));
    source.table = std::make_shared<const PacketTable>(scan_packets(source.path).table);
    source.pictures = decode(source.path, source.table);
    source.ffmpeg = ffmpeg_frames(source.path, source.table->stream.codec);
    REQUIRE(source.table->frame_count() == frames);
    REQUIRE(source.ffmpeg.size() == source.pictures.size());
    for (int number = 0; number < frames; ++number)
        CHECK(source.pictures[static_cast<size_t>(number)].number == number);
    return source;
}

int64_t hidden_packets(const PacketTable& table) {
    return std::count_if(table.packets.begin(), table.packets.end(),
                         [](const Packet& packet) { return packet.hidden; });
}

/// The new file shows exactly these pictures to us, by the table of the result and by a scan, and to ffmpeg.
void check_copy(const fs::path& path, const RemuxResult& result, const std::vector<Picture>& pictures,
                const std::vector<std::string>& ffmpeg) {
    CHECK(result.bytes == fs::file_size(path));
    const auto table = std::make_shared<const PacketTable>(result.table);
    const auto scanned = std::make_shared<const PacketTable>(scan_packets(path).table);
    CHECK(numbers_of(decode(path, table)) == numbers_of(pictures));
    CHECK(decode(path, table) == pictures);
    CHECK(decode(path, table, true) == pictures);
    CHECK(decode(path, scanned) == pictures);
    CHECK(scanned->display_order == table->display_order);
    REQUIRE(scanned->packets.size() == table->packets.size());
    for (size_t place = 0; place < table->packets.size(); ++place) {
        const Packet& ours = table->packets[place];
        const Packet& seen = scanned->packets[place];
        CHECK(ours.offset == seen.offset);
        CHECK(ours.size == seen.size);
        CHECK(ours.hidden == seen.hidden);
        CHECK(ours.key == seen.key);
        CHECK(ours.checksum == seen.checksum);
        if (!ours.hidden) CHECK(ours.pts - table->packet_of(0).pts == seen.pts - scanned->packet_of(0).pts);
    }
    CHECK(table->packet_of(0).pts == 0);
    CHECK(table->stream.extradata == scanned->stream.extradata);
    if (!ffmpeg.empty()) CHECK(ffmpeg_frames(path, table->stream.codec) == ffmpeg);
}

struct Check {
    std::vector<std::string> outputs = {".mp4"};  ///< extensions
    bool intra = false;                           ///< no range needs hidden packets
    int64_t ffmpeg_every = 17;                    ///< ranges; the program takes its time
};

/// Copies every range of the source.
void check_all_ranges(const TemporaryFolder& folder, const Source& source, const Check& check) {
    const PacketCutter cutter(source.table);
    PacketFile file(source.path, source.table);
    int64_t ranges = 0;
    int64_t ranges_with_hidden = 0;
    for (int64_t first = 0; first < source.table->frame_count(); ++first) {
        for (int64_t last = first + 1; last <= source.table->frame_count(); ++last) {
            CAPTURE(source.name);
            CAPTURE(first);
            CAPTURE(last);
            const auto part = cutter.cut(first, last);
            CHECK(part->frame_count() == last - first);
            const bool clean = cutter.next_clean_cut(first) == first && cutter.next_clean_cut(last) == last;
            const int64_t hidden = hidden_packets(*part);
            if (clean) CHECK(hidden == 0);
            ranges_with_hidden += hidden > 0;
            for (const std::string& extension : check.outputs) {
                CAPTURE(extension);
                const fs::path output = folder / ("copy" + extension);
                fs::remove(output);
                const RemuxPart parts[] = {{&file, part}};
                if (hidden > 0 && !can_hide_packets(extension)) {
                    CHECK(error_of([&] { remux(parts, output, extension); }) == ErrorCode::unsupported);
                    CHECK_FALSE(fs::exists(output));
                    continue;
                }
                const RemuxResult result = remux(parts, output, extension);
                CHECK(hidden_packets(result.table) == hidden);
                std::vector<std::string> ffmpeg;
                if (ranges % check.ffmpeg_every == 0)
                    ffmpeg.assign(source.ffmpeg.begin() + first, source.ffmpeg.begin() + last);
                check_copy(output, result, part_of(source.pictures, first, last), ffmpeg);
            }
            ++ranges;
        }
    }
    CHECK((ranges_with_hidden > ranges / 4) != check.intra);
}

const std::string kH264 = "-pix_fmt yuv420p -c:v libx264 -preset veryfast ";
const std::string kHevc = "-pix_fmt yuv420p -c:v libx265 -x265-params log-level=none:ctu=16:";

}  // namespace

TEST_CASE("every range of H.264 is cut exactly") {
    const TemporaryFolder folder(memory_folder());
    const std::vector<std::vector<std::string>> encodings = {
        {"no B-frames", "-bf 0 -g 7", "0.mp4"},
        {"B-frames", "-x264-params bframes=2:b-adapt=0:b-pyramid=none:keyint=8:scenecut=0", "1.mp4"},
        {"B-pyramid", "-x264-params bframes=5:b-adapt=0:b-pyramid=normal:keyint=12:scenecut=0", "2.mkv"},
        {"open GOP", "-x264-params open-gop=1:bframes=3:b-adapt=0:keyint=8:scenecut=0", "3.mp4"},
        {"intra refresh", "-x264-params intra-refresh=1:bframes=0:keyint=8", "4.mp4"},
    };
    for (const auto& encoding : encodings)
        check_all_ranges(folder, make_source(folder, "H.264 " + encoding[0], kH264 + encoding[1], encoding[2]),
                         {.outputs = {".mp4", ".mkv"}});
}

TEST_CASE("every range of HEVC is cut exactly") {
    const TemporaryFolder folder(memory_folder());
    const std::vector<std::vector<std::string>> encodings = {
        {"closed GOP", "bframes=3:b-adapt=0:open-gop=0:keyint=8:scenecut=0", "0.mp4"},
        {"open GOP", "bframes=3:b-adapt=0:open-gop=1:keyint=8:min-keyint=8:scenecut=0", "1.mkv"},
        {"RADL", "bframes=3:b-adapt=0:open-gop=0:radl=2:keyint=8:scenecut=0", "2.mp4"},
    };
    for (const auto& encoding : encodings)
        check_all_ranges(folder, make_source(folder, "HEVC " + encoding[0], kHevc + encoding[1], encoding[2]),
                         {.outputs = {".mp4", ".mkv"}});
}

TEST_CASE("every range of other codecs is cut exactly") {
    const TemporaryFolder folder(memory_folder());
    const auto check = [&](const char* name, const char* options, const char* file, const Check& how) {
        check_all_ranges(folder, make_source(folder, name, options, file), how);
    };
    check("MJPEG", "-pix_fmt yuvj420p -c:v mjpeg", "0.avi", {.outputs = {".avi", ".mkv"}, .intra = true});
    check("MPEG-4", "-pix_fmt yuv420p -c:v mpeg4 -bf 2 -g 8 -q:v 3", "1.mp4", {.outputs = {".mp4", ".mkv"}});
    check("MPEG-2", "-pix_fmt yuv420p -c:v mpeg2video -bf 2 -g 8 -q:v 3", "2.mkv", {.outputs = {".mp4"}});
    check("VP8", "-pix_fmt yuv420p -c:v libvpx -deadline realtime -lag-in-frames 8 -auto-alt-ref 1 -g 8", "3.webm",
          {.outputs = {".mkv"}});
    check("VP9", "-pix_fmt yuv420p -c:v libvpx-vp9 -cpu-used 5 -lag-in-frames 16 -auto-alt-ref 1 -g 8", "4.webm",
          {.outputs = {".mp4"}});
}

TEST_CASE("a video can be cut at no cost at its closed key frames, and where no frame is shown across an open one") {
    const TemporaryFolder folder(memory_folder());
    const auto clean_cuts = [&](const std::string& options, const std::string& file) {
        const Source source = make_source(folder, file, options, file);
        const PacketCutter cutter(source.table);
        std::vector<int64_t> cuts;
        for (std::optional<int64_t> cut = cutter.next_clean_cut(0); cut; cut = cutter.next_clean_cut(*cut + 1))
            cuts.push_back(*cut);
        return cuts;
    };
    using Cuts = std::vector<int64_t>;
    CHECK(clean_cuts(kH264 + "-bf 0 -g 7", "0.mp4") == Cuts{0, 7, 14, 21, 24});
    CHECK(clean_cuts(kH264 + "-x264-params bframes=2:b-adapt=0:keyint=8:scenecut=0", "1.mp4") == Cuts{0, 8, 16, 24});
    CHECK(clean_cuts(kH264 + "-x264-params open-gop=1:bframes=3:b-adapt=0:keyint=8", "2.mp4") == Cuts{0, 24});
    CHECK(clean_cuts(kHevc + "bframes=3:b-adapt=0:open-gop=0:keyint=8:scenecut=0", "3.mp4") == Cuts{0, 8, 16, 24});
    CHECK(clean_cuts(kHevc + "bframes=3:b-adapt=0:open-gop=1:keyint=8:min-keyint=8", "4.mp4") == Cuts{0, 24});
    CHECK(clean_cuts("-pix_fmt yuvj420p -c:v mjpeg", "5.avi").size() == kFrames + 1);
}

TEST_CASE("a cut names what it cannot cut") {
    const TemporaryFolder folder(memory_folder());
    const Source source = make_source(folder, "H.264", kH264 + "-bf 0 -g 7", "0.mp4");
    const PacketCutter cutter(source.table);
    for (const auto& range : {std::pair(-1, 3), std::pair(3, 3), std::pair(5, 4), std::pair(0, kFrames + 1)})
        CHECK(error_of([&] { cutter.cut(range.first, range.second); }) == ErrorCode::invalid_argument);
    CHECK(cutter.next_clean_cut(-5) == 0);
    CHECK_FALSE(cutter.next_clean_cut(kFrames + 1));
    CHECK_FALSE(PacketCutter(std::make_shared<PacketTable>()).next_clean_cut(1));
}

namespace {

/// A range of a file to be joined with others.
struct Piece {
    size_t source = 0;
    int64_t first = 0;
    int64_t last = 0;
};

RemuxResult join(const std::vector<Source>& sources, const std::vector<Piece>& pieces, const fs::path& output,
                 std::vector<Picture>* pictures = nullptr, std::vector<std::string>* ffmpeg = nullptr) {
    std::vector<std::unique_ptr<PacketFile>> files;
    std::vector<RemuxPart> parts;
    for (const Piece& piece : pieces) {
        const Source& source = sources.at(piece.source);
        files.push_back(std::make_unique<PacketFile>(source.path, source.table));
        parts.push_back({files.back().get(), PacketCutter(source.table).cut(piece.first, piece.last)});
        if (pictures)
            pictures->insert(pictures->end(), source.pictures.begin() + piece.first,
                             source.pictures.begin() + piece.last);
        if (ffmpeg)
            ffmpeg->insert(ffmpeg->end(), source.ffmpeg.begin() + piece.first, source.ffmpeg.begin() + piece.last);
    }
    return remux(parts, output, output.extension().string());
}

void check_join(const TemporaryFolder& folder, const std::vector<Source>& sources, const std::vector<Piece>& pieces,
                const std::string& extension) {
    const fs::path output = folder / ("joined" + extension);
    fs::remove(output);
    std::vector<Picture> pictures;
    std::vector<std::string> ffmpeg;
    const RemuxResult result = join(sources, pieces, output, &pictures, &ffmpeg);
    check_copy(output, result, pictures, ffmpeg);
    // Frames are one nominal step apart, also where two parts meet.
    const double step = 1 / (25.0 * static_cast<double>(result.table.stream.time_base_num)) *
                        static_cast<double>(result.table.stream.time_base_den);
    for (int64_t position = 0; position < result.table.frame_count(); ++position)
        CHECK(std::abs(static_cast<double>(result.table.packet_of(position).pts) -
                       static_cast<double>(position) * step) <= 1);
}

}  // namespace

TEST_CASE("parts of several files follow each other in one") {
    const TemporaryFolder folder(memory_folder());
    struct Encoding {
        std::string options;
        std::vector<std::string> inputs;
        std::vector<std::string> outputs;
    };
    const std::vector<Encoding> encodings = {
        {kH264 + "-bf 0 -g 8 -flags +global_header", {".mp4", ".mkv"}, {".mp4", ".mkv"}},
        {kH264 + "-flags +global_header -x264-params bframes=3:b-adapt=0:keyint=8:scenecut=0",
         {".mkv", ".mp4"},
         {".mp4", ".mkv"}},
        {kHevc + "bframes=3:b-adapt=0:open-gop=0:keyint=8:scenecut=0", {".mp4", ".mp4"}, {".mp4", ".mkv"}},
        {"-pix_fmt yuvj420p -c:v mjpeg", {".avi", ".avi"}, {".avi", ".mkv"}},
        {"-pix_fmt yuv420p -c:v mpeg4 -flags cgop -bf 2 -g 8 -sc_threshold 1000000000 -q:v 3",
         {".mp4", ".mp4"},
         {".mp4"}},
    };
    int number = 0;
    for (const Encoding& encoding : encodings) {
        CAPTURE(encoding.options);
        std::vector<Source> sources;
        for (const std::string& input : encoding.inputs)
            sources.push_back(make_source(folder, "joined", encoding.options, fmt::format("{}{}", number++, input)));
        CHECK(can_be_joined(PacketFile(sources[0].path, sources[0].table).stream(),
                            PacketFile(sources[1].path, sources[1].table).stream()));
        const auto first = PacketCutter(sources[0].table);
        const int64_t cut = first.next_clean_cut(1).value();
        for (const std::string& extension : encoding.outputs) {
            CAPTURE(extension);
            check_join(folder, sources, {{0, 0, kFrames}, {1, 0, kFrames}}, extension);
            check_join(folder, sources, {{0, 0, cut}, {1, cut, kFrames}, {0, 0, cut}}, extension);
            check_join(folder, sources, {{0, cut, kFrames}, {0, 0, cut}, {0, 0, cut}}, extension);
            // Ends that are not key frames hide packets, where the container can; frames in order need none at the end.
            if (can_hide_packets(extension)) check_join(folder, sources, {{0, 3, kFrames}, {1, 0, 5}}, extension);
        }
        if (!can_hide_packets(encoding.outputs[0])) continue;
        const fs::path output = folder / "refused.mp4";
        std::string message;
        CHECK(error_of(
                  [&] {
                      join(sources, {{0, 0, kFrames}, {1, 3, kFrames}}, output);
                  },
                  &message) == ErrorCode::invalid_argument);
        CHECK(message.find("very beginning and end") != std::string::npos);
        CHECK_FALSE(fs::exists(output));
    }
}

TEST_CASE("what cannot be joined is refused") {
    const TemporaryFolder folder(memory_folder());
    const std::vector<Source> sources = {
        make_source(folder, "one", kH264 + "-bf 0 -g 8", "0.mp4"),
        make_source(folder, "other preset", kH264 + "-bf 0 -g 8 -refs 4 -coder vlc", "1.mp4"),
        make_source(folder, "other codec", "-pix_fmt yuv420p -c:v mpeg4 -g 8", "2.mp4"),
        make_source(folder, "open groups", kHevc + "bframes=3:b-adapt=0:open-gop=1:keyint=8:min-keyint=8", "3.mp4"),
    };
    const fs::path output = folder / "refused.mp4";
    std::string message;
    CHECK_FALSE(can_be_joined(sources[0].table->stream, sources[1].table->stream));
    CHECK(error_of(
              [&] {
                  join(sources, {{0, 0, kFrames}, {1, 0, kFrames}}, output);
              },
              &message) == ErrorCode::invalid_argument);
    CHECK(message.find("codec configuration differs") != std::string::npos);
    CHECK(error_of(
              [&] {
                  join(sources, {{0, 0, kFrames}, {2, 0, kFrames}}, output);
              },
              &message) == ErrorCode::invalid_argument);
    CHECK(message.find("codec differs") != std::string::npos);
    CHECK(error_of([&] { join(sources, {}, output); }) == ErrorCode::invalid_argument);
    // A second part that begins with an open group of pictures: its order of display would mix with the first part's.
    const Source& open = sources[3];
    const PacketCutter cutter(open.table);
    int64_t key = 1;
    while (!open.table->packet_of(key).key) ++key;
    const auto second = cutter.cut(key, kFrames);
    CHECK(hidden_packets(*second) == 0);
    PacketFile file(open.path, open.table);
    const RemuxPart parts[] = {{&file, open.table}, {&file, second}};
    CHECK(error_of([&] { remux(parts, output, ".mp4"); }, &message) == ErrorCode::unsupported);
    CHECK(message.find("open group") != std::string::npos);
    CHECK(error_of(
              [&] {
                  join(sources, {{2, 0, kFrames}}, folder / "refused.webm");
              },
              &message) == ErrorCode::unsupported);
    CHECK(message.find("cannot hold mpeg4") != std::string::npos);
    CHECK_FALSE(fs::exists(output));
}

TEST_CASE("video in other wrappings is copied into ours") {
    const TemporaryFolder folder(memory_folder());
    const std::string b_frames = "-x264-params bframes=3:b-adapt=0:keyint=8:scenecut=0 ";
    const std::string hevc = kHevc + "bframes=3:b-adapt=0:open-gop=0:keyint=8:scenecut=0 ";
    struct Wrapping {
        std::string options;
        std::string file;
        std::vector<std::string> outputs;
        bool same_bytes;  ///< packets go over as they are
    };
    const std::vector<Wrapping> wrappings = {
        {kH264 + b_frames, "0.ts", {".mp4", ".mkv"}, false},
        {kH264 + b_frames, "0.h264", {".mp4", ".mkv"}, false},
        {kH264 + "-bf 0 -g 8", "0.avi", {".mp4", ".mkv"}, false},
        {kH264 + "-bf 0 -g 8 -flags +global_header", "1.avi", {".mp4", ".mkv"}, false},
        {kH264 + b_frames, "0.flv", {".mp4", ".mkv"}, true},
        {kH264 + b_frames + "-f matroska -bsf:v dump_extra", "0.mkv", {".mp4"}, true},
        {hevc, "1.ts", {".mp4", ".mkv"}, false},
        {hevc, "1.hevc", {".mp4", ".mkv"}, false},
        {"-pix_fmt yuv420p -c:v mpeg4 -bf 0 -g 8 -q:v 3", "2.avi", {".mp4", ".mkv"}, true},
        {"-pix_fmt yuv420p -c:v mpeg4 -bf 0 -g 8 -q:v 3 -vtag XVID", "3.avi", {".mp4", ".avi"}, true},
        {"-pix_fmt yuv420p -c:v mpeg2video -flags cgop -sc_threshold 1000000000 -bf 2 -g 8 -q:v 3",
         "2.mpg",
         {".mp4", ".mkv"},
         true},
        {"-pix_fmt yuv420p -c:v mpeg2video -flags cgop -sc_threshold 1000000000 -bf 2 -g 8 -q:v 3",
         "2.ts",
         {".mp4", ".mkv"},
         true},
        {"-pix_fmt yuv422p10 -c:v prores_ks", "2.mov", {".mov"}, true},
        {"-pix_fmt yuv422p10 -c:v prores_ks", "3.mov", {".mkv"}, false},
        {"-pix_fmt yuv422p10 -c:v prores_ks", "2.mkv", {".mkv"}, true},
        {"-pix_fmt yuv422p10 -c:v prores_ks", "3.mkv", {".mov"}, false},
        {"-pix_fmt gray -c:v ffv1 -level 3", "4.avi", {".mkv"}, true},
        {"-pix_fmt yuv420p -c:v libaom-av1 -cpu-used 8 -lag-in-frames 0 -g 8", "4.ivf", {".mp4", ".mkv"}, false},
    };
    for (const Wrapping& wrapping : wrappings) {
        CAPTURE(wrapping.file);
        const Source source = make_source(folder, wrapping.file, wrapping.options, wrapping.file);
        const PacketCutter cutter(source.table);
        PacketFile file(source.path, source.table);
        for (const std::string& extension : wrapping.outputs) {
            CAPTURE(extension);
            const int64_t middle = cutter.next_clean_cut(8).value();
            for (const auto& range :
                 {std::pair<int64_t, int64_t>(0, kFrames), {middle, kFrames}, {0, middle}, {5, 11}}) {
                const int64_t first = range.first;
                const int64_t last = range.second;
                CAPTURE(first);
                const auto part = cutter.cut(first, last);
                if (hidden_packets(*part) > 0 && !can_hide_packets(extension)) continue;
                const fs::path output = folder / ("copied" + extension);
                fs::remove(output);
                const RemuxPart parts[] = {{&file, part}};
                const RemuxResult result = remux(parts, output, extension);
                CHECK(result.table.contiguous);
                check_copy(output, result, part_of(source.pictures, first, last),
                           {source.ffmpeg.begin() + first, source.ffmpeg.begin() + last});
                if (!wrapping.same_bytes) continue;
                for (size_t place = 0; place < part->packets.size(); ++place) {
                    CHECK(result.table.packets[place].size == part->packets[place].size);
                    if (part->packets[place].checksum)
                        CHECK(result.table.packets[place].checksum == part->packets[place].checksum);
                }
            }
        }
    }
}

TEST_CASE("a picture that is to be turned stays so, and containers that cannot say it are refused") {
    const TemporaryFolder folder(memory_folder());
    const Source source = make_source(folder, "turned", kH264 + "-bf 2 -g 8", "0.mp4");
    for (const int rotation : {0, 90, 180, 270}) {
        for (const bool mirrored : {false, true}) {
            PacketTable table = *source.table;
            table.stream.rotation = rotation;
            table.stream.mirrored = mirrored;
            const fs::path output = folder / "turned.mp4";
            fs::remove(output);
            const RemuxResult result = remux(source.path, table, output, ".mp4");
            CHECK(result.table.stream.rotation == rotation);
            const VideoStream seen = scan_packets(output).table.stream;
            CHECK(seen.rotation == rotation);
            CHECK(seen.mirrored == mirrored);
            if (rotation == 0 && !mirrored) continue;
            std::string message;
            CHECK(error_of([&] { remux(source.path, table, folder / "turned.mkv", ".mkv"); }, &message) ==
                  ErrorCode::unsupported);
            CHECK(message.find("mp4 can") != std::string::npos);
        }
    }
}

TEST_CASE("frames at odd times keep their distances, and none is doubled or dropped") {
    const TemporaryFolder folder(memory_folder());
    const std::string times =
        "-vsync passthrough -enc_time_base 1:90000 -vf settb=1/90000,setpts='(N*N*997+N*13)' -video_track_timescale "
        "90000 ";
    const Source source = make_source(folder, "odd times", times + kH264 + "-bf 2 -g 8 -sc_threshold 0", "0.mp4");
    const Source images = make_source(folder, "odd times", times + "-pix_fmt yuvj420p -c:v mjpeg", "1.mp4");
    PacketFile file(source.path, source.table);
    const PacketCutter cutter(source.table);
    for (const auto& [first, last] : {std::pair(0, kFrames), std::pair(5, 20), std::pair(9, 10)}) {
        const fs::path output = folder / "odd.mp4";
        fs::remove(output);
        const RemuxPart parts[] = {{&file, cutter.cut(first, last)}};
        const RemuxResult result = remux(parts, output, ".mp4");
        check_copy(output, result, part_of(source.pictures, first, last),
                   {source.ffmpeg.begin() + first, source.ffmpeg.begin() + last});
        for (int position = 0; position < last - first; ++position)
            CHECK(result.table.packet_of(position).pts ==
                  source.table->packet_of(first + position).pts - source.table->packet_of(first).pts);
    }
    // An avi has no times: frames follow each other, where FFmpeg would put in empty ones.
    const RemuxResult counted = remux(images.path, *images.table, folder / "odd.avi", ".avi");
    check_copy(folder / "odd.avi", counted, images.pictures, images.ffmpeg);
    CHECK(counted.table.packets.back().pts == kFrames - 1);
}

TEST_CASE("a copy is copied again, and a damaged packet goes over as it is") {
    const TemporaryFolder folder(memory_folder());
    const Source source =
        make_source(folder, "again", kH264 + "-x264-params bframes=5:b-adapt=0:b-pyramid=normal:keyint=12", "0.mp4");
    PacketFile file(source.path, source.table);
    const RemuxPart first_parts[] = {{&file, PacketCutter(source.table).cut(5, 21)}};
    const RemuxResult once = remux(first_parts, folder / "once.mp4", ".mp4");
    for (const bool by_scan : {false, true}) {
        const auto table =
            std::make_shared<const PacketTable>(by_scan ? scan_packets(folder / "once.mp4").table : once.table);
        PacketFile copy(folder / "once.mp4", table);
        const PacketCutter cutter(table);
        for (int64_t first = 0; first < 16; ++first) {
            for (const int64_t last : {first + 1, std::min<int64_t>(first + 4, 16), int64_t{16}}) {
                CAPTURE(by_scan);
                CAPTURE(first);
                CAPTURE(last);
                fs::remove(folder / "twice.mp4");
                const RemuxPart parts[] = {{&copy, cutter.cut(first, last)}};
                const RemuxResult twice = remux(parts, folder / "twice.mp4", ".mp4");
                check_copy(folder / "twice.mp4", twice, part_of(source.pictures, 5 + first, 5 + last), {});
            }
        }
    }

    // In another wrapping its bytes cannot be told from sound ones any more.
    const Source wrapped = make_source(folder, "wrapped", kH264 + "-bf 0 -g 8", "1.avi");
    std::vector<char> bytes = bytes_of(wrapped.path);
    bytes[wrapped.table->packets[3].offset + wrapped.table->packets[3].size - 1] ^= 1;
    write_bytes(wrapped.path, bytes);
    CHECK(error_of([&] { remux(wrapped.path, *wrapped.table, folder / "damaged.mp4", ".mp4"); }) == ErrorCode::corrupt);
    CHECK_FALSE(fs::exists(folder / "damaged.mp4"));
    const RemuxResult same = remux(wrapped.path, *wrapped.table, folder / "damaged.avi", ".avi");
    CHECK(same.table.packets[3].checksum == wrapped.table->packets[3].checksum);
}

namespace {

/// Reads and writes the bits of an H.264 parameter set.
class Bits {
public:
    explicit Bits(std::vector<uint8_t> bytes) : bytes_(std::move(bytes)) {}

    int next() {
        const size_t at = at_++;
        return bytes_.at(at / 8) >> (7 - at % 8) & 1;
    }
    void skip(int count) { at_ += static_cast<size_t>(count); }
    void skip_golomb() {
        int zeros = 0;
        while (next() == 0) ++zeros;
        skip(zeros);
    }
    /// The bits read so far, `bit` and the end of a parameter set.
    std::vector<uint8_t> end_with(int bit) {
        std::vector<uint8_t> bytes(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(at_ / 8));
        const int kept = static_cast<int>(at_ % 8);
        uint32_t last = static_cast<uint32_t>(bytes_.at(at_ / 8) >> (8 - kept) << 2 | bit << 1 | 1);
        last <<= 16 - kept - 2;
        bytes.push_back(static_cast<uint8_t>(last >> 8));
        if (last & 0xff) bytes.push_back(static_cast<uint8_t>(last));
        return bytes;
    }

private:
    std::vector<uint8_t> bytes_;
    size_t at_ = 0;
};

/// An avcC of Main profile whose sequence parameter set no longer says how far pictures are reordered.
std::vector<uint8_t> without_usability_information(const std::vector<uint8_t>& avcc) {
    constexpr size_t kSetBegin = 8;
    const size_t size = static_cast<size_t>(avcc.at(6) << 8 | avcc.at(7));
    Bits bits({avcc.begin() + kSetBegin, avcc.begin() + static_cast<std::ptrdiff_t>(kSetBegin + size)});
    bits.skip(32);                                   // unit header, profile and level
    for (int i = 0; i < 2; ++i) bits.skip_golomb();  // number of the set, bits of frame_num
    bits.skip_golomb();                              // kind of picture order count, 0
    for (int i = 0; i < 2; ++i) bits.skip_golomb();  // its bits, references
    bits.skip(1);
    for (int i = 0; i < 2; ++i) bits.skip_golomb();  // size
    bits.skip(2);                                    // frames only, direct prediction
    REQUIRE(bits.next() == 0);                       // no cropping
    const std::vector<uint8_t> set = bits.end_with(0);
    std::vector<uint8_t> out(avcc.begin(), avcc.begin() + 6);
    out.insert(out.end(), {static_cast<uint8_t>(set.size() >> 8), static_cast<uint8_t>(set.size())});
    out.insert(out.end(), set.begin(), set.end());
    out.insert(out.end(), avcc.begin() + static_cast<std::ptrdiff_t>(kSetBegin + size), avcc.end());
    return out;
}

}  // namespace

TEST_CASE("a frame whose neighbours are all hidden comes out of a stream that does not say how far it reorders") {
    const TemporaryFolder folder(memory_folder());
    const std::string options =
        "-profile:v main -x264-params bframes=7:b-adapt=0:b-pyramid=normal:keyint=24:scenecut=0";
    const Source source = make_source(folder, "silent", kH264 + options, "0.mp4");
    auto silent = std::make_shared<PacketTable>(*source.table);
    silent->stream.extradata = without_usability_information(silent->stream.extradata);
    CHECK(decode(source.path, silent) == source.pictures);
    const PacketCutter cutter(silent);
    for (int64_t first = 0; first < kFrames; ++first) {
        CAPTURE(first);
        CHECK(decode(source.path, cutter.cut(first, first + 1)) == part_of(source.pictures, first, first + 1));
    }
}
