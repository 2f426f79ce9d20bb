#include "store/store_reader.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/crop.h"
#include "base/error.h"
#include "base/file_system.h"
#include "base/median.h"
#include "base/parallel_reader.h"
#include "base/encoding.h"
#include "codecs/video/decoder_pool.h"
#include "store/extra_data_file.h"
#include "store/filed_extra_data.h"
#include "store/layout.h"
#include "store/store_contents.h"
#include "store/store_lock.h"

namespace reelstore {

namespace {

/// Chunks kept open: enough for a reader that jumps between neighbours, few enough for files and decoders.
constexpr size_t kOpenChunks = 4;
/// Chunks whose packets, found by a scan, are kept in memory.
constexpr size_t kLearnedChunks = 16;
/// Rows taken from the index at once.
constexpr int64_t kBlockFrames = 4096;
/// Frames at the beginning from which the frame rate is told.
constexpr int64_t kFrameRateFrames = 10000;
/// How long a writer may take over steps in which its index cannot be opened, and how often that is tried.
constexpr double kPatienceSeconds = 5;
constexpr std::chrono::milliseconds kBetweenTries{20};
/// Times that an index is opened whose first chunks are removed meanwhile.
constexpr int kMostTries = 10;

bool held_by_writer(const std::filesystem::path& folder) {
    try {
        return StoreLock::held(folder);
    } catch (const Error&) {
        return false;
    }
}

std::filesystem::path existing_folder(const std::filesystem::path& path) {
    try {
        return store_folder(path);
    } catch (const Error& error) {
        if (error.code() != ErrorCode::not_a_store || !held_by_writer(path)) throw;
        throw not_begun(path);
    }
}

/// What tells whether files that were opened without any lock have changed since.
struct IndexFiles {
    explicit IndexFiles(const std::filesystem::path& index) {
        std::filesystem::path log_path = index;
        log_path += "-wal";
        const FileStatus log = file_system().status(log_path);
        const FileStatus main = file_system().status(index);
        size = main.size;
        modified = main.modified;
        log_size = log.size;
        log_modified = log.modified;
    }
    bool operator==(const IndexFiles&) const = default;

    uint64_t size = 0;
    double modified = 0;
    uint64_t log_size = 0;
    double log_modified = 0;
};

/// Whether `later` has every frame of `earlier` at the same index, judged by the last.
bool goes_on(const FrameIndex& earlier, const FrameIndex& later) {
    const int64_t count = earlier.frame_count();
    if (later.frame_count() < count) return false;
    if (count == 0) return true;
    const std::optional<FrameRow> old_row = earlier.row(count - 1);
    const std::optional<FrameRow> new_row = later.row(count - 1);
    const bool same_time = old_row->time == new_row->time || (std::isnan(old_row->time) && std::isnan(new_row->time));
    return same_time && old_row->number == new_row->number && old_row->chunk == new_row->chunk &&
           old_row->position == new_row->position;
}

}  // namespace

/// What all clones of a reader share: the facts learned at opening and the index, which only one of them asks at a
/// time.
struct StoreReader::Opened {
    Opened(const std::filesystem::path& path, const StoreReaderOptions& options)
        : folder(existing_folder(path)),
          metadata(read_metadata(folder)),
          layout(folder, metadata.kind, metadata.extension),
          format(reading_format(metadata)),
          encoding(metadata.encoding.empty() || !options.decode ? nullptr : find_encoding(metadata.encoding)),
          demosaic(options.demosaic),
          crop(options.crop) {
        warnings = metadata.warnings;
        image_type = metadata.stored_type;
        if (encoding && !image_type.empty()) {
            if (const auto reason = refuses_demosaic(*encoding, image_type, demosaic))
                throw Error(ErrorCode::unsupported, {folder.string(), {}, {}}, *reason);
            image_type = *decoded_type(*encoding, image_type);
        }
        if (crop && !image_type.empty()) {
            try {
                image_type = cropped(image_type, *crop);
            } catch (const Error& error) {
                throw error.at({folder.string(), {}, {}});
            }
        }
        open_index();
        fill_info();
    }

    void open_index() {
        const std::filesystem::path path = StoreLayout::index(folder);
        std::shared_ptr<FrameIndex> earlier;
        std::set<int64_t> unchanged;
        if (file_system().status(path).kind == FileKind::file) {
            try {
                const std::string why = open_and_look(path, unchanged);
                if (why.empty()) {
                    indexed = true;
                    return;
                }
                earlier = std::move(index);
                warnings.push_back(
                    fmt::format("{}: {}; what has changed is read from the chunks instead (`store index` "
                                "renews the index)",
                                path.string(), why));
            } catch (const Error& error) {
                // A locked or unreadable index may hold frames that nothing else has; a damaged or foreign one does
                // not.
                if (error.code() != ErrorCode::corrupt && error.code() != ErrorCode::unsupported) throw;
                index.reset();
                warnings.push_back(
                    fmt::format("{}; read from the chunks instead (`store index` makes a new one)", error.what()));
            }
        }
        OpenedSidecars opened = open_beside(std::move(earlier), unchanged);
        incomplete = opened.result.chunks_left_out > 0 || opened.result.chunks_without_media > 0;
        sidecars = std::move(opened.table);
    }

    /// The chunks, with the help of a stale index where that can be read.
    OpenedSidecars open_beside(std::shared_ptr<const FrameIndex> earlier, const std::set<int64_t>& unchanged) {
        if (earlier) {
            const std::vector<std::string> before = warnings;
            try {
                return open_sidecars(layout, warnings, std::move(earlier), unchanged);
            } catch (const Error& error) {
                if (error.code() != ErrorCode::corrupt) throw;
                warnings = before;
                warnings.push_back(fmt::format("{}; it is not used", error.what()));
            }
        }
        return open_sidecars(layout, warnings);
    }

    /// Opens the index and says why it is not the authority, if it is not.
    std::string open_and_look(const std::filesystem::path& path, std::set<int64_t>& unchanged) {
        const bool was_incomplete = incomplete;
        const size_t warned = warnings.size();
        for (int tries = 1;; ++tries) {
            index = open_database(path, read_without_locks);
            try {
                std::string why = find_staleness(path, unchanged);
                if (index->first_index() == 0 || tries == kMostTries) return why;
            } catch (const Error& error) {
                if (error.code() != ErrorCode::not_found || tries == kMostTries) throw;
            }
            // Its first chunks are being removed at this moment, which is not what was looked for.
            incomplete = was_incomplete;
            warnings.resize(warned);
            unchanged.clear();
        }
    }

    /// Why the index is not the authority, if it is not; fills in of which chunks it is nonetheless.
    std::string find_staleness(const std::filesystem::path& path, std::set<int64_t>& unchanged) {
        if (index->closed()) {
            const std::optional<ChunkChanges> changes = find_changes(*index, layout);
            if (!changes) return {};
            if (!changes->stale()) {
                incomplete = true;
                warnings.push_back(fmt::format(
                    "{}: {} chunks are missing, the first is {}; their frames are listed but cannot be read",
                    folder.string(), changes->missing.size(), layout.media(changes->missing.front()).string()));
                return {};
            }
            unchanged = changes->unchanged;
            return fmt::format("chunks have been put in or changed since it was made ({} and {})",
                               changes->added.size(), changes->changed.size());
        }
        // A writer that is at work keeps it up to date.
        if (held_by_writer(folder) || !behind_its_chunks(path)) return {};
        return "lacks the frames of complete chunks, perhaps because index.sqlite-wal was left behind";
    }

    bool behind_its_chunks(const std::filesystem::path& path) {
        const std::vector<StoreLayout::Chunk> on_disk = layout.chunks();
        if (!lacks_complete_chunks(*index, layout, on_disk)) return false;
        // Perhaps a writer has completed a chunk meanwhile.
        index = open_database(path, read_without_locks);
        return lacks_complete_chunks(*index, layout, on_disk);
    }

    /// `without_locks` is set when the files cannot be opened in a way that shows others' commits.
    std::unique_ptr<FrameIndex> open_database(const std::filesystem::path& path,
                                              std::optional<IndexFiles>& without_locks) const {
        const double give_up = now_monotonic() + kPatienceSeconds;
        for (;;) {
            try {
                auto opened = FrameIndex::open(path, metadata.uuid);
                without_locks.reset();
                return opened;
            } catch (const Error& error) {
                if (error.code() != ErrorCode::io && error.code() != ErrorCode::locked) throw;
                // A writer that begins or ends just now has it for itself for some moments.
                const bool may_pass = held_by_writer(folder) && now_monotonic() < give_up;
                if (!may_pass && error.code() == ErrorCode::locked) throw;
                if (!may_pass) break;
            }
            std::this_thread::sleep_for(kBetweenTries);
        }
        // A database left in write-ahead mode wants to make files beside itself, which read-only media and folders of
        // others refuse.
        const IndexFiles files(path);
        const auto mode = files.log_size > 0 ? Database::Mode::unlocked : Database::Mode::immutable;
        auto opened = FrameIndex::open(path, metadata.uuid, mode);
        without_locks = files;
        return opened;
    }

    bool refresh() {
        const std::lock_guard lock(index_mutex);
        if (!indexed) return false;
        bool changed = false;
        try {
            changed = reopen_if_replaced();
            changed = index->refresh() || changed;
            if (changed && rate_frames < kFrameRateFrames && index->frame_count() > 2 * rate_frames) rate_frames = -1;
        } catch (const Error& error) {
            // Whoever has it will have let go of it at the next call.
            if (error.code() != ErrorCode::locked) throw;
        }
        return changed;
    }

    bool reopen_if_replaced() {
        const std::filesystem::path path = StoreLayout::index(folder);
        if (!read_without_locks && !index->replaced()) return false;
        const IndexFiles files(path);
        if (files == read_without_locks || files == refused) return false;
        try {
            std::optional<IndexFiles> without_locks;
            std::unique_ptr<FrameIndex> fresh = open_database(path, without_locks);
            if (goes_on(*index, *fresh)) {
                index = std::move(fresh);
                sidecars_differ = false;
                read_without_locks = without_locks;
                return true;
            }
            refused = files;
        } catch (const Error& error) {
            // Perhaps it is being replaced at this moment. What was opened goes on to give what it has.
            if (error.code() == ErrorCode::corrupt || error.code() == ErrorCode::unsupported) refused = files;
        }
        return false;
    }

    void fill_info() {
        info.name = folder.string();
        info.format = metadata.format;
        info.image_type = image_type;
        info.encoding = metadata.encoding;
        info.has_numbers = true;
        info.has_times = true;
        info.times_are_absolute = true;
        info.creation_time = metadata.created;
        info.time_zone = recording_time_zone(metadata);
    }

    /// What `question` answers, with the frame table to itself. Where the index of a closed store turns out to be
    /// damaged, the chunks' sidecars answer from then on.
    template <typename Question>
    auto ask(Question question) const {
        const std::lock_guard lock(index_mutex);
        if (!indexed) return question(static_cast<const FrameTable&>(*sidecars));
        try {
            return question(static_cast<const FrameTable&>(*index));
        } catch (const Error& error) {
            if (error.code() != ErrorCode::corrupt || !index->closed() || !fall_back(error)) throw;
        }
        return question(static_cast<const FrameTable&>(*sidecars));
    }

    /// The same for what only the store's own index knows.
    template <typename Question>
    auto ask_index(Question question) const {
        const std::lock_guard lock(index_mutex);
        return question(static_cast<const FrameIndex&>(*index));
    }

    /// After an error of ask_index(): whether the chunks' files answer from now on.
    bool give_up_index(const Error& error) const {
        const std::lock_guard lock(index_mutex);
        return !indexed || (error.code() == ErrorCode::corrupt && index->closed() && fall_back(error));
    }

    /// What changes while the store grows.
    void update(SourceInfo& current) const {
        ask([&](const FrameTable& table) {
            current.frame_count = table.frame_count();
            if (rate_frames < 0) {
                rate = frame_rate_of(table);
                rate_frames = table.frame_count();
            }
            current.frame_rate = rate;
        });
    }

    /// Whether the sidecars hold the same frames as the index.
    bool fall_back(const Error& error) const {
        if (sidecars_differ) return false;
        std::vector<std::string> notes;
        OpenedSidecars opened = open_sidecars(layout, notes);
        if (opened.table->frame_count() != index->frame_count()) {
            sidecars_differ = true;
            return false;
        }
        sidecars = std::move(opened.table);
        indexed = false;
        const std::lock_guard lock(learned_mutex);
        late_warnings.push_back(
            fmt::format("{}; read from the chunks instead (`store index` makes a new one)", error.what()));
        late_warnings.insert(late_warnings.end(), notes.begin(), notes.end());
        return true;
    }

    std::shared_ptr<const PacketTable> packets(int64_t chunk, std::optional<int64_t> position) const {
        {
            const std::lock_guard lock(learned_mutex);
            const auto found = learned.find(chunk);
            if (found != learned.end() && (!position || *position < found->second->frame_count())) return found->second;
        }
        try {
            return ask([&](const FrameTable& table) { return table.packet_table(chunk, position); });
        } catch (const Error& error) {
            if (error.code() != ErrorCode::corrupt) throw;
            // The file says it too.
            const std::lock_guard lock(learned_mutex);
            late_warnings.push_back(fmt::format("{}; the file is scanned instead", error.what()));
            return nullptr;
        }
    }

    /// Keeps what a scan has found for all clones; of the chunks scanned the latest ones.
    void learn_packets(int64_t chunk, std::shared_ptr<const PacketTable> table, bool replaced) const {
        const std::lock_guard lock(learned_mutex);
        if (replaced && !learned.contains(chunk)) {
            late_warnings.push_back(fmt::format(
                "{}: has changed since the index was made, and was scanned anew (`store index` renews the index)",
                layout.media(chunk).string()));
        }
        learned[chunk] = std::move(table);
        learned_order.push_back(chunk);
        if (learned_order.size() > kLearnedChunks) {
            learned.erase(learned_order.front());
            learned_order.pop_front();
        }
    }

    /// Warnings that clones gave rise to, from the `first` on.
    std::vector<std::string> warnings_from(size_t first) const {
        const std::lock_guard lock(learned_mutex);
        return {late_warnings.begin() + static_cast<std::ptrdiff_t>(first), late_warnings.end()};
    }

    std::optional<double> frame_rate() const {
        return ask([this](const FrameTable& table) { return frame_rate_of(table); });
    }

    std::optional<double> frame_rate_of(const FrameTable& table) const {
        if (const auto set_rate = motif_frame_rate(metadata.user, false)) return set_rate;
        // The first that is still there.
        std::optional<ChunkRow> first;
        table.visit_chunks([&](const ChunkRow& chunk) {
            if (chunk.frame_count > 0) first = chunk;
            return !first;
        });
        if (!first) return std::nullopt;
        std::vector<double> intervals;
        std::optional<double> previous;
        const int64_t end = first->first_index + std::min(first->frame_count, kFrameRateFrames);
        try {
            table.visit_rows(first->first_index, end, [&](const FrameRow& row) {
                if (previous && std::isfinite(row.time - *previous)) intervals.push_back(row.time - *previous);
                previous = row.time;
                return true;
            });
        } catch (const Error& error) {
            // It has been removed at this moment; what was read of it tells as much.
            if (error.code() != ErrorCode::not_found) throw;
        }
        if (intervals.empty()) return std::nullopt;
        const double interval = median(std::move(intervals));
        return interval > 0 ? std::optional(1 / interval) : std::nullopt;
    }

    std::filesystem::path folder;
    StoreMetadata metadata;
    StoreLayout layout;
    const ChunkFormat* format;
    const Encoding* encoding;
    Demosaic demosaic;
    std::optional<cv::Rect> crop;
    ImageType image_type;
    // Frames come from the store's own index, not from the sidecars.
    mutable std::atomic<bool> indexed = false;
    // As of the opening.
    SourceInfo info;
    std::vector<std::string> warnings;
    bool incomplete = false;

private:
    mutable std::mutex learned_mutex;
    mutable std::map<int64_t, std::shared_ptr<const PacketTable>> learned;  // by chunk
    mutable std::deque<int64_t> learned_order;
    mutable std::vector<std::string> late_warnings;
    mutable std::mutex index_mutex;
    std::unique_ptr<FrameIndex> index;
    mutable std::unique_ptr<FrameTable> sidecars;  // unless indexed
    mutable bool sidecars_differ = false;          // have other frames than the index
    std::optional<IndexFiles> read_without_locks;  // what was opened so; then others' commits are not seen
    std::optional<IndexFiles> refused;             // what has replaced the index and does not go on from it
    mutable std::optional<double> rate;            // frames a second
    mutable int64_t rate_frames = -1;              // among which it was looked for; -1: not yet
};

struct StoreReader::Impl {
    Impl(StoreReader& reader, std::shared_ptr<Opened> opened_store, const StoreReaderOptions& reader_options)
        : opened(std::move(opened_store)),
          options(reader_options),
          info(opened->info),
          extra_data(opened->layout),
          warnings(opened->warnings),
          incomplete(opened->incomplete),
          sequential(reader, {.threads = options.threads}),
          parallel(reader, options.threads) {}

    /// Of the chunk with this frame.
    ChunkReader& chunk_reader(const FrameRow& row) {
        const int64_t chunk = row.chunk;
        if (!readers.empty() && readers.front().first == chunk) return *readers.front().second;
        if (!readers.empty()) readers.front().second->drop_cache();
        const auto found =
            std::find_if(readers.begin(), readers.end(), [&](const auto& entry) { return entry.first == chunk; });
        if (found != readers.end()) {
            readers.splice(readers.begin(), readers, found);
            return *readers.front().second;
        }
        // Closed before the next is opened, which may then have its decoder.
        if (readers.size() >= kOpenChunks) {
            closed_counters += readers.back().second->counters();
            readers.pop_back();
        }
        if (opened->metadata.stored_type.empty()) {
            throw Error(ErrorCode::unsupported,
                        "the store had no frames yet when it was opened, so their type is not known; open it again");
        }
        auto reader = opened->format->open(
            opened->layout.media(chunk), opened->metadata.stored_type,
            {.packets = [this, chunk](std::optional<int64_t> position) { return opened->packets(chunk, position); },
             .decoders = decoders,
             .scanned = [this, chunk](std::shared_ptr<const PacketTable> table,
                                      bool replaced) { opened->learn_packets(chunk, std::move(table), replaced); },
             .checksum = checksums_from(row.index - row.position),
             .cache_bytes = options.cache_bytes,
             .map = options.map,
             .check_bytes = options.check_bytes});
        readers.emplace_front(chunk, std::move(reader));
        return *readers.front().second;
    }

    std::function<std::optional<uint32_t>(int64_t)> checksums_from(int64_t first_index) const {
        return [this, first_index](int64_t position) {
            return opened->ask([&](const FrameTable& table) { return table.checksum(first_index + position); });
        };
    }

    Frame read(const FrameRow& row) {
        try {
            ChunkReader& reader = chunk_reader(row);
            if (row.chunk != last_chunk) reader.set_last_position(last_index - row.index + row.position);
            last_chunk = row.chunk;
            last_index = row.index;
            Frame frame;
            frame.image = reader.read(row.position);
            if (opened->encoding) {
                frame.image = decode(*opened->encoding, frame.image, opened->demosaic);
            } else {
                frame.owner = reader.owner();
            }
            if (opened->crop) {
                frame.image = cropped(frame.image, *opened->crop).clone();
                frame.owner.reset();
            }
            frame.index = row.index;
            frame.number = row.number;
            frame.time = row.time;
            last_read = row.index;
            return frame;
        } catch (const Error& error) {
            throw error.at({opened->layout.media(row.chunk).string(), row.chunk, row.index});
        }
    }

    /// The row at `index`, which must exist.
    FrameRow row(int64_t index) const {
        const auto [found, count] =
            opened->ask([&](const FrameTable& table) { return std::pair(table.row(index), table.frame_count()); });
        if (found) return *found;
        const std::string range =
            count == 0 ? "the store has no frames" : fmt::format("the store has the frames 0 to {}", count - 1);
        throw Error(ErrorCode::invalid_argument, {opened->folder.string(), {}, index}, "no such frame: " + range);
    }

    /// Those of the frames first..last-1 from the chunks' files.
    void visit_filed_extra_data(int64_t first, int64_t last, const std::function<bool(const ExtraRecord&)>& visit) {
        last = std::min(last, opened->ask([](const FrameTable& table) { return table.frame_count(); }));
        for (first = std::max<int64_t>(first, 0); first < last;) {
            const size_t before = warnings.size();
            const auto [end, records] = opened->ask([&](const FrameTable& table) {
                const ChunkRow chunk = table.chunk_at(first).value();
                return std::pair(chunk.end_index(), extra_data.of_chunk(table, chunk, warnings));
            });
            if (warnings.size() > before) incomplete = true;
            for (auto record = first_of(*records, first); record != records->end(); ++record) {
                if (record->frame_index >= last || !visit(*record)) return;
            }
            first = end;
        }
    }

    static std::vector<ExtraRecord>::const_iterator first_of(const std::vector<ExtraRecord>& records, int64_t index) {
        return std::lower_bound(records.begin(), records.end(), index,
                                [](const ExtraRecord& record, int64_t frame) { return record.frame_index < frame; });
    }

    std::shared_ptr<Opened> opened;
    StoreReaderOptions options;
    SourceInfo info;
    std::shared_ptr<DecoderPool> decoders = std::make_shared<DecoderPool>();
    std::list<std::pair<int64_t, std::unique_ptr<ChunkReader>>> readers;  // the latest first
    size_t late_warnings_taken = 0;
    DecodeCounters closed_counters;
    FiledExtraData extra_data;
    std::vector<std::string> warnings;
    bool incomplete;
    int64_t last_chunk = -1;  // where read() was last
    int64_t last_index = -1;
    int64_t last_read = -1;  // the frame extra_data() speaks of
    SequentialReader sequential;
    ParallelReader parallel;
};

StoreReader::StoreReader(const std::filesystem::path& path, const StoreReaderOptions& options)
    : impl_(std::make_unique<Impl>(*this, std::make_shared<Opened>(path, options), options)) {}

StoreReader::StoreReader(const StoreReader& other)
    : impl_(std::make_unique<Impl>(*this, other.impl_->opened, other.impl_->options)) {}

StoreReader::~StoreReader() = default;

std::unique_ptr<StoreReader> StoreReader::clone() const {
    return std::unique_ptr<StoreReader>(new StoreReader(*this));
}

std::unique_ptr<RandomAccess> StoreReader::clone_access() {
    return std::unique_ptr<RandomAccess>(new StoreReader(*this));
}

std::optional<Frame> StoreReader::next() {
    const int64_t index = impl_->sequential.position();
    std::optional<Frame> frame = impl_->sequential.next();
    if (frame) impl_->last_read = index;
    return frame;
}

void StoreReader::seek(int64_t index) {
    if (index < 0 || index > frame_count()) {
        throw Error(ErrorCode::invalid_argument, {folder().string(), {}, index},
                    fmt::format("no such frame: the store has the frames 0 to {}", frame_count() - 1));
    }
    impl_->sequential.seek(index);
}

Frame StoreReader::at_index(int64_t index) {
    return impl_->read(impl_->row(index));
}

std::vector<Frame> StoreReader::at_indices(std::span<const int64_t> indices) {
    std::vector<Frame> frames = impl_->parallel.read(indices);
    if (!indices.empty()) impl_->last_read = indices.back();
    return frames;
}

int StoreReader::threads() const {
    return impl_->options.threads;
}

int64_t StoreReader::entry_of(int64_t index) {
    if (!impl_->opened->format->info().video) return index;
    const FrameRow row = impl_->row(index);
    return row.index - row.position + impl_->chunk_reader(row).entry_position(row.position);
}

void StoreReader::will_read(std::span<const int64_t> indices) {
    if (indices.empty() || !impl_->opened->format->info().video) return;
    const FrameRow first = impl_->row(indices.front());
    std::vector<int64_t> positions(indices.begin(), indices.end());
    for (int64_t& position : positions) position -= first.index - first.position;
    impl_->chunk_reader(first).will_read(positions);
}

int64_t StoreReader::frame_count() const {
    return impl_->opened->ask([](const FrameTable& table) { return table.frame_count(); });
}

bool StoreReader::refresh() {
    return impl_->opened->refresh();
}

std::optional<FrameRow> StoreReader::row(int64_t index) const {
    return impl_->opened->ask([&](const FrameTable& table) { return table.row(index); });
}

std::optional<FrameRow> StoreReader::find_number(int64_t number, Match match) const {
    return impl_->opened->ask([&](const FrameTable& table) { return table.find_number(number, match); });
}

std::optional<FrameRow> StoreReader::find_time(double time, Match match) const {
    if (!std::isfinite(time))
        throw Error(ErrorCode::invalid_argument, {folder().string(), {}, {}}, "a time to look for must be finite");
    return impl_->opened->ask([&](const FrameTable& table) { return table.find_time(time, match); });
}

void StoreReader::visit_rows(int64_t first, int64_t last, const std::function<bool(const FrameRow&)>& visit) const {
    // In blocks, because the visitor may take its time or ask for more.
    std::vector<FrameRow> block;
    last = std::min(last, frame_count());
    for (int64_t begin = std::max<int64_t>(0, first); begin < last; begin += kBlockFrames) {
        impl_->opened->ask([&](const FrameTable& table) {
            block.clear();
            table.visit_rows(begin, std::min(last, begin + kBlockFrames), [&](const FrameRow& row) {
                block.push_back(row);
                return true;
            });
        });
        for (const FrameRow& row : block) {
            if (!visit(row)) return;
        }
    }
}

std::optional<std::pair<int64_t, int64_t>> StoreReader::number_range() const {
    return impl_->opened->ask([](const FrameTable& table) { return table.number_range(); });
}

std::optional<std::pair<double, double>> StoreReader::time_range() const {
    return impl_->opened->ask([](const FrameTable& table) { return table.time_range(); });
}

std::vector<int64_t> StoreReader::chunks() const {
    return impl_->opened->ask([](const FrameTable& table) {
        std::vector<int64_t> numbers;
        table.visit_chunks([&](const ChunkRow& chunk) {
            if (chunk.frame_count > 0) numbers.push_back(chunk.chunk);
            return true;
        });
        return numbers;
    });
}

std::optional<ChunkRow> StoreReader::chunk_at(int64_t index) const {
    return impl_->opened->ask([&](const FrameTable& table) { return table.chunk_at(index); });
}

std::shared_ptr<const PacketTable> StoreReader::packet_table(int64_t chunk) const {
    const Opened& opened = *impl_->opened;
    if (std::shared_ptr<const PacketTable> known = opened.packets(chunk, std::nullopt)) return known;
    const auto reader = opened.format->open(opened.layout.media(chunk), opened.metadata.stored_type);
    const PacketTable* found = reader->packet_table();
    return found ? std::make_shared<const PacketTable>(*found) : nullptr;
}

std::optional<uint32_t> StoreReader::checksum(int64_t index) const {
    return impl_->opened->ask([&](const FrameTable& table) { return table.checksum(index); });
}

bool StoreReader::numbers_ascend() const {
    return impl_->opened->ask([](const FrameTable& table) { return table.numbers_ascend(); });
}

std::vector<IndexRun> StoreReader::runs_of_numbers(int64_t low, int64_t high) const {
    return impl_->opened->ask([&](const FrameTable& table) { return table.runs_of_numbers(low, high); });
}

std::vector<IndexRun> StoreReader::runs_of_times(double low, double high) const {
    return impl_->opened->ask([&](const FrameTable& table) { return table.runs_of_times(low, high); });
}

bool StoreReader::has_extra_data() const {
    const Opened& opened = *impl_->opened;
    if (opened.indexed) return opened.ask_index([](const FrameIndex& index) { return index.has_extra_data(); });
    const std::vector<int64_t> numbers = chunks();
    return std::any_of(numbers.begin(), numbers.end(),
                       [&](int64_t chunk) { return !opened.layout.extra_data_files(chunk).empty(); });
}

void StoreReader::visit_extra_data(int64_t first, int64_t last,
                                   const std::function<bool(const ExtraRecord&)>& visit) const {
    if (!impl_->opened->indexed) {
        impl_->visit_filed_extra_data(first, last, visit);
        return;
    }
    last = std::min(last, frame_count());
    std::optional<FrameIndex::ExtraDataPlace> place;
    for (;;) {
        // Some at a time, because the visitor may take its time or ask for more.
        std::vector<ExtraDataRow> page;
        const bool begun = place.has_value();
        try {
            page = impl_->opened->ask_index(
                [&](const FrameIndex& index) { return index.extra_data_page(first, last, place); });
        } catch (const Error& error) {
            if (begun || !impl_->opened->give_up_index(error)) throw;
            visit_extra_data(first, last, visit);
            return;
        }
        if (page.empty()) return;
        for (const ExtraDataRow& row : page) {
            std::optional<Json> data = parse_extra_data(row.data);
            if (!data) {
                impl_->incomplete = true;
                impl_->warnings.push_back(
                    fmt::format("frame {}: a damaged record of extra data is left out", row.frame_index));
                continue;
            }
            if (!visit({row.frame_index, std::move(*data)})) return;
        }
    }
}

void StoreReader::visit_events(const std::function<bool(const EventRow&)>& visit) const {
    std::vector<EventRow> events;
    impl_->opened->ask([&](const FrameTable& table) {
        events.clear();
        table.visit_events([&](const EventRow& event) {
            events.push_back(event);
            return true;
        });
    });
    for (const EventRow& event : events) {
        if (!visit(event)) return;
    }
}

int64_t StoreReader::event_count() const {
    return impl_->opened->ask([](const FrameTable& table) { return table.event_count(); });
}

std::optional<double> StoreReader::extra_data_sample_rate() const {
    std::optional<double> rate;
    for (const int64_t chunk : chunks()) {
        for (const std::filesystem::path& path : impl_->opened->layout.extra_data_files(chunk)) {
            if (path.extension() != ".h5") continue;
            const std::optional<double> own = read_extra_data_file(path).sample_rate;
            if (rate && own && *rate != *own) {
                throw Error(ErrorCode::unsupported, {path.string(), chunk, {}},
                            fmt::format("sampled at {}/s, earlier chunks at {}/s", *own, *rate));
            }
            if (own) rate = own;
        }
    }
    return rate;
}

const StoreMetadata& StoreReader::metadata() const {
    return impl_->opened->metadata;
}

const ImageType& StoreReader::image_type() const {
    return impl_->opened->image_type;
}

const std::filesystem::path& StoreReader::folder() const {
    return impl_->opened->folder;
}

std::optional<double> StoreReader::frame_rate(bool hardware_only) const {
    if (hardware_only) return motif_frame_rate(impl_->opened->metadata.user, true);
    return impl_->opened->frame_rate();
}

bool StoreReader::has_index() const {
    return impl_->opened->indexed;
}

bool StoreReader::closed() const {
    if (has_index()) return impl_->opened->ask_index([](const FrameIndex& index) { return index.closed(); });
    return file_system().status(StoreLayout::lock(impl_->opened->folder)).kind == FileKind::missing;
}

bool StoreReader::lossless() const {
    return impl_->opened->format->info().lossless;
}

uint64_t StoreReader::media_bytes() const {
    uint64_t bytes = 0;
    if (impl_->opened->metadata.kind == ChunkKind::folder && impl_->opened->indexed) {
        // Recorded while writing; looking at every image file would take as long as the store is large.
        const std::optional<uint64_t> recorded =
            impl_->opened->ask([](const FrameTable& table) { return table.recorded_media_bytes(); });
        if (recorded) return *recorded;
    }
    for (const StoreLayout::Chunk& chunk : impl_->opened->layout.chunks()) {
        const std::filesystem::path media = impl_->opened->layout.media(chunk.number);
        if (!chunk.has_media) continue;
        if (impl_->opened->metadata.kind == ChunkKind::file) {
            bytes += file_system().status(media).size;
            continue;
        }
        for (const std::string& name : file_system().list(media)) {
            if (std::filesystem::path(name).extension() == impl_->opened->metadata.extension)
                bytes += file_system().status(media / name).size;
        }
    }
    return bytes;
}

const std::vector<std::string>& StoreReader::warnings() const {
    for (std::string& warning : impl_->opened->warnings_from(impl_->late_warnings_taken)) {
        ++impl_->late_warnings_taken;
        impl_->warnings.push_back(std::move(warning));
    }
    return impl_->warnings;
}

bool StoreReader::incomplete() const {
    return impl_->incomplete;
}

DecodeCounters StoreReader::counters() const {
    DecodeCounters counters = impl_->closed_counters;
    counters += impl_->sequential.counters();
    counters += impl_->parallel.counters();
    for (const auto& [chunk, reader] : impl_->readers) counters += reader->counters();
    return counters;
}

const SourceInfo& StoreReader::info() const {
    impl_->opened->update(impl_->info);
    return impl_->info;
}

std::vector<Json> StoreReader::extra_data() {
    return extra_data_of(impl_->last_read);
}

const Json& StoreReader::user_metadata() const {
    return impl_->opened->metadata.user;
}

}  // namespace reelstore
