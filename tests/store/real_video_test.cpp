// A real recording, all of its frames: what comes out of a store is what a plain sequential decode of the source gives.

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <random>

#include <opencv2/core.hpp>

#include "base/pipeline.h"
#include "codecs/file_format.h"
#include "codecs/pixel_hash.h"
#include "tests/store/store_fixture.h"
#include "tests/temporary_folder.h"

using namespace reelstore;

namespace {

// From Debian's opencv-doc: 795 frames of 768x576.
const std::filesystem::path kVideo = "/usr/share/doc/opencv-doc/examples/data/vtest.avi";
constexpr int64_t kFrames = 795;

void save(const std::filesystem::path& store, const std::string& format) {
    const auto source = open_file_source(kVideo);
    StoreWriter writer(store, {.format = format, .chunk_frames = 300});
    run_pipeline(*source, {}, writer);
}

std::vector<int64_t> shuffled() {
    std::vector<int64_t> order(kFrames);
    std::iota(order.begin(), order.end(), int64_t{0});
    std::mt19937 random(5);
    std::shuffle(order.begin(), order.end(), random);
    return order;
}

}  // namespace

TEST_CASE("every frame of a real video comes back from lossless formats exactly, in shuffled order") {
    REQUIRE(std::filesystem::exists(kVideo));
    const auto source = open_file_source(kVideo);
    std::vector<std::string> hashes;
    std::vector<double> times;
    while (const std::optional<Frame> frame = source->next()) {
        hashes.push_back(pixel_sha256(frame->image));
        times.push_back(frame->time);
    }
    REQUIRE(hashes.size() == kFrames);
    for (const char* format : {"npy", "png"}) {
        CAPTURE(format);
        const TemporaryFolder folder;
        save(folder / "s", format);
        StoreReader store(folder / "s");
        REQUIRE(store.frame_count() == kFrames);
        int64_t wrong = 0;
        for (const int64_t i : shuffled()) {
            const Frame frame = store.at_index(i);
            wrong += pixel_sha256(frame.image) != hashes[static_cast<size_t>(i)] ||
                             frame.time != times[static_cast<size_t>(i)]
                         ? 1
                         : 0;
        }
        CHECK(wrong == 0);
    }
}

TEST_CASE("every frame of a real video comes back from lossy formats within their loss") {
    for (const char* format : {"avc1/mp4", "h264/mkv", "mjpeg/avi"}) {
        CAPTURE(format);
        const TemporaryFolder folder;
        save(folder / "s", format);
        StoreReader store(folder / "s");
        const auto source = open_file_source(kVideo);
        double lowest = 1000;
        int64_t count = 0;
        while (const std::optional<Frame> frame = source->next()) {
            lowest = std::min(lowest, cv::PSNR(frame->image, store.at_index(count++).image));
        }
        CHECK(count == kFrames);
        CHECK(lowest > 34);
    }
}
