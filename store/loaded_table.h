#pragma once

#include <functional>
#include <list>
#include <memory>
#include <vector>

#include "store/chunk_sidecar.h"
#include "store/frame_table.h"

namespace reelstore {

/// A frame table whose chunks' summaries are in memory and whose rows are read chunk by chunk when they are wanted,
/// from sidecars, another index or anything else; the chunks used lately are kept, up to a bound.
class LoadedTable : public FrameTable {
public:
    /// Numbers and times of a chunk; throws when they cannot be read (any more).
    using Load = std::function<ChunkSidecar(const ChunkRow&)>;

    /// `chunks` in order; their first_index is set here. `name` stands in messages.
    LoadedTable(std::string name, std::vector<ChunkRow> chunks, Load load);
    ~LoadedTable() override;

    int64_t frame_count() const override;
    int64_t chunk_count() const override { return static_cast<int64_t>(chunks_.size()); }
    std::optional<ChunkRow> find_chunk(int64_t chunk) const override;
    std::optional<ChunkRow> chunk_at(int64_t index) const override;
    std::optional<ChunkRow> last_chunk() const override;
    void visit_chunks(const std::function<bool(const ChunkRow&)>& visit) const override;
    std::optional<FrameRow> row(int64_t index) const override;
    void visit_rows(int64_t first, int64_t last, const std::function<bool(const FrameRow&)>& visit) const override;

protected:
    const LookupColumn<int64_t>& numbers() const override;
    const LookupColumn<double>& times() const override;

private:
    template <typename Value>
    class Column;

    /// The place in chunks_ of the chunk with this frame, which must exist.
    size_t place_of(int64_t index) const;
    std::shared_ptr<const ChunkSidecar> rows(size_t place) const;

    std::string name_;
    std::vector<ChunkRow> chunks_;
    Load load_;
    mutable std::list<std::pair<size_t, std::shared_ptr<const ChunkSidecar>>> kept_;  // by place, the latest first
    std::unique_ptr<Column<int64_t>> numbers_;
    std::unique_ptr<Column<double>> times_;
};

/// The summary of a chunk with these frames.
ChunkRow summary_of(int64_t chunk, const ChunkSidecar& frames);

}  // namespace reelstore
