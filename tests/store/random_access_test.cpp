// Random access through a store: how much is decoded, by which reader, on which thread.

#include <algorithm>
#include <atomic>
#include <numeric>
#include <random>
#include <thread>

#include <doctest/doctest.h>

#include "base/error.h"
#include "base/parallel_reader.h"
#include "store/frame_index.h"
#include "store/layout.h"
#include "tests/store/store_fixture.h"
#include "tests/temporary_folder.h"
#include "tests/thrown_error.h"

using namespace reelstore;

namespace {

constexpr int kGop = 6;
constexpr int kChunkFrames = 30;
constexpr int kFrames = 300;

/// Video in chunks of 30 frames, a key frame every 6.
std::filesystem::path make_video_store(const TemporaryFolder& folder, CodecOptions options = {}) {
    options.emplace("gop", std::to_string(kGop));
    write_numbered_store(folder / "store",
                         {.format = "avc1/mp4", .chunk_frames = kChunkFrames, .codec = std::move(options)},
                         gray_type(), kFrames);
    return folder / "store";
}

std::vector<int64_t> random_indices(size_t count, uint32_t seed) {
    std::mt19937 random(seed);
    std::vector<int64_t> indices(count);
    for (int64_t& index : indices) index = std::uniform_int_distribution<int64_t>(0, kFrames - 1)(random);
    return indices;
}

void check_number(const Frame& frame, int64_t index) {
    CHECK(frame.index == index);
    CHECK(read_image_number(frame.image) == static_cast<int>(index));
}

/// Packets from the key frame to the last wanted frame of every group.
int64_t least_packets(std::vector<int64_t> indices) {
    std::sort(indices.begin(), indices.end());
    int64_t packets = 0;
    for (size_t i = 0; i < indices.size(); ++i) {
        const bool last_of_group = i + 1 == indices.size() || indices[i + 1] / kGop != indices[i] / kGop;
        if (last_of_group) packets += indices[i] % kGop + 1;
    }
    return packets;
}

}  // namespace

TEST_CASE("a single random frame sends the packets from its key frame, and nothing else is read") {
    const TemporaryFolder folder;
    StoreReader store(make_video_store(folder));
    for (const int64_t index : random_indices(100, 1)) {
        const int64_t before = store.counters().packets_sent;
        check_number(store.at_index(index), index);
        CHECK(store.counters().packets_sent - before <= index % kGop + 1);
    }
    CHECK(store.counters().demux_scans == 0);
}

TEST_CASE("a batch decodes every group of pictures once, up to its last wanted frame") {
    const TemporaryFolder folder;
    const std::filesystem::path path = make_video_store(folder);
    for (const int threads : {1, 2, 4}) {
        StoreReader store(path, {.threads = threads});
        const std::vector<int64_t> indices = random_indices(120, 2);
        const std::vector<Frame> frames = store.at_indices(indices);
        REQUIRE(frames.size() == indices.size());
        for (size_t i = 0; i < indices.size(); ++i) check_number(frames[i], indices[i]);
        CHECK(store.counters().packets_sent == least_packets(indices));
        CHECK(store.counters().frames_decoded == least_packets(indices));
    }
}

TEST_CASE("B-frames that a batch does not want are not decoded") {
    const TemporaryFolder folder;
    StoreReader store(make_video_store(folder, {{"bframes", "2"}, {"gop", "30"}}));
    const std::shared_ptr<const PacketTable> table =
        FrameIndex::open(StoreLayout::index(folder / "store"), store.metadata().uuid)->packet_table(0);
    REQUIRE(table);
    std::vector<int64_t> wanted;
    int64_t least = 0;
    uint32_t last_place = 0;
    for (int64_t position = 0; position < 25; ++position) {
        if (table->packet_of(position).disposable) continue;
        wanted.push_back(position);
        last_place = std::max(last_place, table->display_order[static_cast<size_t>(position)]);
    }
    for (uint32_t place = 0; place <= last_place; ++place) least += table->packets[place].disposable ? 0 : 1;
    REQUIRE(least < last_place);
    for (const Frame& frame : store.at_indices(wanted)) CHECK(read_image_number(frame.image) == frame.index);
    CHECK(store.counters().packets_sent == least);
}

TEST_CASE("reading in order on several threads decodes hardly more than once") {
    const TemporaryFolder folder;
    const std::filesystem::path path = make_video_store(folder);
    for (const int threads : {1, 2, 3}) {
        StoreReader store(path, {.threads = threads});
        for (int64_t index = 0; index < kFrames; ++index) check_number(*store.next(), index);
        CHECK_FALSE(store.next());
        CHECK(store.counters().packets_sent >= kFrames);
        CHECK(store.counters().packets_sent <= kFrames + kGop);
    }
}

TEST_CASE("steps back decode each group once") {
    const TemporaryFolder folder;
    StoreReader store(make_video_store(folder));
    for (int64_t index = kFrames - 1; index >= 0; --index) check_number(store.at_index(index), index);
    // The first one is a jump, which keeps nothing; chunks make no difference.
    CHECK(store.counters().frames_decoded == kFrames + kGop - 1);
    CHECK(store.counters().cache_hits == kFrames - kFrames / kGop - 1);
}

TEST_CASE("frames kept for steps back stay within the bytes allowed") {
    const TemporaryFolder folder;
    const std::filesystem::path path = make_video_store(folder, {{"gop", "30"}});
    StoreReader poor(path, {.cache_bytes = 0});
    for (int64_t index = 29; index >= 0; --index) check_number(poor.at_index(index), index);
    CHECK(poor.counters().cache_hits == 0);
    CHECK(poor.counters().frames_decoded == 30 * 31 / 2);
}

TEST_CASE("jumping between chunks opens no more decoders than chunks are kept open") {
    const TemporaryFolder folder;
    StoreReader store(make_video_store(folder));
    for (int round = 0; round < 3; ++round) {
        for (int64_t chunk = 0; chunk < kFrames / kChunkFrames; ++chunk) {
            check_number(store.at_index(chunk * kChunkFrames + 7 + round), chunk * kChunkFrames + 7 + round);
        }
    }
    CHECK(store.counters().decoder_opens <= 4);
}

TEST_CASE("a part of a chunk's packets is enough for the frames in it") {
    const TemporaryFolder folder;
    constexpr int kLong = 1000;
    write_numbered_store(folder / "store",
                         {.format = "avc1/mp4", .chunk_frames = kLong, .codec = {{"gop", "10"}}}, gray_type(),
                         kLong);
    StoreReader store(folder / "store");
    const auto index = FrameIndex::open(StoreLayout::index(folder / "store"), store.metadata().uuid);
    const auto whole = index->packet_table(0);
    REQUIRE(whole);
    for (const int64_t position : {0, 9, 10, 456, 990, 999}) {
        CAPTURE(position);
        const auto part = index->packet_table(0, position);
        REQUIRE(part);
        CHECK(part->first_position == position / 10 * 10);
        CHECK(part->first_position + part->frame_count() > position);
        CHECK(part->frame_count() <= 140);
        CHECK(part->packets.front().key);
        for (int64_t i = 0; i < part->frame_count(); ++i) {
            CHECK(part->packet_of(i) == whole->packet_of(part->first_position + i));
        }
    }
    CHECK_FALSE(index->packet_table(0, -1));
    CHECK_FALSE(index->packet_table(0, kLong));
    // The first jump reads a part, what lies outside of it the rest.
    for (const int64_t position : {456, 460, 455, 3, 999, 457, 0}) check_number(store.at_index(position), position);
    check_number(store.at_indices(std::vector<int64_t>{998})[0], 998);
}

TEST_CASE("a stream without a key frame in reach is read from the whole table") {
    const TemporaryFolder folder;
    StoreReader store(make_video_store(folder, {{"bframes", "3"}, {"gop", "250"}}));
    const auto index = FrameIndex::open(StoreLayout::index(folder / "store"), store.metadata().uuid);
    for (const int64_t position : {0, 17, 29}) {
        const auto part = index->packet_table(0, position);
        REQUIRE(part);
        CHECK(part->first_position == 0);
        CHECK(part->frame_count() == kChunkFrames);
    }
    for (const int64_t frame : random_indices(50, 3)) check_number(store.at_index(frame), frame);
}

TEST_SUITE("clones") {
    TEST_CASE("clones are independent of each other and of the reader they come from") {
        const TemporaryFolder folder;
        auto store = std::make_unique<StoreReader>(make_video_store(folder));
        check_number(*store->next(), 0);
        std::vector<std::unique_ptr<StoreReader>> clones;
        for (int i = 0; i < 4; ++i) clones.push_back(store->clone());
        store.reset();
        std::atomic<int> wrong = 0;
        {
            std::vector<std::jthread> threads;
            for (uint32_t seed = 0; seed < 4; ++seed) {
                threads.emplace_back([&wrong, seed, clone = clones[seed].get()] {
                    for (const int64_t index : random_indices(100, seed)) {
                        const Frame frame = clone->at_number(index).value();
                        if (frame.index != index || read_image_number(frame.image) != index) ++wrong;
                    }
                    for (int64_t index = 0; index < 40; ++index) {
                        if (read_image_number(clone->next()->image) != index) ++wrong;
                    }
                    if (clone->rows().size() != kFrames) ++wrong;
                });
            }
        }
        CHECK(wrong == 0);
    }

    TEST_CASE("a damaged chunk is an error of its frames only, in a batch and in order") {
        const TemporaryFolder folder;
        const std::filesystem::path path = make_video_store(folder);
        std::filesystem::resize_file(path / "000003.mp4", 100);
        StoreReader store(path, {.threads = 3});
        int64_t readable = 0;
        for (int64_t index = 0; index < kFrames; ++index) {
            const bool damaged = index / kChunkFrames == 3;
            if (damaged) {
                CHECK(error_of([&] { store.next(); }) == ErrorCode::corrupt);
                continue;
            }
            check_number(*store.next(), index);
            ++readable;
        }
        CHECK(readable == kFrames - kChunkFrames);
        CHECK(error_of([&] { store.at_indices(std::vector<int64_t>{5, 95, 250}); }) == ErrorCode::corrupt);
        check_number(store.at_indices(std::vector<int64_t>{250, 5})[0], 250);
    }
}
