#include "store/filed_extra_data.h"

#include <doctest/doctest.h>

#include <fstream>

#include "tests/store/store_fixture.h"
#include "tests/temporary_folder.h"

using namespace reelstore;

namespace {

namespace fs = std::filesystem;

constexpr int kFrames = 25;
constexpr int kChunk = 5;

/// A store without an index whose extra data files hold what is given, by chunk.
fs::path make_store(const fs::path& path, const std::vector<std::pair<int, std::string>>& files) {
    write_numbered_store(path, {.format = "npy", .chunk_frames = kChunk}, gray_type(), kFrames, 100);
    fs::remove(path / "index.sqlite");
    for (const auto& [chunk, text] : files)
        std::ofstream(path / StoreLayout::chunk_name(chunk) / "index.extra.json") << text;
    return path;
}

std::string record(int frame, int value) {
    return fmt::format(R"({{"value": {}, "frame_index": {}, "frame_number": {}, "frame_time": {}}})", value, frame,
                       frame + 100, fixture_time(frame));
}

/// Pairs of frame and value.
std::vector<std::pair<int64_t, int64_t>> values(const Recording& store, int64_t first, int64_t last) {
    std::vector<std::pair<int64_t, int64_t>> found;
    store.visit_extra_data(first, last, [&](const ExtraRecord& one) {
        CHECK(one.data.size() == 1);
        found.emplace_back(one.frame_index, one.data["value"].get<int64_t>());
        return true;
    });
    return found;
}

using Values = std::vector<std::pair<int64_t, int64_t>>;

}  // namespace

TEST_CASE("records in the files of other chunks come out with the frame they belong to") {
    const TemporaryFolder folder;
    const fs::path path =
        make_store(folder / "s",
                   {{0, "[" + record(3, 1) + ", " + record(1, 2) + ", " + record(17, 3) + "]"},
                    {2, "[" + record(10, 4) + ", " + record(3, 5) + ", " + record(12, 6) + ", " + record(3, 7) + "]"},
                    {4, "[" + record(12, 8) + ", " + record(24, 9) + "]"}});
    const Values all = {{1, 2}, {3, 1}, {3, 5}, {3, 7}, {10, 4}, {12, 6}, {12, 8}, {17, 3}, {24, 9}};
    StoreReader store(path);
    CHECK(store.has_extra_data());
    CHECK(values(store, 0, kFrames) == all);
    CHECK(values(store, -1, 1000) == all);
    for (int64_t first = 0; first < kFrames; ++first) {
        for (int64_t last = first; last <= kFrames; ++last) {
            Values expected;
            for (const auto& one : all) {
                if (one.first >= first && one.first < last) expected.push_back(one);
            }
            CHECK(values(store, first, last) == expected);
        }
    }
    CHECK(store.extra_data_of(3).size() == 3);
    CHECK(store.extra_data_of(12).size() == 2);
    CHECK(store.extra_data_of(0).empty());
    CHECK_FALSE(store.incomplete());
}

TEST_CASE("a visitor may ask for the extra data of other frames, and stop") {
    const TemporaryFolder folder;
    const fs::path path =
        make_store(folder / "s", {{0, "[" + record(1, 1) + ", " + record(2, 2) + "]"}, {3, "[" + record(16, 3) + "]"}});
    StoreReader store(path);
    std::vector<int64_t> seen;
    store.visit_extra_data(0, kFrames, [&](const ExtraRecord& one) {
        CHECK(store.extra_data_of(16).size() == 1);
        seen.push_back(one.data["value"].get<int64_t>());
        return true;
    });
    CHECK(seen == std::vector<int64_t>{1, 2, 3});
    int visits = 0;
    store.visit_extra_data(0, kFrames, [&](const ExtraRecord&) { return ++visits < 2; });
    CHECK(visits == 2);
}

TEST_CASE("damaged files and records without a frame are said once, whatever is read how often") {
    const TemporaryFolder folder;
    const fs::path path = make_store(folder / "s", {{0, "nothing readable"},
                                                    {1, "[" + record(6, 1) + ", " + record(6, 2).substr(0, 20)},
                                                    {3, "[" + record(77, 3) + ", " + record(15, 4) + "]"}});
    StoreReader store(path);
    for (int round = 0; round < 3; ++round) CHECK(values(store, 0, kFrames) == Values{{6, 1}, {15, 4}});
    CHECK(store.incomplete());
    CHECK(store.warnings().size() == 3);
    // The same when only the sound part is asked for: which records are damaged is not known before.
    StoreReader part(path);
    CHECK(values(part, 15, 16) == Values{{15, 4}});
    CHECK(part.incomplete());
    CHECK(part.warnings().size() == 3);
}
