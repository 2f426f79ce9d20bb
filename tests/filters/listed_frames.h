#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/frame_source.h"
#include "base/numbered_frames.h"

namespace reelstore {

/// What a source of test images holds.
struct FrameList {
    std::string name = "listed";
    ImageType type{4, 32, 1, CV_8U};
    int first_image = 0;                  ///< number in the pixels of its first frame; the others follow one by one
    std::vector<FrameStamp> stamps = {};  ///< one for each frame
    std::set<int64_t> damaged = {};       ///< frames that cannot be read
    std::optional<double> frame_rate = {};
    bool in_any_order = true;
    bool rewinds = true;
    bool has_times = true;
    bool knows_type = true;
    int64_t group = 1;  ///< frames of one entry
    /// What will_read() was told; null: it is not kept.
    std::shared_ptr<std::vector<std::vector<int64_t>>> announced = {};
};

/// Numbered images, with a record of extra data for every third one.
class ListedFrames : public FrameSource, public RandomAccess {
public:
    explicit ListedFrames(FrameList list) : list_(std::move(list)) {
        info_.name = list_.name;
        if (list_.knows_type) info_.image_type = list_.type;
        if (list_.in_any_order) info_.frame_count = frame_count();
        info_.frame_rate = list_.frame_rate;
        info_.has_numbers = true;
        info_.has_times = list_.has_times;
    }

    const SourceInfo& info() const override { return info_; }
    std::optional<Frame> next() override {
        if (next_ >= frame_count()) return std::nullopt;
        return at_index(next_++);
    }
    bool rewind() override {
        if (list_.rewinds) next_ = 0;
        return list_.rewinds;
    }
    RandomAccess* random_access() override { return list_.in_any_order ? this : nullptr; }
    std::vector<Json> extra_data() override { return extra_data_of(next_ - 1); }

    int64_t frame_count() const override { return static_cast<int64_t>(list_.stamps.size()); }
    Frame at_index(int64_t index) override {
        if (index < 0 || index >= frame_count()) throw Error(ErrorCode::invalid_argument, "no such frame");
        if (list_.damaged.count(index) > 0) throw Error(ErrorCode::corrupt, "is damaged");
        Frame frame;
        frame.image = make_numbered_image(list_.type, list_.first_image + static_cast<int>(index));
        frame.index = index;
        frame.number = stamp(index).number;
        frame.time = stamp(index).time;
        return frame;
    }
    FrameStamp stamp(int64_t index) override { return list_.stamps[static_cast<size_t>(index)]; }
    std::vector<Json> extra_data_of(int64_t index) override {
        if (index % 3 != 0) return {};
        return {{{"image", list_.first_image + index}}};
    }
    int64_t entry_of(int64_t index) override { return index - index % list_.group; }
    void will_read(std::span<const int64_t> indices) override {
        if (list_.announced) list_.announced->emplace_back(indices.begin(), indices.end());
    }
    std::unique_ptr<RandomAccess> clone_access() override { return std::make_unique<ListedFrames>(list_); }

private:
    FrameList list_;
    SourceInfo info_;
    int64_t next_ = 0;
};

/// Numbers from `first` on and times of so many frames a second from `start` on.
inline std::vector<FrameStamp> even_stamps(int64_t count, double rate, double start = 0, int64_t first = 0) {
    std::vector<FrameStamp> stamps;
    for (int64_t i = 0; i < count; ++i) stamps.push_back({first + i, start + static_cast<double>(i) / rate});
    return stamps;
}

}  // namespace reelstore
