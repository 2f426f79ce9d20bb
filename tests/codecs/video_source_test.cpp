#include <cmath>
#include <cstring>
#include <sstream>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file_system.h"
#include "codecs/file_format.h"
#include "codecs/video/demuxer.h"
#include "codecs/video/packet_scan.h"
#include "codecs/video/video_chunk_format.h"
#include "tests/codecs/video_kit.h"
#include "tests/forwarding_file_system.h"
#include "tests/temporary_folder.h"
#include "tests/test_data.h"

namespace reelstore {
void add_file_formats_video(FileFormatTable& table);
}

using namespace reelstore;

namespace {

const FileFormat& video_files() {
    static const FileFormatTable table = [] {
        FileFormatTable formats;
        add_file_formats_video(formats);
        return formats;
    }();
    return *table.front();
}

Frame numbered_frame(const ImageType& type, int number, double time = std::nan("")) {
    Frame frame;
    frame.image = make_numbered_image(type, number);
    frame.index = number;
    frame.number = number;
    frame.time = time;
    return frame;
}

std::string opening_error(const std::filesystem::path& path, ErrorCode expected) {
    try {
        video_files().open(path, {});
    } catch (const Error& error) {
        CHECK(error.code() == expected);
        return error.what();
    }
    FAIL("no error");
    return {};
}

void write_text(const std::filesystem::path& path, const std::string& text) {
    write_bytes(path, {text.begin(), text.end()});
}

/// The number in a frame of imgstore's stores. In the one of odd size the bars are shifted by two of their four pixels,
/// and only the right halves are clear.
std::optional<int> golden_number(const cv::Mat& image, bool odd) {
    if (!odd) return read_image_number(image);
    int number = 0;
    for (int bar = 0; bar < 16; ++bar) {
        const cv::Scalar mean = cv::mean(image(cv::Rect(bar * 4 + 2, 4, 2, 12)));
        number = number * 2 + (mean[0] + mean[1] + mean[2] > 3 * 125);
    }
    return number;
}

/// Counts what is opened.
class WatchedFileSystem : public ForwardingFileSystem {
public:
    std::unique_ptr<File> open(const std::filesystem::path& path, OpenMode mode) override {
        opened.push_back(path.filename().string());
        return ForwardingFileSystem::open(path, mode);
    }

    std::vector<std::string> opened;
};

}  // namespace

TEST_CASE("videos that imgstore wrote show the number of each position, in any order") {
    const std::filesystem::path golden = test_data() / "golden/imgstore-0.4.0";
    int chunks = 0;
    for (const auto& store : std::filesystem::directory_iterator(golden)) {
        const std::string name = store.path().filename().string();
        if (!store.is_directory() || (name.rfind("avc1", 0) && name.rfind("h264", 0) && name.rfind("mjpeg", 0)))
            continue;
        const Json expected = Json::parse(bytes_of(golden / (name + ".expect.json")));
        const auto shape = expected.at("image_shape").get<std::vector<int>>();
        const ImageType type = image_type(shape[0], shape[1], shape.size() > 2 ? shape[2] : 1);
        const bool odd = name == "avc1_mp4-odd";
        int64_t first = 0;
        for (int chunk = 0; chunk < static_cast<int>(expected.at("chunks").size()); ++chunk) {
            std::filesystem::path path;
            for (const char* extension : {".mp4", ".mkv", ".avi"}) {
                const auto candidate = store.path() / ("00000" + std::to_string(chunk) + extension);
                if (std::filesystem::exists(candidate)) path = candidate;
            }
            CAPTURE(path.string());
            const auto reader = open_video_chunk(path, type);
            const int64_t count = reader->frame_count().value_or(0);
            REQUIRE(count > 0);
            for (int64_t position = count - 1; position >= 0; --position) {
                CHECK(golden_number(reader->read(position), odd) == first + position);
            }
            for (int64_t position = 0; position < count; ++position) {
                const int64_t other = position * 3 % count;
                CHECK(golden_number(reader->read(other), odd) == first + other);
            }
            CHECK(reader->packet_table()->contiguous);
            first += count;
            ++chunks;
        }
        CHECK(first == expected.at("frame_count").get<int64_t>());
    }
    CHECK(chunks >= 18);
}

TEST_CASE("texts that name other files are refused by content, and what they name is not opened") {
    const TemporaryFolder folder;
    const WrittenVideo secret = write_video(*video_formats()[0], folder / "secret.mp4", image_type(48, 64, 1), 3);
    const std::string target = secret.path.string();
    const std::pair<const char*, std::string> texts[] = {
        {"concat", "ffconcat version 1.0\nfile '" + target + "'\n"},
        {"hls", "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://" + target + "\n#EXT-X-ENDLIST\n"},
        {"sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"}};
    for (const auto& [name, text] : texts) {
        for (const char* extension : {".mp4", ".mkv", ".avi", ".ts"}) {
            CAPTURE(name);
            const auto path = folder / (std::string(name) + extension);
            write_text(path, text);
            WatchedFileSystem watched;
            const FileSystemOverride override(watched);
            const std::string what = opening_error(path, ErrorCode::unsupported);
            CHECK(what.find("is not a video file (looks like " + std::string(name) + ")") != std::string::npos);
            if (std::string(extension) != ".ts") {
                const auto reader = open_video_chunk(path, image_type(48, 64, 1));
                try {
                    reader->read(0);
                    FAIL("no error");
                } catch (const Error& error) {
                    CHECK(error.code() == ErrorCode::corrupt);
                }
            }
            CHECK(std::count(watched.opened.begin(), watched.opened.end(), "secret.mp4") == 0);
        }
    }
}

TEST_CASE("an mp4 whose samples lie in another file is refused or empty, and that file is not opened") {
    const TemporaryFolder folder;
    const WrittenVideo video = write_video(*video_formats()[0], folder / "0.mp4", image_type(48, 64, 1), 3);
    std::vector<char> bytes = bytes_of(video.path);
    // dref entry 'url ' with the flag "in this same file" cleared.
    const std::string entry = std::string("url ") + std::string("\0\0\0\1", 4);
    const auto found = std::search(bytes.begin(), bytes.end(), entry.begin(), entry.end());
    REQUIRE(found != bytes.end());
    found[7] = 0;
    write_bytes(folder / "1.mp4", bytes);
    WatchedFileSystem watched;
    const FileSystemOverride override(watched);
    try {
        video_files().open(folder / "1.mp4", {});
    } catch (const Error&) {
    }
    for (const std::string& name : watched.opened) CHECK(name == "1.mp4");
}

TEST_CASE("files that are no video are refused with a reason") {
    const TemporaryFolder folder;
    write_text(folder / "empty.mp4", "");
    write_text(folder / "text.mp4", std::string(5000, 'x'));
    CHECK(opening_error(folder / "empty.mp4", ErrorCode::unsupported).find("empty.mp4") != std::string::npos);
    CHECK(opening_error(folder / "text.mp4", ErrorCode::unsupported).find("not a video file") != std::string::npos);
    opening_error(folder / "missing.mp4", ErrorCode::not_found);
}

TEST_CASE("a written video is a source with its numbers, times and any order of access") {
    for (const char* extension : {".mp4", ".mkv", ".mov", ".avi"}) {
        for (const int channels : {1, 3}) {
            CAPTURE(extension);
            const TemporaryFolder folder;
            const auto path = folder / (std::string("out") + extension);
            const ImageType type = image_type(48, 64, channels);
            const auto sink = video_files().create(path, {});
            for (int i = 0; i < 50; ++i) sink->write(numbered_frame(type, i, 1e9 + i / 12.5));
            sink->close();
            sink->close();
            CHECK_THROWS_AS(video_files().create(path, {}), Error);

            const auto source = video_files().open(path, {.gray = channels == 1});
            const SourceInfo& info = source->info();
            CHECK(info.frame_count == 50);
            CHECK(info.image_type == type);
            CHECK(info.has_times);
            CHECK_FALSE(info.times_are_absolute);
            CHECK(info.frame_rate.value_or(0) == doctest::Approx(12.5).epsilon(1e-3));
            CHECK(info.format.find(extension == std::string(".avi") ? "mjpeg in avi" : "h264 in m") == 0);
            RandomAccess* access = source->random_access();
            REQUIRE(access);
            CHECK(access->frame_count() == 50);
            for (int64_t i = 0; i < 50; ++i) {
                const Frame other = access->at_index(i * 7 % 50);
                CHECK(read_image_number(other.image) == i * 7 % 50);
                const std::optional<Frame> frame = source->next();
                REQUIRE(frame);
                CHECK(read_image_number(frame->image) == i);
                CHECK(frame->index == i);
                CHECK(frame->time == doctest::Approx(static_cast<double>(i) / 12.5).epsilon(1e-3));
            }
            CHECK_FALSE(source->next());
            CHECK_THROWS_AS(access->at_index(50), Error);
        }
    }
}

TEST_CASE("the rate of a written video: given, measured in spite of gaps, or 25") {
    const ImageType type = image_type(48, 64, 1);
    const auto rate_of = [&](const SinkOptions& options, auto time_of, int count) {
        const TemporaryFolder folder;
        const auto sink = video_files().create(folder / "0.mp4", options);
        for (int i = 0; i < count; ++i) sink->write(numbered_frame(type, i, time_of(i)));
        sink->close();
        return scan_packets(folder / "0.mp4").table.stream.frame_rate;
    };
    const auto with_gaps = [](int i) { return i * 0.01 + (i > 10 ? 5.0 : 0.0) + (i == 20 ? 0.004 : 0.0); };
    SinkOptions given;
    given.frame_rate = 40;
    CHECK(rate_of(given, with_gaps, 60) == doctest::Approx(40));
    CHECK(rate_of({}, with_gaps, 60) == doctest::Approx(100));
    CHECK(rate_of({}, with_gaps, 5) == doctest::Approx(100));
    CHECK(rate_of(
              {}, [](int) { return std::nan(""); }, 60) == doctest::Approx(25));
    CHECK(rate_of(
              {}, [](int) { return 3.0; }, 2) == doctest::Approx(25));
}

TEST_CASE("a sink without frames leaves nothing; frames of another type are refused") {
    const TemporaryFolder folder;
    video_files().create(folder / "0.mp4", {})->close();
    CHECK_FALSE(std::filesystem::exists(folder / "0.mp4"));
    const auto sink = video_files().create(folder / "1.mp4", {});
    sink->write(numbered_frame(image_type(48, 64, 1), 0));
    CHECK_THROWS_AS(sink->write(numbered_frame(image_type(48, 64, 3), 1)), Error);
    CHECK_THROWS_AS(video_files().create(folder / "2.gif", {}), Error);
    SinkOptions unknown;
    unknown.codec = {{"colour", "red"}};
    CHECK_THROWS_AS(video_files().create(folder / "3.mp4", unknown), Error);
}

TEST_CASE("content decides whether a file is recognised, a name of a video is enough to try") {
    const TemporaryFolder folder;
    const WrittenVideo video = write_video(*video_formats()[1], folder / "0.mkv", image_type(48, 64, 1), 3);
    const std::vector<char> bytes = bytes_of(video.path);
    const std::span<const uint8_t> head(reinterpret_cast<const uint8_t*>(bytes.data()),
                                        std::min<size_t>(4096, bytes.size()));
    CHECK(video_files().recognises("x.unknown", head));
    CHECK(video_files().recognises("x.mp4", std::span<const uint8_t>(head).first(3)));
    const std::string text = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n";
    CHECK_FALSE(video_files().recognises("x.txt", {reinterpret_cast<const uint8_t*>(text.data()), text.size()}));
    CHECK_FALSE(video_files().recognises("folder", {}));
}
