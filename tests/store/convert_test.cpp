// Stores encoded anew: every frame with its number, time, extra data and events, in every format, several chunks at a
// time; what is damaged is named; memory does not grow with the recording.
#include <doctest/doctest.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <opencv2/core.hpp>

#include "base/file_system.h"
#include "store/convert.h"
#include "store/layout.h"
#include "store/verify.h"
#include "tests/fault_file_system.h"
#include "tests/sanitized.h"
#include "tests/store/store_fixture.h"
#include "tests/temporary_folder.h"

using namespace reelstore;

namespace {

namespace fs = std::filesystem;

int64_t number_of(int64_t i) {
    return 1000 + (i * 7) % 40;  // with holes, repeated, and wrapping
}

void write_source(const fs::path& path, const std::string& format, int count, int chunk_frames,
                  const ImageType& type = color_type(), const CodecOptions& codec = {}, int first = 0) {
    StoreWriter writer(path, {.format = format,
                              .chunk_frames = chunk_frames,
                              .metadata = "who: me\nrig: 3\n",
                              .codec = codec,
                              .time_zone = "Europe/Vienna",
                              .created = 1.6e9 + 0.25});
    for (int i = first; i < first + count; ++i) {
        if (i > first && i % 9 == 4) writer.report_dropped(500 + i, fixture_time(i) - 0.01, "test");
        // Clocks step back too.
        const double time = i == first + 6 ? fixture_time(i) - 100 : fixture_time(i);
        writer.add(make_numbered_image(type, i), number_of(i), time);
        if (i % 3 == 0) writer.add_extra_data({{"value", i}, {"text", "ä"}});
        if (i % 6 == 0) writer.add_extra_data({{"second", -i}});
    }
    writer.close();
}

FrameSelection all_of(const StoreReader& store) {
    return {{{0, store.frame_count()}}};
}

ConvertResult convert_into(const fs::path& path, std::vector<CopySource> sources, ConvertOptions options) {
    StoreConverter converter(std::move(sources), std::move(options));
    StoreWriter writer(path, converter.writer_options());
    const ConvertResult result = converter.convert_to(writer);
    writer.close();
    return result;
}

bool same_pixels(const cv::Mat& a, const cv::Mat& b) {
    return a.size() == b.size() && a.type() == b.type() && cv::norm(a, b, cv::NORM_INF) == 0;
}

/// The first difference between a store and the frames of a source it should hold; empty when there is none.
std::string difference(const fs::path& path, StoreReader& source, const std::vector<int64_t>& indices) {
    StoreReader store(path);
    const auto count = static_cast<int64_t>(indices.size());
    if (store.frame_count() != count) return fmt::format("{} frames, not {}", store.frame_count(), count);
    int64_t stride = 17;
    while (stride > 1 && count % stride == 0) --stride;
    for (int64_t i = 0; i < count; ++i) {
        const int64_t index = (i * stride + 5) % count;
        const Frame frame = store.at_index(index);
        const Frame original = source.at_index(indices[static_cast<size_t>(index)]);
        if (store.lossless() && !same_pixels(frame.image, original.image))
            return fmt::format("frame {} has other pixels", index);
        if (read_image_number(frame.image) != read_image_number(original.image))
            return fmt::format("frame {} shows another number", index);
        if (frame.number != original.number) return fmt::format("frame {} has another number", index);
        if (std::memcmp(&frame.time, &original.time, sizeof frame.time) != 0)
            return fmt::format("frame {} has another time", index);
        if (store.extra_data_of(index) != source.extra_data_of(original.index))
            return fmt::format("frame {} has other extra data", index);
    }
    return {};
}

std::vector<int64_t> range(int64_t first, int64_t last, int64_t step = 1) {
    std::vector<int64_t> indices;
    for (int64_t i = first; i < last; i += step) indices.push_back(i);
    return indices;
}

/// Events by kind and the frame they belong to.
std::multiset<std::string> events_of(const fs::path& path, const std::set<std::string>& kinds) {
    std::multiset<std::string> events;
    StoreReader(path).visit_events([&](const EventRow& event) {
        if (kinds.contains(event.kind)) {
            Json data = Json::parse(event.data);
            data.erase("chunk");
            data.erase("source_chunk");
            events.insert(fmt::format("{} {} {}", event.kind, event.frame_index.value_or(-1), data.dump()));
        }
        return true;
    });
    return events;
}

/// Counts the bytes of images that are alive. Lives for ever, as images that it made may outlive every test.
class CountingAllocator : public cv::MatAllocator {
public:
    static CountingAllocator& instance() {
        static auto* const allocator = new CountingAllocator;
        return *allocator;
    }

    cv::UMatData* allocate(int dims, const int* sizes, int type, void* data, size_t* step, cv::AccessFlag flags,
                           cv::UMatUsageFlags usage) const override {
        cv::UMatData* made = cv::Mat::getStdAllocator()->allocate(dims, sizes, type, data, step, flags, usage);
        made->prevAllocator = made->currAllocator = this;
        const int64_t now = alive_ += static_cast<int64_t>(made->size);
        int64_t most = most_;
        while (now > most && !most_.compare_exchange_weak(most, now)) {
        }
        return made;
    }
    bool allocate(cv::UMatData* data, cv::AccessFlag flags, cv::UMatUsageFlags usage) const override {
        return cv::Mat::getStdAllocator()->allocate(data, flags, usage);
    }
    void deallocate(cv::UMatData* data) const override {
        alive_ -= static_cast<int64_t>(data->size);
        cv::Mat::getStdAllocator()->deallocate(data);
    }
    void begin() { most_ = alive_.load(); }
    int64_t most() const { return most_; }

private:
    mutable std::atomic<int64_t> alive_ = 0;
    mutable std::atomic<int64_t> most_ = 0;
};

/// Images made while it lives are counted.
class CountedImages {
public:
    CountedImages() {
        CountingAllocator::instance().begin();
        cv::Mat::setDefaultAllocator(&CountingAllocator::instance());
    }
    ~CountedImages() { cv::Mat::setDefaultAllocator(before_); }
    CountedImages(const CountedImages&) = delete;
    CountedImages& operator=(const CountedImages&) = delete;

    static int64_t most() { return CountingAllocator::instance().most(); }

private:
    cv::MatAllocator* before_ = cv::Mat::getDefaultAllocator();
};

constexpr int kFrames = 45;

}  // namespace

TEST_CASE("into every format, and back") {
    const TemporaryFolder folder;
    write_source(folder / "source", "png", kFrames, 20);
    StoreReader source(folder / "source");
    for (const auto& format : chunk_formats()) {
        const ChunkFormatInfo& info = format->info();
        CAPTURE(info.name);
        if (!info.unavailable.empty() || info.decodes_at_write || format->refuses(color_type())) continue;
        const fs::path converted = folder / "converted";
        const fs::path back = folder / "back";
        const ConvertResult result = convert_into(converted, {{&source, all_of(source)}},
                                                  {.format = info.name, .chunk_frames = 7, .threads = 3});
        CHECK(result.frames == kFrames);
        CHECK(result.chunks == 7);
        CHECK(!result.cancelled);
        CHECK(difference(converted, source, range(0, kFrames)) == "");
        for (const VerifyLevel level : {VerifyLevel::frames, VerifyLevel::hash}) {
            const VerifyReport report = verify(converted, level);
            CHECK_MESSAGE(!report.damaged(), report.findings.front().message);
        }
        const StoreReader store(converted);
        CHECK(store.metadata().format == info.name);
        CHECK(store.metadata().chunk_frames == 7);
        CHECK(store.metadata().user == source.metadata().user);
        CHECK(store.metadata().created == source.metadata().created);
        CHECK(store.metadata().time_zone == "Europe/Vienna");
        CHECK(store.metadata().uuid != source.metadata().uuid);
        CHECK(store.warnings().empty());
        CHECK(events_of(converted, {"dropped", "clock_step"}) ==
              events_of(folder / "source", {"dropped", "clock_step"}));
        CHECK(events_of(converted, {"dropped"}).size() == 5);
        const ConversionCheck check = check_conversion({{&source, all_of(source)}}, converted);
        CHECK(check.frames == kFrames);
        CHECK(check.different == 0);
        CHECK(check.exact == info.lossless);

        StoreReader again(converted);
        const FrameSelection odd{{{3, 40}}, 2};
        convert_into(back, {{&again, odd}}, {.format = "png", .threads = 2});
        CHECK(difference(back, again, range(3, 40, 2)) == "");
        // From the sidecars alone.
        fs::remove(StoreLayout::index(converted));
        CHECK(difference(converted, source, range(0, kFrames)) == "");
        fs::remove_all(converted);
        fs::remove_all(back);
    }
}

TEST_CASE("chunks keep their size where formats have the same one by default") {
    const TemporaryFolder folder;
    write_source(folder / "source", "png", 30, 12);
    StoreReader source(folder / "source");
    const CopySource all{&source, all_of(source)};
    CHECK(StoreConverter({all}, {.format = "npy"}).writer_options().chunk_frames == 12);
    CHECK(!StoreConverter({all}, {.format = "avc1/mp4"}).writer_options().chunk_frames);
    CHECK(StoreConverter({all}, {.format = "avc1/mp4", .chunk_frames = 9}).writer_options().chunk_frames == 9);
}

TEST_CASE("several stores of different formats follow each other") {
    const TemporaryFolder folder;
    write_source(folder / "a", "png", 11, 4);
    write_source(folder / "b", "npy", 9, 4, color_type(), {}, 11);
    StoreReader a(folder / "a");
    StoreReader b(folder / "b");
    const ConvertResult result = convert_into(folder / "out", {{&a, all_of(a)}, {&b, all_of(b)}},
                                              {.format = "npy", .chunk_frames = 5, .threads = 2});
    CHECK(result.frames == 20);
    StoreReader out(folder / "out");
    CHECK(events_of(folder / "out", {"copied"}).size() == 2);
    for (int64_t i = 0; i < 20; ++i) {
        StoreReader& from = i < 11 ? a : b;
        const Frame original = from.at_index(i < 11 ? i : i - 11);
        const Frame frame = out.at_index(i);
        CHECK(same_pixels(frame.image, original.image));
        CHECK(frame.number == original.number);
        CHECK(out.extra_data_of(i) == from.extra_data_of(original.index));
    }
}

TEST_CASE("what cannot be is refused before anything is written") {
    const TemporaryFolder folder;
    const ImageType deep{kFixtureHeight, kFixtureWidth, 1, CV_32F};
    write_numbered_store(folder / "deep", {.format = "npy"}, deep, 3);
    write_numbered_store(folder / "gray", {.format = "npy"}, gray_type(), 3);
    StoreReader source(folder / "deep");
    StoreReader gray(folder / "gray");
    std::string message;
    CHECK(error_of(
              [&] {
                  StoreConverter({{&source, all_of(source)}}, {.format = "png"});
              },
              &message) == ErrorCode::wrong_type);
    CHECK(message.find("tif") != std::string::npos);
    CHECK(error_of([&] {
              StoreConverter({{&source, all_of(source)}}, {.format = "avc1/mp4"});
          }) == ErrorCode::wrong_type);
    CHECK(error_of([&] {
              StoreConverter({{&source, all_of(source)}}, {.format = "xyz"});
          }) == ErrorCode::invalid_argument);
    CHECK(error_of([&] {
              StoreConverter({{&gray, all_of(gray)}}, {.format = "png", .codec = {{"crf", "1"}}});
          }) == ErrorCode::invalid_argument);
    CHECK(error_of(
              [&] {
                  StoreConverter({{&source, all_of(source)}, {&gray, all_of(gray)}}, {.format = "npy"});
              },
              &message) == ErrorCode::invalid_argument);
    CHECK(message.find("float32") != std::string::npos);
    CHECK(error_of([&] { StoreConverter({}, {.format = "npy"}); }) == ErrorCode::invalid_argument);
}

TEST_CASE("raw camera images stay raw where the format changes no pixel") {
    const TemporaryFolder folder;
    {
        StoreWriter writer(folder / "raw", {.format = "npy", .encoding = "cv_bayerbg"});
        for (int i = 0; i < 9; ++i) writer.add(make_numbered_image(gray_type(), i), i, fixture_time(i));
        writer.close();
    }
    StoreReader decoded(folder / "raw");
    StoreReader raw(folder / "raw", {.decode = false});
    CHECK(keeps_encoding({&decoded}, *find_chunk_format("png")));
    CHECK(!keeps_encoding({&decoded}, *find_chunk_format("png+color")));
    CHECK(!keeps_encoding({&decoded}, *find_chunk_format("avc1/mp4")));
    convert_into(folder / "kept", {{&raw, all_of(raw)}}, {.format = "png"});
    StoreReader kept(folder / "kept");
    CHECK(kept.metadata().encoding == "cv_bayerbg");
    CHECK(kept.metadata().stored_type == gray_type());
    CHECK(difference(folder / "kept", decoded, range(0, 9)) == "");
    CHECK(check_conversion({{&raw, all_of(raw)}}, folder / "kept").different == 0);
    for (const char* format : {"png", "png+color"}) {
        convert_into(folder / "color", {{&decoded, all_of(decoded)}}, {.format = format});
        CHECK(StoreReader(folder / "color").metadata().encoding.empty());
        CHECK(StoreReader(folder / "color").metadata().stored_type == color_type());
        CHECK(difference(folder / "color", decoded, range(0, 9)) == "");
        fs::remove_all(folder / "color");
    }
    // An encoding that the images do not fit any more would be written down.
    for (const char* format : {"png+color", "avc1/mp4", "jpg"}) {
        CAPTURE(format);
        std::string message;
        CHECK(error_of(
                  [&] {
                      StoreConverter({{&raw, all_of(raw)}}, {.format = format});
                  },
                  &message) == ErrorCode::wrong_type);
        CHECK(message.find("read decoded") != std::string::npos);
    }
}

TEST_CASE("damaged frames are named and left out, or end the work") {
    const TemporaryFolder folder;
    write_source(folder / "source", "png", 30, 10);
    {
        std::ofstream file(folder / "source" / "000001" / "000004.png", std::ios::binary | std::ios::app);
        file << "x";
    }
    fs::remove(folder / "source" / "000002" / "000000.png");
    StoreReader source(folder / "source");
    const CopySource all{&source, all_of(source)};
    const ConvertResult result =
        convert_into(folder / "out", {all}, {.format = "npy", .chunk_frames = 8, .skip_damaged = true, .threads = 2});
    CHECK(result.frames == 28);
    CHECK(result.frames_damaged == 2);
    REQUIRE(result.damage.size() == 2);
    CHECK(result.damage[0].find("000004.png") != std::string::npos);
    CHECK(result.damage[0].find("14") != std::string::npos);
    CHECK(result.damage[1].find("000000.png") != std::string::npos);
    std::vector<int64_t> sound = range(0, 30);
    std::erase(sound, 14);
    std::erase(sound, 20);
    StoreReader intact(folder / "source");
    CHECK(difference(folder / "out", intact, sound) == "");
    const ConversionCheck check = check_conversion({all}, folder / "out");
    CHECK(check.frames == 28);
    CHECK(check.different == 0);

    StoreConverter strict({all}, {.format = "npy", .chunk_frames = 8, .threads = 2});
    StoreWriter writer(folder / "strict", strict.writer_options());
    const std::optional<Error> error = thrown_by([&] { strict.convert_to(writer); });
    REQUIRE(error);
    CHECK(error->place().frame_index == 14);
    CHECK(error->place().chunk == 1);
    writer.close();
    CHECK(difference(folder / "strict", intact, range(0, 14)) == "");
}

TEST_CASE("what only this process cannot read is no damage") {
    const TemporaryFolder folder;
    write_source(folder / "source", "npy", 12, 4);
    StoreReader source(folder / "source");
    class NoMemory : public ForwardingFileSystem {
    public:
        std::unique_ptr<File> open(const fs::path& path, OpenMode mode) override {
            if (mode == OpenMode::read && path.filename() == "000001.npy" && path.parent_path().filename() == "000001")
                throw Error(ErrorCode::internal, {path.string(), {}, {}}, "out of memory");
            return ForwardingFileSystem::open(path, mode);
        }
    };
    StoreConverter converter({{&source, all_of(source)}}, {.format = "png", .chunk_frames = 3, .skip_damaged = true});
    StoreWriter writer(folder / "out", converter.writer_options());
    {
        NoMemory none;
        const FileSystemOverride in_place(none);
        const std::optional<Error> error = thrown_by([&] { converter.convert_to(writer); });
        REQUIRE(error);
        CHECK(error->code() == ErrorCode::internal);
        CHECK(error->place().frame_index == 5);
        CHECK(error->message().find("--skip-damaged") == std::string::npos);
    }
    writer.close();
    CHECK(difference(folder / "out", source, range(0, 5)) == "");
    fs::remove_all(folder / "out");
    convert_into(folder / "out", {{&source, all_of(source)}}, {.format = "png"});
    NoMemory none;
    const FileSystemOverride in_place(none);
    CHECK(error_of([&] { check_conversion({{&source, all_of(source)}}, folder / "out"); }) == ErrorCode::internal);
}

TEST_CASE("an image that the encoder cannot hold is named, and those before it are kept") {
    const TemporaryFolder folder;
    const ImageType deep{kFixtureHeight, kFixtureWidth, 1, CV_16U};
    const int count = 12;
    {
        StoreWriter writer(folder / "source", {.format = "raw/npy"});
        for (int i = 0; i < count; ++i) {
            cv::Mat image(deep.height, deep.width, CV_16UC1, cv::Scalar(40 * i));
            if (i == count - 1) image.at<uint16_t>(3, 4) = 2000;
            writer.add(image, 100 + i, fixture_time(i));
        }
        writer.close();
    }
    StoreReader source(folder / "source");
    // The last image is behind others of its chunk, or the first of its own.
    for (const int64_t chunk_frames : {5, 11, 100}) {
        for (const bool skip : {false, true}) {
            CAPTURE(chunk_frames);
            StoreConverter converter({{&source, all_of(source)}}, {.format = "h264-lossless/mp4",
                                                                   .codec = {{"bits", "10"}},
                                                                   .chunk_frames = chunk_frames,
                                                                   .skip_damaged = skip,
                                                                   .threads = 2});
            StoreWriter writer(folder / "out", converter.writer_options());
            const std::optional<Error> error = thrown_by([&] { converter.convert_to(writer); });
            REQUIRE(error);
            CHECK(error->code() == ErrorCode::wrong_type);
            CHECK(error->place().path == (folder / "source").string());
            CHECK(error->place().frame_index == count - 1);
            CHECK(error->message().find("2000") != std::string::npos);
            writer.close();
            StoreReader out(folder / "out");
            REQUIRE(out.frame_count() == count - 1);
            for (int64_t i = 0; i < count - 1; ++i) {
                CHECK(out.at_index(i).number == 100 + i);
                CHECK(same_pixels(out.at_index(i).image, source.at_index(i).image));
            }
            CHECK(!verify(folder / "out", VerifyLevel::hash).damaged());
            CHECK(!fs::exists(folder / "out.converting"));
            fs::remove_all(folder / "out");
        }
    }
}

TEST_CASE("more threads than an encoder takes") {
    const TemporaryFolder folder;
    write_source(folder / "source", "npy", 12, 6);
    StoreReader source(folder / "source");
    for (const CodecOptions& codec : {CodecOptions(), CodecOptions{{"threads", "3"}}}) {
        convert_into(folder / "out", {{&source, all_of(source)}},
                     {.format = "avc1/mp4", .codec = codec, .chunk_frames = 6, .threads = 140});
        CHECK(difference(folder / "out", source, range(0, 12)) == "");
        fs::remove_all(folder / "out");
    }
}

TEST_CASE("what is read back and is not the same is told") {
    const TemporaryFolder folder;
    write_source(folder / "source", "npy", 12, 5);
    write_source(folder / "other", "npy", 12, 5, color_type(), {}, 1);
    StoreReader source(folder / "source");
    const ConversionCheck check = check_conversion({{&source, all_of(source)}}, folder / "other");
    CHECK(check.frames == 12);
    CHECK(check.different == 12);
    CHECK(check.first_difference.find("frame 0") != std::string::npos);
    write_source(folder / "longer", "npy", 13, 5);
    CHECK(check_conversion({{&source, all_of(source)}}, folder / "longer").different == 1);
}

TEST_CASE("a stop keeps what was converted, in order") {
    const TemporaryFolder folder;
    write_source(folder / "source", "npy", 300, 50);
    StoreReader source(folder / "source");
    std::stop_source stop;
    ConvertOptions options{.format = "png", .chunk_frames = 3, .threads = 3};
    options.stop = stop.get_token();
    options.progress = [&](int64_t frames) {
        if (frames > 0) stop.request_stop();
    };
    // A chunk takes less than the progress is told, so the encoder is made slow.
    class Slow : public ForwardingFileSystem {
    public:
        void sync_folder(const fs::path& path) override {
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
            ForwardingFileSystem::sync_folder(path);
        }
    };
    Slow slow;
    const FileSystemOverride in_place(slow);
    const ConvertResult result = convert_into(folder / "out", {{&source, all_of(source)}}, options);
    CHECK(result.cancelled);
    CHECK(result.frames > 0);
    CHECK(result.frames < 300);
    REQUIRE(result.last);
    CHECK(result.last->index == result.frames - 1);
    CHECK(StoreReader(folder / "out").closed());
    CHECK(difference(folder / "out", source, range(0, result.frames)) == "");
    CHECK(!verify(folder / "out", VerifyLevel::hash).damaged());
    CHECK(!fs::exists(folder / "out.converting"));
}

TEST_CASE("a full disk keeps the chunks before it and leaves nothing else") {
    const TemporaryFolder folder;
    write_source(folder / "source", "npy", 60, 20);
    StoreReader source(folder / "source");
    StoreConverter converter({{&source, all_of(source)}}, {.format = "npy", .chunk_frames = 5, .threads = 2});
    // The disk is full from the 25th image on.
    FaultFileSystem disk({.nth = 25,
                          .error_number = ENOSPC,
                          .short_write = true,
                          .repeat = FaultPlan::Repeat::for_ever,
                          .counted = [](const FileOperation& operation) {
                              return operation.kind == OperationKind::write && operation.path.extension() == ".npy";
                          }});
    const FileSystemOverride in_place(disk);
    StoreWriter writer(folder / "out", converter.writer_options());
    CHECK(error_of([&] { converter.convert_to(writer); }) == ErrorCode::no_space);
    writer.close();
    const int64_t count = StoreReader(folder / "out").frame_count();
    // Two chunks are written at a time, and each may have met the end.
    CHECK(count >= 10);
    CHECK(count < 25);
    CHECK(count % 5 == 0);
    CHECK(difference(folder / "out", source, range(0, count)) == "");
    CHECK(!fs::exists(folder / "out.converting"));
}

TEST_CASE("a folder that an earlier run has left is not taken for one's own") {
    const TemporaryFolder folder;
    write_source(folder / "source", "npy", 4, 2);
    StoreReader source(folder / "source");
    std::string message;
    const auto convert = [&] { convert_into(folder / "out", {{&source, all_of(source)}}, {.format = "png"}); };
    fs::create_directory(folder / "out.converting");
    CHECK(error_of(convert, &message) == ErrorCode::already_exists);
    CHECK(message.find("remove it") != std::string::npos);
    CHECK(fs::exists(folder / "out.converting"));
    fs::remove_all(folder / "out.converting");
    fs::remove_all(folder / "out");
    // Nobody is told to remove a recording.
    write_source(folder / "out.converting", "npy", 4, 2);
    CHECK(error_of(convert, &message) == ErrorCode::already_exists);
    CHECK(message.find("remove it") == std::string::npos);
    CHECK(message.find("another name") != std::string::npos);
    CHECK(StoreReader(folder / "out.converting").frame_count() == 4);
}

TEST_CASE("memory does not grow with the recording") {
    const TemporaryFolder folder;
    const ImageType type{128, 128, 3, CV_8U};
    const int frames = kSanitized ? 60 : 240;
    write_source(folder / "source", "npy", frames, 50, type);
    StoreReader source(folder / "source");
    // Many chunks at once, and one chunk whose frames are read ahead.
    for (const int64_t chunk_frames : {8, 100000}) {
        CAPTURE(chunk_frames);
        const CountedImages counter;
        ConvertOptions options{.format = "png", .chunk_frames = chunk_frames, .threads = 4};
        options.ahead_bytes = 10 * type.bytes();
        convert_into(folder / "out", {{&source, all_of(source)}}, options);
        CHECK(counter.most() > 0);
        CHECK(counter.most() < static_cast<int64_t>(40 * type.bytes()));
        fs::remove_all(folder / "out");
    }
}

TEST_CASE("a group of pictures longer than a chunk is decoded once") {
    const TemporaryFolder folder;
    write_source(folder / "source", "avc1/mp4", 120, 1000, color_type(), {{"gop", "1000"}, {"threads", "1"}});
    StoreReader source(folder / "source");
    const ConvertResult result =
        convert_into(folder / "out", {{&source, all_of(source)}}, {.format = "npy", .chunk_frames = 5, .threads = 4});
    CHECK(difference(folder / "out", source, range(0, 120)) == "");
    CHECK(result.frames_decoded <= 130);
}

TEST_CASE("a store without a frame") {
    const TemporaryFolder folder;
    StoreWriter(folder / "source", {.format = "npy"}).close();
    StoreReader source(folder / "source");
    const ConvertResult result = convert_into(folder / "out", {{&source, all_of(source)}}, {.format = "avc1/mp4"});
    CHECK(result.frames == 0);
    CHECK(!result.cancelled);
    CHECK(StoreReader(folder / "out").frame_count() == 0);
}
