#include "codecs/encode_video.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <thread>

#include <doctest/doctest.h>
#include <opencv2/core.hpp>

#include "base/error.h"
#include "base/numbered_frames.h"
#include "codecs/file_format.h"
#include "codecs/video/audio_track.h"
#include "tests/forwarding_file_system.h"
#include "tests/sanitized.h"
#include "tests/temporary_folder.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

constexpr int kFrames = kSanitized ? 20 : 40;

ImageType image_type(int height, int width, int channels, int depth = CV_8U) {
    return {.height = height, .width = width, .channels = channels, .depth = depth};
}

Frame numbered_frame(const ImageType& type, int number, double time) {
    return {.image = make_numbered_image(type, number), .index = number, .number = number, .time = time, .owner = {}};
}

std::vector<Frame> numbered_frames(const ImageType& type, int count, double rate = 25) {
    std::vector<Frame> frames;
    for (int i = 0; i < count; ++i) frames.push_back(numbered_frame(type, i, 100 + i / rate));
    return frames;
}

/// A source of frames that are there already.
class FrameList : public FrameSource {
public:
    FrameList(std::vector<Frame> frames, std::optional<double> rate) : frames_(std::move(frames)) {
        info_.name = "list";
        info_.frame_rate = rate;
    }
    const SourceInfo& info() const override { return info_; }
    std::optional<Frame> next() override {
        if (place_ == frames_.size()) return std::nullopt;
        return frames_[place_++];
    }

private:
    std::vector<Frame> frames_;
    SourceInfo info_;
    size_t place_ = 0;
};

/// No file can be made.
class ReadOnlyFileSystem : public ForwardingFileSystem {
public:
    std::unique_ptr<File> open(const std::filesystem::path& path, OpenMode mode) override {
        if (mode == OpenMode::read) return ForwardingFileSystem::open(path, mode);
        FAIL("opened for writing: ", path.string());
        return nullptr;
    }
    void create_folder(const std::filesystem::path& folder) override { FAIL("made a folder: ", folder.string()); }
};

/// Bytes as a video that can be read.
class Written {
public:
    Written(const std::vector<uint8_t>& bytes, const std::string& name) : path_(folder_ / name) {
        write_new_file(path_, bytes.data(), bytes.size());
        source_ = open_file_source(path_);
    }
    FrameSource& source() { return *source_; }
    RandomAccess& access() { return *source_->random_access(); }

private:
    TemporaryFolder folder_;
    std::filesystem::path path_;
    std::unique_ptr<FrameSource> source_;
};

std::vector<uint8_t> streamed(std::span<const Frame> frames, const EncodeVideoOptions& options) {
    std::vector<uint8_t> bytes;
    const auto sink = stream_sink(
        [&](std::span<const uint8_t> more) { bytes.insert(bytes.end(), more.begin(), more.end()); }, options);
    for (const Frame& frame : frames) sink->write(frame);
    sink->close();
    return bytes;
}

std::vector<uint8_t> filed(std::span<const Frame> frames, const std::string& name, const SinkOptions& options) {
    const TemporaryFolder folder;
    const auto sink = create_file_sink(folder / name, options);
    for (const Frame& frame : frames) sink->write(frame);
    sink->close();
    return read_file(folder / name, 1 << 30);
}

bool equal(const cv::Mat& one, const cv::Mat& other) {
    return one.size() == other.size() && one.type() == other.type() && cv::norm(one, other, cv::NORM_INF) == 0;
}

/// Place of a box of an mp4 at the top level; -1 when there is none.
int64_t box_place(const std::vector<uint8_t>& bytes, const std::string& name) {
    size_t place = 0;
    while (place + 8 <= bytes.size()) {
        if (std::string(bytes.begin() + place + 4, bytes.begin() + place + 8) == name)
            return static_cast<int64_t>(place);
        uint64_t size = 0;
        for (int i = 0; i < 4; ++i) size = size << 8 | bytes[place + i];
        if (size < 8) return -1;
        place += size;
    }
    return -1;
}

void check_numbers(RandomAccess& access, int count) {
    REQUIRE(access.frame_count() == count);
    for (int64_t i = 0; i < count; ++i) {
        const int64_t index = i * 7 % count;
        CHECK(read_image_number(access.at_index(index).image) == index);
    }
}

}  // namespace

TEST_CASE("video in memory has the frames of the file route, in every container, whole and streamed, without a file") {
    struct Case {
        const char* container;
        CodecOptions codec;
    };
    const Case cases[] = {{"mp4", {}},
                          {"mp4", {{"bframes", "2"}, {"pix_fmt", "yuv444p"}, {"crf", "10"}}},
                          {"m4v", {}},
                          {"mov", {{"encoder", "mjpeg"}}},
                          {"mkv", {{"bframes", "2"}}},
                          {"webm", {}}};
    for (const Case& one : cases) {
        for (const int channels : {1, 3}) {
            CAPTURE(one.container);
            CAPTURE(channels);
            const ImageType type = image_type(48, 64, channels);
            const std::vector<Frame> frames = numbered_frames(type, kFrames);
            EncodeVideoOptions options{.container = one.container, .frame_rate = 25, .codec = one.codec};
            std::vector<std::vector<uint8_t>> routes;
            {
                ReadOnlyFileSystem read_only;
                const FileSystemOverride replaced(read_only);
                FrameList source(frames, {});
                routes.push_back(encode_video(source, options));
                routes.push_back(streamed(frames, options));
                options.fragmented = true;
                routes.push_back(encode_video(std::span<const Frame>(frames), options));
            }
            const std::string extension = std::string(".") + one.container;
            Written file(filed(frames, "a" + extension, {.frame_rate = 25, .codec = one.codec}), "file" + extension);
            check_numbers(file.access(), kFrames);
            for (const std::vector<uint8_t>& bytes : routes) {
                Written route(bytes, "route" + extension);
                REQUIRE(route.access().frame_count() == kFrames);
                for (int64_t i = 0; i < kFrames; ++i) {
                    const int64_t index = i * 7 % kFrames;
                    CHECK(equal(route.access().at_index(index).image, file.access().at_index(index).image));
                    CHECK(route.access().stamp(index).time - route.access().stamp(0).time ==
                          doctest::Approx(static_cast<double>(index) / 25).epsilon(0.002));
                }
            }
        }
    }
}

TEST_CASE("an mp4 in memory has its index in front, a streamed one comes in parts") {
    const std::vector<Frame> frames = numbered_frames(image_type(32, 48, 1), 40);
    const std::vector<uint8_t> whole = encode_video(std::span<const Frame>(frames));
    CHECK(box_place(whole, "moov") > 0);
    CHECK(box_place(whole, "moov") < box_place(whole, "mdat"));
    CHECK(box_place(whole, "moof") == -1);
    const std::vector<uint8_t> parts = streamed(frames, {.frame_rate = 25});
    CHECK(box_place(parts, "moov") < box_place(parts, "moof"));
    // A part is handed out as soon as the next group of pictures begins.
    std::vector<size_t> sizes;
    size_t size = 0;
    const auto sink =
        stream_sink([&](std::span<const uint8_t> more) { size += more.size(); },
                    {.frame_rate = 25, .codec = {{"gop", "5"}, {"threads", "1"}, {"tune", "zerolatency"}}});
    for (const Frame& frame : frames) {
        sink->write(frame);
        sizes.push_back(size);
    }
    CHECK(sizes[12] > 0);
    CHECK(sizes[12] < sizes[22]);
    sink->close();
}

TEST_CASE("no frame gives nothing, one frame a video of one frame") {
    CHECK(encode_video(std::span<const Frame>()).empty());
    CHECK(streamed({}, {}).empty());
    for (const char* container : {"mp4", "mov", "mkv", "webm", "avi"}) {
        for (const bool stream : {false, true}) {
            if (stream && container == std::string("avi")) continue;
            CAPTURE(container);
            CAPTURE(stream);
            const std::vector<Frame> frames = {numbered_frame(image_type(32, 48, 1), 7, std::nan(""))};
            const EncodeVideoOptions options{.container = container};
            Written one(stream ? streamed(frames, options) : encode_video(std::span<const Frame>(frames), options),
                        std::string("one.") + container);
            REQUIRE(one.access().frame_count() == 1);
            CHECK(read_image_number(one.access().at_index(0).image) == 7);
        }
    }
}

TEST_CASE("images without times become a video of 25 frames per second, or of the rate that is asked for") {
    std::vector<cv::Mat> images;
    for (int i = 0; i < 12; ++i) images.push_back(make_numbered_image(image_type(32, 48, 3), i));
    Written plain(encode_video(std::span<const cv::Mat>(images)), "a.mp4");
    check_numbers(plain.access(), 12);
    CHECK(plain.source().info().frame_rate.value_or(0) == doctest::Approx(25));
    Written fast(encode_video(std::span<const cv::Mat>(images), {.frame_rate = 10'000}), "b.mp4");
    CHECK(fast.access().stamp(11).time == doctest::Approx(0.0011));
    CHECK(expected_error([&] {
              encode_video(std::span<const cv::Mat>(images), {.container = "mkv", .frame_rate = 10'000});
          }).code() == ErrorCode::unsupported);
}

TEST_CASE("fractional rates are kept exactly") {
    const std::vector<Frame> frames = numbered_frames(image_type(32, 48, 1), 25);
    for (const char* container : {"mp4", "mov", "avi", "mkv", "webm"}) {
        for (const bool by_option : {false, true}) {
            CAPTURE(container);
            EncodeVideoOptions options{.container = container};
            if (by_option) {
                options.codec = {{"frame_rate", "24000/1001"}};
            } else {
                options.frame_rate = 24000.0 / 1001;
            }
            Written video(encode_video(std::span<const Frame>(frames), options), std::string("a.") + container);
            const bool milliseconds = container == std::string("mkv") || container == std::string("webm");
            for (int64_t i = 0; i < 25; ++i) {
                const double expected = static_cast<double>(i) * 1001 / 24000;
                CHECK(std::abs(video.access().stamp(i).time - expected) < (milliseconds ? 0.00051 : 1e-9));
            }
        }
    }
    CHECK(expected_error([&] {
              encode_video(std::span<const Frame>(frames), {.codec = {{"frame_rate", "24/x"}}});
          }).code() == ErrorCode::invalid_argument);
}

TEST_CASE("the frames' own times come back within a tick of the container") {
    const ImageType type = image_type(32, 48, 1);
    std::vector<Frame> frames;
    double time = 1.7e9;
    for (int i = 0; i < kFrames; ++i) {
        frames.push_back(numbered_frame(type, i, time));
        time += i == 9 ? 1234.5 : 0.0201 + 0.013 * (i % 5);
    }
    for (const char* container : {"mp4", "mov", "mkv", "webm"}) {
        for (const char* b_frames : {"0", "2"}) {
            for (const bool stream : {false, true}) {
                CAPTURE(container);
                CAPTURE(b_frames);
                CAPTURE(stream);
                EncodeVideoOptions options{.container = container, .true_times = true};
                if (container != std::string("webm")) options.codec = {{"bframes", b_frames}};
                const auto bytes =
                    stream ? streamed(frames, options) : encode_video(std::span<const Frame>(frames), options);
                Written video(bytes, std::string("a.") + container);
                check_numbers(video.access(), kFrames);
                const bool milliseconds = container == std::string("mkv") || container == std::string("webm");
                const double tick = milliseconds ? 0.001 : 1.0 / 90'000;
                const double begin = video.access().stamp(0).time;
                for (const Frame& frame : frames) {
                    const double expected = frame.time - frames.front().time;
                    CHECK(std::abs(video.access().stamp(frame.index).time - begin - expected) <= tick);
                }
            }
        }
    }
}

TEST_CASE("times that do not rise are moved by a tick and counted; frames without times and avi are refused") {
    const ImageType type = image_type(32, 48, 1);
    const double times[] = {5, 5.04, 5.04, 5.03, 5.2};
    const TemporaryFolder folder;
    const auto sink = create_file_sink(folder / "a.mkv", {.frame_rate = 25, .true_times = true});
    for (int i = 0; i < 5; ++i) sink->write(numbered_frame(type, i, times[i]));
    sink->close();
    REQUIRE(sink->notes().size() == 1);
    CHECK(sink->notes()[0].find("times of 2 frames") != std::string::npos);
    const auto source = open_file_source(folder / "a.mkv");
    check_numbers(*source->random_access(), 5);
    const double expected[] = {0, 0.04, 0.041, 0.042, 0.2};
    for (int i = 0; i < 5; ++i)
        CHECK(source->random_access()->stamp(i).time == doctest::Approx(expected[i]).epsilon(1e-9));

    const std::vector<Frame> none = {numbered_frame(type, 0, std::nan(""))};
    CHECK(expected_error([&] { encode_video(std::span<const Frame>(none), {.true_times = true}); }).code() ==
          ErrorCode::invalid_argument);
    const std::vector<Frame> some = numbered_frames(type, 3);
    const Error avi =
        expected_error([&] { encode_video(std::span<const Frame>(some), {.container = "avi", .true_times = true}); });
    CHECK(avi.code() == ErrorCode::unsupported);
    const std::vector<Frame> pause = {numbered_frame(type, 0, 0), numbered_frame(type, 1, 90'000)};
    CHECK(expected_error([&] { encode_video(std::span<const Frame>(pause), {.true_times = true}); }).code() ==
          ErrorCode::unsupported);
    Written mkv(encode_video(std::span<const Frame>(pause), {.container = "mkv", .true_times = true}), "p.mkv");
    CHECK(mkv.access().stamp(1).time == doctest::Approx(90'000));
}

TEST_CASE("a frame that is refused leaves the times of the others alone") {
    const ImageType type = image_type(32, 48, 1, CV_16U);
    std::vector<uint8_t> bytes;
    const auto sink =
        stream_sink([&](std::span<const uint8_t> more) { bytes.insert(bytes.end(), more.begin(), more.end()); },
                    {.frame_rate = 10, .codec = {{"bits", "10"}}, .true_times = true});
    const double times[] = {1, 2, 2.5, 3, 4.25};
    for (int i = 0; i < 5; ++i) {
        Frame frame = numbered_frame(type, i, times[i]);
        if (i == 0 || i == 2) {
            CHECK(expected_error([&] { sink->write(frame); }).code() == ErrorCode::wrong_type);
        } else {
            frame.image = frame.image / 64;
            sink->write(frame);
        }
    }
    sink->close();
    Written video(bytes, "a.mp4");
    REQUIRE(video.access().frame_count() == 3);
    const double expected[] = {0, 1, 2.25};
    for (int i = 0; i < 3; ++i)
        CHECK(video.access().stamp(i).time - video.access().stamp(0).time == doctest::Approx(expected[i]));
}

TEST_CASE("a file whose only frame is refused is not left behind") {
    const TemporaryFolder folder;
    for (const char* name : {"a.mp4", "a.mkv"}) {
        const auto sink = create_file_sink(folder / name, {.frame_rate = 10, .codec = {{"bits", "10"}}});
        const Frame deep = numbered_frame(image_type(32, 48, 1, CV_16U), 1, 0);
        CHECK(expected_error([&] { sink->write(deep); }).code() == ErrorCode::wrong_type);
        sink->close();
        CHECK_FALSE(std::filesystem::exists(folder / name));
    }
}

TEST_CASE("every encoder of every container gives the frames back, of odd and tiny sizes too") {
    struct Case {
        const char* container;
        const char* encoder;
    };
    const Case cases[] = {{"mp4", "libx265"},    {"mp4", "libsvtav1"}, {"mp4", "libvpx-vp9"}, {"mp4", "mjpeg"},
                          {"mov", "libx265"},    {"mov", "ffv1"},      {"mkv", "libx265"},    {"mkv", "libsvtav1"},
                          {"mkv", "libvpx-vp9"}, {"mkv", "ffv1"},      {"webm", "libsvtav1"}};
    for (const Case& one : cases) {
        CAPTURE(one.container);
        CAPTURE(one.encoder);
        const bool exact = one.encoder == std::string("ffv1");
        const ImageType type = image_type(71, 97, exact ? 3 : 1);
        const std::vector<Frame> frames = numbered_frames(type, 20);
        const EncodeVideoOptions options{.container = one.container, .codec = {{"encoder", one.encoder}}};
        Written video(encode_video(std::span<const Frame>(frames), options), std::string("a.") + one.container);
        const ImageType read = video.source().info().image_type;
        CHECK(read.width == (exact ? 97 : 98));
        CHECK(read.height == (exact ? 71 : 72));
        check_numbers(video.access(), 20);
        if (exact) CHECK(equal(video.access().at_index(13).image, frames[13].image));
    }
    for (const char* container : {"mp4", "mkv", "mov", "avi", "webm"}) {
        CAPTURE(container);
        std::vector<cv::Mat> tiny;
        for (int i = 0; i < 3; ++i) tiny.push_back(cv::Mat(2, 2, CV_8UC1, cv::Scalar(60 * i + 20)));
        Written video(encode_video(std::span<const cv::Mat>(tiny), {.container = container}),
                      std::string("t.") + container);
        REQUIRE(video.access().frame_count() == 3);
        for (int i = 0; i < 3; ++i) CHECK(std::abs(cv::mean(video.access().at_index(i).image)[0] - (60 * i + 20)) < 6);
    }
}

TEST_CASE("gray values keep the full range in every colour layout; 16-bit gray as the encoder's bits say") {
    std::vector<cv::Mat> images;
    cv::Mat ramp(32, 256, CV_8UC1);
    for (int x = 0; x < 256; ++x) ramp.col(x).setTo(x);
    images.push_back(ramp);
    for (const char* layout : {"gray", "yuv420p", "yuv422p", "yuv444p"}) {
        CAPTURE(layout);
        const CodecOptions codec = {{"pix_fmt", layout}, {"crf", "0"}};
        Written video(encode_video(std::span<const cv::Mat>(images), {.codec = codec}), "a.mp4");
        cv::Mat read = video.access().at_index(0).image;
        if (read.channels() == 3) cv::extractChannel(read, read, 1);
        CHECK(equal(read, ramp));
    }
    const CodecOptions lossless_vp9 = {{"crf", "1"}, {"preset", "slow"}, {"pix_fmt", "yuv444p"}};
    Written webm(encode_video(std::span<const cv::Mat>(images), {.container = "webm", .codec = lossless_vp9}),
                 "a.webm");
    cv::Mat read = webm.access().at_index(0).image;
    if (read.channels() == 3) cv::extractChannel(read, read, 1);
    CHECK(cv::norm(read, ramp, cv::NORM_INF) <= 3);

    const ImageType deep = image_type(32, 64, 1, CV_16U);
    std::vector<Frame> frames = numbered_frames(deep, 5);
    for (Frame& frame : frames) frame.image = frame.image / 64;
    for (const char* encoder : {"libx264", "libvpx-vp9"}) {
        CAPTURE(encoder);
        const CodecOptions codec = {{"encoder", encoder}, {"bits", "10"}};
        const auto bytes = encode_video(std::span<const Frame>(frames), {.container = "mkv", .codec = codec});
        const TemporaryFolder folder;
        write_new_file(folder / "a.mkv", bytes.data(), bytes.size());
        const auto source = open_file_source(folder / "a.mkv", {.gray = true, .deep = true});
        CHECK(source->info().image_type.depth == CV_16U);
        for (int64_t i = 0; i < 5; ++i)
            CHECK(cv::norm(source->random_access()->at_index(i).image, frames[static_cast<size_t>(i)].image,
                           cv::NORM_L1) /
                      (32 * 64) <
                  12);
    }
}

TEST_CASE("what the target of a stream throws comes out, and nothing is handed to it afterwards") {
    const std::vector<Frame> frames = numbered_frames(image_type(48, 64, 1), 60);
    int calls = 0;
    const auto sink = stream_sink(
        [&](std::span<const uint8_t>) {
            if (++calls == 2) throw Error(ErrorCode::io, "the visitor has gone");
        },
        {.frame_rate = 25});
    const Error error = expected_error([&] {
        for (const Frame& frame : frames) sink->write(frame);
        sink->close();
    });
    CHECK(error.message().find("the visitor has gone") != std::string::npos);
    sink->close();
    CHECK(calls == 2);
}

TEST_CASE("whatever the target of a stream throws, a sink that is dropped hands it nothing and ends nothing") {
    const std::vector<Frame> frames = numbered_frames(image_type(48, 64, 1), 10);
    for (const char* container : {"mp4", "mkv"}) {
        int calls = 0;
        {
            const auto sink = stream_sink(
                [&](std::span<const uint8_t>) {
                    ++calls;
                    throw std::runtime_error("the visitor has gone");
                },
                {.container = container});
            // Held back until the rate is known, so that only the end of the sink hands them on.
            for (const Frame& frame : frames) sink->write(frame);
            CHECK(calls == 0);
        }
        CHECK(calls == 1);
        calls = 0;
        const auto sink = stream_sink(
            [&](std::span<const uint8_t>) {
                ++calls;
                throw Error(ErrorCode::invalid_argument, "the visitor wants something else");
            },
            {.container = container, .frame_rate = 25});
        for (const Frame& frame : frames) {
            try {
                sink->write(frame);
            } catch (const Error&) {
                CHECK(calls == 1);
            }
        }
        try {
            sink->close();
        } catch (const Error&) {
            CHECK(calls == 1);
        }
        CHECK(calls == 1);
    }
}

TEST_CASE("a frame that is refused takes none of those with it that wait for the rate") {
    const ImageType type = image_type(32, 48, 1);
    std::vector<uint8_t> bytes;
    const auto sink =
        stream_sink([&](std::span<const uint8_t> more) { bytes.insert(bytes.end(), more.begin(), more.end()); },
                    {.container = "mkv", .true_times = true});
    for (int i = 0; i < 10; ++i) sink->write(numbered_frame(type, i, i == 3 ? std::nan("") : i * 0.04));
    CHECK(expected_error([&] { sink->close(); }).code() == ErrorCode::invalid_argument);
    sink->close();
    Written video(bytes, "a.mkv");
    REQUIRE(video.access().frame_count() == 9);
    for (int i = 0; i < 9; ++i) CHECK(read_image_number(video.access().at_index(i).image) == i + (i >= 3 ? 1 : 0));
}

TEST_CASE("a pipe whose reader has gone is a clear error, not the end of the process") {
    int ends[2] = {};
    REQUIRE(::pipe(ends) == 0);
    ::close(ends[0]);
    const std::vector<Frame> frames = numbered_frames(image_type(48, 64, 1), 40);
    const auto sink = stream_sink(ends[1], {.frame_rate = 25});
    const Error error = expected_error([&] {
        for (const Frame& frame : frames) sink->write(frame);
        sink->close();
    });
    CHECK(error.code() == ErrorCode::io);
    CHECK(error.message().find("closed it") != std::string::npos);
    ::close(ends[1]);
}

TEST_CASE("a slow reader of a descriptor that does not wait gets every byte") {
    int ends[2] = {};
    REQUIRE(::pipe2(ends, 0) == 0);
    REQUIRE(::fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
    std::vector<uint8_t> received;
    std::thread reader([&] {
        uint8_t buffer[5000];
        for (;;) {
            const ssize_t count = ::read(ends[0], buffer, sizeof(buffer));
            if (count <= 0) return;
            received.insert(received.end(), buffer, buffer + count);
        }
    });
    const std::vector<Frame> frames = numbered_frames(image_type(96, 128, 1), 40);
    const EncodeVideoOptions options{.container = "mkv", .frame_rate = 25, .codec = {{"encoder", "ffv1"}}};
    const auto sink = stream_sink(ends[1], options);
    for (const Frame& frame : frames) sink->write(frame);
    sink->close();
    ::close(ends[1]);
    reader.join();
    ::close(ends[0]);
    CHECK(received.size() > size_t{64} << 10);
    Written video(received, "a.mkv");
    check_numbers(video.access(), 40);
}

TEST_CASE("what cannot be written is refused with what can") {
    const auto refuse = [](const EncodeVideoOptions& options) {
        return expected_error([&] { stream_sink([](std::span<const uint8_t>) {}, options); });
    };
    CHECK(refuse({.container = "avi"}).code() == ErrorCode::unsupported);
    CHECK(refuse({.container = "avi"}).message().find(".mkv") != std::string::npos);
    CHECK(refuse({.container = "ogg"}).message().find("webm") != std::string::npos);
    CHECK(refuse({.container = "webm", .codec = {{"encoder", "libx264"}}}).code() == ErrorCode::invalid_argument);
    CHECK(refuse({.frame_rate = 0}).code() == ErrorCode::invalid_argument);
    const TemporaryFolder folder;
    CHECK(
        expected_error([&] { create_file_sink(folder / "a.png", {.true_times = true}); }).message().find("video can") !=
        std::string::npos);
}

namespace {

/// Sound that is one packet every tenth of a second, and notes when it was asked.
class Beeps : public AudioTrack {
public:
    explicit Beeps(int count) : count_(count) {}
    void add_to(AVFormatContext& format, const std::string& /*muxer*/) override {
        stream_ = avformat_new_stream(&format, nullptr);
        AVCodecParameters& parameters = *stream_->codecpar;
        parameters.codec_type = AVMEDIA_TYPE_AUDIO;
        parameters.codec_id = AV_CODEC_ID_PCM_S16LE;
        parameters.sample_rate = 1000;
        av_channel_layout_default(&parameters.ch_layout, 1);
        parameters.bits_per_coded_sample = 16;
        parameters.block_align = 2;
        stream_->time_base = {1, 1000};
    }
    std::vector<UniquePacket> take_before(double seconds) override {
        asked.push_back(seconds);
        std::vector<UniquePacket> packets;
        for (; taken < count_ && taken * 0.1 < seconds; ++taken) {
            UniquePacket packet = make_packet();
            REQUIRE(av_new_packet(packet.get(), 200) == 0);
            std::memset(packet->data, taken, 200);
            packet->stream_index = stream_->index;
            packet->pts = packet->dts = av_rescale_q(taken * 100, {1, 1000}, stream_->time_base);
            packet->duration = av_rescale_q(100, {1, 1000}, stream_->time_base);
            packet->flags = AV_PKT_FLAG_KEY;
            packets.push_back(std::move(packet));
        }
        return packets;
    }

    std::vector<double> asked;
    int taken = 0;

private:
    int count_;
    AVStream* stream_ = nullptr;
};

}  // namespace

TEST_CASE("sound goes between the frames by time, and up to the end of the video") {
    for (const char* container : {"mkv", "mov", "avi"}) {
        for (const bool true_times : {false, true}) {
            if (true_times && container == std::string("avi")) continue;
            CAPTURE(container);
            CAPTURE(true_times);
            const auto beeps = std::make_shared<Beeps>(1000);
            const std::vector<Frame> frames = numbered_frames(image_type(32, 48, 1), 40, 20);
            const EncodeVideoOptions options{
                .container = container, .frame_rate = 20, .true_times = true_times, .audio = beeps};
            Written video(encode_video(std::span<const Frame>(frames), options), std::string("a.") + container);
            check_numbers(video.access(), 40);
            CHECK(beeps->taken == 20);
            CHECK(beeps->asked.size() == 41);
            CHECK(beeps->asked.back() == doctest::Approx(2));
            CHECK(std::is_sorted(beeps->asked.begin(), beeps->asked.end()));
        }
    }
}

}  // namespace reelstore
