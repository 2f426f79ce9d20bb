#include "store/align.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <map>
#include <string>
#include <utility>

#include "base/error.h"

namespace reelstore {
namespace {

constexpr int64_t kBlockRows = 1024;
constexpr double kNoTime = std::numeric_limits<double>::quiet_NaN();

/// The rows of a store in order of index, some at a time.
class RowStream {
public:
    explicit RowStream(const Recording& store) : store_(&store) {}

    std::optional<FrameRow> next() {
        if (place_ == block_.size()) {
            place_ = 0;
            block_.clear();
            store_->visit_rows(next_index_, next_index_ + kBlockRows, [&](const FrameRow& row) {
                block_.push_back(row);
                return true;
            });
            next_index_ += kBlockRows;
        }
        return place_ < block_.size() ? std::optional(block_[place_++]) : std::nullopt;
    }

private:
    const Recording* store_;
    std::vector<FrameRow> block_;
    size_t place_ = 0;
    int64_t next_index_ = 0;
};

/// The first frame of every number of a store in order of number, where numbers do not ascend: those of the next range
/// of numbers are gathered in one pass over the rows that may have one, as many as memory allows.
class SortedNumbers {
public:
    explicit SortedNumbers(const Recording& store) : store_(&store) {}

    std::optional<FrameRow> next() {
        if (found_.empty() && !gather()) return std::nullopt;
        const FrameRow row = found_.begin()->second;
        found_.erase(found_.begin());
        return row;
    }

private:
    static constexpr size_t kMostRows = size_t{1} << 17;
    static constexpr int64_t kHighest = std::numeric_limits<int64_t>::max();

    bool gather() {
        while (found_.empty()) {
            const std::optional<FrameRow> lowest =
                low_ ? store_->find_number(*low_, Match::next) : std::optional<FrameRow>();
            if (!lowest) return false;
            low_ = lowest->number;
            int64_t high = *low_ > kHighest - span_ ? kHighest : *low_ + span_;
            for (const IndexRun& run : store_->runs_of_numbers(*low_, high)) {
                store_->visit_rows(run.first, run.last, [&](const FrameRow& row) {
                    if (row.number < *low_ || row.number > high) return true;
                    found_.try_emplace(row.number, row);
                    if (found_.size() > kMostRows) {
                        found_.erase(std::prev(found_.end()));
                        high = found_.rbegin()->first;
                    }
                    return true;
                });
            }
            if (found_.size() < kMostRows / 2) span_ = span_ > kHighest / 4 ? kHighest : span_ * 4;
            low_ = high == kHighest ? std::nullopt : std::optional(high + 1);
        }
        return true;
    }

    const Recording* store_;
    std::map<int64_t, FrameRow> found_;
    std::optional<int64_t> low_ = std::numeric_limits<int64_t>::min();  ///< not gathered yet; nothing: all are
    int64_t span_ = kMostRows;
};

/// Walks through a store's frames in order of their numbers; of a repeated number only the first frame counts.
class NumberCursor {
public:
    explicit NumberCursor(const Recording& store) : rows_(store) {
        if (!store.numbers_ascend()) sorted_.emplace(store);
        current_ = sorted_ ? sorted_->next() : rows_.next();
    }

    const std::optional<FrameRow>& current() const { return current_; }
    /// The frame before current() in order of number.
    const std::optional<FrameRow>& previous() const { return previous_; }

    void advance() {
        previous_ = current_;
        if (sorted_) {
            current_ = sorted_->next();
            return;
        }
        do {
            current_ = rows_.next();
        } while (current_ && current_->number == previous_->number);
    }

private:
    RowStream rows_;
    std::optional<SortedNumbers> sorted_;
    std::optional<FrameRow> current_;
    std::optional<FrameRow> previous_;
};

}  // namespace

struct StoreAligner::Impl {
    Impl(std::vector<Recording*> readers, const AlignOptions& align_options)
        : stores(check(std::move(readers), align_options)), options(align_options), first_rows(*stores[0]) {
        if (options.by_time) return;
        for (const Recording* store : stores) cursors.emplace_back(*store);
    }

    static std::vector<Recording*> check(std::vector<Recording*> readers, const AlignOptions& options) {
        if (readers.size() < 2)
            throw Error(ErrorCode::invalid_argument,
                        "aligning needs two stores or more, not " + std::to_string(readers.size()));
        if (std::find(readers.begin(), readers.end(), nullptr) != readers.end())
            throw Error(ErrorCode::invalid_argument, "one of the stores to align is null");
        if (!(options.tolerance >= 0))
            throw Error(ErrorCode::invalid_argument, "the tolerance for aligning must be zero or more seconds");
        return readers;
    }

    AlignedRow make_row(int64_t number, double time) const {
        return {number, time, std::vector<std::optional<FrameRow>>(stores.size()), std::vector<bool>(stores.size())};
    }

    std::optional<AlignedRow> next_by_number() {
        while (true) {
            std::optional<int64_t> number;
            bool any_ended = false;
            for (const NumberCursor& cursor : cursors) {
                if (!cursor.current())
                    any_ended = true;
                else
                    number = std::min(number.value_or(cursor.current()->number), cursor.current()->number);
            }
            if (!number || (any_ended && options.policy == AlignPolicy::drop)) return std::nullopt;

            AlignedRow row = make_row(*number, kNoTime);
            bool first = true;
            bool complete = true;
            for (size_t i = 0; i < cursors.size(); ++i) {
                NumberCursor& cursor = cursors[i];
                if (cursor.current() && cursor.current()->number == *number) {
                    row.frames[i] = cursor.current();
                    if (std::exchange(first, false)) row.time = cursor.current()->time;
                    cursor.advance();
                    continue;
                }
                complete = false;
                if (options.policy != AlignPolicy::hold) continue;
                row.frames[i] = cursor.previous();
                row.held[i] = cursor.previous().has_value();
            }
            if (complete || options.policy != AlignPolicy::drop) return row;
        }
    }

    std::optional<AlignedRow> next_by_time() {
        while (const auto first = first_rows.next()) {
            AlignedRow row = make_row(first->number, first->time);
            row.frames[0] = first;
            bool complete = true;
            for (size_t i = 1; i < stores.size(); ++i) {
                if (!std::isfinite(first->time)) {
                    complete = false;
                    continue;
                }
                const auto nearest = stores[i]->find_time(first->time, Match::nearest);
                if (nearest && std::abs(nearest->time - first->time) <= options.tolerance) {
                    row.frames[i] = nearest;
                    continue;
                }
                complete = false;
                if (options.policy != AlignPolicy::hold) continue;
                row.frames[i] = stores[i]->find_time(first->time, Match::previous);
                row.held[i] = row.frames[i].has_value();
            }
            if (complete || options.policy != AlignPolicy::drop) return row;
        }
        return std::nullopt;
    }

    std::vector<Recording*> stores;
    AlignOptions options;
    RowStream first_rows;               // by time
    std::vector<NumberCursor> cursors;  // by number
};

StoreAligner::StoreAligner(std::vector<Recording*> stores, const AlignOptions& options)
    : impl_(std::make_unique<Impl>(std::move(stores), options)) {}

StoreAligner::~StoreAligner() = default;

std::optional<AlignedRow> StoreAligner::next_row() {
    return impl_->options.by_time ? impl_->next_by_time() : impl_->next_by_number();
}

std::vector<Frame> StoreAligner::frames(const AlignedRow& row) {
    if (row.frames.size() != impl_->stores.size())
        throw Error(ErrorCode::invalid_argument, "the row to show comes from an aligner of other stores");
    std::vector<Frame> frames;
    for (size_t i = 0; i < row.frames.size(); ++i) {
        Recording& store = *impl_->stores[i];
        if (row.frames[i]) {
            frames.push_back(store.at_index(row.frames[i]->index));
            continue;
        }
        const ImageType& type = store.info().image_type;
        Frame black;
        black.image = cv::Mat::zeros(type.height, type.width, type.cv_type());
        black.index = -1;
        black.number = row.number;
        frames.push_back(std::move(black));
    }
    return frames;
}

std::optional<AlignPolicy> parse_align_policy(std::string_view word) {
    if (word == "drop") return AlignPolicy::drop;
    if (word == "hold") return AlignPolicy::hold;
    if (word == "black") return AlignPolicy::black;
    return std::nullopt;
}

}  // namespace reelstore
