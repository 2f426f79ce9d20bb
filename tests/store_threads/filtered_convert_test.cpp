#include <doctest/doctest.h>
#include <opencv2/core.hpp>

#include "base/error.h"
#include "store/convert.h"
#include "tests/image_equality.h"
#include "tests/store/store_fixture.h"
#include "tests/temporary_folder.h"
#include "tests/thrown_error.h"

using namespace reelstore;

namespace fs = std::filesystem;

namespace {

constexpr int kFrames = 24;

/// Numbered frames with records, and events at frames 3, 7 and 8 and behind the last.
void write_source(const fs::path& path, bool records = true) {
    StoreWriter writer(path, {.format = "npy", .chunk_frames = 10, .metadata = "who: me\n", .created = 1.6e9});
    for (int i = 0; i < kFrames; ++i) {
        writer.add(make_numbered_image(gray_type(), i), 500 + 2 * i, fixture_time(i));
        if (records && i % 4 == 0) writer.add_extra_data({{"value", i}});
        if (i == 3 || i == 7 || i == 8)
            writer.add_event({.time = fixture_time(i), .kind = "noted", .frame_index = i, .data = "{}"});
    }
    writer.add_event({.time = fixture_time(kFrames), .kind = "noted", .frame_index = kFrames, .data = "{}"});
    writer.close();
}

CopySource all_of(StoreReader& store) {
    return {&store, {{{0, store.frame_count()}}}};
}

ConvertResult convert_into(const fs::path& path, std::vector<CopySource> sources, const ConvertOptions& options) {
    StoreConverter converter(std::move(sources), options);
    StoreWriter writer(path, converter.writer_options());
    const ConvertResult result = converter.convert_to(writer);
    writer.close();
    return result;
}

std::vector<EventRow> events_of(const StoreReader& store, const std::string& kind) {
    std::vector<EventRow> events;
    store.visit_events([&](const EventRow& event) {
        if (event.kind == kind) events.push_back(event);
        return true;
    });
    return events;
}

std::vector<int64_t> places_of(const std::vector<EventRow>& events) {
    std::vector<int64_t> places;
    for (const EventRow& event : events) places.push_back(event.frame_index.value_or(-1));
    return places;
}

}  // namespace

TEST_SUITE_BEGIN("threads");

TEST_CASE("filtered conversion: filters of single frames, several stores, several threads") {
    const TemporaryFolder folder;
    write_source(folder / "a");
    write_source(folder / "b");
    StoreReader a(folder / "a");
    StoreReader b(folder / "b");
    const ConvertResult result =
        convert_into(folder / "out", {all_of(a), all_of(b)},
                     {.format = "png", .filters = "crop=0:0:64:20,invert", .chunk_frames = 7, .threads = 4});
    CHECK(result.frames == 2 * kFrames);
    CHECK(result.chunks == 7);
    StoreReader out(folder / "out");
    REQUIRE(out.frame_count() == 2 * kFrames);
    CHECK(out.image_type() == ImageType{20, 64, 1, CV_8U});
    for (int64_t i = 0; i < 2 * kFrames; ++i) {
        const Frame original = a.at_index(i % kFrames);
        const Frame frame = out.at_index(i);
        CHECK(equal_pixels(frame.image, cv::Mat(255 - original.image.rowRange(0, 20))));
        CHECK(frame.number == original.number);
        CHECK(frame.time == original.time);
        CHECK(out.extra_data_of(i) == a.extra_data_of(i % kFrames));
    }
    CHECK(places_of(events_of(out, "noted")) == std::vector<int64_t>{3, 7, 8, 24, 27, 31, 32, 48});
    for (const EventRow& copied : events_of(out, "copied"))
        CHECK(Json::parse(copied.data)["filters"] == "crop=0:0:64:20,invert");
}

TEST_CASE("filtered conversion: the number of frames changes, and records and events go with theirs") {
    const TemporaryFolder folder;
    write_source(folder / "a");
    StoreReader a(folder / "a");
    int64_t told = 0;
    const ConvertResult result = convert_into(
        folder / "out", {all_of(a)},
        {.format = "npy", .filters = "skip=5", .chunk_frames = 2, .progress = [&](int64_t frames) { told = frames; }});
    CHECK(result.frames == 5);
    CHECK(told == kFrames);
    REQUIRE(result.last);
    CHECK(result.last->index == 20);
    StoreReader out(folder / "out");
    CHECK(out.metadata().user == Json{{"who", "me"}});
    CHECK(out.metadata().created == 1.6e9);
    CHECK(out.chunks().size() == 3);
    for (int64_t i = 0; i < 5; ++i) {
        const Frame frame = out.at_index(i);
        CHECK(read_image_number(frame.image) == 5 * i);
        CHECK(frame.number == 500 + 10 * i);
        CHECK(frame.time == fixture_time(5 * i));
        CHECK(out.extra_data_of(i) == a.extra_data_of(5 * i));
    }
    // The one behind the last frame belongs to that, which was left out.
    CHECK(places_of(events_of(out, "noted")) == std::vector<int64_t>{1, 2, 2});
    CHECK(Json::parse(events_of(out, "copied").front().data)["last_index"] == 20);

    // Of frames that are not selected none come.
    convert_into(folder / "part", {{&a, {{{6, 20}}, 2}}}, {.format = "npy", .filters = "mean=3"});
    CHECK(places_of(events_of(StoreReader(folder / "part"), "noted")) == std::vector<int64_t>{1});
    convert_into(folder / "whole", {all_of(a)}, {.format = "npy", .filters = "mean=3"});
    CHECK(places_of(events_of(StoreReader(folder / "whole"), "noted")) == std::vector<int64_t>{3, 7, 8, 23});
}

TEST_CASE("filtered conversion: the check finds what differs") {
    const TemporaryFolder folder;
    write_source(folder / "a");
    write_source(folder / "bare", false);
    StoreReader a(folder / "a");
    StoreReader bare(folder / "bare");
    for (const std::string filters : {"invert", "mean=3", "normalize-pixelwise"}) {
        CAPTURE(filters);
        const fs::path path = folder / ("out-" + filters);
        convert_into(path, {all_of(a)}, {.format = "npy", .filters = filters});
        const ConversionCheck same = check_conversion({all_of(a)}, path, {.filters = filters});
        CHECK(same.frames == kFrames);
        CHECK(same.different == 0);
        CHECK(same.exact);
        const ConversionCheck other = check_conversion({all_of(a)}, path, {.filters = filters + ",brightness=1"});
        CHECK(other.different > 0);
        CHECK(other.first_difference.find("other pixels") != std::string::npos);
        CHECK(check_conversion({{&a, {{{0, 20}}}}}, path, {.filters = "skip=1"}).different > 0);
        const ConversionCheck records = check_conversion({all_of(bare)}, path, {.filters = filters});
        CHECK(records.different == kFrames / 4);
        CHECK(records.first_difference == "frame 0: has other extra data");
    }
    convert_into(folder / "few", {all_of(a)}, {.format = "npy", .filters = "skip=3"});
    CHECK(
        check_conversion({all_of(a)}, folder / "few", {.filters = "skip=4"}).first_difference.find("another number") !=
        std::string::npos);
    CHECK(check_conversion({all_of(a)}, folder / "few", {.filters = "skip=1"}).different > 0);
    CHECK(check_conversion({{&a, {{{0, 1}}}}}, folder / "few", {.filters = "skip=3"}).first_difference ==
          "frame 1: the new store has 7 frames more than came through the filters");
}

TEST_CASE("filtered conversion: a stop") {
    const TemporaryFolder folder;
    write_source(folder / "a");
    StoreReader a(folder / "a");
    for (const std::string filters : {"mean=3", "normalize-pixelwise"}) {
        CAPTURE(filters);
        std::stop_source stop;
        stop.request_stop();
        const ConvertResult result = convert_into(folder / filters, {all_of(a)},
                                                  {.format = "npy", .filters = filters, .stop = stop.get_token()});
        CHECK(result.cancelled);
        CHECK(result.frames == 0);
        CHECK(StoreReader(folder / filters).closed());
    }
}

TEST_SUITE_END();

TEST_CASE("filtered conversion: what cannot be") {
    const TemporaryFolder folder;
    write_source(folder / "a");
    StoreReader a(folder / "a");
    std::string message;
    CHECK(error_of([&] {
              StoreConverter({all_of(a), all_of(a)}, {.format = "npy", .filters = "mean=3"});
          }) == ErrorCode::invalid_argument);
    CHECK(error_of([&] { StoreConverter({all_of(a)}, {.format = "npy", .filters = "nothing"}); }) ==
          ErrorCode::invalid_argument);
    CHECK(error_of([&] { StoreConverter({all_of(a)}, {.format = "png", .filters = "normalize=type=float32"}); },
                   &message) == ErrorCode::wrong_type);
    CHECK(message.find("behind the filters, frames are 48x64 float32 gray") != std::string::npos);
    CHECK(error_of(
              [&] { convert_into(folder / "out", {all_of(a)}, {.format = "png", .filters = "normalize-pixelwise"}); },
              &message) == ErrorCode::wrong_type);
    CHECK(message.find("behind the filters, the frame is 48x64 float32 gray") != std::string::npos);
    CHECK(error_of([&] {
              check_conversion({all_of(a), all_of(a)}, folder / "a", {.filters = "invert"});
          }) == ErrorCode::invalid_argument);
}
