#include <doctest/doctest.h>

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <set>

#include "base/file_system.h"
#include "base/npz.h"
#include "base/yaml.h"
#include "store/layout.h"
#include "store/store_lock.h"
#include "tests/store/store_fixture.h"
#include "tests/temporary_folder.h"
#include "tests/test_data.h"

using namespace reelstore;

namespace {

std::set<std::string> files_below(const std::filesystem::path& folder) {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
        if (entry.is_regular_file()) names.insert(std::filesystem::relative(entry.path(), folder).string());
    }
    return names;
}

cv::Mat image(int number) {
    return make_numbered_image(gray_type(), number);
}

}  // namespace

TEST_CASE("a store holds exactly the files of its layout") {
    const TemporaryFolder folder;
    write_numbered_store(folder / "png", {.format = "png", .chunk_frames = 2}, gray_type(), 3);
    CHECK(files_below(folder / "png") == std::set<std::string>{"metadata.yaml", "index.sqlite", "000000/000000.png",
                                                               "000000/000001.png", "000000/index.npz",
                                                               "000001/000000.png", "000001/index.npz"});
    write_numbered_store(folder / "mp4", {.format = "avc1/mp4", .chunk_frames = 2}, gray_type(), 4);
    CHECK(files_below(folder / "mp4") == std::set<std::string>{"metadata.yaml", "index.sqlite", "000000.mp4",
                                                               "000000.npz", "000001.mp4", "000001.npz"});
}

TEST_CASE("no stray file or folder appears at any moment of writing") {
    const TemporaryFolder folder;
    for (const char* format : {"png", "avc1/mp4"}) {
        const std::filesystem::path path = folder / (std::string(format) == "png" ? "a" : "b");
        const std::string extension = std::string(format) == "png" ? ".png" : ".mp4";
        StoreWriter writer(path, {.format = format, .chunk_frames = 3});
        for (int i = 0; i < 10; ++i) {
            writer.add(image(i), i, fixture_time(i));
            writer.add_extra_data({{"i", i}});
            for (const auto& entry : std::filesystem::directory_iterator(path)) {
                const std::string name = entry.path().filename().string();
                // imgstore takes every folder of a folder store, and every file with the media's extension, for a
                // chunk.
                if (entry.is_directory()) CHECK(name.find_first_not_of("0123456789") == std::string::npos);
                if (entry.path().extension() == extension)
                    CHECK(entry.path().stem().string().find_first_not_of("0123456789") == std::string::npos);
            }
        }
        writer.close();
    }
}

TEST_CASE("metadata.yaml and the npz follow imgstore's layout") {
    const TemporaryFolder folder;
    write_numbered_store(
        folder / "s",
        {.format = "mjpeg/avi", .chunk_frames = 5, .metadata = "genotype: wt\nrig: 3\n", .time_zone = "Europe/Vienna"},
        {47, 63, 1, CV_8U}, 5);
    const std::string text = read_text_file(folder / "s" / "metadata.yaml", 1 << 20);
    const Json root = parse_yaml(text, "metadata.yaml").value;
    const Json& store = root["__store"];
    CHECK(store["imgshape"] == Json({48, 64}));
    CHECK(store["image_shape"] == Json({47, 63}));
    CHECK(store["imgdtype"] == "uint8");
    CHECK(store["chunksize"] == 5);
    CHECK(store["format"] == "mjpeg/avi");
    CHECK(store["class"] == "VideoImgStore");
    CHECK(store["extension"] == ".avi");
    CHECK(store["version"] == 2);
    CHECK(store["encoding"].is_null());
    CHECK(store["timezone_local"] == "Europe/Vienna");
    CHECK(store["uuid"].get<std::string>().size() == 32);
    CHECK(root["genotype"] == "wt");
    CHECK(root["rig"] == 3);
    const bool quoted =
        text.find("created_utc: \"") != std::string::npos || text.find("created_utc: '") != std::string::npos;
    CHECK(quoted);

    const NpzReader npz(folder / "s" / "000000.npz");
    CHECK(npz.names() == std::vector<std::string>{"frame_number", "frame_time", "extension", "imgshape", "imgdtype",
                                                  "chunksize", "format", "class", "version", "encoding", "created_utc",
                                                  "timezone_local", "uuid"});
    const auto header = [&](const char* name) {
        const std::vector<uint8_t> bytes = npz.member(name);
        return std::string(bytes.begin() + 10, bytes.begin() + 128);
    };
    CHECK(header("frame_number").starts_with("{'descr': '<i8', 'fortran_order': False, 'shape': (5,), }"));
    CHECK(header("frame_time").starts_with("{'descr': '<f8', 'fortran_order': False, 'shape': (5,), }"));
    CHECK(header("imgshape").starts_with("{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }"));
    CHECK(header("chunksize").starts_with("{'descr': '<i8', 'fortran_order': False, 'shape': (), }"));
    CHECK(header("format").starts_with("{'descr': '<U9', 'fortran_order': False, 'shape': (), }"));
    CHECK(header("uuid").starts_with("{'descr': '<U32', 'fortran_order': False, 'shape': (), }"));
    CHECK(header("encoding").starts_with("{'descr': '|O', 'fortran_order': False, 'shape': (), }"));
}

TEST_CASE("the npz has the same members and types as imgstore's own") {
    const std::filesystem::path golden = test_data() / "golden" / "imgstore-0.4.0";
    const TemporaryFolder folder;
    const auto types = [](const std::filesystem::path& path) {
        const NpzReader npz(path);
        std::vector<std::string> list;
        for (const std::string& name : npz.names()) {
            const std::vector<uint8_t> bytes = npz.member(name);
            list.push_back(name + " " + std::string(bytes.begin(), bytes.begin() + 128));
        }
        return list;
    };
    write_numbered_store(folder / "npy", {.format = "npy", .chunk_frames = 10, .time_zone = "Etc/UTC"}, gray_type(),
                         10);
    CHECK(types(folder / "npy" / "000000" / "index.npz") == types(golden / "npy-gray" / "000000" / "index.npz"));
    write_numbered_store(folder / "mp4", {.format = "avc1/mp4", .chunk_frames = 10, .time_zone = "Etc/UTC"},
                         gray_type(), 10);
    CHECK(types(folder / "mp4" / "000000.npz") == types(golden / "avc1_mp4-gray" / "000000.npz"));
}

TEST_CASE("a frame of another size, type or channel count is refused and loses nothing") {
    const TemporaryFolder folder;
    for (const char* format : {"npy", "avc1/mp4"}) {
        const std::filesystem::path path = folder / (std::string(format) == "npy" ? "a" : "b");
        StoreWriter writer(path, {.format = format, .chunk_frames = 4});
        writer.add(image(0), 0, fixture_time(0));
        for (const ImageType& type : {ImageType{48, 32, 1, CV_8U}, ImageType{24, 64, 1, CV_8U},
                                      ImageType{48, 64, 1, CV_16U}, ImageType{48, 64, 3, CV_8U}}) {
            std::string message;
            CHECK(error_of([&] { writer.add(make_numbered_image(type, 1), 1, fixture_time(1)); }, &message) ==
                  ErrorCode::wrong_type);
            CHECK(message.find(type.text()) != std::string::npos);
        }
        CHECK(error_of([&] { writer.add(cv::Mat(), 1, fixture_time(1)); }) == ErrorCode::wrong_type);
        for (int i = 1; i < 6; ++i) writer.add(image(i), i, fixture_time(i));
        writer.close();
        StoreReader store(path);
        CHECK(store.frame_count() == 6);
        for (int i = 0; i < 6; ++i) CHECK(read_image_number(store.next()->image) == i);
    }
}

TEST_CASE("a time that is not finite is refused") {
    const TemporaryFolder folder;
    StoreWriter writer(folder / "s", {.format = "npy"});
    for (const double time : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
                              -std::numeric_limits<double>::infinity()}) {
        CHECK(error_of([&] { writer.add(image(0), 0, time); }) == ErrorCode::invalid_argument);
    }
    writer.add(image(0), 0, 0.0);
    writer.close();
    CHECK(StoreReader(folder / "s").frame_count() == 1);
}

TEST_CASE("an existing destination is refused and stays as it is") {
    const TemporaryFolder folder;
    write_numbered_store(folder / "s", {.format = "npy"}, gray_type(), 2);
    CHECK(error_of([&] { StoreWriter(folder / "s", {.format = "npy"}); }) == ErrorCode::already_exists);
    std::ofstream(folder / "file") << "text";
    CHECK(error_of([&] { StoreWriter(folder / "file", {.format = "npy"}); }) == ErrorCode::already_exists);
    CHECK(error_of([&] { StoreWriter(folder / "missing" / "s", {.format = "npy"}); }) == ErrorCode::not_found);
    CHECK(StoreReader(folder / "s").frame_count() == 2);
}

TEST_CASE("options that make no sense are refused before anything is created") {
    const TemporaryFolder folder;
    const auto refused = [&](const StoreWriterOptions& options) {
        const auto code = error_of([&] { StoreWriter(folder / "s", options); });
        CHECK_FALSE(std::filesystem::exists(folder / "s"));
        return code == ErrorCode::invalid_argument;
    };
    CHECK(refused({.format = "h265/mp4"}));
    CHECK(refused({.format = "npy", .encoding = "cv_nonsense"}));
    CHECK(refused({.format = "npy", .chunk_frames = 0}));
    CHECK(refused({.format = "npy", .chunk_seconds = 0.0}));
    CHECK(refused({.format = "npy", .metadata = "[1, 2]"}));
    CHECK(refused({.format = "npy", .metadata = "__store: {}"}));
    CHECK(refused({.format = "npy", .metadata = "a: b: c"}));
    CHECK(refused({.format = "npy", .metadata = R"({"deep": )" + std::string(100, '[') + std::string(100, ']') + "}"}));
    CHECK(refused({.format = "npy", .time_zone = "Mars/Olympus"}));
    CHECK(refused({.format = "avc1/mp4", .codec = {{"bitrate", "5"}}}));
    CHECK(refused({.format = "avc1/mp4", .codec = {{"crf", "very good"}}}));
    CHECK(refused({.format = "avc1/mp4", .codec = {{"preset", "warp"}}}));
}

TEST_CASE("a type that the format cannot hold is refused with what could hold it") {
    const TemporaryFolder folder;
    std::string message;
    StoreWriter writer(folder / "s", {.format = "avc1/mp4"});
    CHECK(error_of(
              [&] {
                  writer.add(make_numbered_image({48, 64, 1, CV_16U}, 0), 0, 0.0);
              },
              &message) == ErrorCode::wrong_type);
    CHECK(message.find("npy") != std::string::npos);
}

TEST_CASE("chunks end by frames, seconds or bytes") {
    const TemporaryFolder folder;
    write_numbered_store(folder / "frames", {.format = "npy", .chunk_frames = 4}, gray_type(), 10);
    CHECK(StoreReader(folder / "frames").chunks() == std::vector<int64_t>{0, 1, 2});
    write_numbered_store(folder / "seconds", {.format = "npy", .chunk_seconds = 5 * kFixtureInterval - 0.001},
                         gray_type(), 10);
    CHECK(StoreReader(folder / "seconds").chunks() == std::vector<int64_t>{0, 1});
    write_numbered_store(folder / "bytes", {.format = "npy", .chunk_bytes = uint64_t{3} * 48 * 64}, gray_type(), 10);
    StoreReader store(folder / "bytes");
    CHECK(store.chunks().size() == 4);
    for (int i = 0; i < 10; ++i) CHECK(read_image_number(store.at_index(9 - i).image) == 9 - i);
}

TEST_CASE("a count that is a multiple of the chunk leaves no empty chunk behind") {
    const TemporaryFolder folder;
    write_numbered_store(folder / "s", {.format = "npy", .chunk_frames = 5}, gray_type(), 10);
    CHECK(StoreReader(folder / "s").chunks() == std::vector<int64_t>{0, 1});
    CHECK_FALSE(std::filesystem::exists(folder / "s" / "000002"));
}

TEST_CASE("an empty store closes and opens") {
    const TemporaryFolder folder;
    for (const char* format : {"npy", "png", "avc1/mp4"}) {
        const std::filesystem::path path = folder / std::string(format).substr(0, 3);
        StoreWriter(path, {.format = format, .metadata = "rig: 1"}).close();
        StoreReader store(path);
        CHECK(store.frame_count() == 0);
        CHECK_FALSE(store.next());
        CHECK(store.rows().empty());
        CHECK_FALSE(store.number_range());
        CHECK(store.user_metadata()["rig"] == 1);
        CHECK(store.closed());
        CHECK_FALSE(store.at_number(0));
        CHECK_FALSE(store.at_time(0, Match::nearest));
    }
    CHECK(std::filesystem::exists(folder / "npy" / "000000" / "index.npz"));
}

TEST_CASE("a second writer is refused while the first is at work") {
    const TemporaryFolder folder;
    StoreWriter writer(folder / "s", {.format = "npy"});
    writer.add(image(0), 0, 0.0);
    CHECK(std::filesystem::exists(folder / "s" / ".lock"));
    std::string message;
    CHECK(error_of([&] { StoreLock lock(folder / "s"); }, &message) == ErrorCode::locked);
    CHECK(message.find(std::to_string(getpid())) != std::string::npos);
    writer.close();
    CHECK_FALSE(std::filesystem::exists(folder / "s" / ".lock"));
}

TEST_CASE("committed frames can be read while the store is being written") {
    const TemporaryFolder folder;
    for (const char* format : {"npy", "mjpeg/avi", "avc1/mp4"}) {
        CAPTURE(format);
        const std::filesystem::path path = folder / std::string(format).substr(0, 4);
        StoreWriter writer(path, {.format = format, .chunk_frames = 40, .commit_interval = 0});
        for (int i = 0; i < 100; ++i) {
            writer.add(image(i), i, fixture_time(i));
            writer.add_extra_data({{"i", i}});
        }
        StoreReader store(path);
        CHECK_FALSE(store.closed());
        CHECK(store.frame_count() >= 80);
        for (int64_t i = store.frame_count() - 1; i >= 0; i -= 3)
            CHECK(read_image_number(store.at_index(i).image) == static_cast<int>(i));
        writer.close();
        CHECK(StoreReader(path).frame_count() == 100);
    }
}

TEST_CASE("extra data are tied to the last frame, live and in the chunk's file") {
    const TemporaryFolder folder;
    StoreWriter writer(folder / "s", {.format = "npy", .chunk_frames = 4});
    CHECK(error_of([&] { writer.add_extra_data({{"early", 1}}); }) == ErrorCode::invalid_argument);
    for (int i = 0; i < 10; ++i) {
        writer.add(image(i), 100 + i, fixture_time(i));
        if (i % 2 == 0)
            writer.add_extra_data({{"temperature", i + 0.5},
                                   {"label", "f" + std::to_string(i)},
                                   {"nested", {{"list", {1, 2, i}}}},
                                   {"text", "\u00e4\u2713"}});
    }
    writer.add_extra_data({{"second", true}});
    CHECK(error_of([&] { writer.add_extra_data({{"frame_time", 1}}); }) == ErrorCode::invalid_argument);
    CHECK(error_of([&] { writer.add_extra_data(Json::array({1, 2})); }) == ErrorCode::invalid_argument);
    CHECK(error_of([&] { writer.add_extra_data({{"text", "\xff\xfe"}}); }) == ErrorCode::invalid_argument);
    CHECK(error_of([&] {
              writer.add_extra_data({{"text", std::string(size_t{17} << 20, 'x')}});
          }) == ErrorCode::invalid_argument);
    Json deep = 1;
    for (int i = 0; i < 70; ++i) deep = Json::array({deep});
    CHECK(error_of([&] { writer.add_extra_data({{"deep", deep}}); }) == ErrorCode::invalid_argument);
    writer.close();

    StoreReader store(folder / "s");
    const auto check = [](const std::vector<ExtraRecord>& records) {
        REQUIRE(records.size() == 6);
        for (size_t i = 0; i < 5; ++i) {
            CHECK(records[i].frame_index == static_cast<int64_t>(2 * i));
            CHECK(records[i].data["temperature"] == 2.0 * static_cast<double>(i) + 0.5);
            CHECK(records[i].data["nested"]["list"][2] == 2 * i);
            CHECK(records[i].data["text"] == "\u00e4\u2713");
        }
        CHECK(records[5].frame_index == 9);
        CHECK(records[5].data == Json{{"second", true}});
    };
    check(store.all_extra_data());
    CHECK(std::filesystem::exists(folder / "s" / "000000" / "index.extra.json"));
    // The files alone say the same.
    std::filesystem::remove(folder / "s" / "index.sqlite");
    StoreReader files(folder / "s");
    CHECK(files.has_extra_data());
    check(files.all_extra_data());
    CHECK(files.warnings().empty());
}

TEST_CASE("extra data added after a chunk was completed are in its file too") {
    const TemporaryFolder folder;
    StoreWriter writer(folder / "s", {.format = "npy", .chunk_frames = 2});
    for (int i = 0; i < 4; ++i) {
        writer.add(image(i), i, fixture_time(i));
        writer.add_extra_data({{"i", i}});
    }
    writer.close();
    std::filesystem::remove(folder / "s" / "index.sqlite");
    const std::vector<ExtraRecord> records = StoreReader(folder / "s").all_extra_data();
    REQUIRE(records.size() == 4);
    for (size_t i = 0; i < 4; ++i) CHECK(records[i].data["i"] == i);
}

TEST_CASE("user metadata of any kind come back as they were given") {
    const TemporaryFolder folder;
    Json user;
    user["text"] = "M\u00fcller \u65e5\u672c\u8a9e \U0001F41F";
    user["looks like a number"] = "010";
    user["looks like a bool"] = "yes";
    user["looks like a date"] = "2026-11-20";
    user["lines"] = "first\nsecond: third # fourth\n";
    user["empty"] = "";
    user["nested"] = {{"list", {1, 2.5, nullptr, true, {{"deep", {{"deeper", {1}}}}}}}};
    user["large"] = std::string(200000, 'x');
    user["many"] = Json::array();
    for (int i = 0; i < 5000; ++i) user["many"].push_back(i);
    user["float"] = 1e22;
    user["small"] = 1e-7;
    user["big"] = std::numeric_limits<int64_t>::min();
    user["class"] = "named like a key of the store";
    write_numbered_store(folder / "s", {.format = "npy", .metadata = user.dump()}, gray_type(), 1);
    StoreReader store(folder / "s");
    for (const auto& [key, value] : user.items()) {
        CAPTURE(key);
        const bool same = store.user_metadata().at(key) == value;
        CHECK(same);
    }
    CHECK(store.user_metadata().size() == user.size());
}

TEST_CASE("numbers may repeat, go down and be any 64-bit value; times may repeat and go back") {
    const TemporaryFolder folder;
    const std::vector<int64_t> numbers = {
        5, 5, 4, std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::min(), 0, -1};
    const std::vector<double> times = {1, 1, 0.5, 1e300, -1e300, 5e-324, 2};
    StoreWriter writer(folder / "s", {.format = "npy", .chunk_frames = 3});
    for (size_t i = 0; i < numbers.size(); ++i) writer.add(image(static_cast<int>(i)), numbers[i], times[i]);
    writer.close();
    StoreReader store(folder / "s");
    for (size_t i = 0; i < numbers.size(); ++i) {
        CHECK(store.row(static_cast<int64_t>(i))->number == numbers[i]);
        CHECK(store.row(static_cast<int64_t>(i))->time == times[i]);
        const auto first = std::find(numbers.begin(), numbers.end(), numbers[i]) - numbers.begin();
        CHECK(store.at_number(numbers[i])->index == first);
    }
}

TEST_CASE("after a failed write the frames go to a new chunk, and an event says so") {
    const TemporaryFolder folder;
    StoreWriter writer(folder / "s", {.format = "npy", .chunk_frames = 100, .commit_interval = 0});
    for (int i = 0; i < 3; ++i) writer.add(image(i), i, fixture_time(i));
    // Something else takes the next frame's name.
    std::ofstream(folder / "s" / "000000" / "000003.npy") << "taken";
    for (int i = 3; i < 6; ++i) writer.add(image(i), i, fixture_time(i));
    CHECK(writer.stats().faults == 1);
    writer.close();
    StoreReader store(folder / "s");
    CHECK(store.frame_count() == 6);
    CHECK(store.closed());
    CHECK(store.chunks() == std::vector<int64_t>{0, 1});
    for (int i = 0; i < 6; ++i) CHECK(read_image_number(store.at_index(i).image) == i);
    std::vector<std::string> kinds;
    store.visit_events([&](const EventRow& event) {
        kinds.push_back(event.kind);
        if (event.kind == "fault") {
            CHECK(event.frame_index == 3);
            const Json data = Json::parse(event.data);
            CHECK(data.at("chunk") == 0);
            CHECK(data.at("code") == "already_exists");
            CHECK(data.at("frames_written_again") == 1);
        }
        return true;
    });
    CHECK(std::count(kinds.begin(), kinds.end(), "fault") == 1);
}

TEST_CASE("two faults without a commit between them end the recording; what was committed stays") {
    const TemporaryFolder folder;
    StoreWriter writer(folder / "s", {.format = "npy", .chunk_frames = 100, .commit_interval = 0});
    for (int i = 0; i < 3; ++i) writer.add(image(i), i, fixture_time(i));
    std::ofstream(folder / "s" / "000000" / "000003.npy") << "taken";
    std::ofstream(folder / "s" / "000001") << "taken";
    CHECK(error_of([&] { writer.add(image(3), 3, fixture_time(3)); }) == ErrorCode::already_exists);
    CHECK(error_of([&] { writer.add(image(4), 4, fixture_time(4)); }) == ErrorCode::already_exists);
    CHECK(error_of([&] { writer.close(); }) == ErrorCode::already_exists);
    CHECK_FALSE(error_of([&] { writer.close(); }));
    // What is not the writer's it leaves alone.
    CHECK(std::filesystem::file_size(folder / "s" / "000001") == 5);
    StoreReader store(folder / "s");
    CHECK(store.frame_count() == 3);
    CHECK_FALSE(store.closed());
    for (int i = 0; i < 3; ++i) CHECK(read_image_number(store.at_index(i).image) == i);
}
