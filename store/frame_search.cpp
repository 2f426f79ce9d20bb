#include "store/frame_search.h"

#include <algorithm>
#include <cmath>

namespace reelstore {

namespace {

/// Guesses from the values at both ends; after that many the interval is halved, which no distribution of values can
/// make slow.
constexpr int kGuesses = 4;
constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

/// Distance of two values; of integers without overflow.
uint64_t distance(int64_t a, int64_t b) {
    return static_cast<uint64_t>(std::max(a, b)) - static_cast<uint64_t>(std::min(a, b));
}
double distance(double a, double b) {
    return std::abs(a - b);
}

template <typename Value>
class Search {
public:
    using Column = LookupColumn<Value>;
    using Part = TablePart<Value>;

    explicit Search(const Column& column) : column_(column) {}

    std::optional<int64_t> find(Value target, Match match) const {
        const std::optional<Part> whole = column_.whole();
        if (!whole) return std::nullopt;
        if (whole->ascending) return find_ascending(*whole, target, match);
        if (match == Match::exact) return first_with(*whole, target);
        if (match == Match::previous) return first_with_some(*whole, largest_not_above(*whole, target));
        if (match == Match::next) return first_with_some(*whole, smallest_not_below(*whole, target));
        const std::optional<Value> below = largest_not_above(*whole, target);
        const std::optional<Value> above = smallest_not_below(*whole, target);
        if (!below || !above) return first_with_some(*whole, below ? below : above);
        if (distance(*below, target) < distance(*above, target)) return first_with(*whole, *below);
        if (distance(*above, target) < distance(*below, target)) return first_with(*whole, *above);
        const std::optional<int64_t> first_below = first_with(*whole, *below);
        const std::optional<int64_t> first_above = first_with(*whole, *above);
        if (!first_below || !first_above) return first_below ? first_below : first_above;
        return std::min(*first_below, *first_above);
    }

    std::vector<IndexRun> runs(Value low, Value high) const {
        std::vector<IndexRun> found;
        const std::optional<Part> whole = column_.whole();
        if (whole && low <= high) add_runs(*whole, low, high, found);
        return found;
    }

private:
    // ---- where values ascend throughout

    /// First frame whose value is not below `limit`, with its value; frame_count() if there is none.
    struct Place {
        int64_t index;
        std::optional<Value> value;
    };

    Place lower_bound(const Part& whole, Value limit) const {
        if (limit > whole.maximum) return {column_.frame_count(), std::nullopt};
        Part part = whole;
        while (part.level > 0) {
            const std::vector<Part> children = column_.parts(part, limit, Column::kHighest, 1);
            if (children.empty()) column_.contradiction(-1);
            part = children.front();
        }
        const int64_t index = lower_bound_in(part, limit);
        if (index == part.end_index()) column_.contradiction(part.place);
        return {index, column_.value(index)};
    }

    std::optional<int64_t> find_ascending(const Part& whole, Value target, Match match) const {
        const Place next = lower_bound(whole, target);
        // With the neighbour below, the answer is proved whatever the summaries say.
        std::optional<Value> before;
        if (next.index > 0 && next.index > column_.first_index()) before = column_.value(next.index - 1);
        if (before && !(*before < target)) column_.contradiction(-1);
        if (next.value && *next.value == target) return next.index;
        if (match == Match::exact) return std::nullopt;
        const std::optional<int64_t> above = next.value ? std::optional(next.index) : std::nullopt;
        if (match == Match::next) return above;
        if (!before) return match == Match::nearest ? above : std::nullopt;
        if (match == Match::nearest && next.value && distance(*next.value, target) < distance(*before, target))
            return above;
        return first_of(whole, next.index - 1, *before);
    }

    /// The first frame with the value of the frame at `index`.
    int64_t first_of(const Part& whole, int64_t index, Value value) const {
        if (index <= column_.first_index() || column_.value(index - 1) < value) return index;
        const Place first = lower_bound(whole, value);
        if (!first.value || *first.value != value) column_.contradiction(-1);
        return first.index;
    }

    /// First frame of an ascending chunk whose value is not below `limit`; the chunk's end if there is none.
    int64_t lower_bound_in(const Part& chunk, Value limit) const {
        int64_t first = chunk.first_index;
        int64_t last = chunk.end_index();
        Value low = chunk.minimum;
        Value high = chunk.maximum;
        for (int guesses = 0; first < last; ++guesses) {
            const int64_t middle =
                guesses < kGuesses ? guess(first, last, low, high, limit) : first + (last - first) / 2;
            const Value value = column_.value(middle);
            if (value < limit) {
                first = middle + 1;
                low = value;
            } else {
                last = middle;
                high = value;
            }
        }
        return first;
    }

    /// Where `limit` is if values rise evenly; a frame from first to last-1.
    static int64_t guess(int64_t first, int64_t last, Value low, Value high, Value limit) {
        const double span = static_cast<double>(high) - static_cast<double>(low);
        if (!(span > 0)) return first;
        const double part = (static_cast<double>(limit) - static_cast<double>(low)) / span;
        const double steps = part * static_cast<double>(last - first);
        if (!(steps > 0)) return first;
        return std::min(last - 1, first + static_cast<int64_t>(std::min(steps, static_cast<double>(last - first))));
    }

    // ---- in general

    std::optional<int64_t> first_with(const Part& part, Value value) const {
        if (value < part.minimum || value > part.maximum) return std::nullopt;
        if (part.level == 0) {
            if (!part.ascending) return column_.scan_for(part, value);
            const int64_t found = lower_bound_in(part, value);
            if (found == part.end_index()) column_.contradiction(part.place);
            return column_.value(found) == value ? std::optional(found) : std::nullopt;
        }
        for (const Part& child : column_.parts(part, value, value, kNoLimit)) {
            if (const std::optional<int64_t> found = first_with(child, value)) return found;
        }
        return std::nullopt;
    }

    std::optional<int64_t> first_with_some(const Part& whole, const std::optional<Value>& value) const {
        return value ? first_with(whole, *value) : std::nullopt;
    }

    std::optional<Value> largest_not_above(const Part& part, Value limit) const {
        std::optional<Value> best;
        improve_below(part, limit, best);
        return best;
    }

    void improve_below(const Part& part, Value limit, std::optional<Value>& best) const {
        if (part.minimum > limit || (best && std::min(part.maximum, limit) <= *best)) return;
        if (part.maximum <= limit) {
            best = part.maximum;
        } else if (part.level > 0) {
            // Parts that lie wholly below answer by themselves, which often spares a look into the others.
            const std::vector<Part> children = column_.parts(part, Column::kLowest, limit, kNoLimit);
            for (const Part& child : children) {
                if (child.maximum <= limit && (!best || child.maximum > *best)) best = child.maximum;
            }
            for (const Part& child : children) improve_below(child, limit, best);
        } else {
            std::optional<Value> found;
            if (part.ascending) {
                // The first that is above; it is there because the maximum is.
                const int64_t behind = upper_bound_in(part, limit);
                if (behind == part.first_index) column_.contradiction(part.place);
                found = column_.value(behind - 1);
            } else {
                found = column_.scan_below(part, limit);
            }
            if (found && (!best || *found > *best)) best = found;
        }
    }

    std::optional<Value> smallest_not_below(const Part& part, Value limit) const {
        std::optional<Value> best;
        improve_above(part, limit, best);
        return best;
    }

    void improve_above(const Part& part, Value limit, std::optional<Value>& best) const {
        if (part.maximum < limit || (best && std::max(part.minimum, limit) >= *best)) return;
        if (part.minimum >= limit) {
            best = part.minimum;
        } else if (part.level > 0) {
            const std::vector<Part> children = column_.parts(part, limit, Column::kHighest, kNoLimit);
            for (const Part& child : children) {
                if (child.minimum >= limit && (!best || child.minimum < *best)) best = child.minimum;
            }
            for (const Part& child : children) improve_above(child, limit, best);
        } else {
            std::optional<Value> found;
            if (part.ascending) {
                const int64_t index = lower_bound_in(part, limit);
                if (index == part.end_index()) column_.contradiction(part.place);
                found = column_.value(index);
            } else {
                found = column_.scan_above(part, limit);
            }
            if (found && (!best || *found < *best)) best = found;
        }
    }

    /// First frame of an ascending chunk whose value is above `limit`; the chunk's end if there is none.
    int64_t upper_bound_in(const Part& chunk, Value limit) const {
        const Value above = next_value(limit);
        return above == limit ? chunk.end_index() : lower_bound_in(chunk, above);
    }

    /// The smallest value that is above; itself where there is none.
    static Value next_value(Value value) {
        if constexpr (std::is_same_v<Value, double>) {
            return std::nextafter(value, std::numeric_limits<double>::infinity());
        } else {
            return value == Column::kHighest ? value : value + 1;
        }
    }

    void add_runs(const Part& part, Value low, Value high, std::vector<IndexRun>& runs) const {
        if (part.minimum > high || part.maximum < low) return;
        if (part.level > 0) {
            for (const Part& child : column_.parts(part, low, high, kNoLimit)) add_runs(child, low, high, runs);
            return;
        }
        IndexRun run{part.first_index, part.end_index()};
        if (part.ascending) {
            if (part.minimum < low) run.first = lower_bound_in(part, low);
            if (part.maximum > high) run.last = upper_bound_in(part, high);
        }
        if (run.first >= run.last) return;
        if (!runs.empty() && runs.back().last == run.first) {
            runs.back().last = run.last;
        } else {
            runs.push_back(run);
        }
    }

    const Column& column_;
};

}  // namespace

std::optional<int64_t> search_frames(const LookupColumn<int64_t>& column, int64_t target, Match match) {
    return Search(column).find(target, match);
}

std::optional<int64_t> search_frames(const LookupColumn<double>& column, double target, Match match) {
    return Search(column).find(target, match);
}

std::vector<IndexRun> search_runs(const LookupColumn<int64_t>& column, int64_t low, int64_t high) {
    return Search(column).runs(low, high);
}

std::vector<IndexRun> search_runs(const LookupColumn<double>& column, double low, double high) {
    return Search(column).runs(low, high);
}

}  // namespace reelstore
