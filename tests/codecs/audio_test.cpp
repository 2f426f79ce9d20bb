#include "codecs/video/audio_file_track.h"

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/numbered_frames.h"
#include "codecs/file_format.h"
#include "codecs/video/video_sink.h"
#include "tests/codecs/sound_kit.h"
#include "tests/codecs/video_kit.h"
#include "tests/forwarding_file_system.h"
#include "tests/sanitized.h"
#include "tests/temporary_folder.h"
#include "tests/thrown_error.h"

using namespace reelstore;

namespace {

constexpr int kRate = 16000;
/// AAC smears what begins suddenly, and mp4 and Matroska count milliseconds.
constexpr double kTolerance = 0.006;

/// Times of a camera that loses frames and is never quite regular.
std::vector<double> irregular_times(double seconds) {
    std::vector<double> times;
    for (int i = 0; i / 10.0 < seconds; ++i) {
        const bool lost = (i >= 13 && i < 31) || i % 7 == 5;
        if (!lost || i == 0) times.push_back(i / 10.0 + 0.004 * (i % 5));
    }
    return times;
}

void write_frames(const std::filesystem::path& path, const std::vector<double>& times, SinkOptions options) {
    options.true_times = !options.frame_rate;
    const auto sink = create_file_sink(path, options);
    Frame frame;
    for (size_t i = 0; i < times.size(); ++i) {
        frame.image = make_numbered_image(image_type(32, 64, 1), static_cast<int>(i));
        frame.index = static_cast<int64_t>(i);
        frame.time = 1e9 + times[i];
        sink->write(frame);
    }
    sink->close();
}

std::shared_ptr<AudioFileTrack> track_of(const std::filesystem::path& path, double start,
                                         AudioFileTrack::Clock clock = AudioFileTrack::Clock::playing) {
    return std::make_shared<AudioFileTrack>(path, start, clock);
}

/// Frames at their times, and second s of the sound at s - start: all of them between the first frame and `end`.
void check_in_step(const std::filesystem::path& path, const std::vector<double>& times, double start,
                   double sound_seconds) {
    CAPTURE(path);
    CAPTURE(start);
    const auto source = open_file_source(path);
    RandomAccess& frames = *source->random_access();
    REQUIRE(frames.frame_count() == static_cast<int64_t>(times.size()));
    for (size_t i = 0; i < times.size(); ++i) {
        CHECK(frames.stamp(static_cast<int64_t>(i)).time == doctest::Approx(times[i] - times[0]).epsilon(0.001));
    }
    const double video_end = times.back() - times.front();
    size_t expected = 0;
    std::vector<Beep> beeps = beeps_of(path);
    // Sound copied to Matroska begins without the packet that its decoder would need before.
    if (path.extension() == ".mkv") std::erase_if(beeps, [](const Beep& beep) { return beep.at < 0.07; });
    for (const Beep& beep : beeps) {
        CAPTURE(beep.at);
        CHECK(std::abs(beep.at - (beep.second - start)) < kTolerance);
    }
    // Of what is heard right at the ends a part may be missing.
    for (int second = 0; second < sound_seconds; ++second) {
        const double at = second - start;
        const bool inside = at > 0.05 && at < video_end - 0.05;
        const bool outside = at < -0.05 || at > video_end + 0.3;
        const auto found =
            std::count_if(beeps.begin(), beeps.end(), [&](const Beep& beep) { return beep.second == second; });
        CAPTURE(second);
        if (inside) CHECK(found == 1);
        if (outside) CHECK(found == 0);
        expected += inside;
    }
    CHECK(expected >= 3);
}

/// A file system where .wav files cannot be read behind a place.
class UnreadableEnd : public ForwardingFileSystem {
public:
    explicit UnreadableEnd(uint64_t limit) : limit_(limit) {}
    std::unique_ptr<File> open(const std::filesystem::path& path, OpenMode mode) override {
        auto file = ForwardingFileSystem::open(path, mode);
        if (path.extension() != ".wav") return file;
        return std::make_unique<Unreadable>(std::move(file), limit_);
    }

private:
    class Unreadable : public ForwardingFile {
    public:
        Unreadable(std::unique_ptr<File> real, uint64_t limit) : ForwardingFile(std::move(real)), limit_(limit) {}
        size_t read_at(void* buffer, size_t size, uint64_t offset) override {
            if (offset >= limit_) throw Error(ErrorCode::io, "bad sector");
            return ForwardingFile::read_at(buffer, std::min<uint64_t>(size, limit_ - offset), offset);
        }

    private:
        uint64_t limit_;
    };

    uint64_t limit_;
};

}  // namespace

TEST_CASE("PCM sound of a .wav is in step with frames at their true times, in every container") {
    const TemporaryFolder folder;
    constexpr double kSeconds = 9;
    write_wav(folder / "sound.wav", make_beeps(kSeconds, kRate), kRate, 2);
    const std::vector<double> times = irregular_times(7);
    for (const auto& [extension, codec, start] :
         std::vector<std::tuple<std::string, std::string, double>>{{".mp4", "aac", 1.234},
                                                                   {".mp4", "aac", 0},
                                                                   {".mp4", "aac", -2.3456},
                                                                   {".mov", "pcm_s16le", 1.234},
                                                                   {".mov", "pcm_s16le", -2.3456},
                                                                   {".mkv", "pcm_s16le", 1.234},
                                                                   {".mkv", "pcm_s16le", -2.3456},
                                                                   {".webm", "opus", 1.234},
                                                                   {".webm", "opus", -2.3456}}) {
        const auto path = folder / fmt::format("out{}{}", start, extension);
        const auto track = track_of(folder / "sound.wav", start);
        write_frames(path, times, {.audio = track});
        check_in_step(path, times, start, kSeconds);
        CHECK(hear(path).codec == codec);
        CHECK(track->warnings().empty());
        CHECK_FALSE(track->incomplete());
    }
    std::vector<double> regular;
    for (int i = 0; i < 70; ++i) regular.push_back(i / 10.0);
    for (const double start : {1.234, -2.3456}) {
        const auto path = folder / fmt::format("out{}.avi", start);
        write_frames(path, regular, {.frame_rate = 10, .audio = track_of(folder / "sound.wav", start)});
        check_in_step(path, regular, start, kSeconds);
        CHECK(hear(path).codec == "pcm_s16le");
    }
}

TEST_CASE("Compressed sound is copied and stays in step, from any container into any that holds it") {
    const TemporaryFolder folder;
    constexpr double kSeconds = 9;
    write_wav(folder / "sound.wav", make_beeps(kSeconds, kRate), kRate, 1);
    std::vector<double> regular;
    for (int i = 0; i < 90; ++i) regular.push_back(i / 10.0);
    // Sound that begins half a second after the frames, so that the clocks differ.
    for (const char* name : {"source.mp4", "source.webm"}) {
        write_frames(folder / name, regular, {.audio = track_of(folder / "sound.wav", -0.5)});
    }
    const std::vector<double> times = irregular_times(6);
    for (const auto& [source, output] : std::vector<std::pair<std::string, std::string>>{{"source.mp4", ".mp4"},
                                                                                         {"source.mp4", ".mov"},
                                                                                         {"source.mp4", ".mkv"},
                                                                                         {"source.webm", ".webm"},
                                                                                         {"source.webm", ".mkv"},
                                                                                         {"source.webm", ".mp4"},
                                                                                         {"out2.5.mkv", ".mp4"},
                                                                                         {"out2.5.mkv", ".mkv"}}) {
        for (const double start : {0.0, 2.5}) {
            // The third kind of source is a result of this test, which begins 2.5 s later.
            const bool second_hand = source[0] == 'o';
            if (second_hand && start > 0) continue;
            const auto path = folder / fmt::format("{}{}{}", second_hand ? "again" : "out", start, output);
            std::filesystem::remove(path);
            const auto track = track_of(folder / source, start, AudioFileTrack::Clock::container);
            write_frames(path, times, {.audio = track});
            CHECK(track->description() == (source.ends_with(".mp4") ? "aac, copied" : "opus, copied"));
            check_in_step(path, times, start + (second_hand ? 2.0 : -0.5), kSeconds);
            CHECK(track->warnings().empty());
        }
    }
}

TEST_CASE("Sound is in step in streams and in fragments, however late it begins") {
    const TemporaryFolder folder;
    constexpr double kSeconds = 9;
    write_wav(folder / "sound.wav", make_beeps(kSeconds, kRate), kRate, 1);
    const std::vector<double> times = irregular_times(9);
    std::vector<double> regular;
    for (int i = 0; i < 90; ++i) regular.push_back(i / 10.0);
    write_frames(folder / "source.mp4", regular, {.audio = track_of(folder / "sound.wav", 0)});
    for (const char* extension : {".mp4", ".mov", ".mkv", ".webm"}) {
        for (const char* sound : {"sound.wav", "source.mp4"}) {
            for (const double start : {-4.5, 0.0, 3.3}) {
                if (kSanitized && start == 0) continue;
                const auto path = folder / fmt::format("{}{}{}", sound, start, extension);
                std::ofstream out(path, std::ios::binary);
                write_frames(std::string("out") + extension, times,
                             {.audio = track_of(folder / sound, start), .stream = [&](std::span<const uint8_t> bytes) {
                                  out.write(reinterpret_cast<const char*>(bytes.data()),
                                            static_cast<std::streamsize>(bytes.size()));
                              }});
                out.close();
                check_in_step(path, times, start, kSeconds);
            }
        }
    }
    VideoTarget target = new_video_file(folder / "fragments.mp4");
    target.fragmented = true;
    const auto sink =
        make_video_sink(*video_container(".mp4"), target,
                        {.codec = {{"gop", "5"}}, .true_times = true, .audio = track_of(folder / "source.mp4", -4.5)});
    for (size_t i = 0; i < times.size(); ++i) {
        Frame frame;
        frame.image = make_numbered_image(image_type(32, 64, 1), static_cast<int>(i));
        frame.time = times[i];
        sink->write(frame);
    }
    sink->close();
    check_in_step(folder / "fragments.mp4", times, -4.5, kSeconds);
}

TEST_CASE("PCM is kept bit for bit and cut to the sample") {
    const TemporaryFolder folder;
    const std::vector<float> samples = make_beeps(6, 44100);
    write_wav(folder / "sound.wav", samples, 44100, 2);
    const std::vector<double> times = {0, 0.5, 1.1, 1.9, 2.4};
    for (const char* name : {"out.mkv", "out.mov"}) {
        CAPTURE(name);
        constexpr int64_t kFirst = 54321;
        write_frames(folder / name, times, {.audio = track_of(folder / "sound.wav", kFirst / 44100.0)});
        const Heard heard = hear(folder / name);
        CHECK(heard.first_second == 0);
        // The last frame lasts as long as one of a constant rate.
        REQUIRE(heard.samples.size() > 2.4 * 44100);
        CHECK(heard.samples.size() <= 3 * 44100);
        int64_t different = 0;
        for (size_t i = 0; i < heard.samples.size(); ++i) {
            const float expected = std::round(samples[kFirst + i] * 32767) / 32768;
            different += heard.samples[i] != expected;
        }
        CHECK(different == 0);
    }
}

TEST_CASE("Sound with many channels is kept where the container can, and else refused") {
    const TemporaryFolder folder;
    write_wav(folder / "sound.wav", make_beeps(5, kRate), kRate, 12);
    const std::vector<double> times = irregular_times(4);
    write_frames(folder / "out.mkv", times, {.audio = track_of(folder / "sound.wav", 0)});
    check_in_step(folder / "out.mkv", times, 0, 4);
    CHECK(AudioFile(folder / "out.mkv").parameters().ch_layout.nb_channels == 12);
    const Error refused =
        expected_error([&] { write_frames(folder / "out.mp4", times, {.audio = track_of(folder / "sound.wav", 0)}); });
    CHECK(refused.code() == ErrorCode::unsupported);
    CHECK(std::string(refused.what()).find("12 channels") != std::string::npos);
}

TEST_CASE("Files without sound, and those that are none, say so") {
    const TemporaryFolder folder;
    const std::vector<double> times = {0, 0.1, 0.2};
    write_frames(folder / "silent.mp4", times, {});
    std::ofstream(folder / "text.wav") << std::string(3000, 'x');
    std::ofstream(folder / "empty.wav").close();
    for (const char* name : {"silent.mp4", "text.wav", "empty.wav"}) {
        CAPTURE(name);
        const Error refused = expected_error([&] { track_of(folder / name, 0); });
        CHECK(refused.code() == ErrorCode::unsupported);
        CHECK(std::string(refused.what()).find(name) != std::string::npos);
    }
    CHECK(expected_error([&] { track_of(folder / "nothing.wav", 0); }).code() == ErrorCode::not_found);
}

TEST_CASE("Damaged sound costs no frame: what can be read is in step, and warnings tell") {
    const TemporaryFolder folder;
    constexpr double kSeconds = 9;
    const std::vector<double> times = irregular_times(8);
    const std::vector<float> samples = make_beeps(kSeconds, kRate);

    SUBCASE("a recorder that died before it wrote the size") {
        write_wav(folder / "sound.wav", samples, kRate, 1, 0xffffffff);
        write_frames(folder / "out.mkv", times, {.audio = track_of(folder / "sound.wav", 0)});
        check_in_step(folder / "out.mkv", times, 0, kSeconds);
    }
    SUBCASE("sound that ends early") {
        write_wav(folder / "sound.wav", std::vector<float>(samples.begin(), samples.begin() + 4 * kRate), kRate, 1,
                  static_cast<uint32_t>(samples.size() * 2));
        const auto track = track_of(folder / "sound.wav", 0.5);
        write_frames(folder / "out.mkv", times, {.audio = track});
        CHECK(beeps_of(folder / "out.mkv").size() == 3);
        REQUIRE(track->warnings().size() == 1);
        CHECK(track->warnings()[0].find("ends 3.500 s after the first frame") != std::string::npos);
    }
    SUBCASE("a disk that cannot be read any further") {
        write_wav(folder / "sound.wav", samples, kRate, 1);
        UnreadableEnd broken(5 * kRate * 2);
        const FileSystemOverride replaced(broken);
        const auto track = track_of(folder / "sound.wav", 0);
        write_frames(folder / "out.mkv", times, {.audio = track});
        CHECK(open_file_source(folder / "out.mkv")->info().frame_count == static_cast<int64_t>(times.size()));
        const std::vector<Beep> beeps = beeps_of(folder / "out.mkv");
        CHECK(beeps.size() >= 4);
        for (const Beep& beep : beeps) CHECK(std::abs(beep.at - beep.second) < kTolerance);
        CHECK(track->incomplete());
        REQUIRE_FALSE(track->warnings().empty());
        CHECK(track->warnings()[0].find("bad sector") != std::string::npos);
    }
    SUBCASE("packets of noise") {
        write_wav(folder / "whole.wav", samples, kRate, 1);
        write_frames(folder / "source.mkv", times, {.audio = track_of(folder / "whole.wav", 0)});
        write_frames(folder / "source.mp4", times, {.audio = track_of(folder / "whole.wav", 0)});
        for (const char* output : {"out.mp4", "out.webm"}) {
            CAPTURE(output);
            std::vector<char> bytes = bytes_of(folder / "source.mp4");
            // Most of what lies between the headers and the index of this file is sound and frames of nothing.
            const size_t begin = bytes.size() / 3;
            for (size_t i = begin; i < begin + bytes.size() / 6; ++i) bytes[i] = static_cast<char>(i * 37 ^ i >> 5);
            write_bytes(folder / "damaged.mp4", bytes);
            const auto track = track_of(folder / "damaged.mp4", 0, AudioFileTrack::Clock::container);
            write_frames(folder / output, times, {.audio = track});
            CHECK(open_file_source(folder / output)->info().frame_count == static_cast<int64_t>(times.size()));
            if (std::string(output) == "out.webm") CHECK(track->incomplete());
            const std::vector<Beep> beeps = beeps_of(folder / output);
            REQUIRE(beeps.size() > 3);
            CHECK(std::abs(beeps.front().at) < kTolerance);
            CHECK(std::abs(beeps.back().at - std::round(beeps.back().at)) < 0.03);
        }
    }
}

TEST_CASE("Sound is handed out up to the second that is asked for, and read no further") {
    const TemporaryFolder folder;
    write_wav(folder / "sound.wav", make_beeps(60, kRate), kRate, 1);
    for (const char* muxer : {"mp4", "mov", "matroska", "webm", "avi"}) {
        CAPTURE(muxer);
        AudioFileTrack track(folder / "sound.wav", 7, AudioFileTrack::Clock::playing);
        AVFormatContext* context = nullptr;
        REQUIRE(avformat_alloc_output_context2(&context, nullptr, muxer, nullptr) >= 0);
        const UniqueOutputFormat format(context);
        uint8_t* unused = nullptr;
        REQUIRE(avio_open_dyn_buf(&format->pb) >= 0);
        track.add_to(*format, muxer);
        const double unit = av_q2d(format->streams[0]->time_base);
        double last = -1;
        double covered = 0;
        for (int i = 1; i <= 500; ++i) {
            const double before = i * 0.1;
            for (const UniquePacket& packet : track.take_before(before)) {
                const double begin = static_cast<double>(packet->pts) * unit;
                CHECK(packet->stream_index == 0);
                CHECK(begin > last);
                // Matroska's times of Opus are those of its packets plus what decoders leave out.
                CHECK(begin < before + (std::string(muxer) == "webm" ? 0.007 : 0));
                last = begin;
                covered = begin + static_cast<double>(packet->duration) * unit;
            }
            if (before < 52.5) CHECK(covered >= before - 0.001);
            if (before < 52.5) CHECK(covered <= before + 0.07);
        }
        avio_close_dyn_buf(format->pb, &unused);
        av_free(unused);
    }
}
