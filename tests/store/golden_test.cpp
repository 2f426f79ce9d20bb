#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "base/json.h"
#include "base/numbered_frames.h"
#include "codecs/pixel_hash.h"
#include "store/maintenance.h"
#include "store/store_reader.h"
#include "tests/temporary_folder.h"
#include "tests/test_data.h"

using namespace reelstore;

namespace {

const std::filesystem::path kGolden = test_data() / "golden" / "imgstore-0.4.0";

std::vector<std::string> golden_names() {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(kGolden)) {
        if (entry.is_directory()) names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
}

Json expectation(const std::string& name) {
    std::ifstream file(kGolden / (name + ".expect.json"));
    return Json::parse(file);
}

void check_pixels(const Frame& frame, const Json& expected) {
    if (expected.contains("sha256_16_of_pixels")) {
        CHECK(pixel_sha256(frame.image).substr(0, 16) ==
              expected["sha256_16_of_pixels"][static_cast<size_t>(frame.index)].get<std::string>());
    }
    // Bayer decoding smears bars that are narrower than its neighbourhood, so there the hash alone decides.
    if (expected["name"] != "npy-bayer") CHECK(read_image_number(frame.image) == static_cast<int>(frame.index));
}

void check_facts(const StoreReader& store, const Json& expected) {
    CHECK(store.frame_count() == expected["frame_count"]);
    CHECK(Json(store.chunks()) == expected["chunks"]);
    CHECK(Json(store.image_type().shape()) == expected["image_shape"]);
    CHECK(store.metadata().format == expected["format"]);
    CHECK(store.metadata().chunk_frames == expected["chunksize"]);
    CHECK(store.metadata().uuid == expected["uuid"]);
    CHECK(store.metadata().user == expected["user_metadata"]);
    CHECK(store.lossless() == expected["lossless"]);
    CHECK(store.closed());
    if (expected["frame_min"].is_null()) {
        CHECK_FALSE(store.number_range());
    } else {
        CHECK(store.number_range()->first == expected["frame_min"]);
        CHECK(store.number_range()->second == expected["frame_max"]);
    }
}

void check_rows(const StoreReader& store, const Json& expected) {
    const std::vector<FrameRow> rows = store.rows();
    REQUIRE(rows.size() == expected["frame_numbers"].size());
    for (size_t i = 0; i < rows.size(); ++i) {
        CHECK(rows[i].index == static_cast<int64_t>(i));
        CHECK(rows[i].number == expected["frame_numbers"][i]);
        CHECK(rows[i].time == expected["frame_times"][i].get<double>());
    }
}

void check_frames(StoreReader& store, const Json& expected) {
    const Json& numbers = expected["frame_numbers"];
    std::vector<int64_t> order;
    for (int64_t i = 0; i < store.frame_count(); ++i) order.push_back(i);
    for (const int64_t i : order) {
        const std::optional<Frame> frame = store.next();
        REQUIRE(frame);
        CHECK(frame->index == i);
        check_pixels(*frame, expected);
    }
    CHECK_FALSE(store.next());
    std::mt19937 random(7);
    std::shuffle(order.begin(), order.end(), random);
    for (const int64_t i : order) {
        check_pixels(store.at_index(i), expected);
        const Json& number = numbers[static_cast<size_t>(i)];
        const std::optional<Frame> by_number = store.at_number(number);
        REQUIRE(by_number);
        // Of repeated numbers the first counts.
        CHECK(by_number->index == std::find(numbers.begin(), numbers.end(), number) - numbers.begin());
        check_pixels(*by_number, expected);
        const std::optional<Frame> by_time =
            store.at_time(expected["frame_times"][static_cast<size_t>(i)], Match::exact);
        REQUIRE(by_time);
        check_pixels(*by_time, expected);
    }
}

void check_extra_data(const StoreReader& store, const Json& expected) {
    CHECK(store.has_extra_data() == expected.contains("extra_data"));
    const std::vector<ExtraRecord> records = store.all_extra_data();
    if (!expected.contains("extra_data")) {
        CHECK(records.empty());
        return;
    }
    REQUIRE(records.size() == expected["extra_data"].size());
    for (size_t i = 0; i < records.size(); ++i) {
        Json record = expected["extra_data"][i];
        CHECK(records[i].frame_index == record["frame_index"]);
        const std::optional<FrameRow> row = store.row(records[i].frame_index);
        CHECK(row->number == record["frame_number"]);
        CHECK(row->time == record["frame_time"].get<double>());
        for (const char* key : {"frame_index", "frame_number", "frame_time"}) record.erase(key);
        for (const auto& [key, value] : record.items()) CHECK(records[i].data.at(key) == value);
        CHECK(records[i].data.size() == record.size());
    }
}

void check_store(StoreReader& store, const Json& expected) {
    check_facts(store, expected);
    check_rows(store, expected);
    check_frames(store, expected);
    check_extra_data(store, expected);
}

}  // namespace

TEST_CASE("stores written by imgstore say what imgstore says") {
    const std::vector<std::string> names = golden_names();
    REQUIRE(names.size() == 26);
    for (const std::string& name : names) {
        CAPTURE(name);
        StoreReader store(kGolden / name);
        check_store(store, expectation(name));
        CHECK(store.warnings().empty());
    }
}

TEST_CASE("stores written by imgstore say the same once they have an index") {
    const TemporaryFolder folder;
    for (const std::string& name : golden_names()) {
        CAPTURE(name);
        std::filesystem::copy(kGolden / name, folder / name, std::filesystem::copy_options::recursive);
        const IndexResult result = build_index(folder / name);
        CHECK(result.warnings.empty());
        StoreReader store(folder / name);
        check_store(store, expectation(name));
        // The packet tables are in the index, so that no chunk is searched for them.
        CHECK(store.counters().demux_scans == 0);
    }
}

TEST_CASE("the raw mosaic of a store with an encoding can be had") {
    StoreReader store(kGolden / "npy-bayer", {.decode = false});
    CHECK(store.image_type() == ImageType{48, 64, 1, CV_8U});
    for (int64_t i = 0; i < store.frame_count(); ++i)
        CHECK(read_image_number(store.at_index(i).image) == static_cast<int>(i));
}
