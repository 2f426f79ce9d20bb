#include "store/file_recording.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/file_system.h"
#include "base/parallel_reader.h"
#include "codecs/image_chunk_format.h"
#include "store/loaded_table.h"

namespace reelstore {

namespace {

/// Frames of which only the extremes are kept.
constexpr int64_t kBlockFrames = 4096;

RandomAccess& access_of(FrameSource* source, const std::filesystem::path& path) {
    RandomAccess* access = source ? source->random_access() : nullptr;
    if (!access) {
        throw Error(ErrorCode::unsupported, {path.string(), {}, {}},
                    "can only be read forward; save it as a store first (`store save`)");
    }
    return *access;
}

}  // namespace

struct FileRecording::Impl {
    Impl(const std::filesystem::path& source_path, std::unique_ptr<FrameSource> frame_source, int thread_wish)
        : path(source_path),
          source(std::move(frame_source)),
          access(access_of(source.get(), path)),
          threads(thread_wish),
          in_order(access, {.threads = threads}),
          any_order(access, threads) {}

    FrameRow row(int64_t place) const {
        const FrameStamp stamp = access.stamp(place);
        return {.index = place, .number = stamp.number, .time = stamp.time, .chunk = 0, .position = place};
    }

    /// Made at the first lookup, by one pass over the stamps, of which only the extremes of every block are kept.
    const FrameTable& lookup() {
        if (table) return *table;
        std::vector<ChunkRow> blocks;
        const int64_t count = access.frame_count();
        for (int64_t first = 0; first < count; first += kBlockFrames) {
            ChunkRow block;
            block.chunk = first / kBlockFrames;
            ChunkSummary summary(block);
            for (int64_t place = first; place < std::min(count, first + kBlockFrames); ++place) {
                const FrameStamp stamp = access.stamp(place);
                summary.add(stamp.number, stamp.time);
            }
            blocks.push_back(block);
        }
        table = std::make_unique<LoadedTable>(path.string(), std::move(blocks), [this](const ChunkRow& block) {
            ChunkSidecar stamps;
            for (int64_t place = block.first_index; place < block.end_index(); ++place) {
                const FrameStamp stamp = access.stamp(place);
                stamps.numbers.push_back(stamp.number);
                stamps.times.push_back(stamp.time);
            }
            return stamps;
        });
        return *table;
    }

    std::filesystem::path path;
    std::unique_ptr<FrameSource> source;
    RandomAccess& access;
    int threads;
    SequentialReader in_order;
    ParallelReader any_order;
    std::unique_ptr<FrameTable> table;
    int64_t last_read = -1;  // the frame extra_data() speaks of
};

FileRecording::FileRecording(const std::filesystem::path& path, std::unique_ptr<FrameSource> source, int threads)
    : impl_(std::make_unique<Impl>(path, std::move(source), threads)) {}

FileRecording::~FileRecording() = default;

std::optional<Frame> FileRecording::next() {
    const int64_t index = impl_->in_order.position();
    std::optional<Frame> frame = impl_->in_order.next();
    if (frame) impl_->last_read = index;
    return frame;
}

Frame FileRecording::at_index(int64_t index) {
    Frame frame = impl_->access.at_index(index);
    impl_->last_read = index;
    return frame;
}

std::vector<Frame> FileRecording::at_indices(std::span<const int64_t> indices) {
    std::vector<Frame> frames = impl_->any_order.read(indices);
    if (!indices.empty()) impl_->last_read = indices.back();
    return frames;
}

int FileRecording::threads() const {
    return impl_->threads;
}

int64_t FileRecording::frame_count() const {
    return impl_->access.frame_count();
}

std::optional<FrameRow> FileRecording::row(int64_t index) const {
    if (index < 0 || index >= frame_count()) return std::nullopt;
    return impl_->row(index);
}

std::optional<FrameRow> FileRecording::find_number(int64_t number, Match match) const {
    const std::optional<FrameRow> found = impl_->lookup().find_number(number, match);
    return found ? row(found->index) : std::nullopt;
}

std::optional<FrameRow> FileRecording::find_time(double time, Match match) const {
    if (!std::isfinite(time))
        throw Error(ErrorCode::invalid_argument, {path().string(), {}, {}}, "a time to look for must be finite");
    const std::optional<FrameRow> found = impl_->lookup().find_time(time, match);
    return found ? row(found->index) : std::nullopt;
}

void FileRecording::visit_rows(int64_t first, int64_t last, const std::function<bool(const FrameRow&)>& visit) const {
    last = std::min(last, frame_count());
    for (int64_t index = std::max<int64_t>(first, 0); index < last; ++index) {
        if (!visit(impl_->row(index))) return;
    }
}

std::optional<std::pair<int64_t, int64_t>> FileRecording::number_range() const {
    return impl_->lookup().number_range();
}

std::optional<std::pair<double, double>> FileRecording::time_range() const {
    return impl_->lookup().time_range();
}

bool FileRecording::numbers_ascend() const {
    return impl_->lookup().numbers_ascend();
}

std::vector<IndexRun> FileRecording::runs_of_numbers(int64_t low, int64_t high) const {
    return impl_->lookup().runs_of_numbers(low, high);
}

std::vector<IndexRun> FileRecording::runs_of_times(double low, double high) const {
    return impl_->lookup().runs_of_times(low, high);
}

bool FileRecording::has_extra_data() const {
    bool found = false;
    visit_extra_data(0, frame_count(), [&](const ExtraRecord&) {
        found = true;
        return false;
    });
    return found;
}

void FileRecording::visit_extra_data(int64_t first, int64_t last,
                                     const std::function<bool(const ExtraRecord&)>& visit) const {
    last = std::min(last, frame_count());
    for (int64_t index = std::max<int64_t>(first, 0); index < last; ++index) {
        for (Json& record : impl_->access.extra_data_of(index)) {
            if (!visit({.frame_index = index, .data = std::move(record)})) return;
        }
    }
}

std::vector<Json> FileRecording::extra_data() {
    return extra_data_of(impl_->last_read);
}

const std::filesystem::path& FileRecording::path() const {
    return impl_->path;
}

uint64_t FileRecording::media_bytes() const {
    if (const auto bytes = info().media_bytes) return *bytes;
    const FileStatus status = file_system().status(impl_->path);
    if (status.kind != FileKind::folder) return status.size;
    uint64_t bytes = 0;
    for (const std::string& name : file_system().list(impl_->path)) {
        const std::filesystem::path file = impl_->path / name;
        if (name.front() != '.' && find_image_format(file.extension().string()))
            bytes += file_system().status(file).size;
    }
    return bytes;
}

const std::vector<std::string>& FileRecording::warnings() const {
    return impl_->source->warnings();
}

const SourceInfo& FileRecording::info() const {
    return impl_->source->info();
}

const Json& FileRecording::user_metadata() const {
    return impl_->source->user_metadata();
}

int64_t FileRecording::entry_of(int64_t index) {
    return impl_->access.entry_of(index);
}

void FileRecording::will_read(std::span<const int64_t> indices) {
    impl_->access.will_read(indices);
}

std::unique_ptr<RandomAccess> FileRecording::clone_access() {
    return impl_->access.clone_access();
}

DecodeCounters FileRecording::counters() const {
    DecodeCounters counters = impl_->access.counters();
    counters += impl_->in_order.counters();
    counters += impl_->any_order.counters();
    return counters;
}

}  // namespace reelstore
