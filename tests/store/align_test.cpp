#include "store/align.h"

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <opencv2/core.hpp>

#include "base/error.h"
#include "base/numbered_frames.h"
#include "store/store_reader.h"
#include "store/store_writer.h"
#include "tests/temporary_folder.h"

using namespace reelstore;

namespace {

struct Recorded {
    int64_t number;
    double time;
};

const ImageType kGray{16, 32, 1, CV_8U};
const ImageType kColor{24, 48, 3, CV_16U};

/// Frames with these numbers, 0.1 s apart.
std::vector<Recorded> numbered(const std::vector<int64_t>& numbers) {
    std::vector<Recorded> frames;
    for (const int64_t number : numbers) frames.push_back({number, 1000 + 0.1 * static_cast<double>(frames.size())});
    return frames;
}

/// Frames 0, 1, 2... at these times.
std::vector<Recorded> timed(const std::vector<double>& times) {
    std::vector<Recorded> frames;
    for (const double time : times) frames.push_back({static_cast<int64_t>(frames.size()), time});
    return frames;
}

/// Stores written for one test; the barcode of the frame with index i is 100 * store + i.
class Stores {
public:
    StoreReader* add(const std::vector<Recorded>& frames, const ImageType& type = kGray, int64_t chunk_frames = 2) {
        const std::filesystem::path path = folder_ / std::to_string(readers_.size());
        StoreWriterOptions options;
        options.format = "npy";
        options.chunk_frames = chunk_frames;
        StoreWriter writer(path, options);
        int barcode = 100 * static_cast<int>(readers_.size());
        for (const Recorded& frame : frames) writer.add(make_numbered_image(type, barcode++), frame.number, frame.time);
        writer.close();
        readers_.push_back(std::make_unique<StoreReader>(path));
        return readers_.back().get();
    }

private:
    TemporaryFolder folder_;
    std::vector<std::unique_ptr<StoreReader>> readers_;
};

/// The joint table as text: a line a row, "number: barcode barcode", "h" behind held frames, "-" for black ones.
std::string table(const std::vector<Recording*>& stores, const AlignOptions& options) {
    StoreAligner aligner(stores, options);
    std::string text;
    while (const auto row = aligner.next_row()) {
        REQUIRE(row->frames.size() == stores.size());
        REQUIRE(row->held.size() == stores.size());
        text += std::to_string(row->number) + ":";
        const std::vector<Frame> frames = aligner.frames(*row);
        REQUIRE(frames.size() == stores.size());
        for (size_t i = 0; i < frames.size(); ++i) {
            CHECK(ImageType::of(frames[i].image) == stores[i]->info().image_type);
            if (!row->frames[i]) {
                CHECK_FALSE(row->held[i]);
                CHECK(cv::countNonZero(frames[i].image.reshape(1)) == 0);
                CHECK(frames[i].index == -1);
                CHECK(frames[i].number == row->number);
                CHECK(std::isnan(frames[i].time));
                text += " -";
                continue;
            }
            CHECK(frames[i].index == row->frames[i]->index);
            CHECK(frames[i].number == row->frames[i]->number);
            CHECK(frames[i].time == row->frames[i]->time);
            if (!row->held[i] && !options.by_time) CHECK(frames[i].number == row->number);
            text += " " + std::to_string(read_image_number(frames[i].image).value()) + (row->held[i] ? "h" : "");
        }
        text += "\n";
    }
    CHECK_FALSE(aligner.next_row());
    return text;
}

std::string by_number(const std::vector<Recording*>& stores, AlignPolicy policy) {
    AlignOptions options;
    options.policy = policy;
    return table(stores, options);
}

std::string by_time(const std::vector<Recording*>& stores, AlignPolicy policy, double tolerance) {
    AlignOptions options;
    options.policy = policy;
    options.by_time = true;
    options.tolerance = tolerance;
    return table(stores, options);
}

}  // namespace

TEST_CASE("stores are joined by number") {
    Stores stores;
    const std::vector<Recording*> all = {stores.add(numbered({1, 2, 4, 5, 7})),
                                           stores.add(numbered({2, 3, 4, 7, 8}), kColor),
                                           stores.add(numbered({0, 2, 4, 5, 7, 9}))};
    CHECK(by_number(all, AlignPolicy::drop) == "2: 1 100 201\n4: 2 102 202\n7: 4 103 204\n");
    CHECK(by_number(all, AlignPolicy::hold) ==
          "0: - - 200\n1: 0 - 200h\n2: 1 100 201\n3: 1h 101 201h\n4: 2 102 202\n5: 3 102h 203\n7: 4 103 204\n"
          "8: 4h 104 204h\n9: 4h 104h 205\n");
    CHECK(by_number(all, AlignPolicy::black) ==
          "0: - - 200\n1: 0 - -\n2: 1 100 201\n3: - 101 -\n4: 2 102 202\n5: 3 - 203\n7: 4 103 204\n8: - 104 -\n"
          "9: - - 205\n");
}

TEST_CASE("numbers that wrap, repeat or go back are put in order") {
    Stores stores;
    StoreReader* wrapped = stores.add(numbered({6050, 6055, 6056, 0, 1, 2}));
    StoreReader* ascending = stores.add(numbered({0, 2, 2, 2, 6055, 6056, 6057}));
    StoreReader* repeated = stores.add(numbered({6056, 2, 0, 6056, 2, 0, 6055}), kGray, 3);
    CHECK(by_number({wrapped, ascending, repeated}, AlignPolicy::drop) ==
          "0: 3 100 202\n2: 5 101 201\n6055: 1 104 206\n6056: 2 105 200\n");
    CHECK(by_number({wrapped, ascending}, AlignPolicy::hold) ==
          "0: 3 100\n1: 4 100h\n2: 5 101\n6050: 0 101h\n6055: 1 104\n6056: 2 105\n6057: 2h 106\n");
}

TEST_CASE("the ends of the range of numbers are reached once") {
    constexpr int64_t kLowest = std::numeric_limits<int64_t>::min();
    constexpr int64_t kHighest = std::numeric_limits<int64_t>::max();
    Stores stores;
    StoreReader* falling = stores.add(numbered({kHighest, 0, kLowest}));
    StoreReader* rising = stores.add(numbered({kLowest, -1, kHighest}));
    CHECK(by_number({falling, rising}, AlignPolicy::black) ==
          "-9223372036854775808: 2 100\n-1: - 101\n0: 1 -\n9223372036854775807: 0 102\n");
}

TEST_CASE("a row has the time of the first store that has the frame") {
    Stores stores;
    StoreReader* first = stores.add({{1, 10.5}, {3, 11.5}});
    StoreReader* second = stores.add({{1, 20.5}, {2, 21.5}});
    StoreAligner aligner({first, second}, {.policy = AlignPolicy::hold});
    CHECK(aligner.next_row()->time == 10.5);
    CHECK(aligner.next_row()->time == 21.5);
    CHECK(aligner.next_row()->time == 11.5);
}

TEST_CASE("long stores are streamed") {
    Stores stores;
    std::vector<int64_t> all;
    std::vector<int64_t> even;
    for (int64_t i = 0; i < 3000; ++i) {
        all.push_back(i);
        if (i % 2 == 0) even.push_back(i);
    }
    const ImageType tiny{2, 16, 1, CV_8U};
    StoreReader* first = stores.add(numbered(all), tiny, 1000);
    StoreReader* second = stores.add(numbered(even), tiny, 700);
    StoreAligner aligner({first, second});
    int64_t count = 0;
    while (const auto row = aligner.next_row()) {
        REQUIRE(row->number == 2 * count);
        REQUIRE(row->frames[0]->index == 2 * count);
        REQUIRE(row->frames[1]->index == count);
        ++count;
    }
    CHECK(count == 1500);
}

TEST_CASE("stores are joined by time") {
    Stores stores;
    StoreReader* first = stores.add(timed({10, 11, 12, 13, 14}));
    StoreReader* second = stores.add(timed({10.625, 11.25, 12.125, 13.5, 14.5}), kColor);
    CHECK(by_time({first, second}, AlignPolicy::drop, 0.25) == "1: 1 101\n2: 2 102\n");
    CHECK(by_time({first, second}, AlignPolicy::drop, 0.5) == "1: 1 101\n2: 2 102\n3: 3 103\n4: 4 103\n");
    CHECK(by_time({first, second}, AlignPolicy::hold, 0.25) == "0: 0 -\n1: 1 101\n2: 2 102\n3: 3 102h\n4: 4 103h\n");
    CHECK(by_time({first, second}, AlignPolicy::black, 0) == "0: 0 -\n1: 1 -\n2: 2 -\n3: 3 -\n4: 4 -\n");
    CHECK(by_time({first, first}, AlignPolicy::drop, 0) == "0: 0 0\n1: 1 1\n2: 2 2\n3: 3 3\n4: 4 4\n");
}

TEST_CASE("rows by time follow the first store even where its clock steps back") {
    Stores stores;
    StoreReader* first = stores.add(timed({10, 12, 11}));
    StoreReader* second = stores.add(timed({12, 11, 10}));
    CHECK(by_time({first, second}, AlignPolicy::drop, 0.01) == "0: 0 102\n1: 1 100\n2: 2 101\n");
}

TEST_CASE("stores without frames are aligned too") {
    Stores stores;
    StoreReader* empty = stores.add({});
    StoreReader* full = stores.add(numbered({5, 6}));
    CHECK_FALSE(StoreAligner({empty, full}).next_row());
    CHECK_FALSE(StoreAligner({empty, empty}, {.policy = AlignPolicy::black}).next_row());
    StoreAligner aligner({empty, full}, {.policy = AlignPolicy::hold});
    const auto row = aligner.next_row();
    REQUIRE(row);
    CHECK(row->number == 5);
    CHECK_FALSE(row->frames[0]);
    CHECK(aligner.frames(*row)[1].index == 0);
    CHECK_FALSE(StoreAligner({empty, full}, {.policy = AlignPolicy::hold, .by_time = true}).next_row());
    CHECK(StoreAligner({full, empty}, {.policy = AlignPolicy::hold, .by_time = true}).next_row());
}

TEST_CASE("what cannot be aligned is refused") {
    Stores stores;
    StoreReader* store = stores.add(numbered({1}));
    CHECK_THROWS_AS(StoreAligner({}), Error);
    CHECK_THROWS_AS(StoreAligner({store}), Error);
    CHECK_THROWS_AS(StoreAligner({store, nullptr}), Error);
    CHECK_THROWS_AS(StoreAligner({store, store}, {.tolerance = -1}), Error);
    CHECK_THROWS_AS(StoreAligner({store, store}, {.tolerance = std::nan("")}), Error);
    StoreAligner aligner({store, store});
    CHECK_THROWS_AS(aligner.frames(AlignedRow{}), Error);
}

TEST_CASE("policies have names") {
    CHECK(parse_align_policy("drop") == AlignPolicy::drop);
    CHECK(parse_align_policy("hold") == AlignPolicy::hold);
    CHECK(parse_align_policy("black") == AlignPolicy::black);
    CHECK_FALSE(parse_align_policy(""));
    CHECK_FALSE(parse_align_policy("Drop"));
}
