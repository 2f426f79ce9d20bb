#include <doctest/doctest.h>

#include <memory>
#include <string>

#include <fmt/format.h>

#include "base/file_system.h"
#include "store/align.h"
#include "store/frame_index.h"
#include "store/metadata.h"
#include "store/repair.h"
#include "store/selected_frames.h"
#include "store/store_contents.h"
#include "store/store_reader.h"
#include "store/verify.h"
#include "tests/process_use.h"
#include "tests/sanitized.h"
#include "tests/temporary_folder.h"

using namespace reelstore;

namespace {

namespace fs = std::filesystem;

constexpr char kUuid[] = "0123456789abcdef0123456789abcdef";
constexpr int64_t kChunkFrames = 10000;
constexpr int64_t kChunks = kSanitized ? 10 : 200;
constexpr int64_t kFrames = kChunks * kChunkFrames;
constexpr int64_t kMegabyte = 1 << 20;

double time_of(int64_t index) {
    return 1700000000 + static_cast<double>(index) / 128;
}

/// A closed store of frames without pixels: every other one has a record of extra data.
void make_store(const fs::path& folder, const std::function<int64_t(int64_t)>& number, bool extra_data) {
    StoreMetadata metadata;
    metadata.class_name = "VideoImgStore";
    metadata.format = "mjpeg/avi";
    metadata.extension = ".avi";
    metadata.kind = ChunkKind::file;
    metadata.stored_type = metadata.recorded_type = {.height = 48, .width = 64};
    metadata.chunk_frames = kChunkFrames;
    metadata.created = time_of(0);
    metadata.time_zone = "Etc/UTC";
    metadata.uuid = kUuid;
    metadata.writer = "reelstore";
    fs::create_directories(folder);
    std::ofstream(StoreLayout::metadata(folder)) << metadata_text(metadata);
    const StoreLayout layout(folder, ChunkKind::file, ".avi");
    const auto index = FrameIndex::create(StoreLayout::index(folder), kUuid);
    for (int64_t chunk = 0; chunk < kChunks; ++chunk) {
        Transaction transaction(index->database());
        index->add_chunk(chunk, false);
        std::vector<NewFrame> frames(kChunkFrames);
        for (int64_t position = 0; position < kChunkFrames; ++position) {
            const int64_t frame = chunk * kChunkFrames + position;
            NewFrame& one = frames[static_cast<size_t>(position)];
            one.number = number(frame);
            one.time = time_of(frame);
            one.stored.position = one.stored.decode_position = position;
            if (extra_data && frame % 2 == 0) index->add_extra_data(frame, fmt::format("{{\"value\":{}}}", frame));
        }
        index->add_frames(frames);
        std::ofstream(layout.media(chunk)).close();
        complete_chunk_files(*index, layout, metadata, chunk);
        record_complete_chunk(*index, layout, chunk);
        transaction.commit();
    }
    index->set_closed(true);
}

int64_t ascending(int64_t index) {
    return 5000 + index;
}

/// Made once for all cases; one with ascending numbers and extra data, one with numbers of 16 bits.
const fs::path& long_store() {
    static const TemporaryFolder folder;
    static const fs::path path = [&] {
        make_store(folder / "s", ascending, true);
        return folder / "s";
    }();
    return path;
}
const fs::path& wrapping_store() {
    static const TemporaryFolder folder;
    static const fs::path path = [&] {
        make_store(
            folder / "s", [](int64_t index) { return index % 65536; }, false);
        return folder / "s";
    }();
    return path;
}

}  // namespace

TEST_SUITE_BEGIN("large");

TEST_CASE("the rows of a long recording pass by without staying in memory") {
    const fs::path& path = long_store();
    const MemoryGrowth growth;
    const StoreReader store(path);
    REQUIRE(store.frame_count() == kFrames);
    int64_t expected = 0;
    int64_t wrong = 0;
    store.visit_rows(0, kFrames, [&](const FrameRow& row) {
        if (row.index != expected || row.number != ascending(expected) || row.time != time_of(expected)) ++wrong;
        ++expected;
        return true;
    });
    CHECK(expected == kFrames);
    CHECK(wrong == 0);
    check_growth(growth, 40);
}

TEST_CASE("a million records of extra data pass by without staying in memory") {
    const fs::path& path = long_store();
    const MemoryGrowth growth;
    const StoreReader store(path);
    int64_t expected = 0;
    int64_t wrong = 0;
    visit_extra_data(store, {{{0, kFrames}}}, [&](const ExtraRecord& record, const FrameRow& row) {
        if (record.frame_index != expected || record.data["value"] != expected || row.number != ascending(expected))
            ++wrong;
        expected += 2;
        return true;
    });
    CHECK(expected == kFrames);
    CHECK(wrong == 0);
    check_growth(growth, 40);
}

TEST_CASE("of a million records those of some frames are read, and no others") {
    const auto index = FrameIndex::open(StoreLayout::index(long_store()), kUuid);
    const int64_t first = kFrames / 2 - 51;
    const int64_t last = first + 100;
    const LookupCounters before = index->counters();
    const std::vector<IndexRun> by_number = index->runs_of_numbers(ascending(first), ascending(last - 1));
    CHECK(by_number == std::vector<IndexRun>{{first, last}});
    CHECK(index->runs_of_times(time_of(first), time_of(last - 1)) == by_number);
    // Two ends of two ranges: log2 of a chunk's frames and a few each.
    CHECK(index->counters().rows_read - before.rows_read <= 4 * 18);
    int64_t records = 0;
    index->visit_extra_data(first, last, [&](const ExtraDataRow&) { return ++records > 0; });
    CHECK(records == 50);
    CHECK(index->counters().records_read == records);

    // The same through a reader: it reads some pages.
    const StoreReader store(long_store());
    const int64_t opened = bytes_read();
    std::vector<int64_t> frames;
    visit_extra_data(store, frames_with_numbers(store, ascending(first), ascending(last)),
                     [&](const ExtraRecord& record, const FrameRow& row) {
                         CHECK(row.number == ascending(record.frame_index));
                         frames.push_back(record.frame_index);
                         return true;
                     });
    CHECK(frames.size() == 50);
    CHECK(frames.front() == first + first % 2);
    visit_extra_data(store, frames_with_times(store, time_of(first), time_of(last)),
                     [&](const ExtraRecord& record, const FrameRow&) {
                         frames.push_back(record.frame_index);
                         return true;
                     });
    CHECK(frames.size() == 100);
    CHECK(bytes_read() - opened <= 2 * kMegabyte);
}

TEST_CASE("numbers that wrap select in every round, and the rows outside are not read") {
    const auto index = FrameIndex::open(StoreLayout::index(wrapping_store()), kUuid);
    const StoreReader store(wrapping_store());
    int64_t rows = 0;
    visit_rows(store, frames_with_numbers(store, 100, 110), [&](const FrameRow& row) {
        CHECK(row.index % 65536 == row.number);
        CHECK((row.number >= 100 && row.number < 110));
        ++rows;
        return true;
    });
    CHECK(rows == (kFrames + 65535) / 65536 * 10);
    // A chunk in which they wrap is looked at whole, and there is one in six or seven.
    int64_t candidates = 0;
    for (const IndexRun& run : index->runs_of_numbers(30000, 30009)) candidates += run.last - run.first;
    CHECK(candidates <= kFrames / 4);
    CHECK(index->counters().rows_read <= kFrames / 4);
}

TEST_CASE("two long recordings are aligned by number without holding their rows") {
    StoreReader one(long_store());
    StoreReader other(long_store());
    StoreReader wrapping(wrapping_store());
    const auto align = [](std::vector<Recording*> stores, int64_t least, int64_t most) {
        const MemoryGrowth growth;
        StoreAligner aligner(std::move(stores));
        int64_t rows = 0;
        int64_t wrong = 0;
        int64_t last = std::numeric_limits<int64_t>::min();
        while (const std::optional<AlignedRow> row = aligner.next_row()) {
            if (row->number <= last || row->frames[0]->number != row->number || row->frames[1]->number != row->number)
                ++wrong;
            last = row->number;
            ++rows;
        }
        CHECK(rows >= least);
        CHECK(rows <= most);
        CHECK(wrong == 0);
        check_growth(growth, 40);
    };
    align({&one, &other}, kFrames, kFrames);
    // Of repeated numbers the first counts; the other begins at 5000.
    align({&one, &wrapping}, 65536 - 5000, 65536 - 5000);
}

TEST_CASE("a long store is verified, and its repair planned, without holding its rows or records") {
    const fs::path& path = long_store();
    for (const VerifyLevel level : {VerifyLevel::presence, VerifyLevel::size}) {
        const MemoryGrowth growth;
        const VerifyReport report = verify(path, level);
        CHECK(report.findings.empty());
        CHECK(report.frame_count == kFrames);
        CHECK(report.chunk_count == kChunks);
        check_growth(growth, 40);
    }
    const MemoryGrowth growth;
    const RepairPlan plan = plan_repair(path, {});
    CHECK(plan.actions.empty());
    CHECK(plan.problems.empty());
    check_growth(growth, 40);
}

TEST_CASE("the extra data of a long store without an index are read chunk by chunk") {
    const TemporaryFolder folder;
    const fs::path path = folder / "s";
    fs::copy(long_store(), path);
    fs::remove(StoreLayout::index(path));
    const MemoryGrowth growth;
    const StoreReader store(path);
    REQUIRE(store.frame_count() == kFrames);
    int64_t expected = 0;
    int64_t wrong = 0;
    store.visit_extra_data(0, kFrames, [&](const ExtraRecord& record) {
        if (record.frame_index != expected || record.data.size() != 1 || record.data["value"] != expected) ++wrong;
        expected += 2;
        return true;
    });
    CHECK(expected == kFrames);
    CHECK(wrong == 0);
    CHECK_FALSE(store.incomplete());
    // Numbers and times of the chunks read last are kept: 32 MB.
    check_growth(growth, 80);
}

TEST_SUITE_END();
