#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/sqlite.h"
#include "codecs/chunk_format.h"
#include "store/frame_row.h"

namespace reelstore {

/// Summary of one chunk; what lookups decide by before they look at frames.
struct ChunkRow {
    int64_t chunk = 0;
    int64_t first_index = 0;
    int64_t frame_count = 0;
    int64_t number_min = 0;
    int64_t number_max = 0;
    bool numbers_ascending = true;
    std::optional<double> time_min = {};
    std::optional<double> time_max = {};
    bool times_ascending = true;
    bool closed = true;
    uint64_t media_bytes = 0;
    std::optional<VideoStream> stream = {};
};

/// A frame to be added: what the writer knows when its bytes are down.
struct NewFrame {
    int64_t number = 0;
    double time = 0;
    StoredFrame stored;
};

/// A record of extra data tied to a frame.
struct ExtraDataRow {
    int64_t frame_index = 0;
    std::string data = {};  ///< JSON object with the user's keys
};

/// Something that happened to the recording (spec/format.md lists the kinds).
struct EventRow {
    double time = 0;                          ///< when, seconds since the Unix epoch
    std::string kind = {};                    ///< "dropped", "fault", "clock_step"...
    std::optional<int64_t> frame_index = {};  ///< of the first frame written after it; none: concerns no frame
    std::string data = "{}";                  ///< JSON object
};

/// The frame table of a store (spec/schema.sql): index.sqlite, or the same tables in memory for a store without one.
///
/// Used by one thread at a time. Lookups decide by the chunk summaries (kept in memory, a few dozen bytes each), then
/// search in one chunk by row id: nothing grows with the number of frames. Where numbers repeat, the frame with the
/// lowest frame_index counts; frames without a time are never found by time.
class FrameIndex {
public:
    /// A new, empty index at `path`, where nothing may be yet.
    static std::unique_ptr<FrameIndex> create(const std::filesystem::path& path, const std::string& uuid);
    /// A new, empty index that goes with the object; `store` only stands in messages.
    static std::unique_ptr<FrameIndex> create_in_memory(const std::filesystem::path& store, const std::string& uuid);
    /// Opens an existing index. Throws Error(unsupported) when a newer version wrote it, Error(corrupt) when it is not
    /// an index, is damaged or belongs to the store with another uuid.
    static std::unique_ptr<FrameIndex> open(const std::filesystem::path& path, const std::string& uuid,
                                            Database::Mode mode = Database::Mode::read_only);
    ~FrameIndex();

    // Reading
    int64_t frame_count() const;
    const std::vector<ChunkRow>& chunks() const { return chunks_; }
    /// Null when there is no such chunk.
    const ChunkRow* find_chunk(int64_t chunk) const;
    /// Nothing outside 0..frame_count()-1.
    std::optional<FrameRow> row(int64_t index) const;
    std::optional<FrameRow> find_number(int64_t number, Match match) const;
    std::optional<FrameRow> find_time(double time, Match match) const;
    /// Calls `visit` for the rows first..last-1 in order; stops when it returns false.
    void visit_rows(int64_t first, int64_t last, const std::function<bool(const FrameRow&)>& visit) const;
    /// Smallest and largest number and time; nothing in an empty store (or one without times).
    std::optional<std::pair<int64_t, int64_t>> number_range() const;
    std::optional<std::pair<double, double>> time_range() const;
    /// The packets of a video chunk, as recorded when it was written; null when they were not. With a position at least
    /// those that it takes to decode the frame there: some groups of pictures that need no others.
    std::shared_ptr<const PacketTable> packet_table(int64_t chunk, std::optional<int64_t> position = {}) const;
    /// False until the writer has closed the store; as of the opening or the last refresh(), like the frames.
    bool closed() const { return closed_; }
    bool has_extra_data() const;
    /// Records of the frames first..last-1, in order of frame, then of writing.
    void visit_extra_data(int64_t first, int64_t last, const std::function<bool(const ExtraDataRow&)>& visit) const;

    /// The checksum recorded for the bytes of a frame; nothing when there is none.
    std::optional<uint32_t> checksum(int64_t index) const;
    /// The size recorded for the bytes of a frame; nothing when there is none.
    std::optional<uint64_t> byte_size(int64_t index) const;
    /// In order of happening. Early indexes have none.
    void visit_events(const std::function<bool(const EventRow&)>& visit) const;
    int64_t event_count() const;
    /// Takes over what another connection has committed since the opening or the last call; true when there was
    /// anything. Costs next to nothing when there was not.
    bool refresh();
    /// True when the path no longer names the file that is open, which then shows no commits any more.
    bool replaced() const { return database_->replaced(); }

    // Writing. Group calls in a Transaction on database().
    const Database& database() const { return *database_; }
    /// A new chunk behind all others.
    void add_chunk(int64_t chunk, bool closed);
    /// Appends frames to the last chunk, in order of position.
    void add_frames(std::span<const NewFrame> frames);
    /// Records the decoder parameters of the last chunk.
    void set_stream(const VideoStream& stream);
    void close_chunk(int64_t chunk);
    void reopen_chunk(int64_t chunk);
    /// Records where the packets of a chunk are now, and the decoder parameters. The table has as many frames as the
    /// chunk; checksums that are known stay. Throws Error(invalid_argument) otherwise.
    void replace_packets(int64_t chunk, const PacketTable& table);
    /// Records that no writer is at work any more, or that one is.
    void set_closed(bool closed);
    void add_extra_data(int64_t frame_index, const std::string& data);
    void add_event(const EventRow& event);
    /// Gives the frames 0..numbers.size()-1 these numbers.
    void renumber(std::span<const int64_t> numbers);
    /// Forgets what a rolled-back transaction had changed.
    void reload();
    /// Readers of a live store need write-ahead logging, with every commit synced to disk; a closed store is a single
    /// file.
    void use_write_ahead_log(bool on);

private:
    explicit FrameIndex(std::unique_ptr<Database> database);
    void load_chunks();
    void set_chunk_state(int64_t chunk, bool closed);
    void save_summary(const ChunkRow& chunk);
    /// First and one behind the last index of frames around `position` that can be decoded without others.
    std::optional<std::pair<int64_t, int64_t>> independent_run(const ChunkRow& chunk, int64_t position) const;
    [[noreturn]] void missing_row(int64_t chunk, int64_t index) const;

    std::unique_ptr<Database> database_;
    std::vector<ChunkRow> chunks_;
    int64_t data_version_ = 0;  ///< SQLite's count of commits by others
    bool closed_ = false;
    struct Statements;
    std::unique_ptr<Statements> statements_;
};

}  // namespace reelstore
