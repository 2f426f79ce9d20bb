#include "store/store_writer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <exception>
#include <limits>
#include <mutex>

#include <fmt/format.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file_system.h"
#include "base/encoding.h"
#include "store/chunk_sidecar.h"
#include "store/copy_video.h"
#include "store/extra_data_file.h"
#include "store/finish_chunk.h"
#include "store/frame_index.h"
#include "store/layout.h"
#include "store/maintenance.h"
#include "store/metadata.h"
#include "store/repair.h"
#include "store/space_reserve.h"
#include "store/store_contents.h"
#include "store/store_lock.h"

namespace reelstore {

namespace {

/// Room for what completes a chunk on a full disk: its container's tables, its sidecars, the index' log.
constexpr uint64_t kReserveBytes = uint64_t{4} << 20;
constexpr uint64_t kReserveBytesPerFrame = 64;
constexpr int64_t kMostReservedFrames = 1000000;
/// Images in memory at least, however large they are.
constexpr size_t kLeastImages = 4;
/// Clock steps recorded one by one; a clock that goes on stepping is counted.
constexpr int64_t kMostClockSteps = 1000;
constexpr const char* kDefaultFormat = "avc1/mp4";

constexpr std::array<const char*, 3> kReservedKeys = {"frame_index", "frame_number", "frame_time"};

Error invalid(const std::string& message) {
    return Error(ErrorCode::invalid_argument, message);
}

const ChunkFormat& writable_format(const std::string& name) {
    const ChunkFormat* format = find_chunk_format(name);
    if (!format) {
        std::string known;
        for (const auto& candidate : chunk_formats()) known += (known.empty() ? "" : ", ") + candidate->info().name;
        throw invalid(fmt::format("unknown format \"{}\"; known are {}", name, known));
    }
    if (!format->info().unavailable.empty()) {
        throw Error(ErrorCode::unsupported,
                    fmt::format("format {} cannot be written here: {}", name, format->info().unavailable));
    }
    return *format;
}

std::string format_name(const StoreWriterOptions& options) {
    return options.format.empty() ? kDefaultFormat : options.format;
}

StoreMetadata new_metadata(const StoreWriterOptions& options, const ChunkFormat& format) {
    const ChunkFormatInfo& info = format.info();
    StoreMetadata metadata;
    metadata.class_name = store_class(info);
    metadata.format = info.name;
    metadata.extension = info.extension;
    metadata.kind = info.kind;
    metadata.chunk_frames = options.chunk_frames.value_or(info.default_chunk_frames);
    metadata.encoding = info.decodes_at_write ? "" : options.encoding;
    metadata.created = options.created.value_or(now_utc());
    metadata.time_zone = options.time_zone.empty() ? local_time_zone() : options.time_zone;
    metadata.uuid = make_uuid();
    metadata.user = parse_user_metadata(options.metadata);
    return metadata;
}

std::filesystem::path plain_folder(const std::filesystem::path& path) {
    std::filesystem::path folder = std::filesystem::absolute(path).lexically_normal();
    return folder.has_filename() ? folder : folder.parent_path();
}

/// Whether the folder holds nothing but what a writer leaves that was killed before its first frame.
bool is_unborn_store(const std::filesystem::path& folder) {
    const std::vector<std::string> names = file_system().list(folder);
    return std::all_of(names.begin(), names.end(), [](const std::string& name) {
        return name == ".lock" || name == ".reserve" || name == "metadata.yaml.tmp" || name.starts_with("index.sqlite");
    });
}

void remove_all_but_lock(const std::filesystem::path& folder) {
    for (const std::string& name : file_system().list(folder)) {
        if (name != ".lock") file_system().remove(folder / name);
    }
}

/// The index under its own name from the moment it is whole.
std::unique_ptr<FrameIndex> create_index(const std::filesystem::path& folder, const std::string& uuid) {
    const std::filesystem::path path = StoreLayout::index(folder);
    std::filesystem::path fresh = path;
    fresh += ".tmp";
    FrameIndex::create(fresh, uuid)->use_write_ahead_log(true);
    file_system().rename(fresh, path);
    file_system().sync_folder(folder);
    auto index = FrameIndex::open(path, uuid, Database::Mode::read_write);
    index->use_write_ahead_log(true);
    return index;
}

}  // namespace

void check_store_options(const StoreWriterOptions& options) {
    writable_format(format_name(options)).check_options(options.codec);
    parse_user_metadata(options.metadata);
    if (options.chunk_frames && (*options.chunk_frames < 1 || *options.chunk_frames > kMaxChunkFrames)) {
        throw invalid(fmt::format("a chunk must hold 1 to {} frames", kMaxChunkFrames));
    }
    if (options.chunk_seconds && !(*options.chunk_seconds > 0)) throw invalid("the seconds of a chunk must be above 0");
    if (options.chunk_bytes && *options.chunk_bytes == 0) throw invalid("the bytes of a chunk must be above 0");
    if (!options.encoding.empty() && !find_encoding(options.encoding)) {
        throw invalid(fmt::format("unknown encoding \"{}\"; `store formats` lists the known ones", options.encoding));
    }
    if (!options.time_zone.empty() && !is_time_zone(options.time_zone)) {
        throw invalid(
            fmt::format("unknown time zone \"{}\"; give an IANA name such as Europe/Vienna", options.time_zone));
    }
    if (options.commit_interval && !(*options.commit_interval >= 0))
        throw invalid("the commit interval must be 0 or more seconds");
    if (options.buffer_bytes == 0) throw invalid("the buffer must have some bytes");
}

struct StoreWriter::Impl {
    Impl(const std::filesystem::path& path, const StoreWriterOptions& writer_options)
        : options(writer_options), folder(plain_folder(path)) {
        const FileKind kind = file_system().status(folder).kind;
        if (kind == FileKind::missing) {
            begin_new();
        } else if (options.append && kind == FileKind::folder && is_store(folder)) {
            resume();
        } else if (options.append && kind == FileKind::folder && is_unborn_store(folder)) {
            lock.emplace(folder);
            // Somebody else may have had the lock meanwhile.
            if (!is_unborn_store(folder)) throw taken(path);
            remove_all_but_lock(folder);
            describe_new();
        } else {
            throw taken(path);
        }
    }

    static Error taken(const std::filesystem::path& path) {
        return Error(ErrorCode::already_exists, {path.string(), {}, {}},
                     "there is something of this name already; choose another or remove it");
    }

    ~Impl() {
        try {
            close();
        } catch (...) {
            // The index holds every frame that was committed; there is nobody left to tell.
            return;
        }
    }

    void begin_new() {
        check_store_options(options);
        if (file_system().status(folder.parent_path()).kind != FileKind::folder) {
            throw Error(ErrorCode::not_found, {folder.parent_path().string(), {}, {}},
                        "the folder that should hold the store does not exist");
        }
        describe_new();
        file_system().create_folder(folder);
        file_system().sync_folder(folder.parent_path());
        lock.emplace(folder);
        if (file_system().list(folder) != std::vector<std::string>{".lock"}) throw taken(folder);
    }

    void describe_new() {
        check_store_options(options);
        format = &writable_format(format_name(options));
        if (!options.encoding.empty()) encoding = find_encoding(options.encoding);
        metadata = new_metadata(options, *format);
        layout.emplace(folder, metadata.kind, metadata.extension);
    }

    // ---- a store that is there already

    void resume() {
        if (file_system().status(StoreLayout::index(folder)).kind != FileKind::file) make_index();
        lock.emplace(folder);
        metadata = read_metadata(folder);
        layout.emplace(folder, metadata.kind, metadata.extension);
        take_over_options();
        index = open_index();
        if (lacks_complete_chunks(*index, *layout, layout->chunks())) {
            throw Error(ErrorCode::corrupt, {StoreLayout::index(folder).string(), {}, {}},
                        "the index lacks the frames of complete chunks, perhaps because index.sqlite-wal was left "
                        "behind; run `store repair` before anything is appended to the store");
        }
        const bool was_closed = index->closed();
        if (was_closed) check_every_chunk_is_known();
        index->use_write_ahead_log(true);
        index->set_closed(false);
        // Numbers of media that are put aside, now or earlier, are used up too.
        for (const std::string& name : file_system().list(folder)) {
            if (const auto split = split_chunk_file_name(name)) next_chunk = std::max(next_chunk, split->chunk + 1);
        }
        if (const std::optional<ChunkRow> last = index->last_chunk())
            next_chunk = std::max(next_chunk, last->chunk + 1);
        const std::vector<FinishedChunk> completed = finish_open_chunks(*index, *layout, metadata);
        int64_t lost = 0;
        for (const FinishedChunk& chunk : completed) lost += chunk.frames_lost;
        frame_count = index->frame_count();
        if (frame_count > 0) {
            const std::optional<FrameRow> row = index->row(frame_count - 1);
            last_number = row->number;
            last_time = row->time;
        }
        const Json data = {
            {"closed_before", was_closed}, {"chunks_completed", completed.size()}, {"frames_lost", lost}};
        index->add_event({now_utc(), "resumed", frame_count, data.dump()});
        if (!metadata.stored_type.empty()) begin_pipeline();
    }

    /// Beside the index of a closed store there is nothing that a writer was at; what it does not know is a recording
    /// that has lost its index.
    void check_every_chunk_is_known() const {
        const std::optional<ChunkChanges> changes = find_changes(*index, *layout);
        if (changes && !changes->changed.empty()) {
            const int64_t chunk = changes->changed.front();
            throw Error(ErrorCode::corrupt, {layout->sidecar(chunk).string(), chunk, {}},
                        "has been changed since the index was made; run `store index` before anything is appended to "
                        "the store");
        }
        for (const StoreLayout::Chunk& chunk : layout->chunks()) {
            // What a trim has not come to remove is no part of the store.
            if (index->find_chunk(chunk.number) || chunk.number < index->first_kept_chunk()) continue;
            const std::optional<ChunkSidecar> sidecar = read_chunk_sidecar(*layout, chunk.number);
            // imgstore wants a first chunk even in a store without frames.
            if (sidecar && sidecar->numbers.empty()) continue;
            throw Error(ErrorCode::corrupt, {layout->media(chunk.number).string(), chunk.number, {}},
                        "the index does not know this chunk; run `store repair` before anything is appended to the "
                        "store");
        }
    }

    /// For a store of imgstore's.
    void make_index() const {
        const IndexResult result = build_index(folder);
        if (result.chunks_left_out > 0) {
            throw Error(ErrorCode::corrupt, {folder.string(), {}, {}},
                        fmt::format("{} chunks have lost their numbers and times; run `store repair` before anything "
                                    "is appended to the store",
                                    result.chunks_left_out));
        }
    }

    /// What the store is decides; what the options say otherwise is an error.
    void take_over_options() {
        const auto refuse = [&](const std::string& message) {
            throw Error(ErrorCode::invalid_argument, {folder.string(), {}, {}},
                        message + "; leave the option out or record a new store");
        };
        if (!options.format.empty() && options.format != metadata.format) {
            refuse(fmt::format("the store has the format {}, not {}", metadata.format, options.format));
        }
        options.format = metadata.format;
        check_store_options(options);
        format = &writable_format(metadata.format);
        if (options.chunk_frames && *options.chunk_frames != metadata.chunk_frames) {
            refuse(
                fmt::format("the store has chunks of {} frames, not {}", metadata.chunk_frames, *options.chunk_frames));
        }
        if (!options.time_zone.empty() && options.time_zone != metadata.time_zone) {
            refuse(fmt::format("the store's time zone is {}, not {}", metadata.time_zone, options.time_zone));
        }
        const Json user = parse_user_metadata(options.metadata);
        if (!user.empty() && user != metadata.user) refuse("the metadata of a store cannot be changed by appending");
        if (!format->info().decodes_at_write) {
            if (!options.encoding.empty() && options.encoding != metadata.encoding) {
                refuse(fmt::format("the store's encoding is {}, not {}",
                                   metadata.encoding.empty() ? "none" : metadata.encoding, options.encoding));
            }
            options.encoding = metadata.encoding;
        }
        if (!options.encoding.empty()) encoding = find_encoding(options.encoding);
        // Raw images that are decoded before they are stored are known by the first one only.
        if (!format->info().decodes_at_write) added_type = metadata.stored_type;
    }

    std::unique_ptr<FrameIndex> open_index() const {
        try {
            return FrameIndex::open(StoreLayout::index(folder), metadata.uuid, Database::Mode::read_write);
        } catch (const Error& error) {
            if (error.code() != ErrorCode::corrupt && error.code() != ErrorCode::unsupported) throw;
            throw Error(error.code(), error.place(),
                        error.message() + "; run `store repair` before anything is appended to the store");
        }
    }

    // ---- writing

    void check_owner() const {
        if (owner != getpid()) {
            throw Error(ErrorCode::invalid_argument, {folder.string(), {}, {}},
                        "the writer belongs to the process that opened it, not to its child");
        }
    }

    void check_usable() const {
        check_owner();
        if (closed) throw Error(ErrorCode::invalid_argument, {folder.string(), {}, {}}, "the store is closed already");
        if (failure) throw *failure;
        if (pipeline) pipeline->check();
    }

    /// Runs a step on this thread that leaves the store unfit for more when it fails.
    template <typename Step>
    void guarded(Step step) {
        try {
            step();
        } catch (const Error& error) {
            failure = error.at({folder.string(), {}, {}});
            throw *failure;
        } catch (const std::exception& error) {
            failure = Error(ErrorCode::internal, {folder.string(), {}, {}}, error.what());
            throw *failure;
        }
    }

    void check_frame(const ImageType& type, double time) {
        const ErrorPlace place{folder.string(), {}, frame_count};
        if (!std::isfinite(time))
            throw Error(ErrorCode::invalid_argument, place, "a frame's time must be a finite number of seconds");
        if (!added_type.empty() && !(type == added_type)) {
            throw Error(ErrorCode::wrong_type, place,
                        fmt::format("the frame is {} but this store holds {}", type.text(), added_type.text()));
        }
    }

    /// Makes the store and the pool ready for images of this type, which is the first one's.
    void begin(const ImageType& type) {
        if (pool) return;
        const ErrorPlace place{folder.string(), {}, frame_count};
        if (!pipeline || added_type.empty()) {
            check_type(type, place);
            check_loss(place);
            const ImageType stored = stored_type(type);
            if (!metadata.stored_type.empty() && !(stored == metadata.stored_type)) {
                throw Error(
                    ErrorCode::wrong_type, place,
                    fmt::format("the frame is {} but this store holds {}", stored.text(), metadata.stored_type.text()));
            }
            guarded([&] {
                if (!pipeline) start(stored);
            });
            added_type = type;
        }
        pool = FramePool::create(type, options.buffer_bytes, kLeastImages);
    }

    ImageType stored_type(const ImageType& added) const {
        return encoding && format->info().decodes_at_write ? *decoded_type(*encoding, added) : added;
    }

    /// `encoded`: the frames come as they are in a file, so that no encoder has to hold them.
    void check_type(const ImageType& type, const ErrorPlace& place, bool encoded = false) const {
        if (!plausible(type))
            throw Error(ErrorCode::wrong_type, place,
                        fmt::format("images of {} are larger than a store can hold", type.text()));
        if (encoding && !decoded_type(*encoding, type)) {
            throw Error(ErrorCode::wrong_type, place,
                        fmt::format("{} decodes {}, not {}", encoding->name, encoding->raw_type, type.text()));
        }
        if (encoded && format->info().video) return;
        if (const auto reason = format->refuses_with(options.codec, stored_type(type)))
            throw Error(ErrorCode::wrong_type, place, *reason);
    }

    void check_loss(const ErrorPlace& place) const {
        const ChunkFormatInfo& info = format->info();
        if (!encoding || info.lossless || info.decodes_at_write) return;
        if (const auto reason = refuses_loss(*encoding))
            throw Error(ErrorCode::wrong_type, place, fmt::format("{} is lossy: {}", info.name, *reason));
    }

    /// Writes what could not be known before the first frame: spec/durability.md, A new store.
    void start(const ImageType& stored, const ImageType& recorded = {}) {
        metadata.stored_type = stored;
        metadata.recorded_type = recorded;
        if (recorded.empty()) metadata.recorded_type = stored.empty() ? stored : format->recorded_type(stored);
        if (!index) index = create_index(folder, metadata.uuid);
        write_file_atomically(StoreLayout::metadata(folder), metadata_text(metadata));
        begin_pipeline();
    }

    void begin_pipeline() {
        const auto frames = static_cast<uint64_t>(std::min(metadata.chunk_frames, kMostReservedFrames));
        const uint64_t held_back =
            metadata.stored_type.empty() ? 0 : format->most_bytes_held_back(metadata.stored_type, options.codec);
        reserve.emplace(folder, kReserveBytes + kReserveBytesPerFrame * frames + held_back);
        const size_t images = FramePool::fit(metadata.stored_type, options.buffer_bytes, kLeastImages);
        const std::lock_guard guard(pipeline_mutex);
        pipeline = std::make_unique<WritePipeline>(
            *index, *layout, metadata, *format, *reserve, next_chunk,
            WritePipelineOptions{.codec = options.codec,
                                 .chunk_frames = metadata.chunk_frames,
                                 .chunk_seconds = options.chunk_seconds,
                                 .chunk_bytes = options.chunk_bytes,
                                 .commit_interval = options.commit_interval,
                                 .decode = format->info().decodes_at_write ? encoding : nullptr,
                                 .most_retained = images / 2});
    }

    bool add(const cv::Mat& image, int64_t number, double time) {
        check_usable();
        if (image.empty() || image.dims != 2) {
            throw Error(ErrorCode::wrong_type, {folder.string(), {}, frame_count},
                        "the image is empty or has not two dimensions");
        }
        const ImageType type = ImageType::of(image);
        check_frame(type, time);
        begin(type);
        PooledImage copy = pipeline->take_image(*pool, options.overflow == Overflow::block);
        if (!copy) {
            pipeline->add_drop(number, time, "queue full");
            return false;
        }
        image.copyTo(copy.image());
        push(std::move(copy), number, time);
        return true;
    }

    PooledImage acquire(const ImageType& type) {
        check_usable();
        check_frame(type, 0);
        begin(type);
        return pipeline->take_image(*pool, options.overflow == Overflow::block);
    }

    bool add(PooledImage image, int64_t number, double time) {
        check_usable();
        if (!pool || !image.is_from(pool.get())) {
            throw Error(ErrorCode::invalid_argument, {folder.string(), {}, frame_count},
                        "the image is not from acquire() of this writer");
        }
        check_frame(added_type, time);
        push(std::move(image), number, time);
        return true;
    }

    void push(PooledImage image, int64_t number, double time) {
        const double now = now_monotonic();
        if (last_time && time < *last_time) note_clock_step(time, now);
        AddedFrame frame{std::move(image), frame_count, number, time, now};
        pipeline->add(std::move(frame));
        ++frame_count;
        ++added_here;
        last_number = number;
        last_time = time;
        last_added = now;
        if (options.commit_interval == 0.0) pipeline->commit();
    }

    /// The times are kept as they were given; the clock that never steps tells how long it really was.
    void note_clock_step(double time, double now) {
        if (++clock_steps > kMostClockSteps) return;
        Json data = {{"time_before", *last_time}, {"time_after", time}};
        if (last_added) data["monotonic_seconds"] = now - *last_added;
        pipeline->add_event({now_utc(), "clock_step", frame_count, data.dump()});
    }

    void report_dropped(int64_t number, double time, const std::string& cause) {
        check_usable();
        if (!pipeline) {
            throw Error(ErrorCode::invalid_argument, {folder.string(), {}, {}},
                        "dropped frames can be reported once a frame was added");
        }
        try {
            static_cast<void>(Json(cause).dump());
        } catch (const Json::exception&) {
            throw Error(ErrorCode::invalid_argument, {folder.string(), {}, {}}, "the cause must be UTF-8");
        }
        pipeline->add_drop(number, time, cause);
    }

    void add_extra_data(const Json& record) {
        check_usable();
        const ErrorPlace place{folder.string(), {}, frame_count - 1};
        if (!record.is_object()) throw Error(ErrorCode::invalid_argument, place, "extra data must be a JSON object");
        if (added_here == 0)
            throw Error(ErrorCode::invalid_argument, {folder.string(), {}, {}},
                        "extra data are tied to the last frame: add a frame first");
        for (const char* key : kReservedKeys) {
            if (record.contains(key))
                throw Error(ErrorCode::invalid_argument, place,
                            fmt::format("extra data may not use the key `{}`, which every record gets", key));
        }
        std::string text;
        try {
            text = record.dump();
        } catch (const Json::exception&) {
            throw Error(ErrorCode::invalid_argument, place, "text in extra data must be UTF-8");
        }
        if (const auto reason = refuses_extra_data(text)) throw Error(ErrorCode::invalid_argument, place, *reason);
        pipeline->add_extra_data({frame_count - 1, std::move(text)});
        if (options.commit_interval == 0.0) pipeline->commit();
    }

    void commit() {
        check_usable();
        if (pipeline) pipeline->commit();
    }

    void insert_chunk(const std::filesystem::path& video, std::span<const int64_t> numbers,
                      std::span<const double> times, Adopt adopt) {
        check_usable();
        const ErrorPlace place{video.string(), {}, {}};
        if (!format->info().video)
            throw Error(ErrorCode::invalid_argument, place,
                        fmt::format("a store of {} images cannot take a video file in", format->info().name));
        if (video.extension() != metadata.extension) {
            throw Error(ErrorCode::invalid_argument, place,
                        fmt::format("this store takes {} files in", metadata.extension));
        }
        if (numbers.size() != times.size())
            throw Error(ErrorCode::invalid_argument, place,
                        fmt::format("{} frame numbers but {} times", numbers.size(), times.size()));
        if (numbers.empty()) throw Error(ErrorCode::invalid_argument, place, "a chunk needs at least one frame");
        for (const double time : times) {
            if (!std::isfinite(time))
                throw Error(ErrorCode::invalid_argument, place, "a frame's time must be a finite number of seconds");
        }
        const auto reader = format->open(video, metadata.stored_type);
        const PacketTable& table = *reader->packet_table();
        ImageType type = image_type_of(table.stream);
        if (!added_type.empty()) type.channels = added_type.channels;
        if (table.frame_count() != static_cast<int64_t>(numbers.size())) {
            throw Error(
                ErrorCode::invalid_argument, place,
                fmt::format("the file holds {} frames, but {} numbers are given", table.frame_count(), numbers.size()));
        }
        if (!pipeline) check_type(type, place, true);
        if (pipeline && !(type == metadata.recorded_type)) {
            throw Error(ErrorCode::wrong_type, place,
                        fmt::format("the video is {} but this store's files are {}", type.text(),
                                    metadata.recorded_type.text()));
        }
        add_media(type, {}, [&](const std::filesystem::path& media) {
            WrittenFrames frames{{numbers.begin(), numbers.end()}, {times.begin(), times.end()}};
            frames.packets = std::make_shared<const PacketTable>(table);
            guarded([&] { reelstore::copy_file(video, media); });
            return frames;
        });
        if (adopt == Adopt::move) guarded([&] { file_system().remove(video); });
    }

    void add_chunk(const EncodedChunk& chunk) {
        check_usable();
        const ErrorPlace place{folder.string(), {}, frame_count};
        if (metadata.stored_type.empty()) {
            check_type(chunk.type, place, true);
        } else if (!(chunk.type == metadata.stored_type)) {
            throw Error(ErrorCode::wrong_type, place,
                        fmt::format("the frames are {} but this store holds {}", chunk.type.text(),
                                    metadata.stored_type.text()));
        }
        add_media(chunk.type, chunk.recorded_type, chunk.write, &chunk);
    }

    void add_media(const ImageType& type, const ImageType& recorded_type,
                   const std::function<WrittenFrames(const std::filesystem::path&)>& write,
                   const EncodedChunk* records = nullptr) {
        guarded([&] {
            if (!pipeline) {
                start(type, recorded_type);
                added_type = type;
            }
            pipeline->finish_chunk();
        });
        const int64_t chunk = pipeline->take_chunk_number();
        const std::filesystem::path media = layout->media(chunk);
        WrittenFrames frames;
        try {
            frames = write(media);
        } catch (...) {
            remove_unfinished(media);
            throw;
        }
        if (frames.numbers.empty()) return remove_unfinished(media);
        guarded([&] {
            file_system().sync_folder(folder);
            pipeline->with_index([&] { record_media(chunk, frames, records); });
        });
        ++added_here;
    }

    /// What has no row in the index is nobody's frame; after a failure of the disk it may have to stay.
    void remove_unfinished(const std::filesystem::path& media) {
        try {
            const FileKind kind = file_system().status(media).kind;
            if (kind == FileKind::folder) {
                for (const std::string& name : file_system().list(media)) file_system().remove(media / name);
            }
            if (kind != FileKind::missing) file_system().remove(media);
            // imgstore wants a chunk 0.
            pipeline->give_back_chunk_number();
        } catch (const Error&) {
            return;
        }
    }

    void record_media(int64_t chunk, const WrittenFrames& written, const EncodedChunk* records) {
        const PacketTable* table = written.packets.get();
        std::vector<NewFrame> frames = new_frames({written.numbers, written.times, {}}, table);
        for (size_t i = 0; i < written.files.size(); ++i) frames[i].stored = written.files[i];
        const auto count = static_cast<int64_t>(frames.size());
        const int64_t first = index->frame_count();
        try {
            Transaction transaction(index->database());
            index->add_chunk(chunk, false);
            record_stream(*index, table, frames.size());
            index->add_frames(frames);
            if (records && records->extra_data) {
                records->extra_data([&](int64_t position, const std::string& record) {
                    index->add_extra_data(first + position, record);
                });
            }
            if (records && records->events) {
                for (EventRow event : records->events(chunk)) {
                    if (event.frame_index) *event.frame_index += first;
                    index->add_event(event);
                }
            }
            transaction.commit();
        } catch (const Error&) {
            index->reload();
            throw;
        }
        frame_count += count;
        last_number = written.numbers.back();
        last_time = written.times.back();
        last_added.reset();
        write_extra_data_file(*index, *layout, chunk);
        ChunkSidecar sidecar = sidecar_of(*index, chunk);
        sidecar.synthetic = written.synthetic;
        write_chunk_sidecar(*layout, chunk, metadata, sidecar);
        Transaction transaction(index->database());
        record_complete_chunk(*index, *layout, chunk);
        transaction.commit();
    }

    void add_event(const EventRow& event) {
        check_usable();
        if (!pipeline) {
            throw Error(ErrorCode::invalid_argument, {folder.string(), {}, {}},
                        "events can be recorded once a frame was added");
        }
        pipeline->add_event(event);
    }

    // ---- closing

    void close() {
        check_owner();
        if (closed) return;
        closed = true;
        try {
            if (!pipeline && !failure) start_without_frame();
            if (clock_steps > kMostClockSteps) {
                const Json data = {{"not_listed", clock_steps - kMostClockSteps}};
                pipeline->add_event({now_utc(), "clock_step", frame_count, data.dump()});
            }
            if (pipeline) pipeline->finish_chunk();
        } catch (const Error& error) {
            if (!failure) failure = error;
            if (pipeline) pipeline->save_what_is_stored();
        }
        const bool complete = pipeline && pipeline->complete();
        const std::vector<std::string> unfinished = pipeline ? pipeline->unfinished() : std::vector<std::string>();
        {
            const std::lock_guard guard(pipeline_mutex);
            if (pipeline) last_stats = pipeline->stats();
            pipeline.reset();
        }
        pool.reset();
        // The reserve has done its service: what follows may need the room.
        reserve.reset();
        try {
            if (complete) settle(unfinished);
        } catch (const Error& error) {
            if (!failure) failure = error.at({folder.string(), {}, {}});
        }
        index.reset();
        lock.reset();
        if (failure) throw *failure;
    }

    void start_without_frame() {
        if (index) return begin_pipeline();
        start({0, 0, 1, CV_8U});
    }

    /// Everything is committed: the database becomes one file again, and the store is marked closed.
    void settle(const std::vector<std::string>& unfinished) {
        if (frame_count == 0 && metadata.kind == ChunkKind::folder && next_chunk == 0) {
            // imgstore opens chunk 0 whatever it holds.
            file_system().create_folder(layout->media(0));
            write_chunk_sidecar(*layout, 0, metadata, {});
        }
        // Chunks that were given up after a fault: their rows are committed, their containers are not complete.
        finish_open_chunks(*index, *layout, metadata);
        const bool all = index->open_chunks().empty();
        index->set_closed(all);
        index->use_write_ahead_log(false);
        if (!all) {
            throw Error(ErrorCode::io, {folder.string(), {}, {}},
                        fmt::format("{}; every committed frame is readable. Run `store repair`",
                                    unfinished.empty() ? "a chunk could not be completed" : unfinished.front()));
        }
    }

    WriterStats stats() const {
        const std::lock_guard guard(pipeline_mutex);
        return pipeline ? pipeline->stats() : last_stats;
    }

    StoreWriterOptions options;
    const std::filesystem::path folder;
    const pid_t owner = getpid();
    const ChunkFormat* format = nullptr;
    const Encoding* encoding = nullptr;
    StoreMetadata metadata;
    std::optional<StoreLayout> layout;
    std::optional<StoreLock> lock;
    std::unique_ptr<FrameIndex> index;
    std::optional<SpaceReserve> reserve;
    std::shared_ptr<FramePool> pool;
    mutable std::mutex pipeline_mutex;        // stats() may be asked by another thread
    std::unique_ptr<WritePipeline> pipeline;  // from the moment the type is known
    WriterStats last_stats;
    std::optional<Error> failure;
    bool closed = false;
    ImageType added_type;
    int64_t frame_count = 0;
    int64_t added_here = 0;
    int64_t next_chunk = 0;
    int64_t last_number = 0;
    std::optional<double> last_time;
    std::optional<double> last_added;  // by now_monotonic()
    int64_t clock_steps = 0;
};

StoreWriter::StoreWriter(const std::filesystem::path& path, const StoreWriterOptions& options)
    : impl_(std::make_unique<Impl>(path, options)) {}

StoreWriter::~StoreWriter() {
    // A forked child has neither the threads nor any right to the files.
    if (impl_ && impl_->owner != getpid()) static_cast<void>(impl_.release());
}

bool StoreWriter::add(const cv::Mat& image, int64_t number, double time) {
    return impl_->add(image, number, time);
}

PooledImage StoreWriter::acquire(const ImageType& type) {
    return impl_->acquire(type);
}

bool StoreWriter::add(PooledImage image, int64_t number, double time) {
    return impl_->add(std::move(image), number, time);
}

void StoreWriter::report_dropped(int64_t number, double time, const std::string& cause) {
    impl_->report_dropped(number, time, cause);
}

void StoreWriter::add_extra_data(const Json& record) {
    impl_->add_extra_data(record);
}

void StoreWriter::commit() {
    impl_->commit();
}

void StoreWriter::insert_chunk(const std::filesystem::path& video, std::span<const int64_t> numbers,
                               std::span<const double> times, Adopt adopt) {
    impl_->insert_chunk(video, numbers, times, adopt);
}

void StoreWriter::add_chunk(const EncodedChunk& chunk) {
    impl_->add_chunk(chunk);
}

void StoreWriter::add_event(const EventRow& event) {
    impl_->add_event(event);
}

WriterStats StoreWriter::stats() const {
    return impl_->stats();
}

int64_t StoreWriter::frame_count() const {
    return impl_->frame_count;
}

std::optional<FrameStamp> StoreWriter::last_frame() const {
    if (impl_->frame_count == 0) return std::nullopt;
    return FrameStamp{impl_->last_number, impl_->last_time.value_or(std::numeric_limits<double>::quiet_NaN())};
}

const StoreMetadata& StoreWriter::metadata() const {
    return impl_->metadata;
}

const std::filesystem::path& StoreWriter::folder() const {
    return impl_->folder;
}

void StoreWriter::close() {
    impl_->close();
}

}  // namespace reelstore
