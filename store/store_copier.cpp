#include "store/store_copier.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file_system.h"
#include "codecs/checksum.h"
#include "codecs/image_chunk_format.h"
#include "codecs/media_file.h"
#include "store/copied_runs.h"
#include "store/encoded_video.h"
#include "store/layout.h"
#include "store/store_contents.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();
/// Image files that are written but not synced, at most: each holds a descriptor.
constexpr size_t kMostUnsynced = 128;
constexpr const char* kSkipHint = "; --skip-damaged leaves out what cannot be read";

/// Frames that follow each other in one chunk of a source.
struct Piece {
    size_t source = 0;
    ChunkRow chunk;
    int64_t first = 0;  ///< position in the chunk
    std::vector<int64_t> numbers;
    std::vector<double> times;
    int64_t done = 0;  ///< of the numbers and times; `first` is that of the one behind them

    int64_t count() const { return static_cast<int64_t>(numbers.size()) - done; }
    int64_t last() const { return first + count(); }
    int64_t index() const { return chunk.first_index + first; }
};

/// Goes over the selected frames of the sources piece by piece.
class Pieces {
public:
    explicit Pieces(const std::vector<CopySource>& sources) : sources_(sources) {}

    /// The piece that comes next; null at the end.
    const Piece* current() {
        while (!piece_ && source_ < sources_.size()) {
            const FrameSelection& frames = sources_[source_].frames;
            if (run_ == frames.runs.size()) {
                ++source_;
                run_ = 0;
                next_ = 0;
                continue;
            }
            const IndexRun& run = frames.runs[run_];
            next_ = std::max(next_, run.first);
            if (next_ >= run.last) {
                ++run_;
                continue;
            }
            read(run.last);
        }
        return piece_ ? &*piece_ : nullptr;
    }

    /// The first `count` frames of the current piece are done.
    void advance(int64_t count) {
        Piece& piece = piece_.value();
        if (count >= piece.count()) {
            piece_.reset();
            return;
        }
        piece.first += count;
        piece.done += count;
    }

private:
    void read(int64_t run_end) {
        const StoreReader& store = *sources_[source_].store;
        const auto& wanted = sources_[source_].frames.wanted;
        const std::optional<ChunkRow> chunk = store.chunk_at(next_);
        if (!chunk) throw Error(ErrorCode::not_found, {store.folder().string(), {}, next_}, "there is no such frame");
        const int64_t end = std::min(run_end, chunk->end_index());
        Piece piece;
        piece.source = source_;
        piece.chunk = *chunk;
        int64_t next = end;
        store.visit_rows(next_, end, [&](const FrameRow& row) {
            if (wanted && !wanted(row)) {
                if (piece.numbers.empty()) return true;
                next = row.index;
                return false;
            }
            if (piece.numbers.empty()) piece.first = row.position;
            piece.numbers.push_back(row.number);
            piece.times.push_back(row.time);
            return true;
        });
        next_ = next;
        if (!piece.numbers.empty()) piece_ = std::move(piece);
    }

    const std::vector<CopySource>& sources_;
    size_t source_ = 0;
    size_t run_ = 0;
    int64_t next_ = 0;
    std::optional<Piece> piece_;
};

/// A chunk of a source that is one file.
struct SourceVideo : VideoToCut {
    using VideoToCut::VideoToCut;
    size_t source = 0;
    ChunkRow chunk;
    fs::path path;
};

/// Frames of one chunk of a source that become part of a chunk of the copy.
struct Part {
    size_t source = 0;
    ChunkRow chunk;
    int64_t first = 0;
    std::vector<int64_t> numbers;
    std::vector<double> times;
    std::shared_ptr<SourceVideo> video = {};
    std::shared_ptr<const PacketTable> packets = {};

    int64_t count() const { return static_cast<int64_t>(numbers.size()); }
    int64_t index() const { return chunk.first_index + first; }
};

std::string format_of_copy(const StoreMetadata& metadata) {
    if (find_chunk_format(metadata.format)) return metadata.format;
    // Names of older recording programs, which say nothing that matters.
    if (const ChunkFormat* format = any_video_format(metadata.extension)) return format->info().name;
    throw Error(ErrorCode::unsupported, fmt::format("video of the format {} cannot be copied as it is; --reencode "
                                                    "makes another of it",
                                                    metadata.format));
}

std::string encoding_text(const StoreMetadata& metadata) {
    return metadata.encoding.empty() ? "no encoding" : metadata.encoding;
}

void check_fit(const StoreReader& first, const StoreReader& other) {
    const StoreMetadata& a = first.metadata();
    const StoreMetadata& b = other.metadata();
    const auto refuse = [&](const std::string& mine, const std::string& others) {
        throw Error(ErrorCode::invalid_argument, {other.folder().string(), {}, {}},
                    fmt::format("holds {}, but {} holds {}; --reencode makes one of them", others,
                                first.folder().string(), mine));
    };
    if (format_of_copy(a) != format_of_copy(b) || a.extension != b.extension) refuse(a.format, b.format);
    if (!(a.stored_type == b.stored_type)) refuse(a.stored_type.text(), b.stored_type.text());
    if (a.encoding != b.encoding) refuse(encoding_text(a), encoding_text(b));
}

/// Selected frames of stores that have any.
std::vector<CopySource> checked(std::vector<CopySource> sources) {
    if (sources.empty()) throw Error(ErrorCode::invalid_argument, "there is no store to copy");
    for (CopySource& source : sources) {
        if (source.frames.step != 1) {
            throw Error(ErrorCode::invalid_argument, {source.store->folder().string(), {}, {}},
                        "every n-th frame can only be copied with --reencode");
        }
        source.frames = source.frames.within(0, source.store->frame_count());
    }
    const StoreReader* first = nullptr;
    for (const CopySource& source : sources) {
        if (source.store->frame_count() == 0) continue;
        if (!first) first = source.store;
        check_fit(*first, *source.store);
    }
    return sources;
}

}  // namespace

struct StoreCopier::Impl {
    Impl(std::vector<CopySource> copy_sources, CopyOptions copy_options)
        : sources(checked(std::move(copy_sources))),
          options(std::move(copy_options)),
          records(sources),
          pieces(sources) {
        const auto with_frames = std::find_if(sources.begin(), sources.end(),
                                              [](const CopySource& source) { return source.store->frame_count() > 0; });
        const CopySource& first = with_frames == sources.end() ? sources.front() : *with_frames;
        metadata = first.store->metadata();
        format = find_chunk_format(format_of_copy(metadata));
        writer = options_of_copy(sources, options.metadata, remarks);
        if (options.chunk_frames) writer.chunk_frames = options.chunk_frames;
        writer.encoding = metadata.encoding;
        if (format->info().video && !can_hide_packets(metadata.extension) && has_unclean_end()) use_hiding_container();
        writer.format = format->info().name;
    }

    /// Whether a chunk is one file, out of which packets are taken: a video, or a packed array.
    bool one_file() const { return format->info().kind == ChunkKind::file; }
    const std::string& extension() const { return format->info().extension; }
    const StoreReader& store(size_t source) const { return *sources[source].store; }
    fs::path media(size_t source, int64_t chunk) const {
        const StoreMetadata& of_store = store(source).metadata();
        return StoreLayout(store(source).folder(), of_store.kind, of_store.extension).media(chunk);
    }

    // ---- which container

    /// Whether a selected run begins or ends where a cut is not free.
    bool has_unclean_end() {
        Pieces all(sources);
        while (const Piece* piece = all.current()) {
            if (piece->count() < piece->chunk.frame_count && needs_hidden_packets(*piece)) {
                unclean = piece->index();
                return true;
            }
            all.advance(piece->count());
        }
        return false;
    }

    bool needs_hidden_packets(const Piece& piece) {
        try {
            const std::shared_ptr<SourceVideo> found = open_video(piece);
            const int64_t last = std::min(piece.last(), found->cutter.table().frame_count());
            if (piece.first >= last) return false;
            const auto part = found->cutter.cut(piece.first, last);
            return begins_hidden(*part) || ends_hidden(*part);
        } catch (const Error&) {
            // What cannot be read is told, or left out, when its turn comes.
            return false;
        }
    }

    void use_hiding_container() {
        const ChunkFormat* other = find_chunk_format("avc1/mp4");
        const bool fits = current_video && current_video->cutter.table().stream.codec == "h264";
        if (!fits || !other->info().unavailable.empty()) {
            throw Error(ErrorCode::unsupported, {current_video->path.string(), current_video->chunk.chunk, unclean},
                        fmt::format("the range begins or ends inside a group of pictures, which {} files cannot be cut "
                                    "at; --reencode can, or a range that begins and ends with one",
                                    metadata.extension));
        }
        remarks.push_back(
            fmt::format("the range begins or ends inside a group of pictures, which {} files cannot be "
                        "cut at; the copy has the format {}",
                        metadata.extension, other->info().name));
        format = other;
    }

    std::shared_ptr<SourceVideo> open_video(const Piece& piece) {
        if (current_video && current_video->source == piece.source && current_video->chunk.chunk == piece.chunk.chunk)
            return current_video;
        const fs::path path = media(piece.source, piece.chunk.chunk);
        const std::shared_ptr<const PacketTable> table = store(piece.source).packet_table(piece.chunk.chunk);
        if (file_system().status(path).kind != FileKind::file)
            throw Error(ErrorCode::not_found, {path.string(), {}, {}}, "the file is missing");
        if (!table) throw Error(ErrorCode::corrupt, {path.string(), {}, {}}, "the packets of the video are not known");
        current_video = std::make_shared<SourceVideo>(path, table);
        current_video->source = piece.source;
        current_video->chunk = piece.chunk;
        current_video->path = path;
        return current_video;
    }

    // ---- the work

    CopyResult copy_to(StoreWriter& output, const CopyLimit& copy_limit) {
        result = {};
        limit = copy_limit;
        limit_time.reset();
        chunk_room = options.chunk_frames.value_or(kNoLimit);
        records.begin_store();
        try {
            while (!is_full()) {
                if (options.stop.stop_requested()) {
                    result.cancelled = true;
                    break;
                }
                const Piece* piece = pieces.current();
                if (!piece) break;
                step(*piece, output);
            }
            if (!result.cancelled) flush(output);
        } catch (const Error& error) {
            if (error.code() != ErrorCode::cancelled) throw;
            result.cancelled = true;
        }
        pending.clear();
        records.add_copied_events(output);
        return result;
    }

    bool is_full() {
        if (limit.frames && taken() >= *limit.frames) return true;
        const Piece* piece = pieces.current();
        return piece && limit_time && piece->times[static_cast<size_t>(piece->done)] >= *limit_time;
    }

    /// Frames of this copy so far, those left out included.
    int64_t taken() const { return result.frames + result.frames_damaged + pending_count(); }

    int64_t pending_count() const {
        int64_t count = 0;
        for (const Part& part : pending) count += part.count();
        return count;
    }

    /// Takes frames from the beginning of a piece.
    void step(const Piece& piece, StoreWriter& output) {
        int64_t end = piece.last();
        if (limit.frames) end = std::min(end, piece.first + *limit.frames - taken());
        if (limit.seconds) end = std::min(end, piece.first + frames_before_limit(piece));
        if (!one_file()) {
            if (begins_chunk(piece)) flush(output);
            end = std::min(end, piece.first + room());
            add(part_of(piece, piece.first, end));
            pieces.advance(end - piece.first);
            if (room() == 0) flush(output);
            return;
        }
        std::shared_ptr<SourceVideo> found;
        try {
            found = open_video(piece);
        } catch (const Error& error) {
            lose(error, piece, piece.first, piece.last());
            pieces.advance(piece.count());
            return;
        }
        const int64_t in_media = found->cutter.table().frame_count();
        if (piece.first >= in_media) {
            lose(Error(ErrorCode::not_found, {}, fmt::format("the video holds only {} frames", in_media)), piece,
                 piece.first, piece.last());
            pieces.advance(piece.count());
            return;
        }
        if (begins_chunk(piece)) flush(output);
        const int64_t wanted = std::min(piece.last(), in_media);
        end = movable(*found, std::min({end, wanted, piece.first + room()}), wanted);
        add_video(found, piece, end, output);
        pieces.advance(end - piece.first);
    }

    /// Where a cut at `end` is made in a container that cannot hide packets.
    int64_t movable(const SourceVideo& video, int64_t end, int64_t last) const {
        if (end == last || can_hide_packets(extension())) return end;
        return std::min(last, video.cutter.next_clean_cut(end).value_or(last));
    }

    int64_t room() const { return chunk_room == kNoLimit ? kNoLimit / 4 : chunk_room - pending_count(); }

    /// Without a size of their own, chunks begin where those of the source do.
    bool begins_chunk(const Piece& piece) const {
        if (pending.empty() || options.chunk_frames) return false;
        const Part& last = pending.back();
        return last.source != piece.source || last.chunk.chunk != piece.chunk.chunk;
    }

    int64_t frames_before_limit(const Piece& piece) {
        const auto begin = piece.times.begin() + piece.done;
        if (!limit_time) limit_time = *begin + *limit.seconds;
        const auto found = std::find_if(begin, piece.times.end(), [&](double time) { return time >= *limit_time; });
        return std::max<int64_t>(1, found - begin);
    }

    /// The frames at first..last-1 (positions).
    static Part part_of(const Piece& piece, int64_t first, int64_t last) {
        const int64_t begin = piece.done + first - piece.first;
        const int64_t end = piece.done + last - piece.first;
        Part part;
        part.source = piece.source;
        part.chunk = piece.chunk;
        part.first = first;
        part.numbers.assign(piece.numbers.begin() + begin, piece.numbers.begin() + end);
        part.times.assign(piece.times.begin() + begin, piece.times.begin() + end);
        return part;
    }

    void add(Part part) { pending.push_back(std::move(part)); }

    /// Frames first..last-1 (positions) of the piece's chunk cannot be had.
    void lose(const Error& error, const Piece& piece, int64_t first, int64_t last) {
        const Error placed = error.at(
            {media(piece.source, piece.chunk.chunk).string(), piece.chunk.chunk, piece.chunk.first_index + first});
        if (!options.skip_damaged || error.code() == ErrorCode::cancelled)
            throw Error(placed.code(), placed.place(), placed.message() + kSkipHint);
        if (result.frames_damaged == 0) result.first_damage = placed.what();
        result.frames_damaged += last - first;
        report();
    }

    void report() const {
        if (options.progress) options.progress(done_before + result.frames + result.frames_damaged);
    }

    // ---- video

    void add_video(std::shared_ptr<SourceVideo> found, const Piece& piece, int64_t end, StoreWriter& output) {
        int64_t at = piece.first;
        std::vector<std::pair<int64_t, int64_t>> runs = sound_runs(*found, piece, end);
        const std::pair whole(piece.first, end);
        if (runs.size() != 1 || runs.front() != whole) {
            if (std::shared_ptr<SourceVideo> moved = at_new_places(*found)) {
                current_video = found = std::move(moved);
                runs = sound_runs(*found, piece, end);
            }
        }
        for (const auto& [first, last] : runs) {
            if (first > at) lose_damaged(*found, piece, at, first);
            at = last;
            const std::shared_ptr<const PacketTable> packets = found->cutter.cut(first, last);
            if (!pending.empty() && !can_follow(*found, *packets)) flush(output);
            Part part = part_of(piece, first, last);
            part.video = found;
            part.packets = packets;
            add(std::move(part));
            if (ends_hidden(*packets) || room() <= 0) flush(output);
        }
        if (end > at) lose_damaged(*found, piece, at, end);
    }

    const VideoStream& stream_of(SourceVideo& source) const {
        const bool as_it_is = extension() == ".avi" || !format->info().video;
        return as_it_is ? source.cutter.table().stream : source.file.stream();
    }

    bool can_follow(SourceVideo& next, const PacketTable& packets) {
        return !begins_hidden(packets) && can_be_joined(stream_of(*pending.back().video), stream_of(next));
    }

    void lose_damaged(const SourceVideo& found, const Piece& piece, int64_t first, int64_t last) {
        lose(Error(ErrorCode::corrupt, {found.path.string(), {}, {}},
                   "bytes that it needs are missing or are not those that were recorded"),
             piece, first, last);
    }

    /// For a file that was written anew around the same packets since the index was made; null for others.
    std::shared_ptr<SourceVideo> at_new_places(const SourceVideo& found) const {
        const PacketTable& recorded = found.cutter.table();
        auto table = std::make_shared<PacketTable>(recorded);
        try {
            const PacketTable now = scan_media(found.path).table;
            if (!now.contiguous || now.packets.size() != recorded.packets.size()) return nullptr;
            for (size_t place = 0; place < now.packets.size(); ++place) {
                if (now.packets[place].size != recorded.packets[place].size) return nullptr;
                table->packets[place].offset = now.packets[place].offset;
            }
        } catch (const Error&) {
            return nullptr;
        }
        if (table->packets == recorded.packets) return nullptr;
        auto moved = std::make_shared<SourceVideo>(found.path, table);
        moved->source = found.source;
        moved->chunk = found.chunk;
        moved->path = found.path;
        return moved;
    }

    /// Runs of frames of piece.first..end-1 that can be copied with everything they need.
    std::vector<std::pair<int64_t, int64_t>> sound_runs(const SourceVideo& found, const Piece& piece,
                                                        int64_t end) const {
        if (!found.cutter.table().contiguous) return {{piece.first, end}};
        const std::shared_ptr<const PacketTable> part = found.cutter.cut(piece.first, end);
        const std::unique_ptr<File> file = file_system().open(found.path, OpenMode::read);
        const PacketCheck checked =
            check_packets(*file, *part, [&](int64_t, int64_t) { return !options.stop.stop_requested(); });
        if (checked.damaged + checked.missing == 0) return {{piece.first, end}};
        std::set<uint64_t> damaged;
        for (size_t place = 0; place < part->packets.size(); ++place) {
            if (!checked.sound[place]) damaged.insert(part->packets[place].offset);
        }
        const auto needs_damaged = [&](const PacketTable& packets) {
            return std::any_of(packets.packets.begin(), packets.packets.end(),
                               [&](const Packet& packet) { return damaged.contains(packet.offset); });
        };
        std::vector<std::pair<int64_t, int64_t>> runs;
        for (int64_t position = piece.first; position < end; ++position) {
            if (needs_damaged(*found.cutter.cut(position, position + 1))) continue;
            if (!runs.empty() && runs.back().second == position) {
                ++runs.back().second;
            } else {
                runs.emplace_back(position, position + 1);
            }
        }
        if (!can_hide_packets(extension())) {
            for (auto& [first, last] : runs) shrink(found.cutter, first, last);
        }
        std::erase_if(runs, [&](const auto& run) {
            return run.first >= run.second || needs_damaged(*found.cutter.cut(run.first, run.second));
        });
        return runs;
    }

    /// To what needs no hidden packets.
    static void shrink(const PacketCutter& cutter, int64_t& first, int64_t& last) {
        if (begins_hidden(*cutter.cut(first, last))) first = cutter.next_clean_cut(first).value_or(last);
        while (first < last && ends_hidden(*cutter.cut(first, last))) --last;
    }

    // ---- chunks of the copy

    void flush(StoreWriter& output) {
        if (pending.empty()) return;
        std::vector<Part> parts = std::exchange(pending, {});
        try {
            write_chunk(parts, output);
        } catch (const Error& error) {
            // Some streams only tell when they are joined that they cannot be.
            if (error.code() != ErrorCode::unsupported || !one_file() || parts.size() < 2) throw;
            for (Part& part : parts) {
                std::vector<Part> alone;
                alone.push_back(std::move(part));
                write_chunk(alone, output);
            }
        }
        report();
    }

    void write_chunk(const std::vector<Part>& parts, StoreWriter& output) {
        std::vector<CopiedRun> runs;
        EncodedChunk chunk;
        chunk.type = metadata.stored_type;
        chunk.recorded_type = metadata.recorded_type;
        chunk.write = [&](const fs::path& path) {
            return one_file() ? write_video_chunk(parts, path, runs) : write_images(parts, path, runs);
        };
        chunk.extra_data = [&](const auto& add_record) { records.visit_extra_data(runs, add_record); };
        chunk.events = [&](int64_t number) { return records.events_of(runs, number); };
        const int64_t before = output.frame_count();
        output.add_chunk(chunk);
        if (runs.empty()) return;
        ++result.chunks;
        for (const CopiedRun& run : runs) result.frames += run.count;
        records.note_copied(runs, before);
    }

    WrittenFrames write_video_chunk(const std::vector<Part>& parts, const fs::path& path,
                                    std::vector<CopiedRun>& runs) {
        WrittenFrames written;
        for (const Part& part : parts) {
            runs.push_back({part.source, part.index(), part.count(), static_cast<int64_t>(written.numbers.size())});
            append(part, 0, part.count(), written);
        }
        if (parts.size() == 1 && is_whole_file(parts.front())) {
            const Part& part = parts.front();
            reelstore::copy_file(part.video->path, path);
            if (recordable(part.video->cutter.table(), written.numbers.size()))
                written.packets = part.video->file.table();
            ++result.chunks_as_files;
            return written;
        }
        std::vector<VideoPart> to_write;
        for (const Part& part : parts) to_write.push_back({part.video, part.packets});
        written.packets = write_video(to_write, path, extension());
        return written;
    }

    void append(const Part& part, int64_t first, int64_t last, WrittenFrames& written) {
        for (int64_t i = first; i < last; ++i) {
            written.numbers.push_back(part.numbers[static_cast<size_t>(i)]);
            written.times.push_back(part.times[static_cast<size_t>(i)]);
        }
        written.synthetic = written.synthetic || records.is_synthetic(part.source, part.chunk.chunk);
    }

    bool is_whole_file(const Part& part) const {
        if (!part.chunk.closed || part.first != 0 || part.count() != part.chunk.frame_count ||
            part.count() != part.video->cutter.table().frame_count() ||
            !part.video->path.filename().string().ends_with(extension())) {
            return false;
        }
        const std::unique_ptr<File> file = file_system().open(part.video->path, OpenMode::read);
        return media_complete(*file, container_of(part.video->path));
    }

    // ---- images

    WrittenFrames write_images(const std::vector<Part>& parts, const fs::path& folder, std::vector<CopiedRun>& runs) {
        file_system().create_folder(folder);
        WrittenFrames written;
        std::vector<std::unique_ptr<File>> unsynced;
        const auto sync = [&] {
            for (const std::unique_ptr<File>& file : unsynced) {
                file->sync();
                file->close();
            }
            unsynced.clear();
        };
        for (const Part& part : parts) {
            for (int64_t i = 0; i < part.count(); ++i) {
                if (options.stop.stop_requested()) throw Error(ErrorCode::cancelled, "stopped");
                const std::optional<std::vector<uint8_t>> bytes = read_image(part, part.first + i);
                if (!bytes) continue;
                const auto position = static_cast<int64_t>(written.numbers.size());
                unsynced.push_back(
                    file_system().open(folder / image_file_name(position, extension()), OpenMode::create_exclusive));
                unsynced.back()->write_at(bytes->data(), bytes->size(), 0);
                if (unsynced.size() >= kMostUnsynced) sync();
                written.files.push_back({.position = position,
                                         .bytes = bytes->size(),
                                         .packet = {},
                                         .decode_position = position,
                                         .checksum = frame_checksum(*bytes)});
                append(part, i, i + 1, written);
                const int64_t index = part.index() + i;
                if (!runs.empty() && runs.back().source == part.source &&
                    runs.back().index + runs.back().count == index) {
                    ++runs.back().count;
                } else {
                    runs.push_back({part.source, index, 1, position});
                }
            }
        }
        sync();
        file_system().sync_folder(folder);
        return written;
    }

    /// Nothing for an image that is left out.
    std::optional<std::vector<uint8_t>> read_image(const Part& part, int64_t position) {
        const StoreReader& from = store(part.source);
        const fs::path path =
            media(part.source, part.chunk.chunk) / image_file_name(position, from.metadata().extension);
        const int64_t index = part.chunk.first_index + position;
        try {
            std::vector<uint8_t> bytes = read_file(path, kLargestImageFile);
            const std::optional<uint32_t> recorded = from.checksum(index);
            if (!recorded || *recorded == frame_checksum(bytes)) return bytes;
            throw Error(ErrorCode::corrupt, {path.string(), {}, {}},
                        "the bytes of the file are not those that were recorded");
        } catch (const Error& error) {
            const Error placed = error.at({path.string(), part.chunk.chunk, index});
            if (!options.skip_damaged) throw Error(placed.code(), placed.place(), placed.message() + kSkipHint);
            if (result.frames_damaged == 0) result.first_damage = placed.what();
            ++result.frames_damaged;
            return std::nullopt;
        }
    }

    std::vector<CopySource> sources;
    CopyOptions options;
    CopiedRecords records;
    StoreMetadata metadata;
    const ChunkFormat* format = nullptr;
    StoreWriterOptions writer;
    std::vector<std::string> remarks;
    Pieces pieces;
    std::shared_ptr<SourceVideo> current_video;
    int64_t unclean = 0;  ///< a frame where a cut is not free

    // Of one copy
    CopyLimit limit;
    std::optional<double> limit_time;
    int64_t chunk_room = 0;
    std::vector<Part> pending;
    CopyResult result;
    int64_t done_before = 0;
};

StoreCopier::StoreCopier(std::vector<CopySource> sources, CopyOptions options)
    : impl_(std::make_unique<Impl>(std::move(sources), std::move(options))) {}

StoreCopier::~StoreCopier() = default;

StoreWriterOptions StoreCopier::writer_options() const {
    return impl_->writer;
}

const std::vector<std::string>& StoreCopier::notes() const {
    return impl_->remarks;
}

bool StoreCopier::done() {
    return impl_->pieces.current() == nullptr;
}

CopyResult StoreCopier::copy_to(StoreWriter& writer, const CopyLimit& limit) {
    CopyResult result = impl_->copy_to(writer, limit);
    impl_->done_before += result.frames + result.frames_damaged;
    return result;
}

}  // namespace reelstore
