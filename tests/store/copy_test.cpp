// Copies made without decoding: every frame of a copy is the source's frame, pixel for pixel, with its number, time and
// extra data, from the index and without it, whatever range was cut out of whatever kind of chunk.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <opencv2/core.hpp>

#include "base/file_system.h"
#include "codecs/file_format.h"
#include "codecs/video/packet_scan.h"
#include "store/copy_video.h"
#include "store/layout.h"
#include "store/open_source.h"
#include "store/repair.h"
#include "store/store_copier.h"
#include "store/verify.h"
#include "tests/crash_simulation.h"
#include "tests/fault_file_system.h"
#include "tests/sanitized.h"
#include "tests/store/store_fixture.h"
#include "tests/temporary_folder.h"
#include "tests/test_data.h"

using namespace reelstore;

namespace {

namespace fs = std::filesystem;

struct Kind {
    std::string format;
    CodecOptions codec = {};
    std::string title = {};
};

const std::vector<Kind> kKinds = {
    {"avc1/mp4", {{"bframes", "2"}, {"gop", "8"}, {"threads", "1"}}, "mp4 with B-frames"},
    {"avc1/mp4", {{"tune", "zerolatency"}, {"gop", "6"}, {"threads", "1"}}, "mp4"},
    {"h264/mkv", {{"bframes", "2"}, {"gop", "8"}, {"threads", "1"}}, "mkv with B-frames"},
    {"h264/mkv", {{"tune", "zerolatency"}, {"gop", "5"}, {"threads", "1"}}, "mkv"},
    {"mjpeg/avi", {}, "avi"},
    {"npy", {}, "npy"},
    {"png", {}, "png"},
    {"raw/npy", {}, "raw arrays"},
    {"zstd/npy", {}, "compressed arrays"},
    {"predicted/rpz", {}, "predicted pixels"},
};

int64_t number_of(int64_t i) {
    return 1000 + (i * 7) % 40;  // wraps
}

/// Frames first..first+count-1 of one long recording.
void write_store(const fs::path& path, const Kind& kind, int count, int chunk_frames, int first = 0,
                 const ImageType& type = color_type()) {
    StoreWriter writer(path, {.format = kind.format,
                              .chunk_frames = chunk_frames,
                              .metadata = "who: " + path.filename().string() + "\nrig: 3\n",
                              .codec = kind.codec,
                              .time_zone = "Europe/Vienna",
                              .created = 1.6e9 + 0.25});
    for (int i = first; i < first + count; ++i) {
        if (i > first && i % 9 == 4) writer.report_dropped(500 + i, fixture_time(i) - 0.01, "test");
        writer.add(make_numbered_image(type, i), number_of(i), fixture_time(i));
        if (i % 3 == 0) writer.add_extra_data({{"value", i}, {"text", "ä"}});
        if (i % 6 == 0) writer.add_extra_data({{"second", -i}});
    }
    writer.close();
}

/// A frame of a source.
struct Origin {
    StoreReader* store = nullptr;
    int64_t index = 0;
};

std::vector<Origin> origins(StoreReader& store, int64_t first, int64_t last) {
    std::vector<Origin> frames;
    for (int64_t i = first; i < last; ++i) frames.push_back({&store, i});
    return frames;
}

bool same_pixels(const cv::Mat& a, const cv::Mat& b) {
    if (a.size() != b.size() || a.type() != b.type()) return false;
    for (int row = 0; row < a.rows; ++row) {
        if (std::memcmp(a.ptr(row), b.ptr(row), static_cast<size_t>(a.cols) * a.elemSize()) != 0) return false;
    }
    return true;
}

bool same_time(double a, double b) {
    return std::memcmp(&a, &b, sizeof a) == 0 || (std::isnan(a) && std::isnan(b));
}

/// The first difference between a copy and what it should hold; empty when there is none.
std::string difference(const fs::path& path, const std::vector<Origin>& expected, bool with_records = true) {
    StoreReader copy(path);
    const auto count = static_cast<int64_t>(expected.size());
    if (copy.frame_count() != count) return fmt::format("{} frames, not {}", copy.frame_count(), count);
    int64_t stride = 17;
    while (stride > 1 && count % stride == 0) --stride;
    for (int64_t i = 0; i < count; ++i) {
        const int64_t index = (i * stride + 5) % count;
        const Origin& from = expected[static_cast<size_t>(index)];
        const Frame frame = copy.at_index(index);
        const Frame original = from.store->at_index(from.index);
        if (!same_pixels(frame.image, original.image)) return fmt::format("frame {} has other pixels", index);
        if (frame.number != original.number) return fmt::format("frame {} has another number", index);
        if (!same_time(frame.time, original.time)) return fmt::format("frame {} has another time", index);
        if (with_records && copy.extra_data_of(index) != from.store->extra_data_of(from.index))
            return fmt::format("frame {} has other extra data", index);
    }
    return {};
}

/// The same for everything that can be asked of a copy.
std::string every_difference(const fs::path& path, const std::vector<Origin>& expected) {
    std::string found = difference(path, expected);
    if (!found.empty()) return found;
    for (const VerifyLevel level : {VerifyLevel::size, VerifyLevel::hash}) {
        const VerifyReport report = verify(path, level);
        if (report.damaged()) return "verify: " + report.findings.front().message;
    }
    {
        // As other programs see the media.
        StoreReader copy(path);
        const StoreLayout layout(copy.folder(), copy.metadata().kind, copy.metadata().extension);
        int64_t frames = 0;
        for (const int64_t chunk : copy.chunks()) {
            const auto reader =
                find_chunk_format(copy.metadata().format)->open(layout.media(chunk), copy.metadata().stored_type);
            frames += reader->frame_count().value_or(0);
        }
        if (frames != copy.frame_count()) return fmt::format("the media hold {} frames", frames);
    }
    fs::remove(path / "index.sqlite");
    found = difference(path, expected);
    return found.empty() ? found : "without index: " + found;
}

FrameSelection all_of(const StoreReader& store) {
    return {{{0, store.frame_count()}}};
}

CopyResult copy_into(const fs::path& path, std::vector<CopySource> sources, CopyOptions options = {},
                     std::vector<std::string>* notes = nullptr) {
    StoreCopier copier(std::move(sources), std::move(options));
    StoreWriter writer(path, copier.writer_options());
    const CopyResult result = copier.copy_to(writer);
    writer.close();
    if (notes) *notes = copier.notes();
    return result;
}

void flip_byte(const fs::path& path, uint64_t offset) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    const int byte = file.get();
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(static_cast<char>(byte ^ 0x55));
}

std::vector<EventRow> events_of(const fs::path& path, const std::string& kind) {
    std::vector<EventRow> events;
    StoreReader(path).visit_events([&](const EventRow& event) {
        if (event.kind == kind) events.push_back(event);
        return true;
    });
    return events;
}

}  // namespace

TEST_CASE("every range of every kind of store is copied exactly") {
    const TemporaryFolder folder(memory_folder());
    constexpr int kFrames = 34;
    const std::vector<IndexRun> ranges = {{0, 34},  {1, 34},  {0, 33}, {5, 6},   {7, 23}, {8, 16}, {10, 20},
                                          {33, 34}, {11, 12}, {9, 11}, {12, 31}, {0, 1},  {20, 34}};
    for (const Kind& kind : kKinds) {
        CAPTURE(kind.title);
        const fs::path source = folder / "source";
        write_store(source, kind, kFrames, 10);
        StoreReader store(source);
        for (const IndexRun& range : ranges) {
            const int64_t first = range.first;
            const int64_t last = range.last;
            for (const int chunk_frames : {0, 7}) {
                CAPTURE(first);
                CAPTURE(last);
                CAPTURE(chunk_frames);
                CopyOptions options;
                if (chunk_frames > 0) options.chunk_frames = chunk_frames;
                const fs::path copy = folder / "copy";
                const CopyResult result = copy_into(copy, {{&store, {{{first, last}}}}}, options);
                CHECK(result.frames == last - first);
                CHECK(result.frames_damaged == 0);
                CHECK(every_difference(copy, origins(store, first, last)) == "");
                fs::remove_all(copy);
            }
        }
        fs::remove_all(source);
    }
}

TEST_CASE("a copy has chunks of the size asked for, with hidden packets where containers have them") {
    const TemporaryFolder folder(memory_folder());
    for (const Kind& kind : kKinds) {
        CAPTURE(kind.title);
        const fs::path source = folder / kind.title;
        write_store(source, kind, 30, 10);
        StoreReader store(source);
        const fs::path copy = folder / (kind.title + " copy");
        copy_into(copy, {{&store, all_of(store)}}, {.chunk_frames = 4});
        StoreReader copied(copy);
        CHECK(copied.metadata().chunk_frames == 4);
        const std::vector<int64_t> chunks = copied.chunks();
        for (const int64_t chunk : chunks) {
            int64_t frames = 0;
            copied.visit_rows(0, copied.frame_count(), [&](const FrameRow& row) {
                frames += row.chunk == chunk;
                return true;
            });
            CAPTURE(chunk);
            if (kind.format == "h264/mkv") {
                CHECK(frames >= (chunk == chunks.back() ? 1 : 4));
            } else {
                CHECK(frames <= 4);
            }
        }
    }
}

TEST_CASE("whole chunks are copied as files") {
    const TemporaryFolder folder(memory_folder());
    for (const Kind& kind : kKinds) {
        if (kind.format == "npy" || kind.format == "png") continue;
        CAPTURE(kind.title);
        const fs::path source = folder / "source";
        write_store(source, kind, 25, 10);
        StoreReader store(source);
        const CopyResult result = copy_into(folder / "copy", {{&store, all_of(store)}});
        CHECK(result.chunks == 3);
        CHECK(result.chunks_as_files == 3);
        const std::string extension = store.metadata().extension;
        for (const char* chunk : {"000000", "000001", "000002"}) {
            CHECK(read_file(source / (chunk + extension), 1 << 30) ==
                  read_file(folder / "copy" / (chunk + extension), 1 << 30));
        }
        CHECK(copy_into(folder / "part", {{&store, {{{10, 20}}}}}).chunks_as_files == 1);
        CHECK(copy_into(folder / "rest", {{&store, {{{9, 20}}}}}).chunks_as_files ==
              (kind.format == "h264/mkv" ? 0 : 1));
        for (const char* name : {"source", "copy", "part", "rest"}) fs::remove_all(folder / name);
    }
}

TEST_CASE("what describes a store stays, and events go with their frames") {
    const TemporaryFolder folder(memory_folder());
    write_store(folder / "a", {"png"}, 20, 6);
    StoreReader store(folder / "a");
    copy_into(folder / "copy", {{&store, {{{3, 15}}}}}, {.metadata = {{"rig", 4}, {"new", true}}});
    StoreReader copy(folder / "copy");
    CHECK(copy.metadata().created == store.metadata().created);
    CHECK(copy.metadata().time_zone == "Europe/Vienna");
    CHECK(copy.metadata().uuid != store.metadata().uuid);
    CHECK(copy.metadata().chunk_frames == 6);
    CHECK(copy.image_type() == store.image_type());
    CHECK(copy.user_metadata() == Json{{"who", "a"}, {"rig", 4}, {"new", true}});
    CHECK(copy.closed());
    // Of the events before frames 4, 13 of the source.
    const std::vector<EventRow> drops = events_of(folder / "copy", "dropped");
    const std::vector<EventRow> originals = events_of(folder / "a", "dropped");
    REQUIRE(drops.size() == 2);
    CHECK(drops[0].frame_index == 1);
    CHECK(drops[1].frame_index == 10);
    CHECK(drops[0].data == originals[0].data);
    CHECK(drops[0].time == originals[0].time);
    const std::vector<EventRow> copied = events_of(folder / "copy", "copied");
    REQUIRE(copied.size() == 1);
    CHECK(copied[0].frame_index == 0);
    CHECK(Json::parse(copied[0].data) == Json{{"uuid", store.metadata().uuid},
                                              {"frames", 12},
                                              {"first_index", 3},
                                              {"last_index", 14},
                                              {"first_number", number_of(3)},
                                              {"last_number", number_of(14)}});
    // The files themselves, and so their checksums, are the same.
    CHECK(read_file(folder / "copy/000000/000002.png", 1 << 20) == read_file(folder / "a/000000/000005.png", 1 << 20));
    CHECK(copy.checksum(2) == store.checksum(5));
    CHECK(copy.checksum(2).has_value());
}

TEST_CASE("stores are merged, in one chunk where their video fits together") {
    const TemporaryFolder folder(memory_folder());
    for (const Kind& kind : kKinds) {
        CAPTURE(kind.title);
        Kind other = kind;
        const bool has_groups = kind.codec.contains("gop");
        if (has_groups) other.codec["gop"] = "4";
        write_store(folder / "a", kind, 13, 5);
        write_store(folder / "b", other, 9, 4, 13);
        write_store(folder / "c", kind, 7, 10, 22);
        StoreReader a(folder / "a");
        StoreReader b(folder / "b");
        StoreReader c(folder / "c");
        std::vector<Origin> expected = origins(a, 0, 13);
        for (StoreReader* more : {&b, &c}) {
            for (const Origin& frame : origins(*more, 0, more->frame_count())) expected.push_back(frame);
        }
        for (const int64_t chunk_frames : {0, 8, 100}) {
            CAPTURE(chunk_frames);
            CopyOptions options;
            if (chunk_frames > 0) options.chunk_frames = chunk_frames;
            std::vector<std::string> notes;
            copy_into(folder / "all", {{&a, all_of(a)}, {&b, all_of(b)}, {&c, all_of(c)}}, options, &notes);
            REQUIRE(notes.size() == 2);
            CHECK(notes[0].find("who") != std::string::npos);
            CHECK(StoreReader(folder / "all").user_metadata().at("who") == "a");
            if (chunk_frames == 100) {
                // Streams that differ in nothing that a decoder is told make one chunk.
                const size_t chunks = StoreReader(folder / "all").chunks().size();
                CHECK(chunks <= (has_groups ? 3 : 1));
            }
            CHECK(events_of(folder / "all", "copied").size() == 3);
            CHECK(every_difference(folder / "all", expected) == "");
            fs::remove_all(folder / "all");
        }
        // A range of each.
        copy_into(folder / "parts", {{&a, {{{2, 9}}}}, {&b, {{{2, 9}}}}});
        expected = origins(a, 2, 9);
        for (const Origin& frame : origins(b, 2, 9)) expected.push_back(frame);
        CHECK(every_difference(folder / "parts", expected) == "");
        for (const char* name : {"a", "b", "c", "parts"}) fs::remove_all(folder / name);
    }
}

TEST_CASE("a store that was split and merged again is the store") {
    const TemporaryFolder folder(memory_folder());
    for (const Kind& kind : kKinds) {
        CAPTURE(kind.title);
        write_store(folder / "a", kind, 33, 10);
        StoreReader a(folder / "a");
        for (const bool by_time : {false, true}) {
            CAPTURE(by_time);
            CopyLimit limit;
            if (by_time) {
                limit.seconds = 8 * kFixtureInterval - 0.001;
            } else {
                limit.frames = 8;
            }
            StoreCopier copier({{&a, all_of(a)}}, {});
            std::vector<fs::path> parts;
            int64_t next = 0;
            while (!copier.done()) {
                parts.push_back(folder / fmt::format("part{}", parts.size()));
                StoreWriter writer(parts.back(), copier.writer_options());
                const int64_t frames = copier.copy_to(writer, limit).frames;
                writer.close();
                if (kind.format == "h264/mkv") {
                    CHECK((frames >= 8 || copier.done()));
                } else {
                    CHECK(frames == std::min<int64_t>(8, 33 - next));
                }
                CHECK(difference(parts.back(), origins(a, next, next + frames)) == "");
                next += frames;
            }
            CHECK(next == 33);
            std::vector<std::unique_ptr<StoreReader>> readers;
            std::vector<CopySource> sources;
            for (const fs::path& part : parts) {
                readers.push_back(std::make_unique<StoreReader>(part));
                sources.push_back({readers.back().get(), all_of(*readers.back())});
            }
            copy_into(folder / "again", sources, {.chunk_frames = 10});
            CHECK(every_difference(folder / "again", origins(a, 0, 33)) == "");
            fs::remove_all(folder / "again");
            for (const fs::path& part : parts) fs::remove_all(part);
        }
        fs::remove_all(folder / "a");
    }
}

TEST_CASE("selections by number and time are copied, runs of them too") {
    const TemporaryFolder folder(memory_folder());
    for (const Kind& kind : kKinds) {
        CAPTURE(kind.title);
        write_store(folder / "a", kind, 34, 10);
        StoreReader a(folder / "a");
        // Numbers wrap, so these are several runs.
        std::vector<Origin> expected;
        for (int64_t i = 0; i < 34; ++i) {
            if (number_of(i) >= 1010 && number_of(i) < 1030) expected.push_back({&a, i});
        }
        for (const int64_t chunk_frames : {0, 5}) {
            CopyOptions options;
            if (chunk_frames > 0) options.chunk_frames = chunk_frames;
            copy_into(folder / "numbers", {{&a, frames_with_numbers(a, 1010, 1030)}}, options);
            CHECK(every_difference(folder / "numbers", expected) == "");
            fs::remove_all(folder / "numbers");
        }
        copy_into(folder / "times", {{&a, frames_with_times(a, fixture_time(7), fixture_time(19))}});
        CHECK(every_difference(folder / "times", origins(a, 7, 19)) == "");
        fs::remove_all(folder / "times");
        fs::remove_all(folder / "a");
    }
}

TEST_CASE("mkv that is cut inside a group of pictures becomes mp4, and a note says so") {
    const TemporaryFolder folder(memory_folder());
    write_store(folder / "a", kKinds[3], 20, 10);
    StoreReader a(folder / "a");
    std::vector<std::string> notes;
    copy_into(folder / "inside", {{&a, {{{3, 20}}}}}, {}, &notes);
    REQUIRE(notes.size() == 1);
    CHECK(notes[0].find("avc1/mp4") != std::string::npos);
    CHECK(StoreReader(folder / "inside").metadata().format == "avc1/mp4");
    copy_into(folder / "clean", {{&a, {{{5, 20}}}}}, {}, &notes);
    CHECK(notes.empty());
    CHECK(StoreReader(folder / "clean").metadata().format == "h264/mkv");
}

TEST_CASE("stores that do not fit together are refused, naming both") {
    const TemporaryFolder folder(memory_folder());
    write_store(folder / "png", {"png"}, 3, 10);
    write_store(folder / "npy", {"npy"}, 3, 10);
    write_store(folder / "gray", {"png"}, 3, 10, 0, gray_type());
    StoreReader png(folder / "png");
    for (const char* name : {"npy", "gray"}) {
        StoreReader other(folder / name);
        const Error error = expected_error([&] { StoreCopier({{&png, all_of(png)}, {&other, all_of(other)}}, {}); });
        CHECK(error.code() == ErrorCode::invalid_argument);
        const std::string text = error.what();
        CHECK(text.find((folder / "png").string()) != std::string::npos);
        CHECK(text.find((folder / name).string()) != std::string::npos);
        CHECK(text.find("--reencode") != std::string::npos);
    }
    CHECK(error_of([&] { StoreCopier({{&png, {{{0, 3}}, 2}}}, {}); }) == ErrorCode::invalid_argument);
    CHECK(error_of([&] { StoreCopier({}, {}); }) == ErrorCode::invalid_argument);
}

TEST_CASE("a store without frames is copied") {
    const TemporaryFolder folder(memory_folder());
    StoreWriter(folder / "a", {.format = "npy", .metadata = "x: 1"}).close();
    StoreReader a(folder / "a");
    CHECK(copy_into(folder / "b", {{&a, all_of(a)}}).frames == 0);
    CHECK(StoreReader(folder / "b").frame_count() == 0);
    CHECK(StoreReader(folder / "b").user_metadata() == Json{{"x", 1}});
}

TEST_CASE("damaged frames are an error naming chunk and frame, or left out with what depends on them") {
    const TemporaryFolder folder(memory_folder());
    for (const Kind& kind : kKinds) {
        CAPTURE(kind.title);
        for (const bool whole : {true, false}) {
            CAPTURE(whole);
            const fs::path source = folder / "a";
            write_store(source, kind, 30, 15);
            std::vector<Origin> readable;
            {
                // Damage in the packet (file) of frame 18.
                StoreReader a(source);
                const auto table = a.metadata().kind == ChunkKind::file ? a.packet_table(1) : nullptr;
                const StoreLayout layout(a.folder(), a.metadata().kind, a.metadata().extension);
                if (table) {
                    flip_byte(layout.media(1), table->packet_of(3).offset + table->packet_of(3).size / 2);
                } else {
                    flip_byte(layout.media(1) / ("000003" + a.metadata().extension), 300);
                }
            }
            fs::copy(source, folder / "b", fs::copy_options::recursive);
            StoreReader a(source);
            StoreReader b(folder / "b");
            for (int64_t i = whole ? 0 : 2; i < 30; ++i) {
                // Of raw arrays only the checksum tells.
                const bool touched = kind.format == "raw/npy" && i == 18;
                if (!touched && !error_of([&] { b.at_index(i); })) readable.push_back({&a, i});
            }
            CHECK(readable.size() < 30);
            const FrameSelection selection{{{whole ? 0 : 2, 30}}};
            const Error error = expected_error([&] { copy_into(folder / "copy", {{&a, selection}}); });
            CHECK(error.place().chunk == 1);
            CHECK(error.place().frame_index.value() >= 15);
            CHECK(error.place().frame_index.value() <= 18);
            CHECK(std::string(error.what()).find("--skip-damaged") != std::string::npos);
            // What was copied before is a store.
            CHECK_FALSE(verify(folder / "copy", VerifyLevel::hash).damaged());
            fs::remove_all(folder / "copy");

            const CopyResult result = copy_into(folder / "copy", {{&a, selection}}, {.skip_damaged = true});
            CHECK(result.frames + result.frames_damaged == (whole ? 30 : 28));
            CHECK(result.frames_damaged > 0);
            CHECK(result.first_damage.find("chunk 1") != std::string::npos);
            StoreReader copy(folder / "copy");
            CHECK(copy.frame_count() == result.frames);
            if (copy.metadata().extension == ".mkv") {
                // The whole group may have to go.
                CHECK(result.frames >= 28 - 10);
                std::vector<Origin> kept;
                copy.visit_rows(0, copy.frame_count(), [&](const FrameRow& row) {
                    for (const Origin& origin : readable) {
                        if (same_time(a.row(origin.index)->time, row.time)) kept.push_back(origin);
                    }
                    return true;
                });
                CHECK(every_difference(folder / "copy", kept) == "");
            } else {
                CHECK(every_difference(folder / "copy", readable) == "");
            }
            for (const char* name : {"a", "b", "copy"}) fs::remove_all(folder / name);
        }
    }
}

TEST_CASE("damage in packets that are only decoded for others is found") {
    const TemporaryFolder folder(memory_folder());
    write_store(folder / "a", kKinds[0], 20, 20);
    StoreReader a(folder / "a");
    copy_into(folder / "copy", {{&a, {{{5, 20}}}}});
    const auto table = StoreReader(folder / "copy").packet_table(0);
    size_t place = 0;
    while (!table->packets[place].hidden || table->packets[place].key) ++place;
    flip_byte(folder / "copy/000000.mp4", table->packets[place].offset + table->packets[place].size / 2);
    StoreReader copy(folder / "copy");
    CHECK(error_of([&] { copy.at_index(0); }) == ErrorCode::corrupt);
    const VerifyReport report = verify(folder / "copy", VerifyLevel::hash);
    CHECK(report.damaged());
    const auto found = std::find_if(report.findings.begin(), report.findings.end(),
                                    [](const Finding& finding) { return finding.code == "bytes_changed"; });
    REQUIRE(found != report.findings.end());
    CHECK(found->frame_index.has_value());
}

TEST_CASE("video that was written anew around the same packets is copied") {
    const TemporaryFolder folder(memory_folder());
    write_store(folder / "a", kKinds[0], 20, 10);
    StoreReader a(folder / "a");
    const std::vector<Origin> expected = origins(a, 0, 20);
    for (const char* options : {"-movflags +faststart", ""}) {
        const fs::path media = folder / "a/000001.mp4";
        const std::string command = fmt::format("ffmpeg -nostdin -v error -y -i '{}' -c copy {} '{}'", media.string(),
                                                options, (folder / "new.mp4").string());
        REQUIRE(std::system(command.c_str()) == 0);
        fs::rename(folder / "new.mp4", media);
        for (const int64_t first : {0, 13}) {
            CHECK(copy_into(folder / "copy", {{&a, {{{first, 20}}}}}).frames_damaged == 0);
            CHECK(every_difference(folder / "copy", {expected.begin() + first, expected.end()}) == "");
            fs::remove_all(folder / "copy");
        }
    }
}

TEST_CASE("chunks of the copy are numbered without gaps where nothing of a chunk can be read") {
    const TemporaryFolder folder(memory_folder());
    for (const char* format : {"avc1/mp4", "npy", "zstd/npy"}) {
        write_store(folder / "a", {format}, 12, 4);
        StoreReader a(folder / "a");
        fs::remove_all(StoreLayout(a.folder(), a.metadata().kind, a.metadata().extension).media(0));
        copy_into(folder / "copy", {{&a, all_of(a)}}, {.skip_damaged = true});
        CHECK(StoreReader(folder / "copy").chunks() == std::vector<int64_t>{0, 1});
        CHECK(every_difference(folder / "copy", origins(a, 4, 12)) == "");
        for (const char* name : {"a", "copy"}) fs::remove_all(folder / name);
    }
}

TEST_CASE("a chunk whose media are missing is an error, or left out") {
    const TemporaryFolder folder(memory_folder());
    for (const char* format : {"avc1/mp4", "npy", "zstd/npy"}) {
        CAPTURE(format);
        write_store(folder / "a", {format}, 12, 4);
        StoreReader a(folder / "a");
        fs::remove_all(StoreLayout(a.folder(), a.metadata().kind, a.metadata().extension).media(1));
        const Error error = expected_error([&] { copy_into(folder / "copy", {{&a, all_of(a)}}); });
        CHECK(error.place().chunk == 1);
        CHECK(error.place().frame_index == 4);
        fs::remove_all(folder / "copy");
        CHECK(copy_into(folder / "copy", {{&a, all_of(a)}}, {.skip_damaged = true}).frames_damaged == 4);
        std::vector<Origin> expected = origins(a, 0, 4);
        for (const Origin& frame : origins(a, 8, 12)) expected.push_back(frame);
        CHECK(difference(folder / "copy", expected) == "");
        for (const char* name : {"a", "copy"}) fs::remove_all(folder / name);
    }
}

TEST_CASE("a store can be copied while it is written: what is committed") {
    const TemporaryFolder folder(memory_folder());
    for (const Kind& kind : kKinds) {
        CAPTURE(kind.title);
        StoreWriter writer(folder / "a",
                           {.format = kind.format, .chunk_frames = 10, .codec = kind.codec, .commit_interval = 1000});
        for (int i = 0; i < 28; ++i) {
            writer.add(make_numbered_image(color_type(), i), number_of(i), fixture_time(i));
            if (i % 3 == 0) writer.add_extra_data({{"value", i}});
        }
        writer.commit();
        StoreReader live(folder / "a");
        const int64_t count = live.frame_count();
        CHECK(count > 10);
        copy_into(folder / "copy", {{&live, all_of(live)}});
        CHECK(every_difference(folder / "copy", origins(live, 0, count)) == "");
        fs::remove_all(folder / "copy");
        copy_into(folder / "copy", {{&live, {{{3, count - 1}}}}}, {.chunk_frames = 6});
        CHECK(every_difference(folder / "copy", origins(live, 3, count - 1)) == "");
        writer.close();
        for (const char* name : {"a", "copy"}) fs::remove_all(folder / name);
    }
}

TEST_CASE("a store whose first chunks were removed is copied") {
    const TemporaryFolder folder(memory_folder());
    for (const Kind& kind : kKinds) {
        CAPTURE(kind.title);
        write_store(folder / "a", kind, 30, 10);
        {
            StoreReader a(folder / "a");
            const auto index =
                FrameIndex::open(folder / "a/index.sqlite", a.metadata().uuid, Database::Mode::read_write);
            index->remove_first_chunk();
        }
        StoreReader a(folder / "a");
        REQUIRE(a.frame_count() == 20);
        CHECK(a.row(0)->time == fixture_time(10));
        copy_into(folder / "copy", {{&a, {{{2, 20}}}}});
        CHECK(every_difference(folder / "copy", origins(a, 2, 20)) == "");
        for (const char* name : {"a", "copy"}) fs::remove_all(folder / name);
    }
}

TEST_CASE("imgstore's stores are copied, whole and in part") {
    const TemporaryFolder folder(memory_folder());
    const fs::path golden = test_data() / "golden/imgstore-0.4.0";
    int stores = 0;
    for (const auto& entry : fs::directory_iterator(golden)) {
        if (!is_store(entry.path())) continue;
        CAPTURE(entry.path().filename().string());
        ++stores;
        StoreReader source(entry.path());
        const int64_t count = source.frame_count();
        copy_into(folder / "copy", {{&source, all_of(source)}});
        CHECK(every_difference(folder / "copy", origins(source, 0, count)) == "");
        if (count > 0)
            CHECK((StoreReader(folder / "copy").metadata().recorded_type == source.metadata().recorded_type));
        fs::remove_all(folder / "copy");
        if (count > 3) {
            copy_into(folder / "copy", {{&source, {{{1, count - 1}}}}}, {.chunk_frames = 3});
            CHECK(every_difference(folder / "copy", origins(source, 1, count - 1)) == "");
            fs::remove_all(folder / "copy");
        }
    }
    CHECK(stores > 10);
}

TEST_CASE("a stop leaves a store with the frames so far") {
    const TemporaryFolder folder(memory_folder());
    write_store(folder / "a", kKinds[1], 30, 10);
    StoreReader a(folder / "a");
    std::stop_source stop;
    CopyOptions options;
    options.progress = [&](int64_t frames) {
        if (frames >= 10) stop.request_stop();
    };
    options.stop = stop.get_token();
    const CopyResult result = copy_into(folder / "copy", {{&a, all_of(a)}}, options);
    CHECK(result.cancelled);
    CHECK(result.frames == 10);
    CHECK(every_difference(folder / "copy", origins(a, 0, 10)) == "");
}

TEST_CASE("a writer goes on with frames behind a copy") {
    const TemporaryFolder folder(memory_folder());
    for (const Kind& kind : {kKinds[0], kKinds[6]}) {
        CAPTURE(kind.title);
        write_store(folder / "a", kind, 14, 10);
        StoreReader a(folder / "a");
        copy_into(folder / "copy", {{&a, {{{3, 14}}}}});
        {
            StoreWriter writer(folder / "copy", {.append = true});
            CHECK(writer.frame_count() == 11);
            for (int i = 14; i < 17; ++i) writer.add(make_numbered_image(color_type(), i), i, fixture_time(i));
            writer.close();
        }
        StoreReader copy(folder / "copy");
        REQUIRE(copy.frame_count() == 14);
        for (int64_t i = 13; i >= 0; --i) CHECK(read_image_number(copy.at_index(i).image) == i + 3);
        CHECK_FALSE(verify(folder / "copy", VerifyLevel::hash).damaged());
        for (const char* name : {"a", "copy"}) fs::remove_all(folder / name);
    }
}

namespace {

struct Video {
    std::string name;
    CodecOptions codec;
    ImageType type;
};

void write_video(const fs::path& path, const Video& video, int frames) {
    const auto sink = create_file_sink(path, {.frame_rate = 25.0, .codec = video.codec});
    for (int i = 0; i < frames; ++i) {
        Frame frame;
        frame.image = make_numbered_image(video.type, i);
        frame.index = frame.number = i;
        frame.time = i / 25.0;
        sink->write(frame);
    }
    sink->close();
}

int64_t take_in(const fs::path& video, const fs::path& store, VideoCopyOptions options,
                const std::string& format = {}) {
    const auto table = std::make_shared<const PacketTable>(scan_packets(video).table);
    StoreWriter writer(store, {.format = format_for_packets(video, *table, format),
                               .chunk_frames = options.chunk_frames,
                               .time_zone = "Etc/UTC"});
    options.stamp = [](int64_t frame) { return FrameStamp{100 + frame, fixture_time(frame)}; };
    const int64_t frames = copy_video(video, table, writer, options);
    writer.close();
    return frames;
}

}  // namespace

TEST_CASE("a video file is taken in as it is, in chunks that begin at key frames") {
    const TemporaryFolder folder(memory_folder());
    constexpr int kFrames = 40;
    const std::vector<Video> videos = {
        {"b.mp4", {{"encoder", "libx264"}, {"bframes", "2"}, {"gop", "8"}, {"threads", "1"}}, color_type()},
        {"plain.mkv", {{"encoder", "libx264"}, {"tune", "zerolatency"}, {"gop", "6"}, {"threads", "1"}}, color_type()},
        {"gray.mp4", {{"encoder", "libx264"}, {"gop", "5"}, {"threads", "1"}}, gray_type()},
        {"motion.avi", {}, color_type()},
        {"motion.mp4", {{"encoder", "mjpeg"}}, color_type()},
    };
    for (const Video& video : videos) {
        CAPTURE(video.name);
        const fs::path path = folder / video.name;
        write_video(path, video, kFrames);
        const auto original = open_recording(path.string());
        REQUIRE(original->random_access()->frame_count() == kFrames);
        for (const auto& range : {std::pair(0, kFrames), {3, 30}, {8, 5}, {39, 10}}) {
            const int first = range.first;
            const int frames = range.second;
            CAPTURE(first);
            CAPTURE(frames);
            const fs::path store = folder / "store";
            const int64_t expected = std::min(frames, kFrames - first);
            CHECK(take_in(path, store, {.first = first, .frames = frames, .chunk_frames = 10, .stamp = {}}) ==
                  expected);
            for (const bool with_index : {true, false}) {
                if (with_index) CHECK_FALSE(verify(store, VerifyLevel::hash).damaged());
                if (!with_index) fs::remove(store / "index.sqlite");
                StoreReader copy(store);
                CHECK(copy.chunks().size() <= 4);
                if (frames == kFrames) CHECK(copy.chunks().size() >= 3);
                REQUIRE(copy.frame_count() == expected);
                CHECK(copy.image_type() == original->info().image_type);
                for (int64_t i = expected - 1; i >= 0; --i) {
                    const Frame frame = copy.at_index(i);
                    CHECK(same_pixels(frame.image, original->at_index(first + i).image));
                    CHECK(frame.number == 100 + first + i);
                    CHECK(frame.time == fixture_time(first + i));
                }
            }
            fs::remove_all(store);
        }
    }
}

TEST_CASE("videos that a store cannot give back as they are, are refused") {
    const TemporaryFolder folder(memory_folder());
    write_video(folder / "a.mp4", {"", {{"encoder", "libx264"}, {"gop", "8"}}, color_type()}, 12);
    PacketTable table = scan_packets(folder / "a.mp4").table;
    CHECK(format_for_packets("a.mp4", table, "") == "avc1/mp4");
    CHECK(format_for_packets("a.mp4", table, "h264/mkv") == "h264/mkv");
    const auto code = [&](const PacketTable& other, const std::string& format = {}) {
        std::string message;
        const auto found = error_of([&] { format_for_packets("a.mp4", other, format); }, &message);
        if (found == ErrorCode::unsupported) CHECK(message.find("without --copy") != std::string::npos);
        return found;
    };
    CHECK(code(table, "mjpeg/avi") == ErrorCode::unsupported);
    CHECK(code(table, "png") == ErrorCode::unsupported);
    CHECK(code(table, "nonsense") == ErrorCode::invalid_argument);
    PacketTable other = table;
    other.stream.codec = "vp9";
    CHECK(code(other) == ErrorCode::unsupported);
    other.stream.codec = "hevc";
    CHECK(format_for_packets("a.mp4", other, "") == "hevc/mp4");
    other = table;
    other.stream.rotation = 90;
    CHECK(code(other) == ErrorCode::unsupported);
    other = table;
    other.stream.mirrored = true;
    CHECK(code(other) == ErrorCode::unsupported);
    other = table;
    other.stream.pixel_format = "gray10le";
    CHECK_FALSE(code(other));
    CHECK(code({}) == ErrorCode::unsupported);
    // A range that would need hidden packets, in a container that has none.
    CHECK(error_of([&] {
              take_in(folder / "a.mp4", folder / "s", {.first = 3, .frames = 4, .stamp = {}}, "h264/mkv");
          }) == ErrorCode::unsupported);
}

TEST_SUITE_BEGIN("crash");

TEST_CASE("power cuts while a store is copied leave whole chunks with the right frames") {
    for (const size_t which : {size_t{0}, size_t{3}, size_t{4}, size_t{6}}) {
        const Kind& kind = kKinds[which];
        CAPTURE(kind.title);
        const TemporaryFolder sources(memory_folder());
        write_store(sources / "a", kind, 14, 5);
        StoreReader a(sources / "a");
        const int64_t first = kind.format == "h264/mkv" ? 5 : 2;
        const TemporaryFolder folder(memory_folder());
        CrashTrace trace;
        {
            CrashSimulation simulation(folder.path());
            const FileSystemOverride in_place(simulation);
            copy_into(folder / "s", {{&a, {{{first, 14}}}}}, {.chunk_frames = 4});
            simulation.mark("closed");
            trace = simulation.trace();
            CHECK(trace.differences_from(folder.path()).empty());
        }
        const std::vector<Origin> all = origins(a, first, 14);
        std::string wrong;
        int64_t visited = 0;
        trace.visit({.seed = 5, .states_per_barrier = kSanitized ? 1 : 6, .random_cuts = kSanitized ? 5 : 60},
                    [&](const CrashState& state) {
                        ++visited;
                        const fs::path store = state.folder / "s";
                        try {
                            if (!is_store(store)) {
                                if (!state.marks.empty()) wrong = "no store";
                            } else {
                                const int64_t count = StoreReader(store).frame_count();
                                wrong = difference(store, {all.begin(), all.begin() + count});
                                if (!state.marks.empty() && count < static_cast<int64_t>(all.size()))
                                    wrong = "frames are missing";
                                if (wrong.empty() && visited % 5 == 0) {
                                    apply_repair(store);
                                    wrong = every_difference(store, {all.begin(), all.begin() + count});
                                }
                            }
                        } catch (const Error& error) {
                            wrong = error.what();
                        }
                        if (!wrong.empty()) wrong = state.description + ": " + wrong;
                        return wrong.empty();
                    });
        CHECK(wrong == "");
        CHECK(visited > 10);
    }
}

TEST_CASE("a disk that fails ends a copy with an error, and what is in it is right") {
    for (const size_t which : {size_t{0}, size_t{6}}) {
        const Kind& kind = kKinds[which];
        CAPTURE(kind.title);
        const TemporaryFolder folder(memory_folder());
        write_store(folder / "a", kind, 9, 4);
        StoreReader a(folder / "a");
        const std::vector<Origin> all = origins(a, 2, 9);
        const auto copy = [&](FaultPlan plan) {
            FaultFileSystem faults(std::move(plan));
            const FileSystemOverride in_place(faults);
            const auto code = error_of([&] { copy_into(folder / "s", {{&a, {{{2, 9}}}}}, {.chunk_frames = 4}); });
            return std::pair(code, faults.count());
        };
        const int64_t operations = copy({}).second;
        fs::remove_all(folder / "s");
        CHECK(operations > 20);
        for (int64_t nth = 1; nth <= operations; nth += kSanitized ? 7 : 1) {
            for (const auto repeat : {FaultPlan::Repeat::once, FaultPlan::Repeat::for_ever}) {
                CAPTURE(nth);
                const auto [code, count] = copy({.nth = nth, .error_number = EIO, .repeat = repeat});
                const bool there = is_store(folder / "s");
                if (there) {
                    const int64_t frames = StoreReader(folder / "s").frame_count();
                    CHECK(frames <= 7);
                    CHECK(difference(folder / "s", {all.begin(), all.begin() + std::min<int64_t>(7, frames)}) == "");
                    if (!code) CHECK(frames == 7);
                } else {
                    CHECK(code);
                }
                fs::remove_all(folder / "s");
            }
        }
    }
}

TEST_SUITE_END();
