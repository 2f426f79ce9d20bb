#pragma once

#include <functional>
#include <optional>

#include "store/store_reader.h"

namespace reelstore {

/// The frames of a store that a condition on their row selects, as a source of its own; rows are read ahead in blocks,
/// so that memory does not grow with the store. The store must outlive it and not be used otherwise meanwhile.
class SelectedFrames : public FrameSource {
public:
    /// Frames first, first+step, ... below last, of those the ones for which `wanted` is true (all when it is empty).
    SelectedFrames(StoreReader& store, int64_t first, int64_t last, int64_t step,
                   std::function<bool(const FrameRow&)> wanted = {});

    const SourceInfo& info() const override { return info_; }
    std::optional<Frame> next() override;
    std::vector<Json> extra_data() override { return store_.extra_data(); }
    const Json& user_metadata() const override { return store_.user_metadata(); }

private:
    void read_block();

    StoreReader& store_;
    SourceInfo info_;
    int64_t next_row_;
    int64_t last_;
    int64_t step_;
    std::function<bool(const FrameRow&)> wanted_;
    std::vector<int64_t> block_;
    size_t place_ = 0;
};

}  // namespace reelstore
