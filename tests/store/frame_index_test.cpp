#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>

#include "base/error.h"
#include "store/frame_index.h"
#include "store/loaded_table.h"
#include "tests/store/store_fixture.h"
#include "tests/temporary_folder.h"

using namespace reelstore;

namespace {

constexpr int64_t kHighest = std::numeric_limits<int64_t>::max();
/// So that some chunks share a group of the index's and others do not.
constexpr int64_t kChunkStep = 11;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// An index with these frames in chunks of `chunk_frames`, whose numbers lie apart so that there are many groups.
std::unique_ptr<FrameIndex> index_of(const TemporaryFolder& folder, const std::vector<int64_t>& numbers,
                                     const std::vector<double>& times, size_t chunk_frames) {
    auto index = FrameIndex::create(folder / "index.sqlite", "uuid");
    Transaction transaction(index->database());
    for (size_t begin = 0; begin < numbers.size(); begin += chunk_frames) {
        index->add_chunk(static_cast<int64_t>(begin / chunk_frames) * kChunkStep, true);
        std::vector<NewFrame> frames;
        for (size_t i = begin; i < std::min(begin + chunk_frames, numbers.size()); ++i)
            frames.push_back({numbers[i], times[i], {}});
        index->add_frames(frames);
    }
    transaction.commit();
    return index;
}

/// True when `a` is nearer to `target` than `b`; exact where both lie on the same side of it.
template <typename Value>
bool nearer(Value a, Value b, Value target) {
    if (a <= target && b <= target) return a > b;
    if (a >= target && b >= target) return a < b;
    const auto distance = [&](Value value) {
        return std::abs(static_cast<long double>(value) - static_cast<long double>(target));
    };
    return distance(a) < distance(b);
}

/// What a lookup must give, found by looking at everything.
template <typename Value>
std::optional<int64_t> expected(const std::vector<Value>& values, Value target, Match match) {
    std::optional<size_t> best;
    for (size_t i = 0; i < values.size(); ++i) {
        if (std::isnan(static_cast<double>(values[i]))) continue;
        const bool fits = match == Match::nearest || (match == Match::exact && values[i] == target) ||
                          (match == Match::previous && values[i] <= target) ||
                          (match == Match::next && values[i] >= target);
        if (fits && (!best || nearer(values[i], values[*best], target))) best = i;
    }
    if (!best) return std::nullopt;
    return static_cast<int64_t>(*best);
}

std::optional<int64_t> index_number(const std::optional<FrameRow>& row) {
    if (!row) return std::nullopt;
    return row->index;
}

constexpr std::array kMatches = {Match::exact, Match::nearest, Match::previous, Match::next};

/// The same as a table whose rows are loaded when they are wanted.
LoadedTable loaded_table_of(const std::vector<int64_t>& numbers, const std::vector<double>& times,
                            size_t chunk_frames) {
    std::vector<ChunkRow> chunks;
    std::vector<ChunkSidecar> rows;
    for (size_t begin = 0; begin < numbers.size(); begin += chunk_frames) {
        const size_t end = std::min(begin + chunk_frames, numbers.size());
        const auto part = [&](const auto& all) {
            return std::vector(all.begin() + static_cast<std::ptrdiff_t>(begin),
                               all.begin() + static_cast<std::ptrdiff_t>(end));
        };
        rows.push_back({part(numbers), part(times), {}});
        chunks.push_back(summary_of(static_cast<int64_t>(chunks.size()), rows.back()));
    }
    return LoadedTable("memory", chunks,
                       [rows](const ChunkRow& chunk) { return rows[static_cast<size_t>(chunk.chunk)]; });
}

template <typename Value>
void check_runs(const std::vector<IndexRun>& runs, const std::vector<Value>& values, Value low, Value high,
                bool ascending) {
    std::vector<bool> in_run(values.size(), false);
    int64_t last = -1;
    for (const IndexRun& run : runs) {
        REQUIRE(run.first > last);
        REQUIRE(run.last > run.first);
        last = run.last;
        for (int64_t i = run.first; i < run.last; ++i) in_run[static_cast<size_t>(i)] = true;
    }
    for (size_t i = 0; i < values.size(); ++i) {
        const bool wanted = values[i] >= low && values[i] <= high;
        if (wanted != in_run[i] && (wanted || ascending)) FAIL("frame " << i << " from " << low << " to " << high);
    }
}

void check_table(const FrameTable& table, const std::vector<int64_t>& numbers, const std::vector<double>& times,
                 size_t chunk_frames) {
    const auto* index = &table;
    REQUIRE(index->frame_count() == static_cast<int64_t>(numbers.size()));
    const bool numbers_ascend = std::is_sorted(numbers.begin(), numbers.end());
    CHECK(index->numbers_ascend() == numbers_ascend);
    for (const int64_t low : numbers) {
        for (const int64_t high : {low, numbers.back(), low < kHighest - 5 ? low + 5 : low})
            check_runs(index->runs_of_numbers(low, high), numbers, low, high, numbers_ascend);
    }
    const bool times_ascend = std::none_of(times.begin(), times.end(), [](double time) { return std::isnan(time); }) &&
                              std::is_sorted(times.begin(), times.end());
    CHECK(index->times_ascend() == times_ascend);
    for (const double low : times) {
        if (!std::isnan(low)) check_runs(index->runs_of_times(low, low + 0.7), times, low, low + 0.7, times_ascend);
    }
    std::vector<int64_t> targets = numbers;
    for (const int64_t number : numbers) {
        if (number > std::numeric_limits<int64_t>::min()) targets.push_back(number - 1);
        if (number < std::numeric_limits<int64_t>::max()) targets.push_back(number + 1);
    }
    targets.insert(targets.end(), {0, std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::min()});
    for (const int64_t target : targets) {
        for (const Match match : kMatches) {
            const bool same = index_number(index->find_number(target, match)) == expected(numbers, target, match);
            if (!same)
                FAIL("number " << target << " match " << static_cast<int>(match) << " chunk_frames " << chunk_frames);
        }
    }
    std::vector<double> instants;
    for (const double time : times) {
        if (!std::isnan(time))
            instants.insert(instants.end(), {time, time - 0.3, time + 0.5, std::nextafter(time, 1e300)});
    }
    instants.insert(instants.end(), {-1e300, 1e300});
    for (const double target : instants) {
        for (const Match match : kMatches) {
            const bool same = index_number(index->find_time(target, match)) == expected(times, target, match);
            if (!same)
                FAIL("time " << target << " match " << static_cast<int>(match) << " chunk_frames " << chunk_frames);
        }
    }
}

void check_all(const std::vector<int64_t>& numbers, const std::vector<double>& times, size_t chunk_frames) {
    const TemporaryFolder folder(memory_folder());
    check_table(*index_of(folder, numbers, times, chunk_frames), numbers, times, chunk_frames);
    check_table(loaded_table_of(numbers, times, chunk_frames), numbers, times, chunk_frames);
}

std::vector<double> counting(size_t count) {
    std::vector<double> times;
    for (size_t i = 0; i < count; ++i) times.push_back(static_cast<double>(i));
    return times;
}

}  // namespace

TEST_CASE("lookups find what a look at every frame finds") {
    const int64_t low = std::numeric_limits<int64_t>::min();
    const int64_t high = std::numeric_limits<int64_t>::max();
    const std::vector<std::vector<int64_t>> number_lists = {
        {0, 1, 2, 3, 4, 5, 6, 7},
        {6050, 6055, 6056, 0, 1, 2},
        {5, 5, 5, 5, 5},
        {9, 8, 7, 6, 5, 4, 3},
        {-4, -3, -2, -1, 0, 1, 2, 3},
        {low, high, 0, low + 1, high - 1},
        {10, 20, 20, 30, 20},
        {7},
        {1, 100, 2, 99, 3, 98, 4, 97, 5, 50},
    };
    for (const auto& numbers : number_lists) {
        for (const size_t chunk_frames : {1, 2, 3, 100}) check_all(numbers, counting(numbers.size()), chunk_frames);
    }
    const std::vector<std::vector<double>> time_lists = {
        {1.5, 1.5, 1.5, 1.5},
        {10, 9, 8, 7, 6},
        {1, 5, 2, 6, 3, 7},
        {1, kNaN, 2, 3, kNaN, 4},
        {kNaN, kNaN},
        {0, -0.0, 1e-300, -1e300, 1e300},
        {1e9, 1e9 + 0.04, 1e9 + 0.08, 5.0},
    };
    for (const auto& times : time_lists) {
        std::vector<int64_t> numbers;
        for (size_t i = 0; i < times.size(); ++i) numbers.push_back(static_cast<int64_t>(i));
        for (const size_t chunk_frames : {1, 2, 3, 100}) check_all(numbers, times, chunk_frames);
    }
}

TEST_CASE("lookups find what a look at every frame finds, for random tables") {
    std::mt19937 random(3);
    for (int round = 0; round < 60; ++round) {
        const auto count = static_cast<size_t>(1 + random() % 40);
        std::vector<int64_t> numbers;
        std::vector<double> times;
        for (size_t i = 0; i < count; ++i) {
            numbers.push_back(static_cast<int64_t>(random() % 30) - 15);
            times.push_back(random() % 9 == 0 ? kNaN : static_cast<double>(random() % 40) / 4);
        }
        if (round % 2 == 0) std::sort(numbers.begin(), numbers.end());
        check_all(numbers, times, 1 + random() % 8);
    }
}

TEST_CASE("an empty index finds nothing") {
    const TemporaryFolder folder(memory_folder());
    const auto index = FrameIndex::create(folder / "index.sqlite", "uuid");
    CHECK(index->frame_count() == 0);
    CHECK_FALSE(index->row(0));
    CHECK_FALSE(index->number_range());
    CHECK_FALSE(index->time_range());
    for (const Match match : kMatches) {
        CHECK_FALSE(index->find_number(0, match));
        CHECK_FALSE(index->find_time(0, match));
    }
}

TEST_CASE("an index of another store, of a newer version or no index at all is refused") {
    const TemporaryFolder folder;
    const std::filesystem::path path = folder / "index.sqlite";
    FrameIndex::create(path, "abc");
    CHECK_FALSE(error_of([&] { FrameIndex::open(path, "abc"); }));
    CHECK(error_of([&] { FrameIndex::open(path, "def"); }) == ErrorCode::corrupt);
    Database(path, Database::Mode::read_write).execute("PRAGMA user_version = 99");
    CHECK(error_of([&] { FrameIndex::open(path, "abc"); }) == ErrorCode::unsupported);
    Database(path, Database::Mode::read_write).execute("PRAGMA user_version = 1; PRAGMA application_id = 1");
    CHECK(error_of([&] { FrameIndex::open(path, "abc"); }) == ErrorCode::corrupt);
}

TEST_CASE("a summary that contradicts itself is refused") {
    const TemporaryFolder folder;
    const std::filesystem::path path = folder / "index.sqlite";
    {
        const auto index = FrameIndex::create(path, "abc");
        index->add_chunk(0, true);
        index->add_frames(std::vector<NewFrame>{{1, 1.0, {}}, {2, 2.0, {}}});
    }
    Database(path, Database::Mode::read_write).execute("UPDATE chunks SET first_index = 7");
    CHECK(error_of([&] { FrameIndex::open(path, "abc"); }) == ErrorCode::corrupt);
    Database(path, Database::Mode::read_write).execute("UPDATE chunks SET first_index = 0, frame_count = -1");
    CHECK(error_of([&] { FrameIndex::open(path, "abc"); }) == ErrorCode::corrupt);
    Database(path, Database::Mode::read_write).execute("UPDATE chunks SET frame_count = 3");
    CHECK(error_of([&] { FrameIndex::open(path, "abc"); }) == ErrorCode::corrupt);
    Database(path, Database::Mode::read_write).execute("UPDATE chunks SET frame_count = 1 << 60");
    CHECK(error_of([&] { FrameIndex::open(path, "abc"); }) == ErrorCode::corrupt);
    Database(path, Database::Mode::read_write)
        .execute("UPDATE chunks SET frame_count = 2, number_min = -1000; DELETE FROM frames WHERE frame_index = 0");
    std::string message;
    CHECK(error_of([&] { FrameIndex::open(path, "abc")->row(0); }, &message) == ErrorCode::corrupt);
    CHECK(message.find("frame index 0") != std::string::npos);
    Database(path, Database::Mode::read_write)
        .execute("INSERT INTO frames (frame_index, frame_number, frame_time, chunk) VALUES (0, 1, 1.0, 0)");
    CHECK(error_of([&] { FrameIndex::open(path, "abc")->find_number(-500, Match::previous); }) == ErrorCode::corrupt);
}

TEST_CASE("packet tables come back as they were recorded, B-frames included") {
    const TemporaryFolder folder(memory_folder());
    auto index = FrameIndex::create(folder / "index.sqlite", "uuid");
    index->add_chunk(0, true);
    VideoStream stream;
    stream.codec = "h264";
    stream.width = 64;
    stream.height = 48;
    stream.pixel_format = "yuv420p";
    stream.extradata = {1, 2, 3};
    index->set_stream(stream);
    // Decode order I P B B: the frames shown second and third are decoded last.
    const std::vector<int64_t> decode_positions = {0, 2, 3, 1};
    std::vector<NewFrame> frames;
    for (int64_t i = 0; i < 4; ++i) {
        const Packet packet{static_cast<uint64_t>(100 + 10 * decode_positions[static_cast<size_t>(i)]), 10, i * 512,
                            i == 0, i == 1 || i == 2};
        frames.push_back({i, static_cast<double>(i), {i, 10, packet, decode_positions[static_cast<size_t>(i)]}});
    }
    index->add_frames(frames);
    const auto table = index->packet_table(0);
    REQUIRE(table);
    CHECK(table->stream == stream);
    CHECK(table->display_order == std::vector<uint32_t>{0, 2, 3, 1});
    for (int64_t i = 0; i < 4; ++i) CHECK(table->packet_of(i) == *frames[static_cast<size_t>(i)].stored.packet);
    CHECK_FALSE(index->packet_table(1));
}
