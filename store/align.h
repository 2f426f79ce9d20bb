#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "store/recording.h"

namespace reelstore {

/// What to do at a number (or instant) that one of the stores does not have.
enum class AlignPolicy {
    drop,   ///< leave the row out
    hold,   ///< repeat the store's last frame before it; black before its first
    black,  ///< a black image
};

struct AlignOptions {
    AlignPolicy policy = AlignPolicy::drop;
    bool by_time = false;     ///< match by time instead of by number
    double tolerance = 0.02;  ///< seconds between two frames that still belong together; by time only
};

/// One row of the joint table: what each store shows at a number or instant.
struct AlignedRow {
    int64_t number = 0;  ///< by number: the common number; by time: the first store's
    double time = 0;     ///< by time: of the first store; by number: of the first store that has the frame
    /// For each store the frame it shows. Nothing: black.
    std::vector<std::optional<FrameRow>> frames;
    std::vector<bool> held;  ///< true where a store shows an earlier frame in place of a missing one
};

/// Joins several stores (or other recordings) frame by frame, streaming: memory does not grow with their length.
///
/// By number: rows ascend by number; within each store, frames count in order of number, of repeated numbers the first.
/// A store whose numbers do not ascend throughout is read several times, each time for the next range of numbers. By
/// time: each frame of the first store is a row, joined with the frame of every other store that is nearest in time
/// within the tolerance; at a frame without a time all others are missing. Stores may differ in size and type.
class StoreAligner {
public:
    /// The recordings must outlive the aligner; their next() is not moved. Throws Error(invalid_argument) with fewer
    /// than two stores, a null pointer or a negative tolerance.
    StoreAligner(std::vector<Recording*> stores, const AlignOptions& options = {});
    ~StoreAligner();

    /// The next row; nothing at the end.
    std::optional<AlignedRow> next_row();
    /// The images of a row, in the order of the stores. Where the row has nothing: black in the store's own size and
    /// type, with index -1, the row's number and no time.
    std::vector<Frame> frames(const AlignedRow& row);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// "drop", "hold", "black"; empty for any other word.
std::optional<AlignPolicy> parse_align_policy(std::string_view word);

}  // namespace reelstore
