#include "store/recording.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <random>

#include <doctest/doctest.h>

#include "base/error.h"
#include "base/file_system.h"
#include "codecs/video/packet_cache.h"
#include "store/file_recording.h"
#include "store/open_source.h"
#include "store/selected_frames.h"
#include "tests/store/store_fixture.h"
#include "tests/temporary_folder.h"

using namespace reelstore;

namespace {

constexpr int kFrames = 60;
constexpr double kRate = 12.5;

std::filesystem::path write_file(const std::filesystem::path& path, int count = kFrames) {
    const auto sink = create_file_sink(path, {.frame_rate = kRate});
    for (int i = 0; i < count; ++i) {
        Frame frame;
        frame.image = make_numbered_image(gray_type(), i);
        frame.index = frame.number = i;
        frame.time = i / kRate;
        sink->write(frame);
    }
    sink->close();
    return path;
}

/// A recording with the numbers and times given, to compare lookups in it with those of a store.
class ListedSource : public FrameSource, public RandomAccess {
public:
    explicit ListedSource(std::vector<FrameStamp> stamps) : stamps_(std::move(stamps)) {
        info_.name = "listed";
        info_.frame_count = frame_count();
        info_.has_numbers = info_.has_times = true;
    }
    const SourceInfo& info() const override { return info_; }
    std::optional<Frame> next() override { return std::nullopt; }
    RandomAccess* random_access() override { return this; }
    int64_t frame_count() const override { return static_cast<int64_t>(stamps_.size()); }
    Frame at_index(int64_t index) override {
        Frame frame;
        frame.image = make_numbered_image(gray_type(), static_cast<int>(index));
        frame.index = index;
        frame.number = stamp(index).number;
        frame.time = stamp(index).time;
        return frame;
    }
    FrameStamp stamp(int64_t index) override { return stamps_.at(static_cast<size_t>(index)); }
    std::vector<Json> extra_data_of(int64_t index) override {
        if (index % 3 != 1) return {};
        return {Json{{"value", index}}};
    }

private:
    std::vector<FrameStamp> stamps_;
    SourceInfo info_;
};

class ForwardSource : public FrameSource {
public:
    const SourceInfo& info() const override { return info_; }
    std::optional<Frame> next() override { return std::nullopt; }

private:
    SourceInfo info_;
};

std::optional<int64_t> index_of(const std::optional<FrameRow>& row) {
    return row ? std::optional(row->index) : std::nullopt;
}

constexpr Match kMatches[] = {Match::exact, Match::nearest, Match::previous, Match::next};

/// Every way to get at a frame gives the frame that shows its number.
void check_every_access(Recording& recording, bool times) {
    REQUIRE(recording.frame_count() == kFrames);
    std::vector<int64_t> order(kFrames);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), std::mt19937(3));
    for (const int64_t index : order) {
        CHECK(read_image_number(recording.at_index(index).image) == index);
        const std::optional<FrameRow> row = recording.row(index);
        REQUIRE(row);
        CHECK(row->index == index);
        CHECK(row->number == index);
        CHECK(row->chunk == 0);
        CHECK(row->position == index);
        for (const Match match : kMatches) {
            const std::optional<Frame> frame = recording.at_number(index, match);
            REQUIRE(frame);
            CHECK(read_image_number(frame->image) == index);
        }
        if (!times) {
            CHECK(std::isnan(row->time));
            continue;
        }
        CHECK(row->time == doctest::Approx(static_cast<double>(index) / kRate).epsilon(1e-3));
        for (const Match match : kMatches) {
            const std::optional<Frame> frame = recording.at_time(row->time, match);
            REQUIRE(frame);
            CHECK(frame->index == index);
            CHECK(frame->time == row->time);
            CHECK(read_image_number(frame->image) == index);
        }
        const double interval = 1 / kRate;
        CHECK(index_of(recording.find_time(row->time + interval * 0.4)) == index);
        CHECK(index_of(recording.find_time(row->time - interval * 0.4)) == index);
        CHECK(index_of(recording.find_time(row->time + interval * 0.6, Match::previous)) == index);
        CHECK(index_of(recording.find_time(row->time - interval * 0.6, Match::next)) == index);
        CHECK_FALSE(recording.find_time(row->time + interval / 2, Match::exact));
    }
    CHECK_FALSE(recording.row(-1));
    CHECK_FALSE(recording.row(kFrames));
    CHECK_FALSE(recording.find_number(kFrames));
    CHECK(index_of(recording.find_number(kFrames + 10, Match::nearest)) == kFrames - 1);
    CHECK(index_of(recording.find_number(-5, Match::next)) == 0);
    CHECK_FALSE(recording.find_number(-5, Match::previous));
    CHECK(recording.number_range() == std::pair<int64_t, int64_t>(0, kFrames - 1));
    CHECK(recording.rows().size() == kFrames);
    CHECK_THROWS_AS(recording.at_index(kFrames), Error);
    CHECK_THROWS_AS(recording.at_index(-1), Error);
    CHECK_THROWS_AS(recording.stamp(kFrames), Error);
    CHECK_THROWS_AS(recording.find_time(std::nan("")), Error);
    if (times) {
        CHECK(recording.duration() == doctest::Approx((kFrames - 1) / kRate).epsilon(1e-3));
    } else {
        CHECK_FALSE(recording.time_range());
        CHECK(recording.duration() == 0);
        CHECK_FALSE(recording.find_time(1));
    }

    order.push_back(order.front());
    const std::vector<Frame> batch = recording.at_indices(order);
    REQUIRE(batch.size() == order.size());
    for (size_t place = 0; place < order.size(); ++place) CHECK(read_image_number(batch[place].image) == order[place]);
    CHECK(batch.front().image.data == batch.back().image.data);

    for (int64_t index = 0; index < kFrames; ++index) {
        const std::optional<Frame> frame = recording.next();
        REQUIRE(frame);
        CHECK(frame->index == index);
        CHECK(read_image_number(frame->image) == index);
        recording.at_index((index * 7 + 3) % kFrames);
    }
    CHECK_FALSE(recording.next());

    int64_t visited = 10;
    recording.visit_rows(10, kFrames + 100, [&](const FrameRow& row) {
        CHECK(row.index == visited);
        return ++visited < 20;
    });
    CHECK(visited == 20);
    CHECK_FALSE(recording.has_extra_data());
    CHECK(recording.all_extra_data().empty());
    CHECK(recording.closed());
    CHECK_FALSE(recording.incomplete());
    CHECK(recording.warnings().empty());
}

}  // namespace

TEST_CASE("plain files are recordings: every access gives the frame that was asked for") {
    const TemporaryFolder folder;
    for (const char* name : {"clip.mp4", "clip.mkv", "clip.avi", "clip.npy", "images"}) {
        CAPTURE(name);
        const auto path = write_file(folder / name);
        const bool times = std::string(name).starts_with("clip.") && !std::string(name).ends_with(".npy");
        const std::vector<std::string> before = file_system().list(folder.path());
        const auto recording = open_recording(path.string());
        REQUIRE(dynamic_cast<FileRecording*>(recording.get()));
        CHECK(recording->path() == path);
        CHECK(recording->info().has_times == times);
        CHECK_FALSE(recording->info().times_are_absolute);
        CHECK(recording->media_bytes() > 0);
        if (std::filesystem::is_regular_file(path)) CHECK(recording->media_bytes() == std::filesystem::file_size(path));
        check_every_access(*recording, times);
        CHECK(file_system().list(folder.path()) == before);
    }
}

TEST_CASE("a store is opened as a recording of its own kind") {
    const TemporaryFolder folder;
    write_numbered_store(folder / "store", {.format = "npy"}, gray_type(), 20, 500);
    const auto recording = open_recording((folder / "store").string());
    CHECK(dynamic_cast<StoreReader*>(recording.get()));
    CHECK(recording->path() == folder / "store");
    CHECK(recording->at_number(507)->index == 7);
    CHECK(recording->stamp(7).number == 507);
    CHECK(open_recording((folder / "store/metadata.yaml").string())->frame_count() == 20);
}

TEST_CASE("a video with a packet cache is looked up in without a scan") {
    const TemporaryFolder folder;
    const auto path = write_file(folder / "clip.mp4");
    CHECK(open_recording(path.string())->counters().demux_scans == 1);
    write_packet_cache(path);
    const auto recording = open_recording(path.string());
    check_every_access(*recording, true);
    CHECK(recording->counters().demux_scans == 0);
    CHECK(recording->counters().frames_decoded > 0);
    CHECK(open_recording(path.string(), {.use_packet_cache = false})->counters().demux_scans == 1);
    std::ofstream(path, std::ios::app) << "more";
    const auto changed = open_recording(path.string());
    CHECK(changed->warnings().size() == 1);
    CHECK(changed->counters().demux_scans == 1);
    CHECK(changed->frame_count() == kFrames);
}

TEST_CASE("lookups in a file and in a store of the same numbers and times agree") {
    std::mt19937 random(17);
    const double missing = std::nan("");
    for (int round = 0; round < 20; ++round) {
        CAPTURE(round);
        const TemporaryFolder folder;
        std::vector<FrameStamp> stamps;
        // Repeated and falling numbers and times, as cameras give them; in some rounds they only ascend.
        const bool ascending = round % 2 == 0;
        for (int i = 0; i < 40; ++i) {
            const FrameStamp last = stamps.empty() ? FrameStamp{.number = 10, .time = 5} : stamps.back();
            const int step = static_cast<int>(random() % 4) - (ascending ? 0 : 1);
            stamps.push_back({.number = last.number + step, .time = last.time + step * 0.25});
        }
        {
            StoreWriter writer(folder / "store", {.format = "npy"});
            for (const FrameStamp& stamp : stamps)
                writer.add(make_numbered_image(gray_type(), 0), stamp.number, stamp.time);
            writer.close();
        }
        const StoreReader store(folder / "store");
        const FileRecording file("listed", std::make_unique<ListedSource>(stamps));
        CHECK(file.number_range() == store.number_range());
        CHECK(file.time_range() == store.time_range());
        for (const Match match : kMatches) {
            for (int64_t number = 0; number < 80; ++number)
                CHECK(index_of(file.find_number(number, match)) == index_of(store.find_number(number, match)));
            for (double time = 0; time < 30; time += 0.125)
                CHECK(index_of(file.find_time(time, match)) == index_of(store.find_time(time, match)));
        }
    }
    const FileRecording holes("listed",
                              std::make_unique<ListedSource>(std::vector<FrameStamp>{
                                  {.number = 1, .time = missing}, {.number = 1, .time = 2}, {.number = 0, .time = 2}}));
    CHECK(index_of(holes.find_time(0)) == 1);
    CHECK(index_of(holes.find_number(1)) == 0);
    CHECK(holes.time_range() == std::pair(2.0, 2.0));
}

TEST_CASE("extra data of a source with random access") {
    FileRecording recording("listed", std::make_unique<ListedSource>(std::vector<FrameStamp>(10)));
    CHECK(recording.has_extra_data());
    const std::vector<ExtraRecord> all = recording.all_extra_data();
    REQUIRE(all.size() == 3);
    CHECK(all[1].frame_index == 4);
    CHECK(all[1].data["value"] == 4);
    CHECK(recording.extra_data().empty());
    recording.at_index(7);
    CHECK(recording.extra_data().size() == 1);
    for (int i = 0; i < 2; ++i) recording.next();
    CHECK(recording.extra_data().front()["value"] == 1);
    int records = 0;
    recording.visit_extra_data(2, 100, [&](const ExtraRecord& record) {
        CHECK(record.frame_index >= 4);
        return ++records < 1;
    });
    CHECK(records == 1);
}

TEST_CASE("selected frames of a plain video are the ones asked for, with their extra data") {
    const TemporaryFolder folder;
    const auto recording = open_recording(write_file(folder / "clip.mp4").string());
    SelectedFrames stepped(*recording, 5, 50, 7);
    CHECK(stepped.info().frame_count == 7);
    for (int64_t index = 5; index < 50; index += 7) {
        const std::optional<Frame> frame = stepped.next();
        REQUIRE(frame);
        CHECK(frame->index == index);
        CHECK(read_image_number(frame->image) == index);
    }
    CHECK_FALSE(stepped.next());
    SelectedFrames timed(*recording, 0, kFrames, 1, [](const FrameRow& row) { return row.time >= 1 && row.time < 2; });
    int64_t expected = 13;
    while (const std::optional<Frame> frame = timed.next()) CHECK(read_image_number(frame->image) == expected++);
    CHECK(expected == 25);

    FileRecording listed("listed", std::make_unique<ListedSource>(std::vector<FrameStamp>(10)));
    SelectedFrames all(listed, 0, 10, 1);
    for (int64_t index = 0; index < 10; ++index) {
        REQUIRE(all.next());
        CHECK(all.extra_data().size() == (index % 3 == 1 ? 1 : 0));
    }
}

TEST_CASE("what is no recording is refused with a reason") {
    const TemporaryFolder folder;
    std::filesystem::create_directory(folder / "empty");
    std::ofstream(folder / "text.txt") << "hello";
    std::ofstream(folder / "text.mp4") << std::string(5000, 'x');
    const auto refused = [&](const std::string& name) {
        return expected_error([&] { open_recording((folder / name).string()); });
    };
    CHECK(refused("missing").code() == ErrorCode::not_found);
    CHECK(refused("missing.mp4").code() == ErrorCode::not_found);
    const Error empty = refused("empty");
    CHECK(empty.code() == ErrorCode::not_a_store);
    CHECK(empty.message().find("neither a store") != std::string::npos);
    CHECK(refused("text.txt").code() == ErrorCode::unsupported);
    CHECK(refused("text.mp4").code() == ErrorCode::unsupported);
    REQUIRE(std::system(("mkfifo '" + (folder / "pipe").string() + "'").c_str()) == 0);
    CHECK(refused("pipe").code() == ErrorCode::unsupported);
    const Error camera = expected_error([] { open_recording("/dev/video77"); });
    CHECK(camera.code() == ErrorCode::unsupported);
    CHECK(camera.message().find("camera") != std::string::npos);
    const Error forward = expected_error([] { FileRecording("pipe", std::make_unique<ForwardSource>()); });
    CHECK(forward.code() == ErrorCode::unsupported);
    CHECK(forward.message().find("can only be read forward") != std::string::npos);
}
