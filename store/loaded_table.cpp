#include "store/loaded_table.h"

#include <algorithm>

#include "base/error.h"

namespace reelstore {

namespace {

/// Frames of chunks kept together: 16 bytes each; and chunks, however small they are.
constexpr size_t kKeptFrames = size_t{2} << 20;
constexpr size_t kKeptChunks = 256;

bool same_summary(const ChunkRow& a, const ChunkRow& b) {
    return a.frame_count == b.frame_count && a.numbers_ascending == b.numbers_ascending &&
           a.times_ascending == b.times_ascending && a.time_min == b.time_min && a.time_max == b.time_max &&
           (a.frame_count == 0 || (a.number_min == b.number_min && a.number_max == b.number_max));
}

}  // namespace

template <typename Value>
class LoadedTable::Column : public LookupColumn<Value> {
public:
    using Part = TablePart<Value>;
    static constexpr bool kIsTime = std::is_same_v<Value, double>;

    explicit Column(const LoadedTable& table) : table_(table) {
        for (const ChunkRow& chunk : table.chunks_) {
            const std::optional<Part> part = part_of(chunk);
            // A chunk whose frames have no time at all leaves nothing to be found there, and a gap in the order.
            if (chunk.frame_count > 0 && !part) gap_ = true;
            if (part) parts_.push_back(*part);
        }
        if (parts_.empty()) return;
        whole_ = Part{.level = 1, .minimum = parts_.front().minimum, .maximum = parts_.front().maximum};
        whole_->ascending = !gap_;
        Value last = LookupColumn<Value>::kLowest;
        for (const Part& part : parts_) {
            whole_->ascending = whole_->ascending && part.ascending && part.minimum >= last;
            whole_->minimum = std::min(whole_->minimum, part.minimum);
            whole_->maximum = std::max(whole_->maximum, part.maximum);
            last = part.maximum;
        }
    }

    int64_t frame_count() const override { return table_.frame_count(); }
    std::optional<Part> whole() const override { return whole_; }

    std::vector<Part> parts(const Part& part, Value low, Value high, int64_t limit) const override {
        std::vector<Part> found;
        auto next = parts_.begin();
        if (part.ascending) {
            next = std::lower_bound(parts_.begin(), parts_.end(), low,
                                    [](const Part& one, Value value) { return one.maximum < value; });
        }
        for (; next != parts_.end() && static_cast<int64_t>(found.size()) < limit; ++next) {
            if (next->maximum >= low && next->minimum <= high) found.push_back(*next);
        }
        return found;
    }

    Value value(int64_t index) const override {
        const size_t place = table_.place_of(index);
        ++table_.counters_.rows_read;
        return values(*table_.rows(place))[static_cast<size_t>(index - table_.chunks_[place].first_index)];
    }

    std::optional<int64_t> scan_for(const Part& chunk, Value value) const override {
        const auto rows = rows_of(chunk);
        const std::vector<Value>& all = values(*rows);
        const auto found = std::find(all.begin(), all.end(), value);
        return found == all.end() ? std::nullopt : std::optional(chunk.first_index + (found - all.begin()));
    }
    std::optional<Value> scan_below(const Part& chunk, Value limit) const override {
        std::optional<Value> best;
        const auto rows = rows_of(chunk);
        for (const Value value : values(*rows)) {
            if (value <= limit && (!best || value > *best)) best = value;
        }
        return best;
    }
    std::optional<Value> scan_above(const Part& chunk, Value limit) const override {
        std::optional<Value> best;
        const auto rows = rows_of(chunk);
        for (const Value value : values(*rows)) {
            if (value >= limit && (!best || value < *best)) best = value;
        }
        return best;
    }

    [[noreturn]] void contradiction(int64_t chunk) const override {
        throw Error(ErrorCode::corrupt, {table_.name_, chunk < 0 ? std::nullopt : std::optional(chunk), {}},
                    "numbers and times have changed since it was opened; open it again");
    }

private:
    static std::optional<Part> part_of(const ChunkRow& chunk) {
        Part part{.level = 0, .place = chunk.chunk, .first_index = chunk.first_index, .frame_count = chunk.frame_count};
        if constexpr (kIsTime) {
            if (!chunk.time_min || !chunk.time_max) return std::nullopt;
            part.minimum = *chunk.time_min;
            part.maximum = *chunk.time_max;
            part.ascending = chunk.times_ascending;
        } else {
            if (chunk.frame_count == 0) return std::nullopt;
            part.minimum = chunk.number_min;
            part.maximum = chunk.number_max;
            part.ascending = chunk.numbers_ascending;
        }
        return part;
    }

    static const std::vector<Value>& values(const ChunkSidecar& rows) {
        if constexpr (kIsTime) {
            return rows.times;
        } else {
            return rows.numbers;
        }
    }

    std::shared_ptr<const ChunkSidecar> rows_of(const Part& chunk) const {
        table_.counters_.rows_read += chunk.frame_count;
        return table_.rows(table_.place_of(chunk.first_index));
    }

    const LoadedTable& table_;
    std::vector<Part> parts_;
    std::optional<Part> whole_;
    bool gap_ = false;
};

LoadedTable::LoadedTable(std::string name, std::vector<ChunkRow> chunks, Load load)
    : name_(std::move(name)), chunks_(std::move(chunks)), load_(std::move(load)) {
    int64_t next = 0;
    for (ChunkRow& chunk : chunks_) {
        chunk.first_index = next;
        next = chunk.end_index();
    }
    numbers_ = std::make_unique<Column<int64_t>>(*this);
    times_ = std::make_unique<Column<double>>(*this);
}

LoadedTable::~LoadedTable() = default;

int64_t LoadedTable::frame_count() const {
    return chunks_.empty() ? 0 : chunks_.back().end_index();
}

std::optional<ChunkRow> LoadedTable::find_chunk(int64_t chunk) const {
    const auto found = std::lower_bound(chunks_.begin(), chunks_.end(), chunk,
                                        [](const ChunkRow& row, int64_t number) { return row.chunk < number; });
    return found != chunks_.end() && found->chunk == chunk ? std::optional(*found) : std::nullopt;
}

std::optional<ChunkRow> LoadedTable::chunk_at(int64_t index) const {
    if (index < 0 || index >= frame_count()) return std::nullopt;
    return chunks_[place_of(index)];
}

std::optional<ChunkRow> LoadedTable::last_chunk() const {
    return chunks_.empty() ? std::nullopt : std::optional(chunks_.back());
}

void LoadedTable::visit_chunks(const std::function<bool(const ChunkRow&)>& visit) const {
    for (const ChunkRow& chunk : chunks_) {
        if (!visit(chunk)) return;
    }
}

size_t LoadedTable::place_of(int64_t index) const {
    const auto behind = std::upper_bound(chunks_.begin(), chunks_.end(), index,
                                         [](int64_t i, const ChunkRow& chunk) { return i < chunk.first_index; });
    return static_cast<size_t>(behind - chunks_.begin()) - 1;
}

std::shared_ptr<const ChunkSidecar> LoadedTable::rows(size_t place) const {
    const auto found =
        std::find_if(kept_.begin(), kept_.end(), [&](const auto& entry) { return entry.first == place; });
    if (found != kept_.end()) {
        kept_.splice(kept_.begin(), kept_, found);
        return kept_.front().second;
    }
    const ChunkRow& chunk = chunks_[place];
    auto loaded = std::make_shared<const ChunkSidecar>(load_(chunk));
    // Lookups go by the summary.
    if (loaded->times.size() != loaded->numbers.size() || !same_summary(summary_of(chunk.chunk, *loaded), chunk))
        numbers_->contradiction(chunk.chunk);
    size_t frames = loaded->numbers.size();
    for (const auto& [other, rows] : kept_) frames += rows->numbers.size();
    while (!kept_.empty() && (frames > kKeptFrames || kept_.size() >= kKeptChunks)) {
        frames -= kept_.back().second->numbers.size();
        kept_.pop_back();
    }
    kept_.emplace_front(place, loaded);
    return loaded;
}

std::optional<FrameRow> LoadedTable::row(int64_t index) const {
    if (index < 0 || index >= frame_count()) return std::nullopt;
    const size_t place = place_of(index);
    const ChunkRow& chunk = chunks_[place];
    const std::shared_ptr<const ChunkSidecar> values = rows(place);
    const auto position = static_cast<size_t>(index - chunk.first_index);
    ++counters_.rows_read;
    return FrameRow{index, values->numbers[position], values->times[position], chunk.chunk, index - chunk.first_index};
}

void LoadedTable::visit_rows(int64_t first, int64_t last, const std::function<bool(const FrameRow&)>& visit) const {
    first = std::max<int64_t>(first, 0);
    last = std::min(last, frame_count());
    while (first < last) {
        const size_t place = place_of(first);
        const ChunkRow& chunk = chunks_[place];
        const std::shared_ptr<const ChunkSidecar> values = rows(place);
        for (const int64_t end = std::min(last, chunk.end_index()); first < end; ++first) {
            const auto position = static_cast<size_t>(first - chunk.first_index);
            ++counters_.rows_read;
            if (!visit({first, values->numbers[position], values->times[position], chunk.chunk,
                        first - chunk.first_index}))
                return;
        }
    }
}

const LookupColumn<int64_t>& LoadedTable::numbers() const {
    return *numbers_;
}

const LookupColumn<double>& LoadedTable::times() const {
    return *times_;
}

ChunkRow summary_of(int64_t chunk, const ChunkSidecar& frames) {
    ChunkRow row;
    row.chunk = chunk;
    ChunkSummary summary(row);
    for (size_t i = 0; i < frames.numbers.size(); ++i) summary.add(frames.numbers[i], frames.times[i]);
    return row;
}

}  // namespace reelstore
