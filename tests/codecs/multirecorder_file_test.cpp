#include <algorithm>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "base/numbered_frames.h"
#include "codecs/foreign/multirecorder_header.h"
#include "tests/codecs/foreign_kit.h"
#include "tests/forwarding_file_system.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

constexpr size_t kHeaderBytes = 1024;
constexpr int kFrames = 5;
/// Not square, so that rows and columns cannot be confused.
const ImageType k8Bit{6, 20, 1, CV_8U};
const ImageType k16Bit{6, 20, 1, CV_16U};
/// 2020-01-01, in milliseconds and nanoseconds.
constexpr uint64_t kMilliseconds = 1577836800000;
constexpr uint64_t kNanoseconds = 1577836800000000000;

std::vector<cv::Mat> images_of(const ImageType& type, int count = kFrames) {
    std::vector<cv::Mat> images;
    for (int i = 0; i < count; ++i) images.push_back(make_numbered_image(type, 300 + i));
    return images;
}

/// What the header of a recording says.
struct Header {
    char version = 'f';
    bool big_endian = false;
    uint32_t frames = kFrames;
    uint32_t format = 3;
    std::string date = "2020-01-02 03:04:05:250";
    std::string comment = "h\xC3\xA4rt 7";
};

std::vector<uint8_t> recording(const Header& header, const std::vector<cv::Mat>& images,
                               const std::vector<uint64_t>& stamps = {}) {
    BytesMaker maker(header.big_endian);
    maker.add(header.version);
    const auto columns = static_cast<uint32_t>(images.front().cols);
    const auto rows = static_cast<uint32_t>(images.front().rows);
    if (header.version == 'd') {
        maker.text(header.date, header.date.size()).add(header.frames).add(columns).add(rows);
    } else {
        maker.add(uint32_t{0x1A2B3C4D}).add(header.frames).add(columns).add(rows).add(header.format).add(uint32_t{2});
        maker.add(int32_t{50000000}).text(header.date, 24).text(header.comment, 971);
    }
    maker.pad_to(kHeaderBytes);
    for (size_t i = 0; i < images.size(); ++i) {
        maker.image(images[i]);
        if (header.version != 'd') maker.add(stamps.empty() ? kMilliseconds + i * 2 : stamps[i]);
    }
    return maker.get();
}

std::vector<double> times_of_milliseconds(int count = kFrames) {
    std::vector<double> times;
    for (int i = 0; i < count; ++i) times.push_back(1577836800 + i * 0.002);
    return times;
}

bool has_warning(const FrameSource& source, const std::string& part) {
    const auto& warnings = source.warnings();
    return std::any_of(warnings.begin(), warnings.end(),
                       [&](const std::string& warning) { return warning.find(part) != std::string::npos; });
}

std::unique_ptr<FrameSource> open_files(const TemporaryFolder& folder, const ForeignFiles& files,
                                        const std::string& main, const SourceOptions& options = {}) {
    write_foreign_files(folder.path(), files);
    return open_file_source(folder / main, options);
}

}  // namespace

TEST_CASE("multirecorder: versions e and f, both orders of bytes, both depths, both units of time") {
    for (const char version : {'e', 'f'}) {
        for (const bool big_endian : {false, true}) {
            for (const ImageType& type : {k8Bit, k16Bit}) {
                for (const bool nanoseconds : {false, true}) {
                    CAPTURE(version);
                    CAPTURE(big_endian);
                    CAPTURE(type.depth);
                    CAPTURE(nanoseconds);
                    std::vector<uint64_t> stamps;
                    for (uint64_t i = 0; i < kFrames; ++i)
                        stamps.push_back(nanoseconds ? kNanoseconds + i * 2000000 : kMilliseconds + i * 2);
                    const Header header{
                        .version = version, .big_endian = big_endian, .format = type.depth == CV_8U ? 1u : 3u};
                    const auto images = images_of(type);
                    check_foreign_files({{"cam.dat", recording(header, images, stamps)}}, "cam.dat",
                                        {.images = images, .times = times_of_milliseconds(), .time_tolerance = 0});
                }
            }
        }
    }
}

TEST_CASE("multirecorder: facts of the header") {
    const TemporaryFolder folder;
    const auto source = open_files(folder, {{"cam.dat", recording({}, images_of(k16Bit))}}, "cam.dat");
    const SourceInfo& info = source->info();
    CHECK(info.format == "MultiRecorder f");
    CHECK(info.image_type == k16Bit);
    CHECK(info.frame_rate == doctest::Approx(500));
    CHECK(info.has_times);
    CHECK(info.times_are_absolute);
    CHECK_FALSE(info.has_numbers);
    CHECK(info.creation_time == doctest::Approx(1577836800));
    CHECK(source->user_metadata()["comment"] == "h\xC3\xA4rt 7");
    CHECK(source->user_metadata()["date"] == "2020-01-02 03:04:05:250");
    CHECK(source->user_metadata()["binning"] == 2);
    CHECK(source->warnings().empty());
}

TEST_CASE("multirecorder: version d with short and long date, 16 bits and, as the size says, 8") {
    for (const std::string date : {"01/31/20 23:59:58", "Fri Jan 31 23:59:58 2020"}) {
        for (const ImageType& type : {k8Bit, k16Bit}) {
            CAPTURE(date);
            CAPTURE(type.depth);
            const auto images = images_of(type);
            const ForeignFiles files = {{"old.dat", recording({.version = 'd', .date = date}, images)}};
            check_foreign_files(files, "old.dat", {.images = images});
            const TemporaryFolder folder;
            const auto source = open_files(folder, files, "old.dat");
            CHECK(source->info().creation_time == doctest::Approx(1580515198));
            CHECK(source->user_metadata()["date"] == date);
            CHECK_FALSE(source->info().has_times);
            CHECK(source->warnings().empty());
        }
    }
}

TEST_CASE("multirecorder: dates as the recorders write them") {
    CHECK(parse_multirecorder_date("2020-01-31 23:59:58:250") == doctest::Approx(1580515198.25).epsilon(1e-12));
    CHECK(parse_multirecorder_date("2020-01-31 23:59:58") == 1580515198);
    CHECK(parse_multirecorder_date("Fri Jan 31 23:59:58 2020") == 1580515198);
    CHECK(parse_multirecorder_date("Sat Feb  1 03:04:05 2020") == 1580526245);
    CHECK(parse_multirecorder_date("01/31/20 23:59:58") == 1580515198);
    CHECK(parse_multirecorder_date("31.01.20 23:59:58") == 1580515198);
    for (const std::string text : {"", "yesterday", "31/31/20 23:59:58", "Fri Foo 31 23:59:58 2020", "::::"})
        CHECK_FALSE(parse_multirecorder_date(text));
}

TEST_CASE("multirecorder: old recorders called 16 bits 8; the size of the file and the times tell") {
    const auto images = images_of(k16Bit);
    for (const bool big_endian : {false, true}) {
        for (const uint32_t frames : {uint32_t{kFrames}, 0u, 1000u}) {
            CAPTURE(frames);
            const Header lie{.version = 'e', .big_endian = big_endian, .frames = frames, .format = 1};
            check_foreign_files({{"cam.dat", recording(lie, images)}}, "cam.dat",
                                {.images = images, .times = times_of_milliseconds()});
        }
    }
    // Without times only the number of frames is left.
    auto bytes = recording({.format = 1}, images, std::vector<uint64_t>(kFrames, 0));
    bytes.resize(bytes.size() + 10);
    check_foreign_files({{"cam.dat", bytes}}, "cam.dat", {.images = images});
}

TEST_CASE("multirecorder: the bits of a pixel can be given") {
    // Two frames of 8 bits look like one of 16.
    const auto images = images_of(k8Bit, 2);
    const ForeignFiles files = {
        {"old.dat", recording({.version = 'd', .frames = 0, .date = "01/31/20 23:59:58"}, images)}};
    check_foreign_files(files, "old.dat", {.images = images}, {.format = {{"bits", "8"}}});
    const TemporaryFolder folder;
    const auto source = open_files(folder, files, "old.dat");
    CHECK(source->info().frame_count == 1);
    CHECK(source->info().image_type.depth == CV_16U);
    CHECK(has_warning(*source, "does not say how many"));
    CHECK(error_of([&] {
              open_file_source(folder / "old.dat", {.format = {{"bits", "12"}}});
          }) == ErrorCode::invalid_argument);
    CHECK(error_of([&] {
              open_file_source(folder / "old.dat", {.format = {{"camera", "0"}}});
          }) == ErrorCode::invalid_argument);
    // An odd number of them does not.
    const auto odd = images_of(k8Bit, 3);
    check_foreign_files({{"old.dat", recording({.version = 'd', .frames = 0, .date = "01/31/20 23:59:58"}, odd)}},
                        "old.dat", {.images = odd});
}

TEST_CASE("multirecorder: an unknown pixel format is told by the file, and refused where it is not") {
    const auto images = images_of(k16Bit);
    check_foreign_files({{"cam.dat", recording({.format = 2}, images)}}, "cam.dat",
                        {.images = images, .times = times_of_milliseconds()});
    const TemporaryFolder folder;
    write_foreign_files(
        folder.path(),
        {{"cam.dat", recording({.frames = 77, .format = 2}, images, std::vector<uint64_t>(kFrames, 0))}});
    CHECK(error_of([&] { open_file_source(folder / "cam.dat"); }) == ErrorCode::unsupported);
    CHECK(open_file_source(folder / "cam.dat", {.format = {{"bits", "16"}}})->info().frame_count == kFrames);
}

TEST_CASE("multirecorder: counts come from the size of the file where the header lies") {
    const auto images = images_of(k16Bit);
    const auto whole = recording({}, images);
    const size_t record = k16Bit.bytes() + 8;
    for (const uint32_t frames : {0u, 6u, 4000000000u}) {
        const TemporaryFolder folder;
        const auto source = open_files(folder, {{"cam.dat", recording({.frames = frames}, images)}}, "cam.dat");
        CHECK(source->info().frame_count == kFrames);
        CHECK(source->warnings().size() == 1);
    }
    for (const size_t cut : {size_t{1}, size_t{8}, size_t{9}, record - 1}) {
        CAPTURE(cut);
        const TemporaryFolder folder;
        auto bytes = whole;
        bytes.resize(bytes.size() - cut);
        const auto source = open_files(folder, {{"cam.dat", bytes}}, "cam.dat");
        CHECK(source->info().frame_count == kFrames - 1);
        CHECK(has_warning(*source, "cut off"));
        CHECK(equal_pixels(source->random_access()->at_index(kFrames - 2).image, images[kFrames - 2]));
    }
    // More than it says: frames where their times go on, and else not.
    const TemporaryFolder folder;
    auto source = open_files(folder, {{"more.dat", recording({.frames = 2}, images)}}, "more.dat");
    CHECK(source->info().frame_count == kFrames);
    CHECK(has_warning(*source, "announces 2 frames, there are 5"));
    source = open_files(folder,
                        {{"rest.dat", recording({.frames = 2}, images, {kMilliseconds, kMilliseconds + 1, 0, 0, 0})}},
                        "rest.dat");
    CHECK(source->info().frame_count == 2);
    CHECK(has_warning(*source, "room for 5 frames"));
}

TEST_CASE("multirecorder: a recorder that died before its first frame") {
    const TemporaryFolder folder;
    auto bytes = recording({.frames = 0}, images_of(k16Bit, 1));
    bytes.resize(kHeaderBytes);
    write_foreign_files(folder.path(), {{"cam.dat", bytes}, {"empty.dat", {}}});
    CHECK(error_of([&] { open_file_source(folder / "cam.dat"); }) == ErrorCode::corrupt);
    CHECK(error_of([&] { open_file_source(folder / "empty.dat"); }) == ErrorCode::unsupported);
}

TEST_CASE("multirecorder: stamps that are no times since 1970") {
    const auto images = images_of(k16Bit);
    const TemporaryFolder folder;
    auto source = open_files(folder, {{"up.dat", recording({}, images, {1000, 1002, 1004, 1006, 1008})}}, "up.dat");
    CHECK(source->info().has_times);
    CHECK_FALSE(source->info().times_are_absolute);
    CHECK(source->random_access()->stamp(4).time == doctest::Approx(1.008));
    CHECK(source->info().creation_time == doctest::Approx(1577934245.25));
    source = open_files(folder, {{"no.dat", recording({}, images, std::vector<uint64_t>(kFrames, 0))}}, "no.dat");
    CHECK_FALSE(source->info().has_times);
    CHECK(std::isnan(source->next()->time));
}

TEST_CASE("multirecorder: frames in this machine's order of bytes are views of the mapped file") {
    const TemporaryFolder folder;
    for (const bool big_endian : {false, true}) {
        const std::string name = big_endian ? "big.dat" : "little.dat";
        const auto source =
            open_files(folder, {{name, recording({.big_endian = big_endian}, images_of(k16Bit))}}, name);
        const bool is_native = big_endian == (std::endian::native == std::endian::big);
        CHECK((source->next()->owner != nullptr) == is_native);
    }
}

TEST_CASE("multirecorder: files of more than 2 GiB") {
    // Sparse: only the last frame is written.
    const ImageType type{2048, 2048, 1, CV_16U};
    constexpr int kManyFrames = 300;
    const uint64_t record = type.bytes() + 8;
    const TemporaryFolder folder;
    auto bytes = recording({.frames = kManyFrames}, {cv::Mat::zeros(type.height, type.width, type.cv_type())});
    bytes.resize(kHeaderBytes);
    write_foreign_files(folder.path(), {{"long.dat", bytes}});
    const cv::Mat last = make_numbered_image(type, 299);
    {
        const auto file = file_system().open(folder / "long.dat", OpenMode::read_write);
        file->truncate(kHeaderBytes + kManyFrames * record);
        const uint64_t offset = kHeaderBytes + (kManyFrames - 1) * record;
        file->write_at(last.data, type.bytes(), offset);
        const uint64_t stamp = kMilliseconds;
        file->write_at(&stamp, sizeof stamp, offset + type.bytes());
        REQUIRE(file->size() > uint64_t{2} << 30);
    }
    for (const bool map : {true, false}) {
        const auto source = open_file_source(folder / "long.dat", {.map = map});
        CHECK(source->info().frame_count == kManyFrames);
        const Frame frame = source->random_access()->at_index(kManyFrames - 1);
        CHECK(equal_pixels(frame.image, last));
        CHECK(frame.time == doctest::Approx(1577836800));
    }
}

namespace {

const std::string kXml = R"(<?xml version="1.0"?>
<recordingMetaData><general><comment>from the xml</comment><recordingTime unit="ms">2500</recordingTime></general>
<Cameras><Camera model="Other"><Profile><value name="Gain" value="9"/></Profile></Camera>
<Camera model="Photon Focus"><Profile><value name="Framerate" value="499.5"/><value name="Gain" value="4"/>
<value name="Exposure" value="1.5"/><value name="Mode" value="fast"/></Profile></Camera></Cameras></recordingMetaData>)";

const std::string kOmni = R"({"omni_version": 1, "date": "2020-01-01", "exp_nr": 3, "rec_nr": 4,
"cameras": [{"file": "run_cam0.dat", "index": 0, "name": "left", "serial": "a1", "model": "acA", "rotation_deg": 90},
            {"file": "run_cam1.dat", "index": 1, "name": "right", "serial": "a2", "model": "acB", "file_size_bytes": 5}],
"settings": {"fps": 250, "gain": 2.5, "exposure_us": 900}, "meta": {"comment": "from the omni"}})";

std::vector<uint8_t> bytes_of_text(const std::string& text) {
    return {text.begin(), text.end()};
}

}  // namespace

TEST_CASE("multirecorder: the XML sidecar") {
    const TemporaryFolder folder;
    const std::string name = "2020_exp1_rec2_Photon_Focus.dat";
    const Header header{.comment = ""};
    const auto source = open_files(
        folder, {{name, recording(header, images_of(k16Bit))}, {"2020_exp1_rec2.xml", bytes_of_text(kXml)}}, name);
    const Json& metadata = source->user_metadata();
    CHECK(metadata["comment"] == "from the xml");
    CHECK(metadata["camera"] == "Photon Focus");
    CHECK(metadata["gain"] == 4);
    CHECK(metadata["exposure_microseconds"] == doctest::Approx(1500));
    CHECK(metadata["duration_seconds"] == doctest::Approx(2.5));
    CHECK(metadata["profile"]["Mode"] == "fast");
    CHECK(source->info().frame_rate == doctest::Approx(500));  // the recording's own goes first
    CHECK(source->warnings().empty());
}

TEST_CASE("multirecorder: the .omni sidecar, and a recording opened by it") {
    const TemporaryFolder folder;
    const auto left = images_of(k16Bit);
    const auto right = images_of(k8Bit);
    const ForeignFiles files = {{"run.omni", bytes_of_text(kOmni)},
                                {"aaa.omni", bytes_of_text("{")},  // another recording's
                                {"run_cam0.dat", recording({.comment = ""}, left)},
                                {"run_cam1.dat", recording({.format = 1, .comment = "own"}, right)}};
    write_foreign_files(folder.path(), files);
    auto source = open_file_source(folder / "run_cam0.dat");
    CHECK(source->user_metadata()["comment"] == "from the omni");
    CHECK(source->user_metadata()["camera"] == "acA");
    CHECK(source->user_metadata()["rotation_degrees"] == 90);
    CHECK(source->user_metadata()["exposure_microseconds"] == 900);
    CHECK(source->user_metadata()["omni"]["rec_nr"] == 4);
    CHECK(source->warnings().empty());

    source = open_file_source(folder / "run_cam1.dat");
    CHECK(source->user_metadata()["comment"] == "own");
    CHECK(source->user_metadata()["camera"] == "acB");
    CHECK(has_warning(*source, "had 5 bytes"));

    source = open_file_source(folder / "run.omni");
    CHECK(equal_pixels(source->next()->image, left.front()));
    CHECK(has_warning(*source, "of 2 cameras the first"));
    source = open_file_source(folder / "run.omni", {.format = {{"camera", "1"}}});
    CHECK(equal_pixels(source->next()->image, right.front()));
    CHECK(error_of([&] {
              open_file_source(folder / "run.omni", {.format = {{"camera", "2"}}});
          }) == ErrorCode::invalid_argument);
    std::filesystem::remove(folder / "run_cam0.dat");
    CHECK(error_of([&] { open_file_source(folder / "run.omni"); }) == ErrorCode::not_found);
}

TEST_CASE("multirecorder: a recording in a folder that cannot be listed") {
    class UnlistableFolders : public ForwardingFileSystem {
    public:
        std::vector<std::string> list(const std::filesystem::path& folder) override {
            throw Error(ErrorCode::io, {folder.string(), {}, {}}, "cannot list");
        }
    };
    const TemporaryFolder folder;
    const auto images = images_of(k16Bit);
    write_foreign_files(folder.path(), {{"run_0.dat", recording({}, images)}});
    UnlistableFolders unlistable;
    const FileSystemOverride override(unlistable);
    const auto source = open_file_source(folder / "run_0.dat");
    CHECK(source->info().frame_count == kFrames);
    CHECK(equal_pixels(source->next()->image, images.front()));
}

TEST_CASE("multirecorder: what is wrong with a recording of an .omni file is told of the recording") {
    const TemporaryFolder folder;
    std::vector<uint8_t> cut = recording({}, images_of(k16Bit));
    cut.resize(500);
    write_foreign_files(folder.path(), {{"run.omni", bytes_of_text(kOmni)}, {"run_cam0.dat", cut}});
    const Error error = expected_error([&] { open_file_source(folder / "run.omni"); });
    CHECK(error.place().path.ends_with("run_cam0.dat"));
}

TEST_CASE("multirecorder: a broken sidecar is a warning") {
    const auto images = images_of(k16Bit);
    const std::string deep(100000, '[');
    std::string members;
    for (int i = 0; i < 6000; ++i) members += fmt::format("\"{}\": 0, ", i);
    for (const std::string xml : {"", "<recordingMetaData>", "<other/>", "no xml"}) {
        CAPTURE(xml);
        const TemporaryFolder folder;
        const auto source = open_files(
            folder, {{"a_b_c_d.dat", recording({}, images)}, {"a_b_c.xml", bytes_of_text(xml)}}, "a_b_c_d.dat");
        CHECK(source->info().frame_count == kFrames);
        CHECK(has_warning(*source, "a_b_c.xml"));
    }
    for (const std::string& omni : {std::string(), std::string("{"), std::string("[]"), std::string("{\"cameras\": 3}"),
                                    "{" + members + R"("cameras": [{"file": "run_0.dat"}]})",
                                    "{\"cameras\": " + deep + std::string(deep.size(), ']') + "}"}) {
        const TemporaryFolder folder;
        const auto source =
            open_files(folder, {{"run_0.dat", recording({}, images)}, {"run.omni", bytes_of_text(omni)}}, "run_0.dat");
        CHECK(source->info().frame_count == kFrames);
        CHECK(has_warning(*source, "run.omni"));
    }
    // Members of another kind than they should be are as good as missing.
    const std::string odd = R"({"cameras": [7, {"file": 8}, {"file": "../x.dat"}, {"file": "run_0.dat", "model": [],
"file_size_bytes": "big"}], "settings": [], "meta": {"comment": 9}})";
    const TemporaryFolder folder;
    const auto source =
        open_files(folder, {{"run_0.dat", recording({}, images)}, {"run.omni", bytes_of_text(odd)}}, "run_0.dat");
    CHECK(source->warnings().empty());
    CHECK(source->user_metadata()["omni"]["meta"]["comment"] == 9);
    // A rate that no camera has is none.
    write_foreign_files(
        folder.path(),
        {{"old.dat", recording({.version = 'd', .date = "01/31/20 23:59:58"}, images)},
         {"old.omni", bytes_of_text(R"({"cameras": [{"file": "old.dat"}], "settings": {"fps": 1e300}})")}});
    CHECK_FALSE(open_file_source(folder / "old.dat")->info().frame_rate);
    // A file elsewhere is never opened.
    write_foreign_files(folder.path(), {{"out.omni", bytes_of_text(R"({"cameras": [{"file": "../run_0.dat"}]})")}});
    CHECK(error_of([&] { open_file_source(folder / "out.omni"); }) == ErrorCode::corrupt);
}

TEST_CASE("multirecorder: other bytes under this extension are not taken for a recording") {
    const TemporaryFolder folder;
    auto wrong_mark = recording({}, images_of(k16Bit));
    wrong_mark[2] ^= 1;
    auto wrong_version = recording({}, images_of(k16Bit));
    wrong_version[0] = 'c';
    const std::string text = "date: 2020, time: 12:00, " + std::string(2000, 'x');
    write_foreign_files(folder.path(),
                        {{"mark.dat", wrong_mark}, {"version.dat", wrong_version}, {"text.dat", bytes_of_text(text)}});
    for (const std::string name : {"mark.dat", "version.dat", "text.dat"})
        CHECK(error_of([&] { open_file_source(folder / name); }) == ErrorCode::unsupported);
}

TEST_CASE("multirecorder: damaged headers") {
    const auto images = images_of(k16Bit, 3);
    const std::vector<Header> headers = {{.frames = 3},
                                         {.version = 'e', .big_endian = true, .frames = 3},
                                         {.version = 'd', .frames = 3, .date = "01/31/20 23:59:58"}};
    for (const Header& header : headers) {
        const ForeignFiles files = {{"cam.dat", recording(header, images)}};
        check_truncated(files, "cam.dat", "cam.dat", 60, 0);
        check_truncated(files, "cam.dat", "cam.dat", files.at("cam.dat").size(), 3, 41);
        check_absurd_headers(files, "cam.dat", "cam.dat", 56, 1);
    }
    const ForeignFiles files = {{"run_cam0.dat", recording({.frames = 3}, images)}, {"run.omni", bytes_of_text(kOmni)}};
    check_truncated(files, "run_cam0.dat", "run.omni", kOmni.size(), 3, 5);
    check_truncated(files, "run.omni", "run.omni", kOmni.size(), 3, 5);
}

}  // namespace reelstore
