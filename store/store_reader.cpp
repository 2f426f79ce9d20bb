#include "store/store_reader.h"

#include <algorithm>
#include <cmath>
#include <list>
#include <numeric>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file_system.h"
#include "base/median.h"
#include "codecs/encoding.h"
#include "store/extra_data_file.h"
#include "store/layout.h"
#include "store/store_contents.h"

namespace reelstore {

namespace {

/// Chunks kept open: enough for a reader that jumps between neighbours, few enough for files and decoders.
constexpr size_t kOpenChunks = 4;

}  // namespace

struct StoreReader::Impl {
    Impl(const std::filesystem::path& path, const StoreReaderOptions& reader_options)
        : folder(store_folder(path)),
          metadata(read_metadata(folder)),
          layout(folder, metadata.kind, metadata.extension),
          format(reading_format(metadata)),
          encoding(metadata.encoding.empty() || !reader_options.decode ? nullptr : find_encoding(metadata.encoding)) {
        warnings = metadata.warnings;
        image_type = metadata.stored_type;
        if (encoding && !image_type.empty()) image_type = *decoded_type(*encoding, image_type);
        open_index();
        fill_info();
    }

    void open_index() {
        const std::filesystem::path path = StoreLayout::index(folder);
        if (file_system().status(path).kind == FileKind::file) {
            try {
                index = open_database(path);
                indexed = true;
                return;
            } catch (const Error& error) {
                // A locked or unreadable index may hold frames that nothing else has; a damaged or foreign one does
                // not.
                if (error.code() != ErrorCode::corrupt && error.code() != ErrorCode::unsupported) throw;
                warnings.push_back(
                    fmt::format("{}; read from the chunks instead (`store index` makes a new one)", error.what()));
            }
        }
        index = FrameIndex::create_in_memory(folder, metadata.uuid);
        Transaction transaction(index->database());
        const FillResult filled = fill_index(*index, layout, metadata, warnings);
        incomplete = filled.chunks_left_out > 0 || filled.chunks_without_media > 0;
        transaction.commit();
    }

    std::unique_ptr<FrameIndex> open_database(const std::filesystem::path& path) const {
        try {
            return FrameIndex::open(path, metadata.uuid);
        } catch (const Error& error) {
            // A database left in write-ahead mode wants to make a file beside itself, which read-only media refuse;
            // with nothing in its log it can be read as it is.
            std::filesystem::path log = path;
            log += "-wal";
            if (error.code() != ErrorCode::io || file_system().status(log).size > 0) throw;
            return FrameIndex::open(path, metadata.uuid, Database::Mode::immutable);
        }
    }

    void fill_info() {
        info.name = folder.string();
        info.format = metadata.format;
        info.image_type = image_type;
        info.frame_count = index->frame_count();
        info.frame_rate = frame_rate(false);
        info.has_numbers = true;
        info.has_times = true;
        info.times_are_absolute = true;
        info.creation_time = metadata.created;
        info.time_zone = metadata.time_zone;
    }

    ChunkReader& chunk_reader(int64_t chunk) {
        const auto found =
            std::find_if(readers.begin(), readers.end(), [&](const auto& entry) { return entry.first == chunk; });
        if (found != readers.end()) {
            readers.splice(readers.begin(), readers, found);
            return *readers.front().second;
        }
        auto reader = format->open(layout.media(chunk), metadata.stored_type, index->packet_table(chunk));
        if (readers.size() >= kOpenChunks) {
            closed_counters += readers.back().second->counters();
            readers.pop_back();
        }
        readers.emplace_front(chunk, std::move(reader));
        return *readers.front().second;
    }

    Frame read(const FrameRow& row) {
        try {
            Frame frame;
            frame.image = chunk_reader(row.chunk).read(row.position);
            if (encoding) frame.image = decode(*encoding, frame.image);
            frame.index = row.index;
            frame.number = row.number;
            frame.time = row.time;
            last_read = row.index;
            return frame;
        } catch (const Error& error) {
            throw error.at({layout.media(row.chunk).string(), row.chunk, row.index});
        }
    }

    std::optional<double> frame_rate(bool hardware_only) const {
        if (const auto rate = motif_frame_rate(metadata.user, hardware_only)) return rate;
        if (index->chunks().empty()) return std::nullopt;
        const ChunkRow& first = index->chunks().front();
        std::vector<double> intervals;
        std::optional<double> previous;
        constexpr int64_t kMaxFrames = 10000;
        index->visit_rows(first.first_index, first.first_index + std::min(first.frame_count, kMaxFrames),
                          [&](const FrameRow& row) {
                              if (previous && std::isfinite(row.time - *previous))
                                  intervals.push_back(row.time - *previous);
                              previous = row.time;
                              return true;
                          });
        if (intervals.empty()) return std::nullopt;
        const double interval = median(std::move(intervals));
        return interval > 0 ? std::optional(1 / interval) : std::nullopt;
    }

    /// The records from the chunks' files, read once and kept.
    const std::vector<ExtraRecord>& extra_data_files() {
        if (!extra_data) {
            const size_t before = warnings.size();
            extra_data = read_extra_data_files(*index, layout, warnings);
            if (warnings.size() > before) incomplete = true;
        }
        return *extra_data;
    }

    std::filesystem::path folder;
    StoreMetadata metadata;
    StoreLayout layout;
    const ChunkFormat* format;
    const Encoding* encoding;
    ImageType image_type;
    std::unique_ptr<FrameIndex> index;
    bool incomplete = false;
    bool indexed = false;  // the index is the store's own, not made from the sidecars
    std::list<std::pair<int64_t, std::unique_ptr<ChunkReader>>> readers;  // the latest first
    DecodeCounters closed_counters;
    std::optional<std::vector<ExtraRecord>> extra_data;
    std::vector<std::string> warnings;
    SourceInfo info;
    int64_t position = 0;    // of next()
    int64_t last_read = -1;  // the frame extra_data() speaks of
};

StoreReader::StoreReader(const std::filesystem::path& path, const StoreReaderOptions& options)
    : impl_(std::make_unique<Impl>(path, options)) {}

StoreReader::~StoreReader() = default;

std::optional<Frame> StoreReader::next() {
    const std::optional<FrameRow> row = impl_->index->row(impl_->position);
    if (!row) return std::nullopt;
    ++impl_->position;
    return impl_->read(*row);
}

void StoreReader::seek(int64_t index) {
    if (index < 0 || index > frame_count()) {
        throw Error(ErrorCode::invalid_argument, {folder().string(), {}, index},
                    fmt::format("no such frame: the store has the frames 0 to {}", frame_count() - 1));
    }
    impl_->position = index;
}

Frame StoreReader::at_index(int64_t index) {
    const std::optional<FrameRow> row = impl_->index->row(index);
    if (!row) {
        const std::string range = frame_count() == 0
                                      ? "the store has no frames"
                                      : fmt::format("the store has the frames 0 to {}", frame_count() - 1);
        throw Error(ErrorCode::invalid_argument, {folder().string(), {}, index}, "no such frame: " + range);
    }
    return impl_->read(*row);
}

std::optional<Frame> StoreReader::at_number(int64_t number, Match match) {
    const std::optional<FrameRow> row = find_number(number, match);
    return row ? std::optional(impl_->read(*row)) : std::nullopt;
}

std::optional<Frame> StoreReader::at_time(double time, Match match) {
    const std::optional<FrameRow> row = find_time(time, match);
    return row ? std::optional(impl_->read(*row)) : std::nullopt;
}

std::vector<Frame> StoreReader::at_indices(std::span<const int64_t> indices) {
    std::vector<size_t> order(indices.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return indices[a] < indices[b]; });
    std::vector<Frame> frames(indices.size());
    const Frame* previous = nullptr;
    for (const size_t place : order) {
        frames[place] = previous && previous->index == indices[place] ? *previous : at_index(indices[place]);
        previous = &frames[place];
    }
    return frames;
}

int64_t StoreReader::frame_count() const {
    return impl_->index->frame_count();
}

std::optional<FrameRow> StoreReader::row(int64_t index) const {
    return impl_->index->row(index);
}

std::optional<FrameRow> StoreReader::find_number(int64_t number, Match match) const {
    return impl_->index->find_number(number, match);
}

std::optional<FrameRow> StoreReader::find_time(double time, Match match) const {
    if (!std::isfinite(time))
        throw Error(ErrorCode::invalid_argument, {folder().string(), {}, {}}, "a time to look for must be finite");
    return impl_->index->find_time(time, match);
}

void StoreReader::visit_rows(int64_t first, int64_t last, const std::function<bool(const FrameRow&)>& visit) const {
    impl_->index->visit_rows(first, last, visit);
}

std::vector<FrameRow> StoreReader::rows() const {
    std::vector<FrameRow> rows;
    rows.reserve(static_cast<size_t>(frame_count()));
    visit_rows(0, frame_count(), [&](const FrameRow& row) {
        rows.push_back(row);
        return true;
    });
    return rows;
}

std::optional<std::pair<int64_t, int64_t>> StoreReader::number_range() const {
    return impl_->index->number_range();
}

std::optional<std::pair<double, double>> StoreReader::time_range() const {
    return impl_->index->time_range();
}

std::vector<int64_t> StoreReader::chunks() const {
    std::vector<int64_t> numbers;
    for (const ChunkRow& chunk : impl_->index->chunks()) {
        if (chunk.frame_count > 0) numbers.push_back(chunk.chunk);
    }
    return numbers;
}

bool StoreReader::has_extra_data() const {
    if (impl_->indexed) return impl_->index->has_extra_data();
    return std::any_of(impl_->index->chunks().begin(), impl_->index->chunks().end(),
                       [&](const ChunkRow& chunk) { return !impl_->layout.extra_data_files(chunk.chunk).empty(); });
}

void StoreReader::visit_extra_data(int64_t first, int64_t last,
                                   const std::function<bool(const ExtraRecord&)>& visit) const {
    if (impl_->indexed) {
        impl_->index->visit_extra_data(first, last, [&](const ExtraDataRow& row) {
            Json data = Json::parse(row.data, nullptr, false);
            if (!data.is_object()) {
                impl_->incomplete = true;
                impl_->warnings.push_back(
                    fmt::format("frame {}: a damaged record of extra data is left out", row.frame_index));
                return true;
            }
            return visit({row.frame_index, std::move(data)});
        });
        return;
    }
    const std::vector<ExtraRecord>& records = impl_->extra_data_files();
    const auto begin =
        std::lower_bound(records.begin(), records.end(), first,
                         [](const ExtraRecord& record, int64_t index) { return record.frame_index < index; });
    for (auto record = begin; record != records.end() && record->frame_index < last; ++record) {
        if (!visit(*record)) return;
    }
}

std::vector<ExtraRecord> StoreReader::all_extra_data() const {
    std::vector<ExtraRecord> records;
    visit_extra_data(0, frame_count(), [&](const ExtraRecord& record) {
        records.push_back(record);
        return true;
    });
    return records;
}

std::optional<double> StoreReader::extra_data_sample_rate() const {
    std::optional<double> rate;
    for (const ChunkRow& chunk : impl_->index->chunks()) {
        for (const std::filesystem::path& path : impl_->layout.extra_data_files(chunk.chunk)) {
            if (path.extension() != ".h5") continue;
            const std::optional<double> own = read_extra_data_file(path).sample_rate;
            if (rate && own && *rate != *own) {
                throw Error(ErrorCode::unsupported, {path.string(), chunk.chunk, {}},
                            fmt::format("sampled at {}/s, earlier chunks at {}/s", *own, *rate));
            }
            if (own) rate = own;
        }
    }
    return rate;
}

const StoreMetadata& StoreReader::metadata() const {
    return impl_->metadata;
}

const ImageType& StoreReader::image_type() const {
    return impl_->image_type;
}

const std::filesystem::path& StoreReader::folder() const {
    return impl_->folder;
}

double StoreReader::duration() const {
    const auto range = time_range();
    return range ? range->second - range->first : 0;
}

std::optional<double> StoreReader::frame_rate(bool hardware_only) const {
    if (hardware_only) return motif_frame_rate(impl_->metadata.user, true);
    return impl_->frame_rate(false);
}

bool StoreReader::closed() const {
    if (impl_->indexed) return impl_->index->closed();
    return file_system().status(StoreLayout::lock(impl_->folder)).kind == FileKind::missing;
}

bool StoreReader::lossless() const {
    return impl_->format->info().lossless;
}

uint64_t StoreReader::media_bytes() const {
    uint64_t bytes = 0;
    if (impl_->metadata.kind == ChunkKind::folder && impl_->indexed) {
        // Recorded while writing; looking at every image file would take as long as the store is large.
        const std::vector<ChunkRow>& chunks = impl_->index->chunks();
        for (const ChunkRow& chunk : chunks) bytes += chunk.media_bytes;
        const auto recorded = [](const ChunkRow& chunk) { return chunk.media_bytes > 0 || chunk.frame_count == 0; };
        if (std::all_of(chunks.begin(), chunks.end(), recorded)) return bytes;
        bytes = 0;
    }
    for (const StoreLayout::Chunk& chunk : impl_->layout.chunks()) {
        const std::filesystem::path media = impl_->layout.media(chunk.number);
        if (!chunk.has_media) continue;
        if (impl_->metadata.kind == ChunkKind::file) {
            bytes += file_system().status(media).size;
            continue;
        }
        for (const std::string& name : file_system().list(media)) {
            if (std::filesystem::path(name).extension() == impl_->metadata.extension)
                bytes += file_system().status(media / name).size;
        }
    }
    return bytes;
}

const std::vector<std::string>& StoreReader::warnings() const {
    return impl_->warnings;
}

bool StoreReader::incomplete() const {
    return impl_->incomplete;
}

DecodeCounters StoreReader::counters() const {
    DecodeCounters counters = impl_->closed_counters;
    for (const auto& [chunk, reader] : impl_->readers) counters += reader->counters();
    return counters;
}

const SourceInfo& StoreReader::info() const {
    return impl_->info;
}

std::vector<Json> StoreReader::extra_data() {
    std::vector<Json> records;
    visit_extra_data(impl_->last_read, impl_->last_read + 1, [&](const ExtraRecord& record) {
        records.push_back(record.data);
        return true;
    });
    return records;
}

const Json& StoreReader::user_metadata() const {
    return impl_->metadata.user;
}

}  // namespace reelstore
