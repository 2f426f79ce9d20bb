#include "filters/synchronized_frames.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <random>

#include <doctest/doctest.h>
#include <opencv2/core.hpp>

#include "base/error.h"
#include "base/filter.h"
#include "base/numbered_frames.h"
#include "base/parallel_reader.h"
#include "filters/filtered_source.h"
#include "tests/filters/listed_frames.h"
#include "tests/sanitized.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

constexpr int kNothing = -1;

/// The numbers of the images that belong together, kNothing for a blank.
cv::Mat numbers_of(std::span<const std::optional<Frame>> frames) {
    cv::Mat numbers(1, static_cast<int>(frames.size()), CV_32S);
    for (size_t i = 0; i < frames.size(); ++i)
        numbers.at<int>(static_cast<int>(i)) = frames[i] ? read_image_number(frames[i]->image).value() : kNothing;
    return numbers;
}

using Numbers = std::vector<int>;

Numbers numbers_in(const Frame& frame) {
    return {frame.image.begin<int>(), frame.image.end<int>()};
}

struct Setting {
    SyncOptions sync;
    std::vector<FrameList> lists;
    std::vector<double> offsets = {};
    std::vector<double> rates = {};
};

std::unique_ptr<FrameSource> composed(const Setting& setting, bool in_any_order) {
    std::vector<ComposedSource> sources;
    for (size_t i = 0; i < setting.lists.size(); ++i) {
        FrameList list = setting.lists[i];
        list.in_any_order = in_any_order;
        const double offset = i < setting.offsets.size() ? setting.offsets[i] : 0;
        const double rate = i < setting.rates.size() ? setting.rates[i] : 1;
        sources.push_back({std::make_unique<ListedFrames>(list), offset, rate});
    }
    return composed_source(std::move(sources), setting.sync, numbers_of);
}

/// What a follower shows, looked for among all of its frames: the position, kNothing for none, nothing for left out.
std::optional<int> expected_position(const Setting& setting, size_t source, int64_t leading) {
    const std::vector<FrameStamp>& first = setting.lists[0].stamps;
    const std::vector<FrameStamp>& own = setting.lists[source].stamps;
    const double offset = source < setting.offsets.size() ? setting.offsets[source] : 0;
    const double rate = source < setting.rates.size() ? setting.rates[source] : 1;
    const SyncOptions& sync = setting.sync;
    const auto key = [&](const std::vector<FrameStamp>& stamps, int64_t i) {
        return sync.by == SyncBy::index    ? double(i)
               : sync.by == SyncBy::number ? double(stamps[size_t(i)].number)
                                           : stamps[size_t(i)].time;
    };
    double wanted = key(first, leading) - offset;
    if (sync.by == SyncBy::index) wanted = std::floor(wanted * rate + 1e-6);
    if (sync.by == SyncBy::time && !own.empty()) wanted = own[0].time + (wanted - own[0].time) * rate;
    int nearest = kNothing;
    int before = kNothing;
    const auto count = int(own.size());
    for (int i = 0; i < count; ++i) {
        const double distance = std::abs(key(own, i) - wanted);
        if (nearest == kNothing || distance < std::abs(key(own, nearest) - wanted)) nearest = i;
        if (key(own, i) <= wanted && (before == kNothing || key(own, i) > key(own, before))) before = i;
    }
    const double tolerance = sync.by == SyncBy::time ? *sync.tolerance * rate + 1e-6 : 0;
    if (nearest != kNothing && std::abs(key(own, nearest) - wanted) <= tolerance) return nearest;
    if (sync.missing == MissingFrame::drop) return std::nullopt;
    if (sync.missing == MissingFrame::blank || count == 0) return kNothing;
    return std::max(before, 0);
}

/// The frames of a composition: which images they show, and the place of each in the first source.
std::vector<std::pair<Numbers, int64_t>> expected_frames(const Setting& setting) {
    std::vector<std::pair<Numbers, int64_t>> frames;
    for (int64_t i = 0; i < int64_t(setting.lists[0].stamps.size()); ++i) {
        Numbers numbers{setting.lists[0].first_image + int(i)};
        bool left_out = false;
        for (size_t source = 1; source < setting.lists.size(); ++source) {
            const std::optional<int> position = expected_position(setting, source, i);
            if (!position)
                left_out = true;
            else
                numbers.push_back(*position == kNothing ? kNothing : setting.lists[source].first_image + *position);
        }
        if (!left_out) frames.emplace_back(numbers, i);
    }
    return frames;
}

void check_everywhere(const Setting& setting, std::mt19937& random) {
    const auto expected = expected_frames(setting);
    const FrameList& first = setting.lists[0];
    const auto check = [&](const Frame& frame, size_t index) {
        CHECK(numbers_in(frame) == expected[index].first);
        CHECK(frame.index == int64_t(index));
        const FrameStamp& stamp = first.stamps[size_t(expected[index].second)];
        CHECK(frame.number == stamp.number);
        CHECK(frame.time == stamp.time);
    };
    for (const bool in_any_order : {false, true}) {
        CAPTURE(in_any_order);
        const auto source = composed(setting, in_any_order);
        if (in_any_order && source->random_access()) CHECK(source->info().frame_count == int64_t(expected.size()));
        for (int round = 0; round < 2; ++round) {
            for (size_t i = 0; i < expected.size(); ++i) {
                const std::optional<Frame> frame = source->next();
                REQUIRE(frame);
                check(*frame, i);
                const int64_t place = expected[i].second;
                CHECK(
                    source->extra_data() ==
                    (place % 3 == 0 ? std::vector<Json>{{{"image", first.first_image + place}}} : std::vector<Json>{}));
            }
            CHECK_FALSE(source->next());
            CHECK_FALSE(source->next());
            REQUIRE(source->rewind());
        }
        RandomAccess* const access = source->random_access();
        CHECK(!access ==
              (!in_any_order || (setting.sync.missing == MissingFrame::drop && setting.sync.by != SyncBy::index)));
        if (!access) continue;
        REQUIRE(access->frame_count() == int64_t(expected.size()));
        std::vector<int64_t> order(expected.size());
        std::iota(order.begin(), order.end(), 0);
        std::shuffle(order.begin(), order.end(), random);
        int64_t entry = 0;
        for (const int64_t index : order) {
            check(access->at_index(index), size_t(index));
            CHECK(access->stamp(index).number == first.stamps[size_t(expected[size_t(index)].second)].number);
            CHECK(access->extra_data_of(index).size() == (expected[size_t(index)].second % 3 == 0 ? 1 : 0));
        }
        for (size_t i = 0; i < expected.size(); ++i) {
            const int64_t own = access->entry_of(int64_t(i));
            CHECK(own >= entry);
            CHECK(own <= int64_t(i));
            entry = own;
        }
        const std::vector<Frame> frames = read_frames(*access, order, 3);
        for (size_t i = 0; i < order.size(); ++i) check(frames[i], size_t(order[i]));
        CHECK(error_of([&] { access->at_index(int64_t(expected.size())); }) == ErrorCode::invalid_argument);
        CHECK(error_of([&] { access->at_index(-1); }) == ErrorCode::invalid_argument);
    }
}

/// Numbers and times that ascend, with holes, and numbers that repeat. All times differ from those of other sources by
/// something else than what makes a tie.
FrameList random_list(int count, int first_image, std::mt19937& random) {
    FrameList list;
    list.name = "from " + std::to_string(first_image);
    list.first_image = first_image;
    std::discrete_distribution<int> steps({1, 12, 2, 1, 0, 0, 0, 1});
    std::uniform_real_distribution<double> jitter(-0.01, 0.01);
    int64_t number = 5 + int64_t(random() % 4);
    double time = 100 + jitter(random);
    for (int i = 0; i < count; ++i) {
        list.stamps.push_back({number, time});
        const int step = steps(random);
        number += step;
        time += 0.04 * std::max(step, 1) + jitter(random);
    }
    list.group = 1 + int64_t(random() % 7);
    return list;
}

}  // namespace

TEST_CASE("synchronized_frames: by index, number and time, forward and in any order") {
    std::mt19937 random(1);
    for (const SyncBy by : {SyncBy::index, SyncBy::number, SyncBy::time}) {
        for (const MissingFrame missing : {MissingFrame::drop, MissingFrame::hold, MissingFrame::blank}) {
            for (int round = 0; round < (kSanitized ? 4 : 12); ++round) {
                CAPTURE(int(by));
                CAPTURE(int(missing));
                CAPTURE(round);
                Setting setting;
                setting.sync = {by, missing, {}};
                for (int i = 0; i < 3; ++i)
                    setting.lists.push_back(
                        random_list(i == 2 && round == 3 ? 0 : 1 + int(random() % 30), i * 100, random));
                if (by == SyncBy::time) setting.sync.tolerance = round % 2 ? 0.5 : 0.021;
                const bool shifted = round % 3 > 0;
                setting.offsets = {0, 0, 0};
                if (shifted && by == SyncBy::index) setting.offsets = {0, 3, -2.5};
                if (shifted && by == SyncBy::number) setting.offsets = {0, 3, -2};
                if (shifted && by == SyncBy::time) setting.offsets = {0, 0.123, -0.4567};
                if (by != SyncBy::number && round % 4 > 1) setting.rates = {1, 2, 1.0 / 3};
                check_everywhere(setting, random);
            }
        }
    }
}

TEST_CASE("synchronized_frames: which frames are shown") {
    const auto shown = [](const SyncOptions& sync, std::vector<FrameStamp> first, std::vector<FrameStamp> other,
                          double offset = 0, double rate = 1) {
        Setting setting{sync, {FrameList{.name = "first"}, FrameList{.name = "other"}}, {0, offset}, {1, rate}};
        setting.lists[0].stamps = std::move(first);
        setting.lists[1].stamps = std::move(other);
        Numbers result;
        for (const bool in_any_order : {false, true}) {
            const auto source = composed(setting, in_any_order);
            Numbers numbers;
            while (const auto frame = source->next()) numbers.push_back(numbers_in(*frame)[1]);
            if (in_any_order) CHECK(numbers == result);
            result = numbers;
        }
        return result;
    };
    const auto stamps = [](const std::vector<double>& values) {
        std::vector<FrameStamp> made;
        for (const double value : values) made.push_back({int64_t(value), value});
        return made;
    };
    const auto six = even_stamps(6, 10);
    const int none = kNothing;
    const SyncOptions index_hold{SyncBy::index, MissingFrame::hold, {}};
    const SyncOptions index_blank{SyncBy::index, MissingFrame::blank, {}};
    const SyncOptions index_drop{SyncBy::index, MissingFrame::drop, {}};
    CHECK(shown(index_hold, six, six) == Numbers{0, 1, 2, 3, 4, 5});
    CHECK(shown(index_hold, six, six, 2) == Numbers{0, 0, 0, 1, 2, 3});
    CHECK(shown(index_blank, six, six, 2) == Numbers{none, none, 0, 1, 2, 3});
    CHECK(shown(index_drop, six, six, 2) == Numbers{0, 1, 2, 3});
    CHECK(shown(index_hold, six, six, -2) == Numbers{2, 3, 4, 5, 5, 5});
    CHECK(shown(index_blank, six, six, 0, 2) == Numbers{0, 2, 4, none, none, none});
    CHECK(shown(index_drop, six, six, 0, 2) == Numbers{0, 2, 4});
    CHECK(shown(index_hold, six, six, 0, 0.5) == Numbers{0, 0, 1, 1, 2, 2});
    CHECK(shown(index_hold, six, six, 1, 1.0 / 3) == Numbers{0, 0, 0, 0, 1, 1});
    CHECK(shown(index_hold, six, {}) == Numbers(6, none));
    CHECK(shown(index_drop, six, {}).empty());
    CHECK(shown(index_hold, {}, six).empty());

    const SyncOptions number_hold{SyncBy::number, MissingFrame::hold, {}};
    const SyncOptions number_blank{SyncBy::number, MissingFrame::blank, {}};
    const SyncOptions number_drop{SyncBy::number, MissingFrame::drop, {}};
    const auto holes = stamps({2, 3, 3, 5, 8, 9});
    CHECK(shown(number_hold, stamps({1, 2, 3, 3, 4, 5, 7, 20}), holes) == Numbers{0, 0, 1, 1, 1, 3, 3, 5});
    CHECK(shown(number_blank, stamps({1, 2, 3, 3, 4, 5, 7, 20}), holes) == Numbers{none, 0, 1, 1, none, 3, none, none});
    CHECK(shown(number_drop, stamps({1, 2, 3, 3, 4, 5, 7, 20}), holes) == Numbers{0, 1, 1, 3});
    CHECK(shown(number_blank, stamps({1, 2, 3}), holes, -2) == Numbers{1, none, 3});
    // Beyond what double holds.
    const int64_t large = (int64_t{1} << 62) + 1;
    CHECK(shown(number_blank, {{large, 0}, {large + 1, 0}, {large + 3, 0}},
                {{large - 1, 0}, {large, 0}, {large + 2, 0}, {large + 3, 0}}) == Numbers{1, none, 3});

    const SyncOptions time_hold{SyncBy::time, MissingFrame::hold, {}};
    const SyncOptions time_blank{SyncBy::time, MissingFrame::blank, {}};
    const SyncOptions time_drop{SyncBy::time, MissingFrame::drop, {}};
    const auto exactly = [](SyncOptions sync, double tolerance) {
        sync.tolerance = tolerance;
        return sync;
    };
    // Intervals are learned from the first frames: 1 s of both, half of it is tolerated.
    CHECK(shown(time_blank, stamps({0, 1, 2, 3, 4, 5}), stamps({0.4, 1.4, 2.6, 3.5, 7})) ==
          Numbers{0, 1, none, 2, 3, none});
    CHECK(shown(time_hold, stamps({0, 1, 2, 3, 4, 5}), stamps({0.4, 1.4, 2.6, 3.5, 7})) == Numbers{0, 1, 1, 2, 3, 3});
    CHECK(shown(exactly(time_blank, 0.5), stamps({0, 1, 2}), stamps({0.5, 1.5})) == Numbers{0, 0, 1});
    CHECK(shown(exactly(time_drop, 0.1), stamps({0, 1, 2, 3}), stamps({0.05, 2, 3.2})) == Numbers{0, 1});
    CHECK(shown(exactly(time_hold, 0), stamps({0, 1, 2, 3}), stamps({1, 1, 1, 3})) == Numbers{0, 0, 0, 3});
    CHECK(shown(time_blank, stamps({10, 11, 12}), stamps({0, 1, 2}), 10) == Numbers{0, 1, 2});
    CHECK(shown(time_blank, stamps({10, 11, 12}), stamps({10, 11, 12, 13, 14}), 0, 2) == Numbers{0, 2, 4});
    CHECK(shown(time_blank, stamps({10, 11, 12, 13, 14}), stamps({10, 11}), 1, 0.5) == Numbers{0, 0, 0, 1, 1});
}

TEST_CASE("synchronized_frames: a damaged frame is an error wherever it is shown, and no other") {
    for (const bool in_any_order : {false, true}) {
        CAPTURE(in_any_order);
        Setting setting{{}, {FrameList{.name = "first"}, FrameList{.name = "slow"}}, {}, {1, 0.5}};
        setting.lists[0].stamps = even_stamps(10, 10);
        setting.lists[1].stamps = even_stamps(5, 5);
        setting.lists[0].damaged = {7};
        setting.lists[1].damaged = {1, 4};
        const auto source = composed(setting, in_any_order);
        std::vector<int> read;
        std::vector<std::string> messages;
        for (int i = 0; i < 10; ++i) {
            std::string message;
            const std::optional<ErrorCode> error = error_of(
                [&] {
                    const Frame frame = source->next().value();
                    CHECK(numbers_in(frame) == Numbers{i, i / 2});
                    read.push_back(i);
                },
                &message);
            if (!error) continue;
            CHECK(error == ErrorCode::corrupt);
            messages.push_back(message);
        }
        CHECK_FALSE(source->next());
        CHECK(read == std::vector<int>{0, 1, 4, 5, 6});
        REQUIRE(messages.size() == 5);
        CHECK(messages[0] == "slow: frame index 1: is damaged");
        CHECK(messages[1] == messages[0]);
        CHECK(messages[2] == "first: frame index 7: is damaged");
        CHECK(messages[4] == "slow: frame index 4: is damaged");
        if (RandomAccess* const access = source->random_access()) {
            for (const int64_t index : {9, 2, 6, 3, 0}) {
                CAPTURE(index);
                CHECK(!error_of([&] { access->at_index(index); }) == (std::count(read.begin(), read.end(), index) > 0));
            }
        }
        // What is passed over is not looked at.
        setting.rates = {1, 2};
        setting.lists[0].stamps.resize(2);
        CHECK(numbers_in(*composed(setting, in_any_order)->next()) == Numbers{0, 0});
    }
}

TEST_CASE("synchronized_frames: a damaged frame whose time is not known is an error once, and no frame is lost") {
    Setting setting{{SyncBy::time, MissingFrame::blank, {}}, {FrameList{.name = "first"}, FrameList{.name = "other"}}};
    setting.lists[0].stamps = even_stamps(4, 10);
    setting.lists[1].stamps = even_stamps(4, 10);
    setting.lists[1].damaged = {2};
    const auto source = composed(setting, false);
    CHECK(numbers_in(*source->next()) == Numbers{0, 0});
    CHECK(numbers_in(*source->next()) == Numbers{1, 1});
    CHECK(expected_error([&] { source->next(); }).what() == std::string("other: frame index 2: is damaged"));
    CHECK(numbers_in(*source->next()) == Numbers{2, kNothing});
    CHECK(numbers_in(*source->next()) == Numbers{3, 3});
    CHECK_FALSE(source->next());
    // Where it can be known, it is; frames are only read forward because some are dropped.
    setting.sync.missing = MissingFrame::drop;
    const auto dropping = composed(setting, true);
    REQUIRE_FALSE(dropping->random_access());
    for (int i = 0; i < 2; ++i) CHECK(dropping->next());
    CHECK(error_of([&] { dropping->next(); }) == ErrorCode::corrupt);
    CHECK(numbers_in(*dropping->next()) == Numbers{3, 3});
    CHECK_FALSE(dropping->next());
}

TEST_CASE("synchronized_frames: damaged frames before the first that is shown are none of its errors") {
    Setting setting{{SyncBy::index, MissingFrame::drop, {}}, {FrameList{}, FrameList{}}, {0, 3}};
    setting.lists[0].stamps = even_stamps(6, 10);
    setting.lists[0].damaged = {1};
    setting.lists[1].stamps = even_stamps(6, 10);
    for (const bool in_any_order : {false, true}) {
        const auto source = composed(setting, in_any_order);
        for (int i = 0; i < 3; ++i) {
            const Frame frame = source->next().value();
            CHECK(frame.index == i);
            CHECK(numbers_in(frame) == Numbers{3 + i, i});
        }
        CHECK_FALSE(source->next());
    }
}

TEST_CASE("synchronized_frames: what goes down cannot be synchronised by") {
    const auto errors = [](SyncBy by, size_t which, std::vector<FrameStamp> stamps, bool in_any_order) {
        Setting setting{{by, MissingFrame::hold, {}}, {FrameList{.name = "first"}, FrameList{.name = "other"}}};
        setting.lists[0].stamps = setting.lists[1].stamps = even_stamps(1000, 1);
        setting.lists[which].stamps = std::move(stamps);
        std::vector<std::string> messages;
        const auto read = [&] {
            const auto source = composed(setting, in_any_order);
            while (true) {
                try {
                    if (!source->next()) return;
                } catch (const Error& error) {
                    CHECK(error.code() == ErrorCode::invalid_argument);
                    messages.push_back(error.what());
                }
            }
        };
        try {
            read();
        } catch (const Error& error) {
            messages = {error.what()};
        }
        return messages;
    };
    std::vector<FrameStamp> turned = even_stamps(1000, 1);
    for (FrameStamp& stamp : turned) stamp.number %= 700;
    turned[0].time = 10;
    std::vector<FrameStamp> swapped = even_stamps(1000, 1);
    std::swap(swapped[500], swapped[501]);
    for (const bool in_any_order : {false, true}) {
        for (const size_t which : {0, 1}) {
            CAPTURE(which);
            const std::string name = which == 0 ? "first: frame index " : "other: frame index ";
            for (const SyncBy by : {SyncBy::number, SyncBy::time}) {
                const std::vector<std::string> messages = errors(by, which, swapped, in_any_order);
                REQUIRE(messages.size() >= 1);
                CHECK(messages[0].find(name + "501: its ") == 0);
                CHECK(messages[0].find(by == SyncBy::number
                                           ? "number 500 is below 501"
                                           : "time 500.000000 is below 501.000000") != std::string::npos);
            }
            // What turns over is found before a frame is read.
            const std::vector<std::string> messages = errors(SyncBy::number, which, turned, in_any_order);
            CHECK(messages.size() == (in_any_order ? 1 : 300));
            CHECK(messages[0].find(name + "70") == 0);
        }
        CHECK(errors(SyncBy::index, 1, turned, in_any_order).empty());
    }
    std::vector<FrameStamp> without = even_stamps(10, 1);
    without[4].time = std::numeric_limits<double>::quiet_NaN();
    CHECK(errors(SyncBy::time, 0, without, false) ==
          std::vector<std::string>{"first: frame index 4: has no time to be synchronised by: use the index"});
    CHECK(errors(SyncBy::time, 1, without, true) ==
          std::vector<std::string>{"other: frame index 4: has no time to be synchronised by: use the index"});
}

TEST_CASE("synchronized_frames: groups of pictures of all sources count, and are announced") {
    for (const SyncBy by : {SyncBy::index, SyncBy::time}) {
        Setting setting{{by, MissingFrame::hold, {}}, {FrameList{.name = "first"}, FrameList{.name = "slow"}}, {}, {}};
        setting.lists[0].stamps = even_stamps(40, 10);
        setting.lists[1].stamps = even_stamps(10, 5);
        if (by == SyncBy::index) setting.rates = {1, 0.5};
        setting.lists[0].group = 5;
        setting.lists[1].group = 4;
        for (FrameList& list : setting.lists) list.announced = std::make_shared<std::vector<std::vector<int64_t>>>();
        const auto source = composed(setting, true);
        RandomAccess& access = *source->random_access();
        std::vector<int64_t> entries;
        for (const int64_t index : {0, 7, 9, 11, 17, 18, 36, 9}) entries.push_back(access.entry_of(index));
        CHECK(entries == std::vector<int64_t>{0, 0, 5, 8, 15, 15, 35, 5});
        access.will_read(std::vector<int64_t>{2, 3, 6, 9});
        CHECK(*setting.lists[0].announced == std::vector<std::vector<int64_t>>{{2, 3}});
        CHECK(*setting.lists[1].announced == std::vector<std::vector<int64_t>>{{1, 3}});
    }
}

TEST_CASE("synchronized_frames: where one source only comes forward, all do") {
    std::vector<ComposedSource> sources;
    for (const bool in_any_order : {true, false}) {
        FrameList list{.stamps = even_stamps(5, 10), .in_any_order = in_any_order, .rewinds = in_any_order};
        sources.push_back({std::make_unique<ListedFrames>(list)});
    }
    const auto source = composed_source(std::move(sources), {SyncBy::time, MissingFrame::hold, {}}, numbers_of);
    CHECK_FALSE(source->random_access());
    CHECK(source->info().frame_count == 5);
    for (int i = 0; i < 3; ++i) CHECK(numbers_in(*source->next()) == Numbers{i, i});
    // The second cannot begin anew, so the first goes on where it was.
    CHECK_FALSE(source->rewind());
    for (int i = 3; i < 5; ++i) CHECK(numbers_in(*source->next()) == Numbers{i, i});
    CHECK_FALSE(source->next());
}

TEST_CASE("synchronized_frames: what is known of a composition") {
    const auto info_of = [](const SyncOptions& sync, bool first_in_order, bool other_in_order) {
        std::vector<ComposedSource> sources;
        FrameList list{.name = "first", .stamps = even_stamps(6, 10), .frame_rate = 10};
        list.in_any_order = first_in_order;
        sources.push_back({std::make_unique<ListedFrames>(list)});
        list.in_any_order = other_in_order;
        list.stamps.resize(4);
        sources.push_back({std::make_unique<ListedFrames>(list), 1});
        return composed_source(std::move(sources), sync, numbers_of)->info();
    };
    const SyncOptions hold{};
    const SyncOptions drop{SyncBy::index, MissingFrame::drop, {}};
    const SourceInfo info = info_of(hold, true, true);
    CHECK(info.name == "first");
    CHECK(info.frame_count == 6);
    CHECK(info.frame_rate == 10);
    CHECK(info.image_type == ImageType{1, 2, 1, CV_32S});
    CHECK(info_of(hold, false, true).frame_count == std::nullopt);
    CHECK(info_of(hold, true, false).frame_count == 6);
    CHECK(info_of(hold, true, false).image_type.empty());
    CHECK(info_of(drop, true, true).frame_count == 4);
    CHECK(info_of(drop, false, true).frame_count == 4);
    CHECK(info_of(drop, true, false).frame_count == 5);
    CHECK(info_of(drop, false, false).frame_count == std::nullopt);
    CHECK(info_of({SyncBy::number, MissingFrame::drop, {}}, true, true).frame_count == std::nullopt);
}

TEST_CASE("synchronized_frames: memory of the frame that is shown is kept, and errors name the frame") {
    std::vector<ComposedSource> sources;
    for (int i = 0; i < 2; ++i)
        sources.push_back(
            {std::make_unique<ListedFrames>(FrameList{.stamps = even_stamps(3, 10)}) | frame_filter([](Frame frame) {
                 const auto pixels = std::make_shared<cv::Mat>(frame.image.clone());
                 frame.image = cv::Mat(pixels->rows, pixels->cols, pixels->type(), pixels->data);
                 frame.owner = pixels;
                 return frame;
             })});
    const auto source = composed_source(std::move(sources), {}, [](std::span<const std::optional<Frame>> frames) {
        if (frames[0]->index == 2) throw Error(ErrorCode::wrong_type, "nothing for it");
        return frames[static_cast<size_t>(frames[0]->index)]->image;
    });
    RandomAccess& access = *source->random_access();
    const Frame first = access.at_index(0);
    const Frame other = access.at_index(1);
    CHECK(expected_error([&] { access.at_index(2); }).place().frame_index == 2);
    CHECK(read_image_number(first.image) == 0);
    CHECK(read_image_number(other.image) == 1);
    CHECK(first.owner);
    CHECK(other.owner);
}

TEST_CASE("synchronized_frames: options that make no sense") {
    const auto refused = [](const SyncOptions& sync, double offset = 0, double rate = 1, bool of_first = false,
                            bool has_times = true) {
        Setting setting{sync, {FrameList{.name = "first"}, FrameList{.name = "other"}}};
        for (FrameList& list : setting.lists) list.stamps = even_stamps(3, 10);
        setting.lists[1].has_times = has_times;
        setting.offsets = {of_first ? offset : 0, of_first ? 0 : offset};
        setting.rates = {of_first ? rate : 1, of_first ? 1 : rate};
        return error_of([&] { composed(setting, true); }) == ErrorCode::invalid_argument;
    };
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const SyncOptions number{SyncBy::number, MissingFrame::hold, {}};
    const SyncOptions time{SyncBy::time, MissingFrame::hold, {}};
    CHECK_FALSE(refused({}));
    CHECK_FALSE(refused(number, -4));
    CHECK_FALSE(refused(time, 0.25, 2));
    for (const double rate : {0.0, -1.0, nan, std::numeric_limits<double>::infinity()}) CHECK(refused({}, 0, rate));
    CHECK(refused({}, nan));
    CHECK(refused({}, 1, 1, true));
    CHECK(refused({}, 0, 2, true));
    CHECK(refused(number, 0.5));
    CHECK(refused(number, 0, 2));
    CHECK(refused(time, 0, 1, false, false));
    CHECK(refused({SyncBy::index, MissingFrame::hold, 0.1}));
    CHECK(refused({SyncBy::time, MissingFrame::hold, -0.1}));
    CHECK(refused({SyncBy::time, MissingFrame::hold, nan}));
    CHECK(error_of([] { composed_source({}, {}, numbers_of); }) == ErrorCode::invalid_argument);
}

}  // namespace reelstore
