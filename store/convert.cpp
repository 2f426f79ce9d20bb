#include "store/convert.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "base/encoding.h"
#include "base/error.h"
#include "base/file_system.h"
#include "base/parallel_reader.h"
#include "filters/filter_table.h"
#include "store/convert_in_order.h"
#include "store/copied_runs.h"
#include "store/frame_equality.h"
#include "store/layout.h"
#include "store/stored_packets.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kBlockRows = 4096;
/// Images that an encoder and a decoder hold, as far as memory is concerned, and what all of them may take.
constexpr size_t kImagesPerLane = 48;
constexpr size_t kMostLaneBytes = size_t{3} << 30;
/// How often the progress is told.
constexpr std::chrono::milliseconds kBetweenReports{100};
/// What every codec that has an option for its threads takes.
constexpr size_t kMostCodecThreads = 64;
constexpr const char* kSkipHint = "; --skip-damaged leaves out what cannot be read";

/// A selected frame of one of the sources.
struct SourceRow {
    size_t source = 0;
    FrameRow row;
};

/// The selected rows of the sources in order, read in blocks.
class SourceRows {
public:
    explicit SourceRows(const std::vector<CopySource>& sources) : sources_(sources) {}

    std::optional<SourceRow> next() {
        while (place_ == block_.size()) {
            if (source_ == sources_.size()) return std::nullopt;
            read_block();
        }
        return block_[place_++];
    }

private:
    void read_block() {
        block_.clear();
        place_ = 0;
        const CopySource& source = sources_[source_];
        if (run_ == source.frames.runs.size()) {
            ++source_;
            run_ = 0;
            next_.reset();
            return;
        }
        const IndexRun& run = source.frames.runs[run_];
        const int64_t step = source.frames.step;
        const int64_t first = next_.value_or(run.first);
        if (first >= run.last) {
            ++run_;
            next_.reset();
            return;
        }
        const int64_t end = std::min(run.last, first + kBlockRows * step);
        visit_rows(*source.store, {{{first, end}}, step, source.frames.wanted}, [&](const FrameRow& row) {
            block_.push_back({source_, row});
            return true;
        });
        next_ = first + (end - first + step - 1) / step * step;
    }

    const std::vector<CopySource>& sources_;
    size_t source_ = 0;
    size_t run_ = 0;
    std::optional<int64_t> next_;
    std::vector<SourceRow> block_;
    size_t place_ = 0;
};

/// One chunk of the new store on its way: planned by the thread of convert_to(), encoded by a lane's, taken in by the
/// former again.
struct Job {
    std::vector<SourceRow> rows;
    std::map<size_t, std::shared_ptr<StoreReader>> readers = {};  ///< by source
    int read_threads = 1;
    fs::path media = {};

    // What became of it; by the mutex once `done`.
    std::vector<size_t> written = {};     ///< places in `rows` of the frames that are in the media
    std::vector<FrameStamp> stamps = {};  ///< of these
    std::vector<StoredFrame> stored = {};
    std::optional<VideoStream> stream = {};
    std::vector<std::string> damage = {};  ///< the first of it
    int64_t damaged = 0;
    int64_t frames_decoded = 0;
    bool cut = false;  ///< ended before its last row
    std::exception_ptr error = {};
    bool done = false;
};

/// A thread that encodes one chunk after another.
struct Lane {
    std::deque<std::shared_ptr<Job>> jobs;                   ///< to be done; by the mutex
    std::map<size_t, std::shared_ptr<StoreReader>> readers;  ///< for the thread of convert_to() alone
    std::thread thread;
};

/// A folder for media that are not in the store yet. It and what is left in it go with the object.
class WorkFolder {
public:
    explicit WorkFolder(fs::path path) : path_(std::move(path)) {
        if (file_system().status(path_).kind != FileKind::missing) {
            throw Error(ErrorCode::already_exists, {path_.string(), {}, {}},
                        is_store(path_) ? "is a store of its own, but a folder of this name is needed while the new "
                                          "store is written; choose another name for that"
                                        : "is left from an earlier run that was ended; remove it");
        }
        file_system().create_folder(path_);
    }
    ~WorkFolder() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    WorkFolder(const WorkFolder&) = delete;
    WorkFolder& operator=(const WorkFolder&) = delete;

    const fs::path& path() const { return path_; }

private:
    fs::path path_;
};

fs::path work_folder_of(const fs::path& store) {
    fs::path path = store;
    path += ".converting";
    return path;
}

std::vector<CopySource> checked(std::vector<CopySource> sources) {
    if (sources.empty()) throw Error(ErrorCode::invalid_argument, "there is no store to convert");
    for (CopySource& source : sources) {
        source.frames.step = std::min(source.frames.step, kLongestStep);
        source.frames = source.frames.within(0, source.store->frame_count());
    }
    return sources;
}

/// Whether it is the frame that cannot be read, and not this process that cannot read any.
bool is_damage(const Error& error) {
    switch (error.code()) {
        case ErrorCode::corrupt:
        case ErrorCode::not_found:
        case ErrorCode::io:
        case ErrorCode::unsupported:
        case ErrorCode::wrong_type:  // a video whose images have another size
            return true;
        default:
            return false;
    }
}

/// What the frames of all stores have in common; throws when they have not.
ImageType common_type(const std::vector<CopySource>& sources) {
    const StoreReader* first = nullptr;
    for (const CopySource& source : sources) {
        const StoreReader& store = *source.store;
        if (store.frame_count() == 0) continue;
        if (!first) first = &store;
        if (!(store.image_type() == first->image_type())) {
            throw Error(ErrorCode::invalid_argument, {store.folder().string(), {}, {}},
                        fmt::format("its frames are {}, but those of {} are {}", store.image_type().text(),
                                    first->folder().string(), first->image_type().text()));
        }
    }
    return first ? first->image_type() : ImageType();
}

bool gives_raw(const StoreReader& store) {
    const StoreMetadata& metadata = store.metadata();
    return !metadata.encoding.empty() && store.image_type() == metadata.stored_type;
}

}  // namespace

bool keeps_encoding(const std::vector<const StoreReader*>& stores, const ChunkFormat& format,
                    const CodecOptions& codec) {
    if (stores.empty() || !format.info().lossless || format.info().decodes_at_write) return false;
    const StoreMetadata& first = stores.front()->metadata();
    for (const StoreReader* store : stores) {
        const StoreMetadata& metadata = store->metadata();
        if (metadata.encoding != first.encoding || !(metadata.stored_type == first.stored_type)) return false;
    }
    return !first.encoding.empty() && !format.refuses_with(codec, first.stored_type);
}

struct StoreConverter::Impl {
    Impl(std::vector<CopySource> converted, ConvertOptions convert_options)
        : sources(checked(std::move(converted))),
          options(std::move(convert_options)),
          source_type(common_type(sources)),
          type(source_type),
          records(sources),
          filters(make_filters(options.filters)),
          in_order(std::any_of(filters.begin(), filters.end(), [](const auto& filter) {
              return !filter->each_by_itself() || filter->needs_first_pass();
          })) {
        if (in_order && sources.size() > 1)
            throw Error(ErrorCode::invalid_argument,
                        "filters for which frames depend on each other take those of one store");
        const StoreReader& first = *sources.front().store;
        const StoreMetadata& metadata = first.metadata();
        writer = options_of_copy(sources, options.metadata, remarks);
        writer.format = options.format.empty() ? metadata.format : options.format;
        writer.codec = options.codec;
        check_store_options(writer);
        format = find_chunk_format(writer.format);
        const ChunkFormat* before = reading_format(metadata);
        if (!before || before->info().default_chunk_frames != format->info().default_chunk_frames)
            writer.chunk_frames.reset();
        if (options.chunk_frames) writer.chunk_frames = options.chunk_frames;
        const bool raw = filters.empty() && std::all_of(sources.begin(), sources.end(), [&](const CopySource& source) {
                             return gives_raw(*source.store) && source.store->metadata().encoding == metadata.encoding;
                         });
        if (raw) {
            writer.encoding = metadata.encoding;
        } else if (!metadata.encoding.empty()) {
            remarks.push_back(
                fmt::format("the raw images ({}) are decoded, which cannot be undone", metadata.encoding));
        }
        check_store_options(writer);
        if (in_order) {
            writer.buffer_bytes = kInOrderBytes;  // nothing is live here
            remark_on_guesses();
        }
        if (type.empty() || in_order) return;
        if (!filters.empty()) learn_type();
        if (raw && loses_raw()) {
            throw Error(ErrorCode::wrong_type, {first.folder().string(), {}, {}},
                        fmt::format("raw images ({}) need a lossless format, or to be read decoded; {} is none",
                                    metadata.encoding, format->info().name));
        }
        if (const auto reason = format->refuses_with(options.codec, type)) {
            throw Error(
                ErrorCode::wrong_type, {first.folder().string(), {}, {}},
                (filters.empty() ? "" : fmt::format("behind the filters, frames are {}: ", type.text())) + *reason);
        }
    }

    /// That of the first frame that can be read, as the filters make it.
    void learn_type() {
        SourceInfo info = sources.front().store->info();
        info.frame_count = frame_count();
        for (const auto& filter : filters) filter->begin(info);
        SourceRows rows(sources);
        while (const std::optional<SourceRow> row = rows.next()) {
            StoreReader& store = *sources[row->source].store;
            Frame frame;
            try {
                frame = store.at_index(row->row.index);
            } catch (const Error& error) {
                if (!is_damage(error)) throw;
                continue;  // whether it may be left out is asked when it is its turn
            }
            type = ImageType::of(filtered(std::move(frame), store).image);
            return;
        }
    }

    /// A frame as the filters make it, which any thread may ask for with a reader of its own.
    Frame filtered(Frame frame, StoreReader& store) const {
        if (filters.empty()) return frame;
        if (std::vector<Json> records_of_frame = store.extra_data_of(frame.index); !records_of_frame.empty())
            frame.extra_data = std::make_shared<const std::vector<Json>>(std::move(records_of_frame));
        for (const auto& filter : filters) {
            Frame made;
            filter->push(std::move(frame), [&](Frame given) { made = std::move(given); });
            frame = std::move(made);
        }
        return frame;
    }

    void remark_on_guesses() {
        const std::vector<int64_t> chunks = sources.front().store->chunks();
        if (std::any_of(chunks.begin(), chunks.end(), [&](int64_t chunk) { return records.is_synthetic(0, chunk); })) {
            remarks.push_back(sources.front().store->folder().string() +
                              ": some numbers and times are guesses of a repair, which the new store does not say");
        }
    }

    /// Whether the encoding that the new store is to have would not fit its images any more.
    bool loses_raw() const {
        if (format->info().decodes_at_write) return true;
        const Encoding* encoding = find_encoding(writer.encoding);
        return !format->info().lossless && encoding && refuses_loss(*encoding);
    }

    std::optional<int64_t> frame_count() const {
        int64_t frames = 0;
        for (const CopySource& source : sources) {
            const std::optional<int64_t> count = source.frames.count();
            if (!count) return std::nullopt;
            frames += *count;
        }
        return frames;
    }

    int64_t chunk_frames() const { return writer.chunk_frames.value_or(format->info().default_chunk_frames); }

    /// Chunks that are encoded at once: as many as there are threads to use, unless there are not that many to be made
    /// or images are huge.
    size_t lane_count(size_t threads) const {
        size_t most = threads;
        if (const std::optional<int64_t> frames = frame_count())
            most = std::min(most, static_cast<size_t>((*frames - 1) / chunk_frames() + 1));
        const size_t bytes = std::max<size_t>(1, type.bytes()) * kImagesPerLane;
        return std::max<size_t>(1, std::min(most, kMostLaneBytes / bytes));
    }

    /// Encoders that take a thread for every core would do so in each lane.
    CodecOptions codec_for(size_t lanes, size_t threads) const {
        constexpr const char* kThreads = "threads";
        const auto& known = format->info().options;
        const bool has_threads = std::any_of(known.begin(), known.end(),
                                             [&](const CodecOptionInfo& option) { return option.name == kThreads; });
        if (lanes < 2 || !has_threads || options.codec.contains(kThreads)) return options.codec;
        CodecOptions own = options.codec;
        own[kThreads] = std::to_string(std::clamp<size_t>(threads / lanes, 1, kMostCodecThreads));
        try {
            format->check_options(own);
        } catch (const Error&) {
            return options.codec;  // the encoder chosen, a device, has none
        }
        return own;
    }

    // ---- the thread of convert_to()

    ConvertResult convert_to(StoreWriter& output) {
        if (type.empty()) return {};
        if (in_order) return convert_in_order(sources.front(), filters, output, options);
        const WorkFolder work(work_folder_of(output.folder()));
        folder = work.path();
        const auto threads = static_cast<size_t>(thread_count(options.threads));
        std::vector<std::unique_ptr<Lane>> lanes(lane_count(threads));
        read_threads = static_cast<int>(threads / lanes.size());
        codec = codec_for(lanes.size(), threads);
        ahead_bytes = options.ahead_bytes / lanes.size();
        struct Joiner {
            ~Joiner() { impl.join(lanes); }
            Impl& impl;
            std::vector<std::unique_ptr<Lane>>& lanes;
        };
        const Joiner joiner{*this, lanes};
        start(lanes);
        SourceRows rows(sources);
        std::deque<std::shared_ptr<Job>> under_way;
        bool planned_all = false;
        bool complete = false;
        std::exception_ptr error;
        for (;;) {
            while (!planned_all && !stopped() && under_way.size() < 2 * lanes.size()) {
                std::shared_ptr<Job> job = plan(rows);
                planned_all = job == nullptr;
                if (!job) break;
                under_way.push_back(job);
                hand_out(job, lanes);
            }
            if (under_way.empty()) {
                complete = planned_all;
                break;
            }
            const std::shared_ptr<Job> job = under_way.front();
            under_way.pop_front();
            wait_for(*job);
            result.frames_damaged += job->damaged;
            result.frames_decoded += job->frames_decoded;
            for (std::string& damage : job->damage) {
                if (result.damage.size() < kMostDamageNamed) result.damage.push_back(std::move(damage));
            }
            try {
                take_in(*job, output);
            } catch (...) {
                // What ended the job comes first.
                if (!job->error) job->error = std::current_exception();
            }
            error = job->error;
            if (error || job->cut) break;
        }
        stop_lanes();
        result.cancelled = !complete && !error;
        if (output.frame_count() > 0) records.add_copied_events(output, options.filters);
        if (options.progress) options.progress(result.frames + result.frames_damaged);
        if (error) std::rethrow_exception(error);
        return result;
    }

    void start(std::vector<std::unique_ptr<Lane>>& lanes) {
        for (size_t i = 0; i < lanes.size(); ++i) {
            lanes[i] = std::make_unique<Lane>();
            try {
                lanes[i]->thread = std::thread([this, &lane = *lanes[i]] { work_on(lane); });
            } catch (const std::system_error& error) {
                if (i == 0) throw Error(ErrorCode::internal, fmt::format("cannot start a thread: {}", error.what()));
                lanes.resize(i);  // those there are will do
            }
        }
    }

    bool stopped() const { return options.stop.stop_requested() || ended; }

    void stop_lanes() {
        {
            const std::lock_guard lock(mutex);
            ended = true;
        }
        wake_lanes.notify_all();
    }

    void join(std::vector<std::unique_ptr<Lane>>& lanes) {
        stop_lanes();
        for (const auto& lane : lanes) {
            if (lane && lane->thread.joinable()) lane->thread.join();
        }
    }

    std::shared_ptr<Job> plan(SourceRows& rows) {
        auto job = std::make_shared<Job>();
        const int64_t most = chunk_frames();
        while (static_cast<int64_t>(job->rows.size()) < most) {
            const std::optional<SourceRow> row = rows.next();
            if (!row) break;
            job->rows.push_back(*row);
        }
        if (job->rows.empty()) return nullptr;
        job->read_threads = read_threads;
        job->media = folder / StoreLayout::chunk_name(jobs_planned++);
        if (format->info().kind == ChunkKind::file) job->media += format->info().extension;
        return job;
    }

    void hand_out(const std::shared_ptr<Job>& job, std::vector<std::unique_ptr<Lane>>& lanes) {
        const size_t place = lane_for(*job, lanes);
        Lane& lane = *lanes[place];
        last_lane = place;
        // A clone costs little, but a decoder that stands in the midst of a group of pictures is worth keeping.
        std::map<size_t, std::shared_ptr<StoreReader>> readers;
        for (const SourceRow& row : job->rows) {
            if (readers.contains(row.source)) continue;
            const auto kept = lane.readers.find(row.source);
            readers[row.source] = kept != lane.readers.end() ? kept->second : sources[row.source].store->clone();
        }
        lane.readers = readers;
        job->readers = std::move(readers);
        {
            const std::lock_guard lock(mutex);
            lane.jobs.push_back(job);
        }
        wake_lanes.notify_all();
    }

    /// The lane with the least to do. But where a group of pictures is so long that it reaches over a whole chunk and
    /// on, the lane that has come so far: every other one would have to decode all of it anew.
    size_t lane_for(const Job& job, const std::vector<std::unique_ptr<Lane>>& lanes) {
        const SourceRow& first = job.rows.front();
        const std::optional<SourceRow> before = std::exchange(first_of_last_job, first);
        if (before && before->source == first.source && entry_of(first) < before->row.index) return last_lane;
        size_t best = 0;
        const std::lock_guard lock(mutex);
        for (size_t i = 1; i < lanes.size(); ++i) {
            if (lanes[i]->jobs.size() < lanes[best]->jobs.size()) best = i;
        }
        return best;
    }

    int64_t entry_of(const SourceRow& row) const {
        try {
            return sources[row.source].store->entry_of(row.row.index);
        } catch (const Error&) {
            // Whoever reads the frame tells.
            return row.row.index;
        }
    }

    void wait_for(const Job& job) {
        std::unique_lock lock(mutex);
        while (!job.done) {
            job_done.wait_for(lock, kBetweenReports, [&] { return job.done; });
            if (!options.progress) continue;
            lock.unlock();
            options.progress(frames_done);
            lock.lock();
        }
    }

    /// Makes the media of a job a chunk of the new store.
    void take_in(const Job& job, StoreWriter& output) {
        if (job.written.empty()) return;
        const std::vector<CopiedRun> runs = runs_of(job);
        EncodedChunk chunk;
        chunk.type = type;
        chunk.write = [&](const fs::path& media) {
            file_system().rename(job.media, media);
            WrittenFrames written;
            for (const FrameStamp& stamp : job.stamps) {
                written.numbers.push_back(stamp.number);
                written.times.push_back(stamp.time);
            }
            written.packets = packets_of(job.stored, job.stream);
            if (!written.packets) written.files = job.stored;
            written.synthetic = std::any_of(runs.begin(), runs.end(), [&](const CopiedRun& run) {
                return records.is_synthetic(run.source, sources[run.source].store->row(run.index).value().chunk);
            });
            return written;
        };
        chunk.extra_data = [&](const auto& add_record) { records.visit_extra_data(runs, add_record); };
        chunk.events = [&](int64_t number) { return records.events_of(runs, number); };
        const int64_t before = output.frame_count();
        output.add_chunk(chunk);
        ++result.chunks;
        result.frames += static_cast<int64_t>(job.written.size());
        result.last = job.rows[job.written.back()].row;
        records.note_copied(runs, before);
    }

    /// Runs end where chunks of the source do, which may differ in whether their numbers are guesses.
    static std::vector<CopiedRun> runs_of(const Job& job) {
        std::vector<CopiedRun> runs;
        int64_t position = 0;
        for (const size_t place : job.written) {
            const SourceRow& row = job.rows[place];
            if (!runs.empty() && runs.back().source == row.source &&
                runs.back().index + runs.back().count == row.row.index && row.row.position > 0) {
                ++runs.back().count;
            } else {
                runs.push_back({row.source, row.row.index, 1, position});
            }
            ++position;
        }
        return runs;
    }

    // ---- the threads of the lanes

    void work_on(Lane& lane) {
        for (;;) {
            std::shared_ptr<Job> job;
            {
                std::unique_lock lock(mutex);
                wake_lanes.wait(lock, [&] { return ended || !lane.jobs.empty(); });
                if (lane.jobs.empty()) return;
                job = lane.jobs.front();
            }
            try {
                encode(*job);
            } catch (...) {
                job->error = std::current_exception();
                job->written.clear();
            }
            {
                const std::lock_guard lock(mutex);
                job->done = true;
                job->readers.clear();
                lane.jobs.pop_front();
            }
            job_done.notify_all();
        }
    }

    void encode(Job& job) {
        // Whoever encodes on threads of its own may look at the pixels until the frame is stored or the writer is gone.
        std::deque<Frame> held;
        std::unique_ptr<ChunkWriter> chunk;
        const auto take_stored = [&] {
            for (StoredFrame& stored : chunk->take_stored()) {
                job.stored.push_back(std::move(stored));
                if (!held.empty()) held.pop_front();
            }
        };
        for (size_t begin = 0; begin < job.rows.size() && !job.cut;) {
            const size_t source = job.rows[begin].source;
            const auto next = std::find_if(job.rows.begin() + static_cast<ptrdiff_t>(begin), job.rows.end(),
                                           [&](const SourceRow& row) { return row.source != source; });
            const auto end = static_cast<size_t>(next - job.rows.begin());
            StoreReader& store = *job.readers.at(source);
            const int64_t before = store.counters().frames_decoded;
            ReadAhead frames(store,
                             [&job, end, place = begin]() mutable {
                                 return place < end ? std::optional(job.rows[place++].row.index) : std::nullopt;
                             },
                             {.threads = job.read_threads, .ahead_bytes = ahead_bytes});
            for (size_t place = begin; place < end; ++place) {
                if (stopped()) {
                    job.cut = true;
                    break;
                }
                std::optional<Frame> frame = read(frames, job, place);
                if (job.cut) break;
                if (frame && !filter(*frame, store, job, place)) break;
                if (frame) {
                    if (!chunk) chunk = format->create(job.media, type, codec);
                    held.push_back(std::move(*frame));
                    if (!write(*chunk, held.back().image, job, place)) break;
                    job.written.push_back(place);
                    job.stamps.push_back({held.back().number, held.back().time});
                    take_stored();
                }
                ++frames_done;
            }
            job.frames_decoded += frames.counters().frames_decoded + store.counters().frames_decoded - before;
            begin = end;
        }
        // Nobody waits for what comes behind the end.
        if (ended) job.written.clear();
        if (!chunk || ended || job.written.empty()) return;
        chunk->finish();
        take_stored();
        job.stream = chunk->stream();
        chunk->sync();
        if (job.stored.size() != job.written.size()) {
            throw Error(
                ErrorCode::internal, {job.media.string(), {}, {}},
                fmt::format("{} frames were not written by the encoder", job.written.size() - job.stored.size()));
        }
    }

    ErrorPlace place_of(const SourceRow& row) const {
        return {sources[row.source].store->folder().string(), row.row.chunk, row.row.index};
    }

    /// False, and the job ends, where the encoder cannot hold this image, whose file nobody will find.
    bool write(ChunkWriter& chunk, const cv::Mat& image, Job& job, size_t place) const {
        try {
            chunk.write(image);
            return true;
        } catch (const Error& error) {
            if (error.code() != ErrorCode::wrong_type) throw;
            job.error = std::make_exception_ptr(Error(error.code(), place_of(job.rows[place]), error.message()));
            job.cut = true;
            return false;
        }
    }

    /// Puts the frame through the filters. False, and the job ends, where they do not take it.
    bool filter(Frame& frame, StoreReader& store, Job& job, size_t place) const {
        if (filters.empty()) return true;
        try {
            frame = filtered(std::move(frame), store);
            const ImageType made = ImageType::of(frame.image);
            if (made == type) return true;
            throw Error(ErrorCode::wrong_type, fmt::format("behind the filters, the frame is {}, but others are {}",
                                                           made.text(), type.text()));
        } catch (const Error& error) {
            job.error = std::make_exception_ptr(error.at(place_of(job.rows[place])));
            job.cut = true;
            return false;
        }
    }

    /// Nothing for a frame that is left out; ends the job where none may be.
    std::optional<Frame> read(ReadAhead& frames, Job& job, size_t place) {
        try {
            std::optional<Frame> frame = frames.next();
            if (!frame) throw Error(ErrorCode::not_found, "has become shorter while it was read");
            if (const ImageType found = ImageType::of(frame->image); !(found == source_type)) {
                throw Error(ErrorCode::corrupt, fmt::format("the frame is {}, those of the store are {}", found.text(),
                                                            source_type.text()));
            }
            return frame;
        } catch (const Error& error) {
            const Error placed = error.at(place_of(job.rows[place]));
            const bool damage = is_damage(error);
            if (!damage || !options.skip_damaged) {
                job.error = std::make_exception_ptr(
                    Error(placed.code(), placed.place(), placed.message() + (damage ? kSkipHint : "")));
                job.cut = true;
                return std::nullopt;
            }
            ++job.damaged;
            if (job.damage.size() < kMostDamageNamed) job.damage.emplace_back(placed.what());
            return std::nullopt;
        }
    }

    std::vector<CopySource> sources;
    ConvertOptions options;
    ImageType source_type;
    ImageType type;  ///< behind the filters
    const ChunkFormat* format = nullptr;
    StoreWriterOptions writer;
    std::vector<std::string> remarks;
    CopiedRecords records;
    Filters filters;
    bool in_order;  ///< frames depend on each other

    // Of convert_to() alone.
    fs::path folder;
    int read_threads = 1;
    size_t ahead_bytes = 0;
    CodecOptions codec;
    int64_t jobs_planned = 0;
    size_t last_lane = 0;
    std::optional<SourceRow> first_of_last_job;
    ConvertResult result;

    std::atomic<int64_t> frames_done = 0;
    std::atomic<bool> ended = false;  ///< set under the mutex: the lanes stop
    std::mutex mutex;
    std::condition_variable wake_lanes;
    std::condition_variable job_done;
};

StoreConverter::StoreConverter(std::vector<CopySource> sources, ConvertOptions options)
    : impl_(std::make_unique<Impl>(std::move(sources), std::move(options))) {}

StoreConverter::~StoreConverter() = default;

StoreWriterOptions StoreConverter::writer_options() const {
    return impl_->writer;
}

const std::vector<std::string>& StoreConverter::notes() const {
    return impl_->remarks;
}

std::optional<int64_t> StoreConverter::frame_count() const {
    return impl_->frame_count();
}

ConvertResult StoreConverter::convert_to(StoreWriter& writer) {
    return impl_->convert_to(writer);
}

void ConversionCheck::add_difference(int64_t index, const std::string& what) {
    if (different++ == 0) first_difference = fmt::format("frame {}: {}", index, what);
}

ConversionCheck check_conversion(const std::vector<CopySource>& sources, const fs::path& converted,
                                 const ConversionCheckOptions& options) {
    StoreReaderOptions reading;
    reading.map = false;
    reading.decode =
        !std::all_of(sources.begin(), sources.end(), [](const CopySource& source) { return gives_raw(*source.store); });
    StoreReader store(converted, reading);
    if (const Filters filters = make_filters(options.filters); !filters.empty()) {
        if (sources.size() != 1)
            throw Error(ErrorCode::invalid_argument, "what came through filters is checked beside one store");
        return check_in_order(checked(sources).front(), filters, store, options);
    }
    SelectedFrames copies(store, {{{0, store.frame_count()}}});
    ConversionCheck check;
    check.exact = store.lossless();
    for (const CopySource& source : checked(sources)) {
        const std::vector<CopySource> alone{source};
        SourceRows rows(alone);
        bool rows_failed = false;  // as they would again each time
        const auto next_index = [&]() -> std::optional<int64_t> {
            try {
                const std::optional<SourceRow> row = rows.next();
                return row ? std::optional(row->row.index) : std::nullopt;
            } catch (const Error&) {
                rows_failed = true;
                throw;
            }
        };
        ReadAhead originals(*source.store, next_index, {.threads = source.store->threads()});
        for (;;) {
            if (options.stop.stop_requested()) {
                check.cancelled = true;
                return check;
            }
            std::optional<Frame> original;
            try {
                original = originals.next();
            } catch (const Error& error) {
                if (rows_failed || !is_damage(error)) throw;
                continue;  // it is not in the new store either
            }
            if (!original) break;
            const std::vector<Json> records = source.store->extra_data_of(original->index);
            const int64_t index = check.frames++;
            try {
                const std::optional<Frame> copy = copies.next();
                if (!copy) {
                    check.add_difference(index, "is missing");
                } else if (copy->number != original->number || !same_time(copy->time, original->time)) {
                    check.add_difference(index, "has another number or time");
                } else if (copies.extra_data() != records) {
                    check.add_difference(index, "has other extra data");
                } else if (check.exact ? !same_pixels(copy->image, original->image)
                                       : !(ImageType::of(copy->image) == ImageType::of(original->image))) {
                    check.add_difference(index, "has other pixels");
                }
            } catch (const Error& error) {
                check.add_difference(index, error.what());
            }
            if (options.progress) options.progress(check.frames);
        }
    }
    if (store.frame_count() > check.frames) {
        check.add_difference(check.frames, fmt::format("the new store has {} frames more than its sources",
                                                       store.frame_count() - check.frames));
    }
    return check;
}

}  // namespace reelstore
