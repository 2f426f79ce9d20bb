#include "store/finish_chunk.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <span>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file_name.h"
#include "base/file_system.h"
#include "codecs/checksum.h"
#include "codecs/image_chunk_format.h"
#include "codecs/media_file.h"
#include "store/store_contents.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

// What is kept beside a chunk ends in these; neither imgstore nor a reader takes it for a chunk.
constexpr const char* kUncommitted = ".uncommitted";
constexpr const char* kBeforeRepair = ".before_repair";
constexpr const char* kTemporary = ".tmp";
constexpr uint64_t kLargestImage = uint64_t{4} << 30;

void remove_if_there(const fs::path& path) {
    if (is_file(path)) file_system().remove(path);
}

/// Calls `use` with the bytes of a file from `begin` on, block by block, until it returns false.
void read_blocks(const fs::path& path, uint64_t begin, const std::function<bool(std::span<const uint8_t>)>& use) {
    constexpr size_t kBlock = size_t{1} << 20;
    const std::unique_ptr<File> file = file_system().open(path, OpenMode::read);
    std::vector<uint8_t> block(kBlock);
    for (uint64_t offset = begin;;) {
        const size_t count = file->read_at(block.data(), block.size(), offset);
        if (count == 0 || !use({block.data(), count})) return;
        offset += count;
    }
}

/// Whether `copy` holds the bytes of a file from `begin` on.
bool is_copy(const fs::path& copy, const fs::path& path, uint64_t begin) {
    if (!is_file(copy) || file_system().status(copy).size != file_system().status(path).size - begin) return false;
    const std::unique_ptr<File> file = file_system().open(copy, OpenMode::read);
    std::vector<uint8_t> block;
    uint64_t offset = 0;
    bool same = true;
    read_blocks(path, begin, [&](std::span<const uint8_t> bytes) {
        block.resize(bytes.size());
        same = file->read_at(block.data(), block.size(), offset) == block.size() &&
               std::equal(bytes.begin(), bytes.end(), block.begin());
        offset += bytes.size();
        return same;
    });
    return same;
}

/// Copies the bytes of a file from `begin` on to a new file beside it, durably. A run that was ended may have done so.
fs::path copy_part(const fs::path& path, uint64_t begin, const char* suffix) {
    if (const fs::path wanted = with_suffix(path, suffix); is_copy(wanted, path, begin)) return wanted;
    const fs::path target = free_name(path, suffix);
    const fs::path temporary = with_suffix(target, kTemporary);
    remove_if_there(temporary);
    const std::unique_ptr<File> copy = file_system().open(temporary, OpenMode::create_exclusive);
    uint64_t end = 0;
    read_blocks(path, begin, [&](std::span<const uint8_t> bytes) {
        copy->write_at(bytes.data(), bytes.size(), end);
        end += bytes.size();
        return true;
    });
    copy->sync();
    copy->close();
    file_system().rename(temporary, target);
    file_system().sync_folder(target.parent_path());
    return target;
}

/// The packets of the table that `keep` says, by place.
PacketTable part_of(const PacketTable& table, const std::vector<bool>& keep) {
    PacketTable part;
    part.stream = table.stream;
    std::vector<uint32_t> new_place(table.packets.size());
    for (size_t place = 0; place < table.packets.size(); ++place) {
        new_place[place] = static_cast<uint32_t>(part.packets.size());
        if (keep[place]) part.packets.push_back(table.packets[place]);
    }
    for (const uint32_t place : table.display_order) {
        if (keep[place]) part.display_order.push_back(new_place[place]);
    }
    return part;
}

class ChunkFinisher {
public:
    ChunkFinisher(FrameIndex& index, const StoreLayout& layout, const StoreMetadata& metadata, const ChunkRow& row)
        : index_(index), layout_(layout), metadata_(metadata), row_(row), media_(layout.media(row.chunk)) {
        result_.chunk = row.chunk;
    }

    FinishedChunk run() {
        const bool has_sidecar = check_sidecar();
        if (layout_.kind() == ChunkKind::folder) {
            finish_images();
        } else {
            finish_file();
        }
        result_.frames_kept = row_.frame_count - result_.frames_lost;
        // That of a chunk that was complete before may hold more than the index knows (numbers before renumbering).
        const bool keep_sidecar = row_.closed && has_sidecar;
        const bool has_place = file_system().status(layout_.sidecar(row_.chunk).parent_path()).kind == FileKind::folder;
        const bool needs_sidecar = row_.frame_count > 0 || layout_.kind() == ChunkKind::folder;
        if (needs_sidecar && has_place && !keep_sidecar) write_files();
        close();
        return std::move(result_);
    }

private:
    /// An index that was copied without its log knows less than the sidecar does; to go by it would lose frames.
    bool check_sidecar() const {
        std::optional<ChunkSidecar> sidecar;
        try {
            sidecar = read_chunk_sidecar(layout_, row_.chunk);
        } catch (const Error& error) {
            if (error.code() != ErrorCode::corrupt) throw;
        }
        if (!sidecar) return false;
        if (static_cast<int64_t>(sidecar->numbers.size()) <= row_.frame_count) return true;
        throw Error(ErrorCode::corrupt, {layout_.sidecar(row_.chunk).string(), row_.chunk, {}},
                    fmt::format("it has {} frames, the index only {}; run `store repair`", sidecar->numbers.size(),
                                row_.frame_count));
    }

    void note(const std::string& text) {
        result_.notes.push_back(fmt::format("{}: chunk {}: {}", media_.string(), row_.chunk, text));
    }

    void lose(int64_t frames, const char* why) {
        if (frames == 0) return;
        result_.frames_lost += frames;
        note(fmt::format("{} of {} committed frames cannot be read: {}", frames, row_.frame_count, why));
    }

    void write_files() {
        if (row_.frame_count > 0) {
            complete_chunk_files(index_, layout_, metadata_, row_.chunk);
        } else {
            // imgstore looks for it in every folder.
            write_chunk_sidecar(layout_, row_.chunk, metadata_, {});
        }
    }

    void close() {
        const Json data = {{"action", "finish"},
                           {"chunk", row_.chunk},
                           {"frames_kept", result_.frames_kept},
                           {"frames_lost", result_.frames_lost},
                           {"frames_uncommitted", result_.frames_uncommitted}};
        Transaction transaction(index_.database());
        index_.add_event({now_utc(), "repaired", row_.first_index + row_.frame_count, data.dump()});
        record_complete_chunk(index_, layout_, row_.chunk);
        transaction.commit();
    }

    // Image folders

    void finish_images() {
        if (file_system().status(media_).kind != FileKind::folder) {
            lose(row_.frame_count, "the folder is missing");
            return;
        }
        int64_t missing = 0;
        int64_t damaged = 0;
        for (int64_t position = 0; position < row_.frame_count; ++position) {
            const fs::path path = media_ / image_file_name(position, metadata_.extension);
            const std::optional<uint32_t> checksum = index_.checksum(row_.first_index + position);
            if (!is_file(path)) {
                ++missing;
            } else if (checksum && frame_checksum(read_file(path, kLargestImage)) != *checksum) {
                ++damaged;
            }
        }
        lose(missing, "their files are missing");
        lose(damaged, "their files are damaged");
        put_images_aside();
    }

    /// Files beyond the committed frames would be taken for frames once the chunk counts as complete.
    void put_images_aside() {
        for (const std::string& name : file_system().list(media_)) {
            const fs::path path = name;
            const std::string stem = path.stem().string();
            const bool image = path.extension() == metadata_.extension && stem.size() >= 6 && stem.size() <= 15 &&
                               std::all_of(stem.begin(), stem.end(), [](char c) { return c >= '0' && c <= '9'; });
            if (!image || std::stoll(stem) < row_.frame_count) continue;
            set_aside(media_ / name);
            ++result_.frames_uncommitted;
        }
        if (result_.frames_uncommitted == 0) return;
        file_system().sync_folder(media_);
        note_uncommitted("their files now end in .uncommitted");
    }

    void note_uncommitted(const std::string& where) {
        note(fmt::format("{} frames that were written but not committed have no number and time and are left out; {}",
                         result_.frames_uncommitted, where));
    }

    // Chunks that are one file

    void finish_file() {
        remove_if_there(with_suffix(media_, kTemporary));
        if (!is_file(media_)) {
            lose(row_.frame_count, "the file is missing");
            return;
        }
        if (row_.frame_count == 0) {
            put_file_aside();
            return;
        }
        const std::shared_ptr<const PacketTable> table = index_.packet_table(row_.chunk);
        if (!table) {
            note("the index does not say where its frames are; the file is left as it is");
            return;
        }
        const std::string container = container_of(media_);
        const bool in_place = completes_in_place(container);
        bool complete = false;
        PacketCheck check;
        {
            const std::unique_ptr<File> file = file_system().open(media_, OpenMode::read);
            complete = media_complete(*file, container);
            check = check_packets(*file, *table);
        }
        const bool sound = check.damaged + check.missing == 0;
        const bool sure = sound && std::all_of(table->packets.begin(), table->packets.end(),
                                               [](const Packet& packet) { return packet.checksum.has_value(); });
        if (complete && !sure && !in_place && take_new_places(*table)) return;
        if (check.damaged + check.missing == static_cast<int64_t>(table->packets.size())) {
            lose(row_.frame_count, "the file does not hold what was recorded; it is left as it is");
            return;
        }
        const std::optional<int64_t> behind = frames_behind_table(media_, *table);
        if (sound && complete && behind == 0) {
            make_durable();
        } else if (in_place) {
            cut_to_committed(*table, check, complete, behind);
        } else {
            remux_committed(*table, check, behind);
        }
    }

    /// The writer may have been ended before it did so itself.
    void make_durable() {
        file_system().open(media_, OpenMode::read_write)->sync();
        file_system().sync_folder(layout_.folder());
    }

    /// A chunk without any frame is no video that imgstore could open.
    void put_file_aside() {
        const fs::path aside = set_aside(media_);
        file_system().sync_folder(layout_.folder());
        note(fmt::format("no frame of it was committed; what was written is kept as {}", aside.filename().string()));
    }

    /// After a run that was ended between replacing the file and the index, the file is the new one already: it holds
    /// the packets of the table in order, perhaps without some that were not to be had.
    bool take_new_places(const PacketTable& table) {
        const PacketTable found = scan_media(media_).table;
        if (!found.contiguous || found.packets.empty()) return false;
        const bool all = found.packets.size() == table.packets.size();
        const uint64_t end = file_system().status(media_).size;
        PacketTable moved = table;
        size_t next = 0;
        int64_t damaged = 0;
        int64_t missing = 0;
        for (Packet& packet : moved.packets) {
            const Packet* there = next < found.packets.size() ? &found.packets[next] : nullptr;
            const bool same_size = there && there->size == packet.size;
            const bool same_bytes = same_size && (!packet.checksum || there->checksum == packet.checksum);
            if (all ? !same_size : !same_bytes) {
                if (all) return false;
                ++missing;
                packet.offset = end;
                continue;
            }
            damaged += !same_bytes;
            packet.offset = there->offset;
            packet.pts = there->pts;
            ++next;
        }
        if (next != found.packets.size() || damaged == static_cast<int64_t>(table.packets.size())) return false;
        lose(missing, "the file does not hold them");
        lose(damaged, "their bytes are damaged");
        moved.stream.time_base_num = found.stream.time_base_num;
        moved.stream.time_base_den = found.stream.time_base_den;
        make_durable();
        save(moved);
        return true;
    }

    void save(const PacketTable& table) {
        Transaction transaction(index_.database());
        index_.replace_packets(row_.chunk, table);
        transaction.commit();
    }

    static std::vector<bool> packets_before(const PacketTable& table, uint64_t end) {
        std::vector<bool> there(table.packets.size());
        for (size_t place = 0; place < there.size(); ++place) {
            const Packet& packet = table.packets[place];
            there[place] = packet.offset <= end && packet.size <= end - packet.offset;
        }
        return there;
    }

    /// Of the last packet that is there.
    static uint64_t end_of(const PacketTable& table, const std::vector<bool>& there) {
        uint64_t end = 0;
        for (size_t place = 0; place < there.size(); ++place) {
            if (there[place]) end = std::max(end, table.packets[place].offset + table.packets[place].size);
        }
        return end;
    }

    void keep_uncommitted(uint64_t end, std::optional<int64_t> behind) {
        if (behind.value_or(1) == 0 || file_system().status(media_).size <= end) return;
        const fs::path aside = copy_part(media_, end, kUncommitted);
        result_.frames_uncommitted = behind.value_or(0);
        if (behind) note_uncommitted(fmt::format("their bytes are kept in {}", aside.filename().string()));
    }

    /// Where the frames of a complete file end; that of the file where it does not say so any more.
    uint64_t end_of_frames() const {
        try {
            const PacketTable found = scan_media(media_).table;
            return end_of(found, std::vector<bool>(found.packets.size(), true));
        } catch (const Error& error) {
            if (error.code() != ErrorCode::corrupt) throw;
            return file_system().status(media_).size;
        }
    }

    /// Frames stay where they are, damaged ones too, so that the index holds at every moment; only those that the file
    /// ends before lose their places.
    void cut_to_committed(const PacketTable& table, const PacketCheck& check, bool complete,
                          std::optional<int64_t> behind) {
        // What a run that was ended has put behind the last frame is no part of a frame that is missing.
        const uint64_t size = complete ? end_of_frames() : file_system().status(media_).size;
        const std::vector<bool> there = packets_before(table, size);
        int64_t missing = 0;
        int64_t damaged = 0;
        for (size_t place = 0; place < there.size(); ++place) {
            missing += !there[place];
            damaged += there[place] && !check.sound[place];
        }
        lose(missing, "the file ends before them");
        lose(damaged, "their bytes are damaged");
        const uint64_t end = end_of(table, there);
        if (end == 0) return;
        if (!complete || behind.value_or(1) > 0) {
            if (!row_.closed) {
                keep_uncommitted(end, behind);
            } else if (file_system().status(media_).size > end) {
                const fs::path copy = copy_part(media_, end, kBeforeRepair);
                note(fmt::format("what it held behind the last whole frame is kept as {}", copy.filename().string()));
            }
            complete_media(media_, part_of(table, there));
        }
        make_durable();
        if (missing == 0) return;
        PacketTable moved = table;
        const uint64_t cut = file_system().status(media_).size;
        for (size_t place = 0; place < there.size(); ++place) {
            if (!there[place]) moved.packets[place].offset = cut;
        }
        save(moved);
    }

    void remux_committed(const PacketTable& table, const PacketCheck& check, std::optional<int64_t> behind) {
        const uint64_t size = file_system().status(media_).size;
        const std::vector<bool> there = packets_before(table, size);
        const uint64_t end = end_of(table, there);
        lose(check.missing, "the file ends before them");
        lose(check.damaged, "their bytes are damaged");
        if (std::none_of(there.begin(), there.end(), [](bool one) { return one; })) return;

        const fs::path temporary = with_suffix(media_, kTemporary);
        const RemuxResult remuxed = remux(media_, part_of(table, there), temporary, metadata_.extension);
        // Frames that are not there stay listed, where no file of theirs can be taken for them.
        PacketTable moved = table;
        moved.stream = remuxed.table.stream;
        size_t next = 0;
        for (size_t place = 0; place < there.size(); ++place) {
            if (there[place]) {
                moved.packets[place] = remuxed.table.packets[next++];
            } else {
                moved.packets[place].offset = remuxed.bytes;
            }
        }
        if (check.damaged > 0 || row_.closed) {
            note(fmt::format("the file as it was is kept as {}", keep_copy(media_).filename().string()));
        } else {
            keep_uncommitted(end, behind);
        }
        // Readers find the frames in the old file, then in the new one by its own index until ours says where they are.
        file_system().rename(temporary, media_);
        file_system().sync_folder(layout_.folder());
        save(moved);
    }

    FrameIndex& index_;
    const StoreLayout& layout_;
    const StoreMetadata& metadata_;
    const ChunkRow row_;
    fs::path media_;
    FinishedChunk result_;
};

}  // namespace

FinishedChunk finish_open_chunk(FrameIndex& index, const StoreLayout& layout, const StoreMetadata& metadata,
                                int64_t chunk) {
    const std::optional<ChunkRow> row = index.find_chunk(chunk);
    if (!row) throw Error(ErrorCode::not_found, {index.database().path(), chunk, {}}, "the index has no such chunk");
    if (row->closed) return {.chunk = chunk, .frames_kept = row->frame_count, .notes = {}};
    return complete_chunk(index, layout, metadata, chunk);
}

FinishedChunk complete_chunk(FrameIndex& index, const StoreLayout& layout, const StoreMetadata& metadata,
                             int64_t chunk) {
    const std::optional<ChunkRow> row = index.find_chunk(chunk);
    if (!row) throw Error(ErrorCode::not_found, {index.database().path(), chunk, {}}, "the index has no such chunk");
    try {
        return ChunkFinisher(index, layout, metadata, *row).run();
    } catch (const Error& error) {
        // What was rolled back is to be forgotten.
        index.reload();
        throw error.at({layout.media(chunk).string(), chunk, {}});
    }
}

std::vector<int64_t> uncommitted_chunks(const FrameIndex& index, const StoreLayout& layout) {
    const std::optional<ChunkRow> last_row = index.last_chunk();
    const int64_t last = last_row ? last_row->chunk : index.first_kept_chunk() - 1;
    std::vector<int64_t> chunks;
    for (const StoreLayout::Chunk& chunk : layout.chunks()) {
        // A sidecar, be it damaged, is written when all frames of its chunk are committed.
        if (chunk.number > last && chunk.has_media && !chunk.has_sidecar) chunks.push_back(chunk.number);
    }
    return chunks;
}

FinishedChunk set_chunk_aside(FrameIndex& index, const StoreLayout& layout, const StoreMetadata& metadata,
                              int64_t chunk) {
    ChunkRow row;
    row.chunk = chunk;
    row.first_index = index.frame_count();
    row.closed = false;
    try {
        return ChunkFinisher(index, layout, metadata, row).run();
    } catch (const Error& error) {
        index.reload();
        throw error.at({layout.media(chunk).string(), chunk, {}});
    }
}

std::vector<FinishedChunk> finish_open_chunks(FrameIndex& index, const StoreLayout& layout,
                                              const StoreMetadata& metadata) {
    std::vector<FinishedChunk> finished;
    for (const int64_t chunk : index.open_chunks())
        finished.push_back(finish_open_chunk(index, layout, metadata, chunk));
    for (const int64_t chunk : uncommitted_chunks(index, layout))
        finished.push_back(set_chunk_aside(index, layout, metadata, chunk));
    return finished;
}

fs::path free_name(const fs::path& path, const std::string& suffix, std::span<const char* const> endings) {
    const auto taken = [&](const fs::path& name) {
        return std::any_of(endings.begin(), endings.end(), [&](const char* ending) {
            return file_system().status(with_suffix(name, ending)).kind != FileKind::missing;
        });
    };
    fs::path name = with_suffix(path, suffix);
    for (int number = 2; taken(name); ++number) name = with_suffix(path, fmt::format("{}.{}", suffix, number));
    return name;
}

fs::path set_aside(const fs::path& path) {
    const fs::path aside = free_name(path, kUncommitted);
    file_system().rename(path, aside);
    return aside;
}

fs::path keep_copy(const fs::path& path, uint64_t begin) {
    return copy_part(path, begin, kBeforeRepair);
}

bool needs_completion(const std::string& container) {
    return container == "mov" || completes_in_place(container);
}

}  // namespace reelstore
