#include "filters/composed_access.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "base/error.h"
#include "base/filter.h"

namespace reelstore {

namespace {

/// Frames that are looked at to see whether keys ascend, before any is read.
constexpr int64_t kLookedAt = 256;
/// Farther than any source reaches, and far from overflow.
constexpr int64_t kFarthest = int64_t{1} << 60;

/// The greatest number in (low, high) for which `is_small` holds, which it does up to a point; `low` where it never
/// does.
template <typename IsSmall>
int64_t bisect(int64_t low, int64_t high, IsSmall is_small) {
    while (high - low > 1) {
        const int64_t middle = low + (high - low) / 2;
        (is_small(middle) ? low : high) = middle;
    }
    return low;
}

}  // namespace

Frame Composition::frame_of(std::span<const std::optional<Frame>> frames, int64_t index) const {
    Frame result = with_changed_image(*frames.front(), [&](const cv::Mat&) { return compose(frames); });
    // The image may be that of any of the frames.
    for (const std::optional<Frame>& frame : frames.subspan(1)) {
        if (!result.owner && frame) result.owner = with_image(*frame, result.image).owner;
    }
    result.index = index;
    return result;
}

std::optional<std::pair<int64_t, int64_t>> Composition::shown_range(
    std::span<const std::optional<int64_t>> frame_counts) const {
    int64_t begin = 0;
    int64_t end = frame_counts.front().value_or(kFarthest);
    if (matching.options().missing == MissingFrame::drop) {
        if (!matching.by(SyncBy::index)) return std::nullopt;
        for (size_t source = 1; source < frame_counts.size(); ++source) {
            const auto places_before = [&](int64_t position) {
                return 1 + bisect(-1, kFarthest, [&](int64_t place) {
                           return matching.wanted(source, FrameKey(place)) < FrameKey(position);
                       });
            };
            begin = std::max(begin, places_before(0));
            if (frame_counts[source]) end = std::min(end, places_before(*frame_counts[source]));
        }
    }
    if (end == kFarthest) return std::nullopt;
    return std::pair{begin, std::max(begin, end)};
}

FrameKey KeyedAccess::key(int64_t position) {
    if (matching_.by(SyncBy::index)) return FrameKey(position);
    std::pair<int64_t, FrameKey>& known = known_keys_[static_cast<size_t>(position) % known_keys_.size()];
    if (known.first != position) known = {position, matching_.key(source_, position, access_.stamp(position))};
    return known.second;
}

template <typename IsSmall>
int64_t KeyedAccess::last_small(IsSmall is_small) {
    const int64_t count = access_.frame_count();
    if (count == 0) return -1;
    // Frames are mostly asked for in order: steps that double lead away from the last one found.
    int64_t low = std::clamp<int64_t>(last_found_, 0, count - 1);
    int64_t high = low;
    int64_t step = 1;
    if (is_small(low)) {
        high = low + step;
        for (; high < count && is_small(high); step *= 2) {
            low = high;
            high = low + step;
        }
        high = std::min(high, count);
    } else {
        low = high - step;
        for (; low >= 0 && !is_small(low); step *= 2) {
            high = low;
            low = high - step;
        }
        low = std::max<int64_t>(low, -1);
    }
    last_found_ = bisect(low, high, is_small);
    return last_found_;
}

int64_t KeyedAccess::last_below(FrameKey limit) {
    return last_small([&](int64_t position) { return key(position) < limit; });
}

int64_t KeyedAccess::last_up_to(FrameKey limit) {
    return last_small([&](int64_t position) { return key(position) <= limit; });
}

const Frame& KeyedAccess::frame(int64_t position) {
    if (kept_position_ != position) {
        kept_position_ = -1;
        try {
            kept_ = access_.at_index(position);
        } catch (const Error& error) {
            throw error.at({matching_.name(source_), {}, position});
        }
        kept_position_ = position;
    }
    return kept_;
}

void KeyedAccess::check_order(int64_t position) {
    if (position <= 0 || matching_.by(SyncBy::index)) return;
    const FrameKey before = key(position - 1);
    const FrameKey own = key(position);
    if (own < before) throw matching_.goes_down(source_, position, own, before);
}

void KeyedAccess::check_order_far_apart() {
    if (matching_.by(SyncBy::index)) return;
    const int64_t count = access_.frame_count();
    FrameKey before = -std::numeric_limits<FrameKey>::infinity();
    const int64_t looked_at = std::min(count, kLookedAt);
    for (int64_t i = 0; i < looked_at; ++i) {
        // The first and the last are among them.
        const int64_t position =
            looked_at > 1 ? (count - 1) / (looked_at - 1) * i + (count - 1) % (looked_at - 1) * i / (looked_at - 1) : 0;
        const FrameKey own = key(position);
        if (own < before) throw matching_.goes_down(source_, position, own, before);
        before = own;
    }
}

ComposedAccess::ComposedAccess(std::shared_ptr<const Composition> composition, std::span<RandomAccess* const> accesses)
    : composition_(std::move(composition)),
      accesses_(accesses.begin(), accesses.end()),
      known_entries_(accesses.size(), {-1, 0}) {
    for (size_t source = 0; source < accesses.size(); ++source)
        sources_.emplace_back(*accesses[source], composition_->matching, source);
}

void ComposedAccess::check_order_far_apart() {
    for (KeyedAccess& source : sources_) source.check_order_far_apart();
}

std::pair<int64_t, int64_t> ComposedAccess::shown_range() const {
    std::vector<std::optional<int64_t>> counts;
    for (const RandomAccess* access : accesses_) counts.push_back(access->frame_count());
    return composition_->shown_range(counts).value_or(std::pair<int64_t, int64_t>{0, 0});
}

int64_t ComposedAccess::frame_count() const {
    const auto [begin, end] = shown_range();
    return end - begin;
}

int64_t ComposedAccess::leading_index(int64_t index) const {
    const auto [begin, end] = shown_range();
    if (index >= 0 && index < end - begin) return begin + index;
    throw Error(ErrorCode::invalid_argument,
                fmt::format("there is no frame {} among {} of the composition", index, end - begin));
}

std::optional<int64_t> ComposedAccess::shown_of(size_t source, FrameKey wanted) {
    KeyedAccess& keyed = sources_[source];
    int64_t before = keyed.last_up_to(wanted);
    const int64_t after = before + 1;
    keyed.check_order(before);
    std::optional<FrameKey> key_before;
    std::optional<FrameKey> key_after;
    if (before >= 0) {
        key_before = keyed.key(before);
        // Of equal ones the first.
        if (!composition_->matching.by(SyncBy::index) && before > 0 && keyed.key(before - 1) == *key_before)
            before = keyed.last_below(*key_before) + 1;
    }
    if (after < keyed.access().frame_count()) key_after = keyed.key(after);
    switch (composition_->matching.choose(source, wanted, key_before, key_after)) {
        case ShownFrame::before:
            return before;
        case ShownFrame::after:
            return after;
        case ShownFrame::none:
        case ShownFrame::left_out:
            break;
    }
    return std::nullopt;
}

std::vector<std::optional<int64_t>> ComposedAccess::shown_with(int64_t leading) {
    sources_.front().check_order(leading);
    const FrameKey key = sources_.front().key(leading);
    std::vector<std::optional<int64_t>> shown{leading};
    for (size_t source = 1; source < sources_.size(); ++source)
        shown.push_back(shown_of(source, composition_->matching.wanted(source, key)));
    return shown;
}

Frame ComposedAccess::at_index(int64_t index) {
    const std::vector<std::optional<int64_t>> shown = shown_with(leading_index(index));
    std::vector<std::optional<Frame>> frames(shown.size());
    for (size_t source = 0; source < shown.size(); ++source) {
        if (shown[source]) frames[source] = sources_[source].frame(*shown[source]);
    }
    return composition_->frame_of(frames, index);
}

FrameStamp ComposedAccess::stamp(int64_t index) {
    return accesses_.front()->stamp(leading_index(index));
}

std::vector<Json> ComposedAccess::extra_data_of(int64_t index) {
    return accesses_.front()->extra_data_of(leading_index(index));
}

int64_t ComposedAccess::entry_of(int64_t index) {
    // As far back as the group of pictures goes that begins first, so that none is decoded by many readers.
    const FrameMatching& matching = composition_->matching;
    const int64_t leading = leading_index(index);
    const FrameKey key = sources_.front().key(leading);
    int64_t entry = accesses_.front()->entry_of(leading);
    for (size_t source = 1; source < sources_.size(); ++source) {
        KeyedAccess& keyed = sources_[source];
        const FrameKey wanted = matching.wanted(source, key);
        const int64_t position = keyed.last_up_to(wanted);
        if (position < 0) continue;
        // One that has ended would hold all that follows together.
        if (position + 1 == accesses_[source]->frame_count() && keyed.key(position) < wanted) continue;
        const int64_t own_entry = accesses_[source]->entry_of(position);
        std::pair<int64_t, int64_t>& known = known_entries_[source];
        if (known.first != own_entry) {
            const FrameKey begin = keyed.key(own_entry);
            const auto comes_before = [&](int64_t place) {
                return matching.wanted(source, sources_.front().key(place)) < begin;
            };
            int64_t low = leading;
            for (int64_t step = 1; low >= 0 && !comes_before(low); step *= 2) low -= step;
            known = {own_entry, bisect(std::max<int64_t>(low, -1), leading, comes_before) + 1};
        }
        entry = std::min(entry, known.second);
    }
    return std::max<int64_t>(entry - (leading - index), 0);
}

void ComposedAccess::will_read(std::span<const int64_t> indices) {
    std::vector<std::vector<int64_t>> wanted(sources_.size());
    for (const int64_t index : indices) {
        const std::vector<std::optional<int64_t>> shown = shown_with(leading_index(index));
        for (size_t source = 0; source < shown.size(); ++source) {
            std::vector<int64_t>& positions = wanted[source];
            if (shown[source] && (positions.empty() || positions.back() < *shown[source]))
                positions.push_back(*shown[source]);
        }
    }
    for (size_t source = 0; source < sources_.size(); ++source) {
        std::vector<int64_t>& positions = wanted[source];
        if (positions.empty()) continue;
        // What is one group of pictures here may be several of a source; it is told of the first.
        const int64_t entry = accesses_[source]->entry_of(positions.front());
        const auto is_of_another = [&](int64_t position) { return accesses_[source]->entry_of(position) != entry; };
        positions.erase(std::find_if(positions.begin(), positions.end(), is_of_another), positions.end());
        accesses_[source]->will_read(positions);
    }
}

std::unique_ptr<RandomAccess> ComposedAccess::clone_access() {
    std::vector<std::unique_ptr<RandomAccess>> clones;
    std::vector<RandomAccess*> accesses;
    for (RandomAccess* access : accesses_) {
        clones.push_back(access->clone_access());
        if (!clones.back()) return nullptr;
        accesses.push_back(clones.back().get());
    }
    auto clone = std::make_unique<ComposedAccess>(composition_, accesses);
    clone->owned_ = std::move(clones);
    return clone;
}

int ComposedAccess::threads() const {
    return accesses_.front()->threads();
}

DecodeCounters ComposedAccess::counters() const {
    DecodeCounters sum;
    for (const RandomAccess* access : accesses_) sum += access->counters();
    return sum;
}

}  // namespace reelstore
