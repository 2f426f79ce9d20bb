// A closed store whose chunks are changed behind the back of its index, by a program that does not know it.

#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>

#include "base/file_system.h"
#include "store/layout.h"
#include "store/loaded_table.h"
#include "store/maintenance.h"
#include "store/store_contents.h"
#include "tests/forwarding_file_system.h"
#include "tests/store/store_fixture.h"
#include "tests/temporary_folder.h"
#include "tests/test_data.h"

using namespace reelstore;

namespace fs = std::filesystem;

namespace {

constexpr std::array kMatches = {Match::exact, Match::nearest, Match::previous, Match::next};
constexpr int kChunkFrames = 4;
constexpr int kDonorChunks = 12;

/// A frame that a reader must give, or list without being able to read it.
struct Expected {
    int image = 0;
    int64_t number = 0;
    double time = 0;
    bool readable = true;
};

/// What is in each chunk of a store.
using Model = std::map<int64_t, std::vector<Expected>>;

/// Sets the time of a change of a file or folder.
void set_time(const fs::path& path, double seconds) {
    timespec times[2] = {};
    times[0].tv_sec = times[1].tv_sec = static_cast<time_t>(seconds);
    times[0].tv_nsec = times[1].tv_nsec = static_cast<long>((seconds - std::floor(seconds)) * 1e9);
    REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
}

/// Counts how often files are opened for reading, by name within the store.
class CountingFileSystem : public ForwardingFileSystem {
public:
    using ForwardingFileSystem::ForwardingFileSystem;
    std::unique_ptr<File> open(const fs::path& path, OpenMode mode) override {
        {
            const std::lock_guard lock(mutex_);
            ++opened_[path.string()];
        }
        return ForwardingFileSystem::open(path, mode);
    }
    int opened(const fs::path& path) {
        const std::lock_guard lock(mutex_);
        return opened_[path.string()];
    }
    /// Of all files with this ending.
    int opened_of(const std::string& ending) {
        const std::lock_guard lock(mutex_);
        int sum = 0;
        for (const auto& [path, count] : opened_) sum += path.ends_with(ending) ? count : 0;
        return sum;
    }
    void forget() {
        const std::lock_guard lock(mutex_);
        opened_.clear();
    }

private:
    std::mutex mutex_;
    std::map<std::string, int> opened_;
};

/// Stores of one format, made of the chunks of another.
class Chunks {
public:
    explicit Chunks(const std::string& format) {
        UnsyncedFileSystem unsynced;
        const FileSystemOverride fast(unsynced);
        StoreWriter writer(donor(), {.format = format, .chunk_frames = kChunkFrames});
        for (int i = 0; i < kDonorChunks * kChunkFrames; ++i) {
            writer.add(make_numbered_image(gray_type(), i), 100 + 3 * i, fixture_time(i));
            writer.add_extra_data({{"image", i}});
        }
        writer.close();
        const StoreReader reader(donor());
        const StoreMetadata& metadata = reader.metadata();
        kind_ = metadata.kind;
        extension_ = metadata.extension;
    }

    fs::path donor() const { return folder_ / "donor"; }
    fs::path path() const { return folder_ / "store"; }
    StoreLayout layout(const fs::path& store) const { return {store, kind_, extension_}; }

    static std::vector<Expected> frames_of(int donor_chunk) {
        std::vector<Expected> frames;
        for (int i = donor_chunk * kChunkFrames; i < (donor_chunk + 1) * kChunkFrames; ++i)
            frames.push_back({i, 100 + 3 * i, fixture_time(i)});
        return frames;
    }

    /// Copies a chunk of the donor into the store under another number.
    void put(int64_t chunk, int donor_chunk) const {
        const StoreLayout from = layout(donor());
        const StoreLayout to = layout(path());
        remove(chunk);
        fs::copy(from.media(donor_chunk), to.media(chunk), fs::copy_options::recursive);
        if (kind_ == ChunkKind::folder) return;
        fs::copy(from.sidecar(donor_chunk), to.sidecar(chunk));
        fs::copy(from.extra_data(donor_chunk), to.extra_data(chunk));
    }

    void remove(int64_t chunk) const {
        const StoreLayout to = layout(path());
        for (const fs::path& file : {to.media(chunk), to.sidecar(chunk), to.extra_data(chunk)}) fs::remove_all(file);
    }

    /// A store with the chunks 10, 20, ..., 60 of the donor's 0 to 5, and its index.
    Model make() const {
        fs::remove_all(path());
        fs::create_directory(path());
        fs::copy(donor() / "metadata.yaml", path() / "metadata.yaml");
        Model model;
        for (int chunk = 0; chunk < 6; ++chunk) {
            put(10 * chunk + 10, chunk);
            model[10 * chunk + 10] = frames_of(chunk);
        }
        UnsyncedFileSystem unsynced;
        const FileSystemOverride fast(unsynced);
        build_index(path());
        return model;
    }

    void write_sidecar(int64_t chunk, const std::vector<Expected>& frames) const {
        ChunkSidecar sidecar;
        for (const Expected& frame : frames) {
            sidecar.numbers.push_back(frame.number);
            sidecar.times.push_back(frame.time);
        }
        const StoreReader reader(donor());
        write_chunk_sidecar(layout(path()), chunk, reader.metadata(), sidecar);
    }

private:
    TemporaryFolder folder_{memory_folder()};
    ChunkKind kind_ = ChunkKind::file;
    std::string extension_;
};

/// What is wrong with what a reader gives of a store; empty when nothing is.
std::string fault_of(StoreReader& store, const Model& model) {
    std::vector<Expected> frames;
    std::vector<int64_t> chunks;
    for (const auto& [chunk, all] : model) {
        if (!all.empty()) chunks.push_back(chunk);
        frames.insert(frames.end(), all.begin(), all.end());
    }
    const auto count = static_cast<int64_t>(frames.size());
    if (store.frame_count() != count) return fmt::format("{} frames instead of {}", store.frame_count(), count);
    if (store.chunks() != chunks) return "other chunks";
    std::map<int64_t, int> records;
    store.visit_extra_data(0, count, [&](const ExtraRecord& record) {
        records[record.frame_index] = record.data.at("image").get<int>();
        return true;
    });
    for (int64_t k = 0; k < count; ++k) {
        const int64_t i = k * 7 % count;
        const Expected& wanted = frames[static_cast<size_t>(i)];
        const auto row = store.row(i);
        if (!row || row->number != wanted.number || row->time != wanted.time) return fmt::format("another row {}", i);
        std::optional<int> image;
        const auto error = thrown_by([&] { image = read_image_number(store.at_index(i).image); });
        if (error.has_value() == wanted.readable)
            return fmt::format("frame {}: {}", i, error ? error->what() : "should not be readable");
        if (wanted.readable && image != wanted.image) return fmt::format("frame {} shows {}", i, image.value_or(-1));
        if (const auto record = records.find(i); record != records.end() && record->second != wanted.image)
            return fmt::format("frame {} has the extra data of {}", i, record->second);
        for (const Match match : kMatches) {
            for (const int64_t number : {wanted.number, wanted.number + 1}) {
                std::optional<int64_t> best;
                for (int64_t j = 0; j < count; ++j) {
                    const int64_t other = frames[static_cast<size_t>(j)].number;
                    const bool fits = match == Match::nearest || (match == Match::exact && other == number) ||
                                      (match == Match::previous && other <= number) ||
                                      (match == Match::next && other >= number);
                    if (fits && (!best || std::abs(other - number) <
                                              std::abs(frames[static_cast<size_t>(*best)].number - number)))
                        best = j;
                }
                const auto found = store.find_number(number, match);
                if ((found ? std::optional(found->index) : std::nullopt) != best)
                    return fmt::format("number {} match {}", number, static_cast<int>(match));
            }
        }
        if (const auto found = store.find_time(wanted.time, Match::exact); !found || found->time != wanted.time)
            return fmt::format("time of {}", i);
    }
    return "";
}

bool warned(const StoreReader& store, const std::string& words) {
    return std::any_of(store.warnings().begin(), store.warnings().end(),
                       [&](const std::string& warning) { return warning.find(words) != std::string::npos; });
}

/// Something that is done to a store.
struct Change {
    std::string name;
    std::function<void(const Chunks&, Model&)> make;
    std::vector<int64_t> touched;       ///< chunks that may be read again
    bool missing_only = false;          ///< nothing of the index is wrong
    bool sidecar_only = false;          ///< numbers and times, and nothing else
    bool noticed_by_time_only = false;  ///< by the time of the store's folder, not by a look at some chunks
};

std::vector<Change> changes() {
    const auto put = [](int64_t chunk, int donor) {
        return [=](const Chunks& chunks, Model& model) {
            chunks.put(chunk, donor);
            model[chunk] = Chunks::frames_of(donor);
        };
    };
    return {
        {"added behind the last", put(61, 8), {61}},
        {"added far behind", put(900, 8), {900}, false, false, true},
        {"added in front", put(3, 8), {3}, false, false, true},
        {"added in a gap", put(35, 8), {35}, false, false, true},
        {"replaced with sidecar", put(30, 9), {30}},
        {"first replaced", put(10, 9), {10}},
        {"last replaced", put(60, 9), {60}},
        {"other numbers",
         [](const Chunks& chunks, Model& model) {
             for (Expected& frame : model[40]) frame.number += 1000;
             chunks.write_sidecar(40, model[40]);
         },
         {40},
         false,
         true},
        {"fewer frames said",
         [](const Chunks& chunks, Model& model) {
             model[20].pop_back();
             chunks.write_sidecar(20, model[20]);
         },
         {20},
         false,
         true},
        {"removed",
         [](const Chunks& chunks, Model& model) {
             chunks.remove(30);
             for (Expected& frame : model[30]) frame.readable = false;
         },
         {},
         true},
        {"removed and added",
         [put](const Chunks& chunks, Model& model) {
             chunks.remove(30);
             for (Expected& frame : model[30]) frame.readable = false;
             put(61, 8)(chunks, model);
         },
         {61}},
        {"all replaced",
         [put](const Chunks& chunks, Model& model) {
             for (int chunk = 0; chunk < 6; ++chunk) put(10 * chunk + 10, 11 - chunk)(chunks, model);
         },
         {10, 20, 30, 40, 50, 60}},
    };
}

}  // namespace

TEST_CASE("chunks that come, go and change behind the index's back") {
    for (const std::string format : {"npy", "avc1/mp4", "mjpeg/avi"}) {
        const Chunks chunks(format);
        for (const Change& change : changes()) {
            for (const bool time_kept : {false, true}) {
                INFO(std::string(format + ": " + change.name + (time_kept ? ", time kept" : "")));
                const Model before = chunks.make();
                Model model = before;
                const double folder_time = file_system().status(chunks.path()).modified;
                change.make(chunks, model);
                set_time(chunks.path(), time_kept ? folder_time : folder_time + 100);
                const bool unnoticed = time_kept && change.noticed_by_time_only;
                CountingFileSystem counting;
                {
                    const FileSystemOverride counted(counting);
                    StoreReader store(chunks.path());
                    for (const auto& [chunk, frames] : before) {
                        // A look at the end of the file, once among some chunks and once among all.
                        const bool touched =
                            std::find(change.touched.begin(), change.touched.end(), chunk) != change.touched.end();
                        CHECK((touched || counting.opened(chunks.layout(chunks.path()).sidecar(chunk)) <= 4));
                    }
                    CHECK(fault_of(store, unnoticed ? before : model) == "");
                    CHECK(store.has_index() == (unnoticed || change.missing_only));
                    CHECK(store.warnings().empty() == unnoticed);
                    if (!unnoticed) CHECK(warned(store, change.missing_only ? "missing" : "store index"));
                    // Extra data name the numbers of their frames too.
                    CHECK(store.incomplete() == (change.name.starts_with("removed") || change.sidecar_only));
                }
                // Nobody has written anything; the next reader sees the same.
                StoreReader again(chunks.path());
                CHECK(fault_of(*again.clone(), unnoticed ? before : model) == "");
                if (change.name.starts_with("removed")) continue;
                build_index(chunks.path());
                StoreReader renewed(chunks.path());
                CHECK(renewed.has_index());
                CHECK(renewed.warnings().empty());
                CHECK(fault_of(renewed, model) == "");
            }
        }
    }
}

TEST_CASE("media that were replaced under the same numbers are read as they are, or not at all") {
    for (const std::string format : {"npy", "avc1/mp4", "mjpeg/avi"}) {
        INFO(format);
        const Chunks chunks(format);
        Model model = chunks.make();
        const fs::path media = chunks.layout(chunks.path()).media(30);
        if (format == "npy") {
            for (const auto& entry : fs::directory_iterator(chunks.layout(chunks.donor()).media(9))) {
                if (entry.path().filename() != "index.npz")
                    fs::copy(entry.path(), media / entry.path().filename(), fs::copy_options::overwrite_existing);
            }
        } else {
            fs::copy(chunks.layout(chunks.donor()).media(9), media, fs::copy_options::overwrite_existing);
        }
        StoreReader store(chunks.path());
        int64_t index = 0;
        for (const auto& [chunk, frames] : model) {
            for (size_t i = 0; i < frames.size(); ++i, ++index) {
                std::optional<int> image;
                const auto error = thrown_by([&] { image = read_image_number(store.at_index(index).image); });
                if (chunk != 30) {
                    CHECK_FALSE(error);
                    CHECK(image == frames[i].image);
                } else if (error) {
                    CHECK(error->code() == ErrorCode::corrupt);
                } else {
                    CHECK(image == 9 * kChunkFrames + static_cast<int>(i));
                }
            }
        }
    }
}

TEST_CASE("copies and stray files make no index stale, and cost no reading of sidecars") {
    const TemporaryFolder folder(memory_folder());
    constexpr int kChunks = 300;
    {
        UnsyncedFileSystem unsynced;
        const FileSystemOverride fast(unsynced);
        write_numbered_store(folder / "s", {.format = "npy", .chunk_frames = 1}, {8, 16, 1, CV_8U}, kChunks);
    }
    fs::copy(folder / "s", folder / "copy", fs::copy_options::recursive);
    std::ofstream(folder / "copy" / "notes.txt") << "mine";
    set_time(folder / "copy", file_system().status(folder / "copy" / "index.sqlite").modified + 1000);
    CountingFileSystem counting;
    {
        const FileSystemOverride counted(counting);
        for (const char* name : {"s", "copy"}) {
            counting.forget();
            StoreReader store(folder / name);
            CHECK(store.has_index());
            CHECK(store.warnings().empty());
            CHECK(store.frame_count() == kChunks);
            MESSAGE(std::string(name) << ": " << counting.opened_of("index.npz") << " of " << kChunks
                                      << " sidecars looked at");
            CHECK(counting.opened_of("index.npz") <= (std::string(name) == "s" ? 10 : kChunks + 10));
        }
    }
    // Files that look like something of a store's.
    for (const char* name : {"000999.npz", "000400.txt", "000500", "abc.npz", "-00001.npz"})
        std::ofstream(folder / "s" / name) << "stray";
    fs::create_directory(folder / "s" / "000777");
    set_time(folder / "s", file_system().status(folder / "s").modified + 1000);
    StoreReader store(folder / "s");
    CHECK(store.has_index());
    CHECK(store.warnings().empty());
    CHECK(store.frame_count() == kChunks);
}

TEST_CASE("golden stores of imgstore with an index that is behind") {
    const fs::path golden = test_data() / "golden" / "imgstore-0.4.0";
    for (const std::string name : {"npy-gray", "avc1_mp4-gray", "h264_mkv-gray", "mjpeg_avi-gray"}) {
        INFO(name);
        const TemporaryFolder folder(memory_folder());
        const fs::path path = folder / "s";
        fs::copy(golden / name, path, fs::copy_options::recursive);
        std::vector<std::pair<int, int64_t>> before;
        {
            StoreReader store(path);
            for (int64_t i = 0; i < store.frame_count(); ++i)
                before.emplace_back(read_image_number(store.at_index(i).image).value(), store.row(i)->number);
        }
        const StoreMetadata metadata = StoreReader(path).metadata();
        const StoreLayout layout(path, metadata.kind, metadata.extension);
        // Indexed without its last chunk, which then comes back.
        const int64_t last = layout.chunks().back().number;
        std::vector<fs::path> files = {layout.media(last)};
        if (metadata.kind == ChunkKind::file) files.push_back(layout.sidecar(last));
        for (const fs::path& file : files) fs::rename(file, folder / file.filename());
        build_index(path);
        CHECK(StoreReader(path).frame_count() < static_cast<int64_t>(before.size()));
        for (const fs::path& file : files) fs::rename(folder / file.filename(), file);
        for (const bool renewed : {false, true}) {
            if (renewed) build_index(path);
            StoreReader store(path);
            CHECK(store.has_index() == renewed);
            REQUIRE(store.frame_count() == static_cast<int64_t>(before.size()));
            for (size_t i = before.size(); i-- > 0;) {
                const Frame frame = store.at_index(static_cast<int64_t>(i));
                CHECK(read_image_number(frame.image) == before[i].first);
                CHECK(frame.number == before[i].second);
            }
        }
    }
}

TEST_CASE("a store whose index is behind is continued rightly or not at all") {
    for (const std::string format : {"npy", "avc1/mp4"}) {
        const Chunks chunks(format);
        for (const Change& change : changes()) {
            INFO(std::string(format + ": " + change.name));
            Model model = chunks.make();
            const double folder_time = file_system().status(chunks.path()).modified;
            change.make(chunks, model);
            set_time(chunks.path(), folder_time + 100);
            const auto error = thrown_by([&] {
                StoreWriter writer(chunks.path(), {.append = true});
                writer.add(make_numbered_image(gray_type(), 77), 5000, fixture_time(5000));
                writer.close();
            });
            // Nobody comes back within the same second.
            if (error) set_time(chunks.path(), folder_time + 100);
            StoreReader store(chunks.path());
            if (error) {
                CHECK(error->code() == ErrorCode::corrupt);
                CHECK(std::string(error->what()).find("before anything is appended") != std::string::npos);
                CHECK(fault_of(store, model) == "");
                continue;
            }
            CHECK(change.missing_only);
            int64_t behind = 0;
            for (const StoreLayout::Chunk& chunk : chunks.layout(chunks.path()).chunks())
                behind = std::max(behind, chunk.number);
            model[behind] = {{77, 5000, fixture_time(5000)}};
            CHECK(fault_of(store, model) == "");
        }
    }
}

TEST_CASE("sidecars that change, break or vanish after the opening are noticed") {
    const Chunks chunks("npy");
    for (const std::string how : {"changed", "shorter", "broken", "gone"}) {
        for (const bool read_before : {false, true}) {
            INFO(std::string(how + (read_before ? ", read before" : "")));
            Model model = chunks.make();
            fs::remove(chunks.path() / "index.sqlite");
            StoreReader store(chunks.path());
            if (read_before) CHECK(fault_of(store, model) == "");
            const fs::path sidecar = chunks.layout(chunks.path()).sidecar(30);
            std::vector<Expected> others = model[30];
            if (how == "changed") std::swap(others[1].number, others[2].number);
            if (how == "shorter") others.pop_back();
            chunks.write_sidecar(30, others);
            if (how == "broken") fs::resize_file(sidecar, 100);
            if (how == "gone") fs::remove(sidecar);
            for (int64_t i = 0; i < 24; ++i) {
                std::optional<FrameRow> row;
                const auto error = error_of([&] { row = store.row(i); });
                const Expected& wanted = model[10 + i / kChunkFrames * 10][static_cast<size_t>(i % kChunkFrames)];
                if (error) {
                    CHECK(error == ErrorCode::corrupt);
                    CHECK((i >= 8 && i < 12 && !read_before));
                } else {
                    CHECK(row->number == wanted.number);
                }
                const auto lookup = error_of([&] {
                    const auto found = store.find_number(wanted.number);
                    CHECK(found->index == i);
                });
                CHECK((!lookup || lookup == ErrorCode::corrupt));
                CHECK((!lookup || !read_before));
            }
        }
    }
}

TEST_CASE("a table of many small chunks is bounded in what it keeps and does") {
    std::vector<ChunkRow> chunks;
    constexpr int64_t kCount = 20000;
    int64_t loads = 0;
    const auto rows_of = [](int64_t chunk) {
        // Some hold no frames, some none with a time.
        ChunkSidecar rows;
        if (chunk % 10 == 3) return rows;
        rows.numbers = {(chunk * 7919) % 10007, chunk};
        const double time = chunk % 10 == 5 ? std::numeric_limits<double>::quiet_NaN() : static_cast<double>(chunk);
        rows.times = {time, time};
        return rows;
    };
    for (int64_t chunk = 0; chunk < kCount; ++chunk) chunks.push_back(summary_of(chunk, rows_of(chunk)));
    const LoadedTable table("memory", chunks, [&](const ChunkRow& chunk) {
        ++loads;
        return rows_of(chunk.chunk);
    });
    CHECK(table.frame_count() == kCount / 10 * 9 * 2);
    int64_t next = 0;
    table.visit_rows(0, table.frame_count(), [&](const FrameRow& row) {
        if (row.index != next++) FAIL("row " << row.index);
        if (row.position == 1 && row.number != row.chunk) FAIL("number " << row.number);
        return true;
    });
    CHECK(next == table.frame_count());
    CHECK(loads == kCount / 10 * 9);
    // The rows used last are kept.
    loads = 0;
    for (int round = 0; round < 100; ++round) CHECK(table.row(table.frame_count() - 1 - round % 20)->chunk > 0);
    CHECK(loads == 0);
    CHECK_FALSE(table.times_ascend());
    CHECK(table.find_time(14, Match::exact)->chunk == 14);
    CHECK(table.find_time(15, Match::nearest)->chunk == 14);
    CHECK(table.find_time(15, Match::next)->chunk == 16);
    CHECK_FALSE(table.find_time(13, Match::exact));
    CHECK(table.find_time(1e9, Match::previous)->chunk == kCount - 1);
}
