#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/frame_source.h"
#include "filters/frame_matching.h"
#include "filters/synchronized_frames.h"

namespace reelstore {

/// What a composition is made by.
struct Composition {
    FrameMatching matching;
    Compose compose;

    /// The frame of the composition at `index`, of those that belong together. The first is there.
    Frame frame_of(std::span<const std::optional<Frame>> frames, int64_t index) const;
    /// The first one's frames that are shown, from one up to another, where the sources have so many frames; none: that
    /// is not known. Nothing where it cannot be told.
    std::optional<std::pair<int64_t, int64_t>> shown_range(std::span<const std::optional<int64_t>> frame_counts) const;
};

/// A source whose frames can be had in any order, and found by their keys.
class KeyedAccess {
public:
    /// All must outlive this object.
    KeyedAccess(RandomAccess& access, const FrameMatching& matching, size_t source)
        : access_(access), matching_(matching), source_(source) {
        known_keys_.fill({-1, 0});
    }

    RandomAccess& access() { return access_; }
    FrameKey key(int64_t position);
    /// The last frame whose key is below, or not above, `limit`: its place, -1 where there is none.
    int64_t last_below(FrameKey limit);
    int64_t last_up_to(FrameKey limit);
    /// The frame at `position`; the one asked for last is kept.
    const Frame& frame(int64_t position);
    /// Throws Error where the key of the frame at `position` is below that of the one before it.
    void check_order(int64_t position);
    /// The same for some frames far apart.
    void check_order_far_apart();

private:
    template <typename IsSmall>
    int64_t last_small(IsSmall is_small);

    RandomAccess& access_;
    const FrameMatching& matching_;
    size_t source_;
    /// By position modulo its size: neighbours are asked for again and again, and stamps may lie in a database.
    std::array<std::pair<int64_t, FrameKey>, 64> known_keys_;
    int64_t last_found_ = 0;  ///< where the next search begins
    int64_t kept_position_ = -1;
    Frame kept_;
};

/// A composition in any order.
class ComposedAccess : public RandomAccess {
public:
    /// All accesses must outlive this object.
    ComposedAccess(std::shared_ptr<const Composition> composition, std::span<RandomAccess* const> accesses);

    int64_t frame_count() const override;
    Frame at_index(int64_t index) override;
    FrameStamp stamp(int64_t index) override;
    std::vector<Json> extra_data_of(int64_t index) override;
    int64_t entry_of(int64_t index) override;
    void will_read(std::span<const int64_t> indices) override;
    std::unique_ptr<RandomAccess> clone_access() override;
    int threads() const override;
    DecodeCounters counters() const override;

    void check_order_far_apart();

private:
    std::pair<int64_t, int64_t> shown_range() const;
    /// The first one's frame.
    int64_t leading_index(int64_t index) const;
    /// The frames of all sources that are shown with it; none for a blank.
    std::vector<std::optional<int64_t>> shown_with(int64_t leading);
    std::optional<int64_t> shown_of(size_t source, FrameKey wanted);

    std::vector<std::unique_ptr<RandomAccess>> owned_;
    std::shared_ptr<const Composition> composition_;
    std::vector<KeyedAccess> sources_;
    std::vector<RandomAccess*> accesses_;
    /// For each source: the entry that entry_of() met last, and the first one's frame where it begins.
    std::vector<std::pair<int64_t, int64_t>> known_entries_;
};

}  // namespace reelstore
