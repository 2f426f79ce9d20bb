#include "store/store_writer.h"

#include <array>
#include <cmath>
#include <exception>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file_system.h"
#include "codecs/encoding.h"
#include "store/chunk_sidecar.h"
#include "store/extra_data_file.h"
#include "store/frame_index.h"
#include "store/layout.h"
#include "store/metadata.h"
#include "store/store_contents.h"
#include "store/store_lock.h"

namespace reelstore {

namespace {

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

StoreMetadata new_metadata(const StoreWriterOptions& options, const ChunkFormat& format) {
    const ChunkFormatInfo& info = format.info();
    StoreMetadata metadata;
    metadata.class_name = info.video ? "VideoImgStore" : "DirectoryImgStore";
    metadata.format = info.name;
    metadata.extension = info.extension;
    metadata.kind = info.kind;
    metadata.chunk_frames = options.chunk_frames.value_or(info.default_chunk_frames);
    metadata.encoding = info.decodes_at_write ? "" : options.encoding;
    metadata.created = now_utc();
    metadata.time_zone = options.time_zone.empty() ? local_time_zone() : options.time_zone;
    metadata.uuid = make_uuid();
    metadata.user = parse_user_metadata(options.metadata);
    return metadata;
}

std::filesystem::path new_folder(const std::filesystem::path& path) {
    std::filesystem::path folder = std::filesystem::absolute(path).lexically_normal();
    if (!folder.has_filename()) folder = folder.parent_path();
    if (file_system().status(folder).kind != FileKind::missing) {
        throw Error(ErrorCode::already_exists, {path.string(), {}, {}},
                    "there is something of this name already; choose another or remove it");
    }
    if (file_system().status(folder.parent_path()).kind != FileKind::folder) {
        throw Error(ErrorCode::not_found, {folder.parent_path().string(), {}, {}},
                    "the folder that should hold the store does not exist");
    }
    return folder;
}

/// A frame that was given to the encoder and whose bytes are not in the file yet, or not in the index.
struct Added {
    int64_t number;
    double time;
};

}  // namespace

void check_store_options(const StoreWriterOptions& options) {
    writable_format(options.format).check_options(options.codec);
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
    if (!(options.commit_interval >= 0)) throw invalid("the commit interval must be 0 or more seconds");
}

struct StoreWriter::Impl {
    Impl(const std::filesystem::path& path, const StoreWriterOptions& writer_options)
        : options(writer_options), format(writable_format(options.format)) {
        check_store_options(options);
        if (!options.encoding.empty()) encoding = find_encoding(options.encoding);
        metadata = new_metadata(options, format);
        folder = new_folder(path);
        layout.emplace(folder, metadata.kind, metadata.extension);
        file_system().create_folder(folder);
        lock.emplace(folder);
    }

    ~Impl() {
        try {
            close();
        } catch (...) {
            // The index holds every frame whose bytes were written; there is nobody left to tell.
            return;
        }
    }

    void check_usable() const {
        if (failure) std::rethrow_exception(failure);
        if (closed) throw Error(ErrorCode::invalid_argument, {folder.string(), {}, {}}, "the store is closed already");
    }

    /// Runs a step that leaves the store unfit for more when it fails.
    template <typename Step>
    void guarded(Step step) {
        try {
            step();
        } catch (const Error& error) {
            fail(error);
        } catch (const std::exception& error) {
            fail(Error(ErrorCode::internal, error.what()));
        }
    }

    [[noreturn]] void fail(const Error& error) {
        const Error placed = error.at({folder.string(), writer ? std::optional(chunk) : std::nullopt, {}});
        failure = std::make_exception_ptr(placed);
        throw placed;
    }

    void add(const cv::Mat& image, int64_t number, double time) {
        check_usable();
        const ErrorPlace place{folder.string(), {}, frame_count};
        if (!std::isfinite(time))
            throw Error(ErrorCode::invalid_argument, place, "a frame's time must be a finite number of seconds");
        if (image.empty() || image.dims != 2)
            throw Error(ErrorCode::wrong_type, place, "the image is empty or has not two dimensions");
        const ImageType type = ImageType::of(image);
        if (started && !(type == added_type)) {
            throw Error(ErrorCode::wrong_type, place,
                        fmt::format("the frame is {} but this store holds {}", type.text(), added_type.text()));
        }
        const cv::Mat stored = encoding && format.info().decodes_at_write ? decode(*encoding, image) : image;
        if (!started) {
            check_type(type, ImageType::of(stored), place);
            guarded([&] { start(type, ImageType::of(stored)); });
        }
        guarded([&] {
            if (writer && options.chunk_seconds && std::abs(time - chunk_time) >= *options.chunk_seconds) close_chunk();
            if (!writer) open_chunk(time);
            writer->write(stored);
            added.push_back({number, time});
            ++frame_count;
            collect();
            commit_when_due();
            const bool full = frame_count - chunk_first >= metadata.chunk_frames;
            if (full || (options.chunk_bytes && writer->bytes_written() >= *options.chunk_bytes)) close_chunk();
        });
    }

    void check_type(const ImageType& type, const ImageType& stored, const ErrorPlace& place) const {
        if (!plausible(type))
            throw Error(ErrorCode::wrong_type, place,
                        fmt::format("images of {} are larger than a store can hold", type.text()));
        if (encoding && !decoded_type(*encoding, type)) {
            throw Error(ErrorCode::wrong_type, place,
                        fmt::format("{} decodes {}, not {}", encoding->name, encoding->raw_type, type.text()));
        }
        if (const auto reason = format.refuses(stored)) throw Error(ErrorCode::wrong_type, place, *reason);
    }

    /// Writes what could not be known before the first frame.
    void start(const ImageType& type, const ImageType& stored) {
        added_type = type;
        metadata.stored_type = stored;
        metadata.recorded_type = stored.empty() ? stored : format.recorded_type(stored);
        write_file_atomically(StoreLayout::metadata(folder), metadata_text(metadata));
        index = FrameIndex::create(StoreLayout::index(folder), metadata.uuid);
        index->use_write_ahead_log(true);
        started = true;
    }

    void open_chunk(double time) {
        chunk = next_chunk++;
        chunk_first = frame_count;
        chunk_time = time;
        writer = format.create(layout->media(chunk), metadata.stored_type, options.codec);
        index->add_chunk(chunk, false);
        sidecar = {};
        stream_saved = false;
    }

    /// Takes over frames whose bytes have reached the file.
    void collect() {
        for (StoredFrame& stored : writer->take_stored()) {
            const Added& frame = added[static_cast<size_t>(stored.position)];
            sidecar.numbers.push_back(frame.number);
            sidecar.times.push_back(frame.time);
            uncommitted.push_back({frame.number, frame.time, std::move(stored)});
        }
    }

    void commit_when_due() {
        const double now = now_monotonic();
        if (now - last_commit < options.commit_interval) return;
        commit();
        last_commit = now;
    }

    void commit() {
        if (uncommitted.empty() && extra_data.empty()) return;
        try {
            write_rows();
        } catch (const Error&) {
            // The rows were rolled back; what the index remembers of them has to go too.
            index->reload();
            throw;
        }
    }

    void write_rows() {
        Transaction transaction(index->database());
        index->add_frames(uncommitted);
        const std::optional<VideoStream> stream = writer && !stream_saved ? writer->stream() : std::nullopt;
        if (stream) index->set_stream(*stream);
        // A record goes down only with or after its frame.
        size_t done = 0;
        while (done < extra_data.size() && extra_data[done].frame_index < index->frame_count()) {
            index->add_extra_data(extra_data[done].frame_index, extra_data[done].data);
            ++done;
        }
        transaction.commit();
        extra_data.erase(extra_data.begin(), extra_data.begin() + static_cast<ptrdiff_t>(done));
        uncommitted.clear();
        stream_saved = stream_saved || stream;
    }

    void close_chunk() {
        writer->finish();
        collect();
        commit();
        if (static_cast<int64_t>(sidecar.numbers.size()) != frame_count - chunk_first) {
            throw Error(ErrorCode::internal, {layout->media(chunk).string(), chunk, {}},
                        fmt::format("{} of {} frames were not written by the encoder",
                                    frame_count - chunk_first - static_cast<int64_t>(sidecar.numbers.size()),
                                    frame_count - chunk_first));
        }
        writer.reset();
        added.clear();
        complete_chunk();
    }

    /// Writes what belongs beside the media of the finished chunk.
    void complete_chunk() {
        write_chunk_sidecar(*layout, chunk, metadata, sidecar);
        write_extra_data_file();
        index->close_chunk(chunk);
    }

    void write_extra_data_file() {
        ExtraDataText text;
        index->visit_extra_data(chunk_first, frame_count, [&](const ExtraDataRow& row) {
            const auto position = static_cast<size_t>(row.frame_index - chunk_first);
            text.add(Json::parse(row.data), sidecar.times[position], sidecar.numbers[position], row.frame_index);
            return true;
        });
        if (!text.empty()) write_file_atomically(layout->extra_data(chunk), text.finish());
    }

    void add_extra_data(const Json& record) {
        check_usable();
        const ErrorPlace place{folder.string(), {}, frame_count - 1};
        if (!record.is_object()) throw Error(ErrorCode::invalid_argument, place, "extra data must be a JSON object");
        if (frame_count == 0)
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
        guarded([&] {
            extra_data.push_back({frame_count - 1, std::move(text)});
            // The frame's chunk may be complete already; its extra data file is then written anew.
            if (writer) return;
            commit();
            write_extra_data_file();
        });
    }

    void insert_chunk(const std::filesystem::path& video, std::span<const int64_t> numbers,
                      std::span<const double> times, Adopt adopt) {
        check_usable();
        const ErrorPlace place{video.string(), {}, {}};
        if (!format.info().video)
            throw Error(ErrorCode::invalid_argument, place,
                        fmt::format("a store of {} images cannot take a video file in", format.info().name));
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
        const auto reader = format.open(video, metadata.stored_type);
        const PacketTable& table = *reader->packet_table();
        const bool gray = table.stream.pixel_format.starts_with("gray");
        const ImageType type{table.stream.height, table.stream.width, started ? added_type.channels : (gray ? 1 : 3),
                             CV_8U};
        if (table.frame_count() != static_cast<int64_t>(numbers.size())) {
            throw Error(
                ErrorCode::invalid_argument, place,
                fmt::format("the file holds {} frames, but {} numbers are given", table.frame_count(), numbers.size()));
        }
        if (!started) check_type(type, type, place);
        if (started && !(type == metadata.recorded_type)) {
            throw Error(ErrorCode::wrong_type, place,
                        fmt::format("the video is {} but this store's files are {}", type.text(),
                                    metadata.recorded_type.text()));
        }
        guarded([&] {
            if (!started) start(type, type);
            if (writer) close_chunk();
            adopt_file(video, table, numbers, times, adopt);
        });
    }

    void adopt_file(const std::filesystem::path& video, const PacketTable& table, std::span<const int64_t> numbers,
                    std::span<const double> times, Adopt adopt) {
        chunk = next_chunk++;
        chunk_first = frame_count;
        reelstore::copy_file(video, layout->media(chunk));
        sidecar = {{numbers.begin(), numbers.end()}, {times.begin(), times.end()}, {}};
        std::vector<NewFrame> frames = new_frames(sidecar, &table);
        Transaction transaction(index->database());
        index->add_chunk(chunk, true);
        if (recordable(table, frames.size())) index->set_stream(table.stream);
        index->add_frames(frames);
        transaction.commit();
        frame_count += static_cast<int64_t>(frames.size());
        complete_chunk();
        if (adopt == Adopt::move) file_system().remove(video);
    }

    void close() {
        if (closed) return;
        closed = true;
        if (failure) {
            give_up();
            std::rethrow_exception(failure);
        }
        try {
            guarded([&] { finish(); });
        } catch (const Error&) {
            give_up();
            throw;
        }
    }

    void finish() {
        if (!started) start({0, 0, 1, CV_8U}, {0, 0, 1, CV_8U});
        if (writer) close_chunk();
        if (frame_count == 0 && metadata.kind == ChunkKind::folder) {
            // imgstore opens chunk 0 whatever it holds.
            file_system().create_folder(layout->media(0));
            write_chunk_sidecar(*layout, 0, metadata, {});
        }
        index->set_closed(true);
        index->use_write_ahead_log(false);
        index.reset();
        lock.reset();
    }

    /// After a failure: the frames whose bytes were written go into the index if it still takes them.
    void give_up() {
        try {
            if (writer) collect();
            if (index) commit();
        } catch (const std::exception&) {
            // The failure that led here is the one to report.
        }
        writer.reset();
        index.reset();
        lock.reset();
    }

    StoreWriterOptions options;
    const ChunkFormat& format;
    const Encoding* encoding = nullptr;
    StoreMetadata metadata;
    std::filesystem::path folder;
    std::optional<StoreLayout> layout;
    std::optional<StoreLock> lock;
    std::unique_ptr<FrameIndex> index;
    std::exception_ptr failure;
    bool started = false;  // type known, metadata.yaml and index made
    bool closed = false;
    ImageType added_type;
    int64_t frame_count = 0;
    int64_t next_chunk = 0;

    // The open chunk
    std::unique_ptr<ChunkWriter> writer;
    int64_t chunk = 0;
    int64_t chunk_first = 0;
    double chunk_time = 0;
    std::vector<Added> added;  // by position
    ChunkSidecar sidecar;
    bool stream_saved = false;

    // Not in the index yet
    std::vector<NewFrame> uncommitted;
    std::vector<ExtraDataRow> extra_data;
    double last_commit = now_monotonic();
};

StoreWriter::StoreWriter(const std::filesystem::path& path, const StoreWriterOptions& options)
    : impl_(std::make_unique<Impl>(path, options)) {}

StoreWriter::~StoreWriter() = default;

void StoreWriter::add(const cv::Mat& image, int64_t number, double time) {
    impl_->add(image, number, time);
}

void StoreWriter::add_extra_data(const Json& record) {
    impl_->add_extra_data(record);
}

void StoreWriter::insert_chunk(const std::filesystem::path& video, std::span<const int64_t> numbers,
                               std::span<const double> times, Adopt adopt) {
    impl_->insert_chunk(video, numbers, times, adopt);
}

int64_t StoreWriter::frame_count() const {
    return impl_->frame_count;
}

const std::filesystem::path& StoreWriter::folder() const {
    return impl_->folder;
}

void StoreWriter::close() {
    impl_->close();
}

}  // namespace reelstore
