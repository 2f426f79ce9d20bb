#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <random>

#include "store/frame_index.h"
#include "tests/process_use.h"
#include "tests/sanitized.h"
#include "tests/temporary_folder.h"

using namespace reelstore;

namespace {

constexpr char kUuid[] = "0123456789abcdef0123456789abcdef";
constexpr int64_t kChunkFrames = 10000;
constexpr int64_t kChunks = kSanitized ? 100 : 1000;
constexpr int64_t kFrames = kChunks * kChunkFrames;
/// log2 of a chunk's frames, and as many rows again as a lookup may look at beside its search.
constexpr int64_t kMostRows = 14 + 4;
/// One a level of groups, the chunk, and what is read to check them.
constexpr int64_t kMostSummaries = 8;

/// One of ten numbers is missing.
int64_t number_of(int64_t index) {
    return 1000 + index + index / 9;
}

/// In 128ths of a second, so that the middle between two times can be asked for exactly.
double time_of(int64_t index) {
    return 1700000000 + static_cast<double>(number_of(index)) / 128;
}

VideoStream stream() {
    VideoStream stream;
    stream.codec = "h264";
    stream.width = 1280;
    stream.height = 1024;
    stream.pixel_format = "gray";
    stream.time_base_den = 12800;
    stream.frame_rate = 100;
    stream.extradata = std::vector<uint8_t>(43, 1);
    return stream;
}

/// Frames as a writer of H.264 gives them.
std::vector<NewFrame> frames_of_chunk(int64_t chunk) {
    std::vector<NewFrame> frames(kChunkFrames);
    uint64_t offset = 48;
    for (int64_t position = 0; position < kChunkFrames; ++position) {
        const int64_t index = chunk * kChunkFrames + position;
        Packet packet;
        packet.key = position % 15 == 0;
        packet.offset = offset;
        packet.size = static_cast<uint32_t>((packet.key ? 60000 : 8000) + index * 7919 % 4096);
        packet.pts = position * 128;
        packet.checksum = static_cast<uint32_t>(index) * 2654435761u;
        offset += packet.size;
        NewFrame& frame = frames[static_cast<size_t>(position)];
        frame.number = number_of(index);
        frame.time = time_of(index);
        frame.stored.position = position;
        frame.stored.bytes = packet.size;
        frame.stored.decode_position = position;
        frame.stored.packet = packet;
    }
    return frames;
}

std::filesystem::path make_index(const std::filesystem::path& path, int64_t chunks) {
    const auto index = FrameIndex::create(path, kUuid);
    constexpr int64_t kChunksInCommit = 10;
    for (int64_t begin = 0; begin < chunks; begin += kChunksInCommit) {
        Transaction transaction(index->database());
        for (int64_t chunk = begin; chunk < std::min(chunks, begin + kChunksInCommit); ++chunk) {
            index->add_chunk(chunk, false);
            index->set_stream(stream());
            index->add_frames(frames_of_chunk(chunk));
            index->close_chunk(chunk);
        }
        if (begin + kChunksInCommit >= chunks) index->set_closed(true);
        transaction.commit();
    }
    return path;
}

/// Made once for all cases.
const std::filesystem::path& large_index() {
    static const TemporaryFolder folder;
    static const std::filesystem::path path = make_index(folder / "large.sqlite", kChunks);
    return path;
}

/// Memory in use, without mapped files.
int64_t resident_bytes() {
    std::ifstream file("/proc/self/statm");
    int64_t size = 0;
    int64_t resident = 0;
    int64_t shared = 0;
    file >> size >> resident >> shared;
    return (resident - shared) * ::sysconf(_SC_PAGESIZE);
}

bool is_frame(const std::optional<FrameRow>& row, int64_t index) {
    return row && row->index == index && row->number == number_of(index) && row->time == time_of(index) &&
           row->chunk == index / kChunkFrames && row->position == index % kChunkFrames;
}

/// The most that one lookup has read.
class Watched {
public:
    explicit Watched(const FrameIndex& index) : index_(index), before_(index.counters()) {}

    /// Call it after every lookup.
    void note() {
        const LookupCounters now = index_.counters();
        rows = std::max(rows, now.rows_read - before_.rows_read);
        summaries = std::max(summaries, now.summaries_read - before_.summaries_read);
        before_ = now;
    }

    int64_t rows = 0;
    int64_t summaries = 0;

private:
    const FrameIndex& index_;
    LookupCounters before_;
};

}  // namespace

TEST_SUITE_BEGIN("large");

TEST_CASE("among millions of frames every lookup is exact and reads a few rows") {
    const auto index = FrameIndex::open(large_index(), kUuid);
    REQUIRE(index->frame_count() == kFrames);
    REQUIRE(index->chunk_count() == kChunks);
    Watched watched(*index);
    std::mt19937_64 random(1);
    std::uniform_int_distribution<int64_t> any(0, kFrames - 1);
    constexpr int kLookups = 3000;
    int64_t wrong = 0;
    const auto check = [&](const std::optional<FrameRow>& row, int64_t right) {
        if (!is_frame(row, right)) ++wrong;
        watched.note();
    };
    for (int i = 0; i < kLookups; ++i) {
        const int64_t frame = any(random);
        const int64_t number = number_of(frame);
        const double time = time_of(frame);
        check(index->row(frame), frame);
        for (const Match match : {Match::exact, Match::nearest, Match::previous, Match::next}) {
            check(index->find_number(number, match), frame);
            check(index->find_time(time, match), frame);
        }

        // The missing number before a frame lies in the middle between two: the lower index counts.
        const int64_t behind = (frame / 9 + 1) * 9;
        if (behind >= kFrames) continue;
        const int64_t missing = number_of(behind) - 1;
        if (index->find_number(missing, Match::exact)) ++wrong;
        watched.note();
        check(index->find_number(missing, Match::nearest), behind - 1);
        check(index->find_number(missing, Match::previous), behind - 1);
        check(index->find_number(missing, Match::next), behind);
        const double gap = time_of(behind) - time_of(behind - 1);
        check(index->find_time(time_of(behind) - 0.25 * gap, Match::nearest), behind);
        check(index->find_time(time_of(behind) - 0.5 * gap, Match::nearest), behind - 1);
        check(index->find_time(time_of(behind) - 0.25 * gap, Match::previous), behind - 1);
        check(index->find_time(time_of(behind) - 0.75 * gap, Match::next), behind);
    }
    CHECK(wrong == 0);
    CHECK(watched.rows <= kMostRows);
    CHECK(watched.summaries <= kMostSummaries);
}

TEST_CASE("among millions of frames what lies outside is found at the ends") {
    const auto index = FrameIndex::open(large_index(), kUuid);
    Watched watched(*index);
    CHECK_FALSE(index->row(-1));
    CHECK_FALSE(index->row(kFrames));
    const int64_t behind = number_of(kFrames - 1) + 5;
    CHECK_FALSE(index->find_number(behind, Match::exact));
    CHECK_FALSE(index->find_number(behind, Match::next));
    CHECK(is_frame(index->find_number(behind, Match::nearest), kFrames - 1));
    CHECK(is_frame(index->find_number(behind, Match::previous), kFrames - 1));
    CHECK_FALSE(index->find_time(0, Match::previous));
    CHECK(is_frame(index->find_time(0, Match::nearest), 0));
    CHECK(is_frame(index->find_time(0, Match::next), 0));
    CHECK(index->number_range() == std::pair(number_of(0), number_of(kFrames - 1)));
    CHECK(index->time_range() == std::pair(time_of(0), time_of(kFrames - 1)));
    watched.note();
    CHECK(watched.rows <= 10 * kMostRows);
    CHECK(watched.summaries <= 10 * kMostSummaries);
}

TEST_CASE("opening reads as much of a large index as of a small one, and so does a first lookup") {
    const TemporaryFolder folder;
    const std::filesystem::path small = make_index(folder / "small.sqlite", 4);
    const auto opening = [](const std::filesystem::path& path, int64_t lookup) {
        const int64_t before = bytes_read();
        const auto index = FrameIndex::open(path, kUuid);
        const int64_t opened = bytes_read();
        CHECK(index->counters().rows_read <= kMostRows);
        CHECK(index->counters().summaries_read <= kMostSummaries);
        CHECK(is_frame(index->find_number(number_of(lookup), Match::exact), lookup));
        return std::pair(opened - before, bytes_read() - opened);
    };
    const auto [small_opening, small_lookup] = opening(small, 2 * kChunkFrames + 77);
    const auto [large_opening, large_lookup] = opening(large_index(), kFrames / 2 + 77);
    // Some pages: trees of more rows are deeper, and their groups are fuller.
    constexpr int64_t kPages = 40 * 4096;
    CHECK(large_opening <= small_opening + kPages);
    CHECK(large_lookup <= small_lookup + kPages);
}

TEST_CASE("ranges among millions of frames") {
    const auto index = FrameIndex::open(large_index(), kUuid);
    // Over the borders of chunks.
    const int64_t first = kFrames / 2 - kChunkFrames - 5;
    const int64_t last = kFrames / 2 + kChunkFrames + 5;
    Watched watched(*index);
    CHECK(index->runs_of_numbers(number_of(first), number_of(last - 1)) == std::vector<IndexRun>{{first, last}});
    CHECK(index->runs_of_times(time_of(first), time_of(last - 1)) == std::vector<IndexRun>{{first, last}});
    watched.note();
    CHECK(watched.rows <= 4 * kMostRows);

    int64_t expected = first;
    int64_t wrong = 0;
    index->visit_rows(first, last, [&](const FrameRow& row) {
        if (!is_frame(row, expected++)) ++wrong;
        return true;
    });
    CHECK(expected == last);
    CHECK(wrong == 0);
    int64_t visited = 0;
    index->visit_rows(first, kFrames, [&](const FrameRow&) { return ++visited < 10; });
    CHECK(visited == 10);
    watched.note();
    // One row and what is read ahead of it, not the rest of the recording.
    CHECK(watched.rows <= 3 * kChunkFrames + 20);
}

TEST_CASE("an index of video has at most 45 bytes a frame") {
    CHECK(std::filesystem::file_size(large_index()) <= 45 * kFrames);
}

TEST_CASE("the packets of a frame among millions are those of its surroundings") {
    const auto index = FrameIndex::open(large_index(), kUuid);
    const int64_t chunk = kChunks / 2;
    const auto table = index->packet_table(chunk, 5000);
    REQUIRE(table);
    CHECK(table->frame_count() < kChunkFrames / 4);
    const std::vector<NewFrame> frames = frames_of_chunk(chunk);
    CHECK(table->packet_of(5000 - table->first_position) == *frames[5000].stored.packet);
    CHECK(table->packets.front().key);
}

TEST_CASE("lookups among millions of frames and a walk through them take no memory") {
    const auto index = FrameIndex::open(large_index(), kUuid);
    const auto look_up = [&](int count) {
        std::mt19937_64 random(static_cast<uint64_t>(count));
        std::uniform_int_distribution<int64_t> any(0, kFrames - 1);
        int64_t wrong = 0;
        for (int i = 0; i < count; ++i) {
            const int64_t frame = any(random);
            if (!is_frame(index->find_number(number_of(frame), Match::exact), frame)) ++wrong;
            if (!is_frame(index->find_time(time_of(frame), Match::nearest), frame)) ++wrong;
        }
        CHECK(wrong == 0);
    };
    look_up(1000);
    const int64_t before = resident_bytes();
    look_up(10000);
    int64_t rows = 0;
    index->visit_rows(0, kFrames, [&](const FrameRow&) { return ++rows < 2000000; });
    int64_t chunks = 0;
    index->visit_chunks([&](const ChunkRow&) {
        ++chunks;
        return true;
    });
    CHECK(rows == std::min<int64_t>(kFrames, 2000000));
    CHECK(chunks == kChunks);
    // A sanitizer keeps what is freed.
    constexpr int64_t kMostGrowth = 16 << 20;
    if (!kSanitized) CHECK(resident_bytes() - before <= kMostGrowth);
}

TEST_SUITE_END();
