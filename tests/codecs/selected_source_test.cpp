#include "codecs/selected_source.h"

#include <cmath>

#include "base/numbered_frames.h"
#include "codecs/image_codec.h"
#include "tests/codecs/foreign_kit.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

constexpr int kFrames = 23;
const ImageType kType{20, 32, 3, CV_8U};

std::filesystem::path write_video(const TemporaryFolder& folder, const std::string& name) {
    const auto sink = create_file_sink(folder / name, {.frame_rate = 25, .codec = {}});
    for (int i = 0; i < kFrames; ++i)
        sink->write({.image = make_numbered_image(kType, i), .time = i / 25.0, .owner = {}});
    sink->close();
    return folder / name;
}

}  // namespace

TEST_CASE("selected_source: start, step and count choose frames, which keep numbers and times") {
    const TemporaryFolder folder;
    for (const std::string name : {"stack.npy", "clip.avi"}) {
        const std::filesystem::path path = write_video(folder, name);
        for (const int64_t start : {0, 5, 22, 23, 1000}) {
            for (const int64_t step : {1, 3, 7, 100}) {
                for (const int64_t frames : {-1, 0, 2, 1000}) {
                    CAPTURE(name);
                    CAPTURE(start);
                    CAPTURE(step);
                    CAPTURE(frames);
                    SourceOptions options;
                    options.start = start;
                    options.step = step;
                    if (frames >= 0) options.frames = frames;
                    std::vector<int64_t> expected;
                    for (int64_t i = start; i < kFrames && (frames < 0 || int64_t(expected.size()) < frames); i += step)
                        expected.push_back(i);
                    const auto source = open_file_source(path, options);
                    REQUIRE(source->info().frame_count == int64_t(expected.size()));
                    RandomAccess* const access = source->random_access();
                    const auto clone = access->clone_access();
                    REQUIRE(clone);
                    for (size_t i = expected.size(); i-- > 0;) {
                        for (RandomAccess* reader : {access, clone.get()}) {
                            const Frame frame = reader->at_index(int64_t(i));
                            CHECK(frame.index == int64_t(i));
                            CHECK(frame.number == expected[i]);
                            CHECK(read_image_number(frame.image) == expected[i]);
                            CHECK(reader->stamp(int64_t(i)).number == expected[i]);
                        }
                    }
                    for (size_t i = 0; i < expected.size(); ++i) CHECK(source->next()->number == expected[i]);
                    CHECK_FALSE(source->next());
                    CHECK_THROWS_AS(access->at_index(int64_t(expected.size())), Error);
                }
            }
        }
    }
    const auto source = open_file_source(folder / "clip.avi", {.start = 3, .step = 2});
    CHECK(source->info().frame_rate == doctest::Approx(12.5));
    CHECK(source->random_access()->at_index(1).time == doctest::Approx(5 / 25.0));
}

TEST_CASE("selected_source: a crop is that part of every image, in memory of its own") {
    const TemporaryFolder folder;
    const std::filesystem::path path = write_video(folder, "stack.npy");
    const cv::Rect crop(3, 2, 20, 11);
    for (const bool gray : {false, true}) {
        const auto source = open_file_source(path, {.crop = crop, .gray = gray});
        CHECK(source->info().image_type == ImageType{11, 20, gray ? 1 : 3, CV_8U});
        for (int i = kFrames; i-- > 0;) {
            const Frame frame = source->random_access()->at_index(i);
            const cv::Mat whole = make_numbered_image(kType, i);
            CHECK(equal_pixels(frame.image, (gray ? gray_image(whole) : whole)(crop)));
            CHECK(frame.image.isContinuous());
            CHECK_FALSE(frame.owner);
        }
    }
}

TEST_CASE("open_file_source: what the one fitting format refuses is told with the file's name") {
    const TemporaryFolder folder;
    const std::filesystem::path path = write_video(folder, "stack.npy");
    for (const CodecOptions& options : {CodecOptions{{"no_such", "1"}}, CodecOptions{{"layout", "x"}}}) {
        const Error error = expected_error([&] { open_file_source(path, {.format = options}); });
        CHECK(error.code() == ErrorCode::invalid_argument);
        CHECK(std::string(error.what()).find("stack.npy") != std::string::npos);
    }
}

TEST_CASE("selected_source: what makes no sense is refused") {
    const TemporaryFolder folder;
    const std::filesystem::path path = write_video(folder, "stack.npy");
    const auto refused = [&](const SourceOptions& options) {
        return error_of([&] { open_file_source(path, options); }) == ErrorCode::invalid_argument;
    };
    CHECK(refused({.start = -1}));
    CHECK(refused({.frames = -1}));
    CHECK(refused({.step = 0}));
    CHECK(refused({.crop = cv::Rect(0, 0, 33, 1)}));
    CHECK(refused({.crop = cv::Rect(-1, 0, 3, 1)}));
    CHECK(refused({.crop = cv::Rect(0, 0, 0, 1)}));
    CHECK(refused({.crop = cv::Rect(2147483647, 2147483647, 2147483647, 2147483647)}));
    CHECK(refused({.format = {{"field", "x"}}}));
    const auto longest = open_file_source(path, {.step = std::numeric_limits<int64_t>::max()});
    CHECK(longest->info().frame_count == 1);
}

}  // namespace reelstore
