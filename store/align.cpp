#include "store/align.h"

#include <algorithm>
#include <cmath>
#include <limits>
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

/// Walks through a store's frames in order of their numbers; of a repeated number only the first frame counts.
class NumberCursor {
public:
    explicit NumberCursor(const Recording& store)
        : store_(&store), rows_(store), sorted_by_lookup_(!store.numbers_ascend()) {
        constexpr int64_t kLowest = std::numeric_limits<int64_t>::min();
        current_ = sorted_by_lookup_ ? store_->find_number(kLowest, Match::next) : rows_.next();
    }

    const std::optional<FrameRow>& current() const { return current_; }
    /// The frame before current() in order of number.
    const std::optional<FrameRow>& previous() const { return previous_; }

    void advance() {
        previous_ = current_;
        const int64_t number = current_->number;
        if (!sorted_by_lookup_) {
            do {
                current_ = rows_.next();
            } while (current_ && current_->number == number);
        } else if (number == std::numeric_limits<int64_t>::max()) {
            current_.reset();
        } else {
            current_ = store_->find_number(number + 1, Match::next);
        }
    }

private:
    const Recording* store_;
    RowStream rows_;
    bool sorted_by_lookup_;
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
