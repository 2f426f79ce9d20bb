#include "store/selected_frames.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <string>

#include "store/file_recording.h"
#include "tests/store/store_fixture.h"

using namespace reelstore;

namespace {

using Limits = std::numeric_limits<int64_t>;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

/// Frames with these numbers and times; some have extra data.
class Listed : public FrameSource, public RandomAccess {
public:
    explicit Listed(std::vector<FrameStamp> stamps) : stamps_(std::move(stamps)) { info_.name = "listed"; }
    const SourceInfo& info() const override { return info_; }
    std::optional<Frame> next() override { return std::nullopt; }
    RandomAccess* random_access() override { return this; }
    int64_t frame_count() const override { return static_cast<int64_t>(stamps_.size()); }
    Frame at_index(int64_t index) override {
        Frame frame;
        frame.image = cv::Mat::zeros(4, 4, CV_8U);
        frame.index = index;
        return frame;
    }
    FrameStamp stamp(int64_t index) override { return stamps_.at(static_cast<size_t>(index)); }
    std::vector<Json> extra_data_of(int64_t index) override {
        return std::vector<Json>(static_cast<size_t>(index % 3), Json{{"value", index}});
    }

private:
    std::vector<FrameStamp> stamps_;
    SourceInfo info_;
};

/// All ways to read a selection give these frames.
void check_frames(FileRecording& recording, const FrameSelection& selection, const std::vector<int64_t>& expected) {
    std::vector<int64_t> rows;
    visit_rows(recording, selection, [&](const FrameRow& row) {
        rows.push_back(row.index);
        return true;
    });
    CHECK(rows == expected);
    if (const auto count = selection.within(0, recording.frame_count()).count())
        CHECK(*count == static_cast<int64_t>(expected.size()));

    std::vector<int64_t> with_records;
    for (const int64_t index : expected) with_records.insert(with_records.end(), static_cast<size_t>(index % 3), index);
    std::vector<int64_t> records;
    int64_t wrong = 0;
    visit_extra_data(recording, selection, [&](const ExtraRecord& record, const FrameRow& row) {
        records.push_back(record.frame_index);
        if (row.index != record.frame_index || record.data["value"] != row.index ||
            row.number != recording.row(row.index)->number)
            ++wrong;
        return true;
    });
    CHECK(records == with_records);
    CHECK(wrong == 0);

    SelectedFrames frames(recording, selection);
    std::vector<int64_t> read;
    while (const std::optional<Frame> frame = frames.next()) read.push_back(frame->index);
    CHECK(read == expected);
}

FileRecording recording_of(std::vector<FrameStamp> stamps) {
    return FileRecording("listed", std::make_unique<Listed>(std::move(stamps)));
}

std::vector<FrameStamp> numbered(int64_t count, const std::function<int64_t(int64_t)>& number) {
    std::vector<FrameStamp> stamps;
    for (int64_t i = 0; i < count; ++i) stamps.push_back({number(i), static_cast<double>(i)});
    return stamps;
}

std::vector<FrameStamp> timed(int64_t count, const std::function<double(int64_t)>& time) {
    std::vector<FrameStamp> stamps;
    for (int64_t i = 0; i < count; ++i) stamps.push_back({i, time(i)});
    return stamps;
}

constexpr int64_t kCount = 9000;  // several blocks of rows

}  // namespace

TEST_CASE("frames selected by number are those whose number lies in the range, in any order of numbers") {
    std::mt19937_64 random(5);
    const std::vector<std::function<int64_t(int64_t)>> courses = {
        [](int64_t i) { return i * 2 - 7000; },    // ascending, negative ones too
        [](int64_t i) { return (i * 3) % 4096; },  // wraps
        [](int64_t i) { return i / 5; },           // repeats
        [](int64_t i) { return -i; },              // runs backwards
        [&](int64_t) { return static_cast<int64_t>(random() % 5000) - 2500; },
        [](int64_t i) { return i % 7 == 0   ? Limits::min()
                               : i % 7 == 1 ? Limits::max()
                                            : i; },
    };
    for (size_t course = 0; course < courses.size(); ++course) {
        CAPTURE(course);
        const std::vector<FrameStamp> stamps = numbered(kCount, courses[course]);
        FileRecording recording = recording_of(stamps);
        std::vector<std::pair<std::optional<int64_t>, std::optional<int64_t>>> ranges = {
            {std::nullopt, std::nullopt},
            {std::nullopt, Limits::min()},
            {Limits::max(), std::nullopt},
            {Limits::min(), Limits::max()},
            {100, 100},
            {200, 100},
            {-3, 4},
            {std::nullopt, 0},
            {4000, std::nullopt},
        };
        for (int i = 0; i < 6; ++i) {
            const int64_t first = static_cast<int64_t>(random() % 20000) - 10000;
            ranges.emplace_back(first, first + static_cast<int64_t>(random() % 500));
        }
        for (const auto& [first, last] : ranges) {
            CAPTURE(first.value_or(-1));
            CAPTURE(last.value_or(-1));
            std::vector<int64_t> expected;
            for (int64_t i = 0; i < kCount; ++i) {
                const int64_t number = stamps[static_cast<size_t>(i)].number;
                if ((!first || number >= *first) && (!last || number < *last)) expected.push_back(i);
            }
            check_frames(recording, frames_with_numbers(recording, first, last), expected);
        }
    }
}

TEST_CASE("frames selected by time are those whose time lies in the range; those without a time never are") {
    const std::vector<std::function<double(int64_t)>> courses = {
        [](int64_t i) { return static_cast<double>(i) / 8; },
        [](int64_t i) { return static_cast<double>(i % 4000); },  // the clock steps back
        [](int64_t i) { return static_cast<double>(i / 4); },     // equal ones
        [](int64_t i) { return i % 10 == 3 ? kNone : static_cast<double>(i); },
        [](int64_t i) { return i < 3            ? -kInfinity
                               : i > kCount - 3 ? kInfinity
                                                : static_cast<double>(i) - 4000; },
        [](int64_t i) { return i < 5000 ? -0.0 : 0.0; },
        [](int64_t) { return kNone; },
    };
    const std::vector<std::pair<std::optional<double>, std::optional<double>>> ranges = {
        {std::nullopt, std::nullopt},
        {std::nullopt, 0.0},
        {-0.0, 1.0},
        {0.0, std::nullopt},
        {100.0, 100.0},
        {300.0, 200.0},
        {17.5, 620.25},
        {-50.0, -1.0},
        {1e300, std::nullopt},
        {std::nullopt, -1e300},
    };
    for (size_t course = 0; course < courses.size(); ++course) {
        CAPTURE(course);
        const std::vector<FrameStamp> stamps = timed(kCount, courses[course]);
        FileRecording recording = recording_of(stamps);
        for (const auto& [first, last] : ranges) {
            CAPTURE(first.value_or(-1));
            CAPTURE(last.value_or(-1));
            std::vector<int64_t> expected;
            for (int64_t i = 0; i < kCount; ++i) {
                const double time = stamps[static_cast<size_t>(i)].time;
                if (!std::isnan(time) && (!first || time >= *first) && (!last || time < *last)) expected.push_back(i);
            }
            check_frames(recording, frames_with_times(recording, first, last), expected);
        }
    }
}

TEST_CASE("steps count from the beginning of each run, and parts of a selection keep them") {
    FileRecording recording = recording_of(numbered(kCount, [](int64_t i) { return i; }));
    for (const int64_t step : {int64_t{1}, int64_t{3}, int64_t{63}, int64_t{64}, int64_t{1000}, Limits::max()}) {
        CAPTURE(step);
        const FrameSelection selection{{{5, 400}, {402, 403}, {5000, 20000}}, step};
        std::vector<int64_t> expected;
        const int64_t stride = std::min<int64_t>(step, 100000);
        for (const auto& [first, last] : {std::pair(5, 400), std::pair(402, 403), std::pair(5000, 9000)}) {
            for (int64_t i = first; i < last; i += stride) expected.push_back(i);
        }
        check_frames(recording, selection.within(0, kCount), expected);
        std::vector<int64_t> part;
        for (const int64_t index : expected) {
            if (index >= 100 && index < 6000) part.push_back(index);
        }
        if (step <= 1000) check_frames(recording, selection.within(100, 6000), part);
    }
    check_frames(recording, {}, {});
    check_frames(recording, {{{kCount, kCount + 5}}}, {});
}

TEST_CASE("a selection is read no further when the visitor has enough") {
    FileRecording recording = recording_of(numbered(kCount, [](int64_t i) { return i % 100; }));
    int64_t visits = 0;
    visit_rows(recording, {{{0, 10}, {20, 30}}}, [&](const FrameRow&) { return ++visits < 12; });
    CHECK(visits == 12);
    visits = 0;
    visit_rows(recording, {{{0, 1000}, {2000, 3000}}, 100}, [&](const FrameRow&) { return ++visits < 5; });
    CHECK(visits == 5);
    visits = 0;
    visit_extra_data(recording, {{{0, 10}, {20, 30}}},
                     [&](const ExtraRecord&, const FrameRow&) { return ++visits < 11; });
    CHECK(visits == 11);
}
