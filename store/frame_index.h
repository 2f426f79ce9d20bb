#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/sqlite.h"
#include "codecs/chunk_format.h"
#include "store/chunk_sidecar.h"
#include "store/frame_table.h"

namespace reelstore {

/// A frame to be added: what the writer knows when its bytes are down.
struct NewFrame {
    int64_t number = 0;
    double time = 0;
    StoredFrame stored;
};

/// The frame table of a store as index.sqlite (spec/schema.sql).
///
/// Nothing that it does to open or to look up frames grows with the number of chunks or frames but by its logarithm,
/// and neither does its memory. Indices in this interface count from the first frame that was there at the opening; in
/// the database they count since the recording began, and never change: removed_frames() is the difference.
class FrameIndex : public FrameTable {
public:
    /// A new, empty index at `path`, where nothing may be yet.
    static std::unique_ptr<FrameIndex> create(const std::filesystem::path& path, const std::string& uuid);
    /// Opens an existing index. Throws Error(unsupported) when a newer version wrote it, Error(corrupt) when it is not
    /// an index, is damaged or belongs to the store with another uuid.
    static std::unique_ptr<FrameIndex> open(const std::filesystem::path& path, const std::string& uuid,
                                            Database::Mode mode = Database::Mode::read_only);
    ~FrameIndex() override;

    // Reading
    int64_t frame_count() const override { return end_ - base_; }
    int64_t chunk_count() const override;
    std::optional<ChunkRow> find_chunk(int64_t chunk) const override;
    std::optional<ChunkRow> chunk_at(int64_t index) const override;
    std::optional<ChunkRow> last_chunk() const override;
    void visit_chunks(const std::function<bool(const ChunkRow&)>& visit) const override;
    std::optional<FrameRow> row(int64_t index) const override;
    void visit_rows(int64_t first, int64_t last, const std::function<bool(const FrameRow&)>& visit) const override;
    std::optional<FrameRow> find_number(int64_t number, Match match) const override;
    std::optional<FrameRow> find_time(double time, Match match) const override;
    std::vector<IndexRun> runs_of_numbers(int64_t low, int64_t high) const override;
    std::vector<IndexRun> runs_of_times(double low, double high) const override;
    /// Throws Error(corrupt) when the stream's parameters are damaged.
    std::shared_ptr<const PacketTable> packet_table(int64_t chunk, std::optional<int64_t> position = {}) const override;
    /// What a decoder needs for a video chunk; nothing when it was not recorded. Throws Error(corrupt) when it is
    /// damaged.
    std::optional<VideoStream> stream(int64_t chunk) const;
    std::optional<uint32_t> checksum(int64_t index) const override;
    /// The size recorded for the bytes of a frame; nothing when there is none.
    std::optional<uint64_t> byte_size(int64_t index) const;
    /// As of the opening or the last refresh(), like the frames.
    bool closed() const override { return closed_; }
    bool has_extra_data() const;
    /// Records of the frames first..last-1, in order of frame, then of writing; read some at a time, so that `visit`
    /// may ask the index or take its time.
    void visit_extra_data(int64_t first, int64_t last, const std::function<bool(const ExtraDataRow&)>& visit) const;
    /// The next records of the frames first..last-1 behind `after` (null: from the first on): a bounded number.
    struct ExtraDataPlace {
        int64_t frame_index = 0;
        int64_t record_id = 0;
    };
    std::vector<ExtraDataRow> extra_data_page(int64_t first, int64_t last, std::optional<ExtraDataPlace>& after) const;
    /// Early indexes have none.
    void visit_events(const std::function<bool(const EventRow&)>& visit) const override;
    int64_t event_count() const override;
    std::optional<uint64_t> recorded_media_bytes() const override;
    /// Numbers of the chunks that are not closed, in order.
    std::vector<int64_t> open_chunks() const;
    std::optional<SidecarMark> sidecar_mark(int64_t chunk) const;
    /// Frames of the recording that came before index 0 and have been removed.
    int64_t removed_frames() const override { return base_; }
    /// Index of the first frame that is there now; above 0 when some have been removed since the opening.
    int64_t first_index() const;
    /// Chunks with lower numbers have been removed on purpose; files of them are left over.
    int64_t first_kept_chunk() const;
    /// Takes over what another connection has committed since the opening or the last call; true when there was
    /// anything. Costs next to nothing when there was not.
    bool refresh();
    /// True when the path no longer names the file that is open, which then shows no commits any more.
    bool replaced() const { return database_->replaced(); }

    // Writing. Group calls in a Transaction on database().
    const Database& database() const { return *database_; }
    /// Makes a new, empty index that of a recording from whose beginning chunks have been removed.
    void begin_behind(int64_t removed_frames, int64_t first_kept_chunk);
    /// A new chunk behind all others.
    void add_chunk(int64_t chunk, bool closed);
    /// Appends frames to the last chunk, in order of position.
    void add_frames(std::span<const NewFrame> frames);
    /// Records the decoder parameters of the last chunk.
    void set_stream(const VideoStream& stream);
    /// Records the hidden packets of a table, at their places in decode order, for the last chunk. The frames' decode
    /// positions count them.
    void add_hidden_packets(const PacketTable& table);
    void close_chunk(int64_t chunk);
    void reopen_chunk(int64_t chunk);
    /// Records where the packets of a chunk are now, and the decoder parameters. The table has as many frames as the
    /// chunk; checksums that are known stay. Throws Error(invalid_argument) otherwise.
    void replace_packets(int64_t chunk, const PacketTable& table);
    void set_sidecar_mark(int64_t chunk, const SidecarMark& mark);
    /// Records that no writer is at work any more, or that one is.
    void set_closed(bool closed);
    void add_extra_data(int64_t frame_index, const std::string& data);
    /// Gives the event's id.
    int64_t add_event(const EventRow& event);
    void set_event_data(int64_t event_id, const std::string& data);
    /// Gives the frames before `zero_index` the numbers ..., -2, -1.
    void renumber_before(int64_t zero_index);
    /// Forgets the first chunk with its frames and extra data, whatever its state. The last one stays: Error
    /// (invalid_argument).
    void remove_first_chunk();
    /// Forgets what a rolled-back transaction had changed.
    void reload();
    /// Readers of a live store need write-ahead logging, with every commit synced to disk; a closed store is a single
    /// file.
    void use_write_ahead_log(bool on);

protected:
    const LookupColumn<int64_t>& numbers() const override;
    const LookupColumn<double>& times() const override;

private:
    template <typename Value>
    class Column;
    struct Group;
    struct GroupSum;
    struct TailGroups;
    struct Statements;

    explicit FrameIndex(std::unique_ptr<Database> database);
    void load();
    void forget();
    bool has_table(const char* name) const;
    void keep_tail_groups();
    void follow_removals() const;
    std::optional<ChunkRow> chunk_row(const Statement& select) const;
    void read_chunk(const Statement& select, ChunkRow& chunk) const;
    std::optional<Group> group_row(const Statement& select, int level) const;
    std::optional<ChunkRow> one_chunk(Statement& select) const;
    ChunkRow existing_chunk(int64_t chunk) const;
    /// The chunk with this frame, checked against the rows at its ends.
    const ChunkRow& known_chunk(int64_t index) const;
    void check_ends(const ChunkRow& chunk) const;
    struct RowValues;
    RowValues row_values(int64_t index) const;
    void set_chunk_state(int64_t chunk, bool closed);
    void set_first_kept_chunk(int64_t chunk);
    void save_summary(const ChunkRow& chunk);
    void save_stream(int64_t chunk, const VideoStream& stream);
    void save_hidden_packets(int64_t chunk, const PacketTable& table);
    int64_t hidden_count(int64_t chunk) const;
    std::optional<Group> summarize_group(int level, int64_t place) const;
    /// Throws Error(corrupt) when what a group sums up is not what it says.
    void check_group(int level, int64_t place) const;
    void update_groups(int64_t chunk);
    void make_groups(bool temporary);
    void keep_groups();
    /// First and one behind the last index of frames around `position` that can be decoded without others.
    std::optional<std::pair<int64_t, int64_t>> independent_run(const ChunkRow& chunk, int64_t position) const;
    [[noreturn]] void missing_row(int64_t index) const;
    [[noreturn]] void contradiction(std::optional<int64_t> chunk) const;

    std::unique_ptr<Database> database_;
    int64_t base_ = 0;                  ///< frame_index in the database of the frame with index 0
    int64_t end_ = 0;                   ///< frame_index in the database behind the last frame
    int64_t data_version_ = 0;          ///< SQLite's count of commits by others
    mutable int64_t groups_begin_ = 0;  ///< first_index() for which the groups below speak
    bool closed_ = false;
    bool temporary_groups_ = false;  ///< an early index: made at opening, for this connection alone
    // Only the last chunk grows: with its summary, and those of the groups that hold it, as of the opening or the last
    // refresh, everything is as it was then.
    std::optional<ChunkRow> tail_;
    mutable std::vector<ChunkRow> known_;  ///< chunks looked at lately, the latest first
    mutable std::set<std::pair<int, int64_t>> checked_groups_;
    std::unique_ptr<Statements> statements_;
    std::unique_ptr<TailGroups> tail_groups_;
    std::unique_ptr<Column<int64_t>> numbers_;
    std::unique_ptr<Column<double>> times_;
};

}  // namespace reelstore
