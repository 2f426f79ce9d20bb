#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/file_system.h"

namespace reelstore {

/// Takes the bytes of one elementary stream out of the cells of an MPEG transport stream (.ts, .m2ts), so that a
/// payload whose place is known can be had without a demuxer. Used by one thread at a time.
class TransportStreamReader {
public:
    /// Where some bytes of an elementary stream lie in the file.
    struct Place {
        uint64_t first = 0;   ///< offset of the first byte
        uint64_t behind = 0;  ///< offset behind the last byte; may be the end of a cell
    };

    /// Looks at the beginning of the file for the size of the cells. The file must outlive this object.
    explicit TransportStreamReader(File& file);

    /// Whether the file consists of cells.
    bool usable() const { return cell_bytes_ > 0; }
    /// Number of the elementary stream that the cell around `offset` belongs to; nothing where there is no cell.
    std::optional<int> stream_at(uint64_t offset);
    /// The next `size` bytes of that stream from `offset` on. Nothing when the file ends before or cells are damaged.
    std::optional<Place> read(int stream, uint64_t offset, size_t size, std::vector<uint8_t>& bytes);

    int64_t bytes_read() const { return bytes_read_; }

private:
    struct Cell {
        int stream = 0;
        uint64_t payload = 0;  ///< offset of its first byte of the elementary stream
        uint64_t end = 0;
    };

    uint64_t cell_begin(uint64_t offset) const { return begin_ + (offset - begin_) / cell_bytes_ * cell_bytes_; }
    std::optional<Cell> cell_at(uint64_t begin);
    const uint8_t* bytes_at(uint64_t offset, size_t size);

    File& file_;
    uint64_t cell_bytes_ = 0;
    uint64_t begin_ = 0;  ///< of the first cell
    std::vector<uint8_t> window_;
    uint64_t window_begin_ = 0;
    int64_t bytes_read_ = 0;
};

}  // namespace reelstore
