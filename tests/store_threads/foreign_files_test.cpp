#include <atomic>
#include <thread>

#include <doctest/doctest.h>
#include <opencv2/core.hpp>

#include "base/numbered_frames.h"
#include "tests/codecs/foreign_kit.h"
#include "tests/test_data.h"

namespace reelstore {

namespace {

constexpr int kFrames = 12;
constexpr int kThreads = 4;

/// Reads a recording in order, and then with several threads at once, each by a clone and in an order of its own.
void check_threads(const std::filesystem::path& path) {
    std::vector<cv::Mat> images;
    const auto in_order = open_file_source(path);
    while (const auto frame = in_order->next()) images.push_back(frame->image.clone());
    REQUIRE(images.size() > 1);
    for (const bool map : {true, false}) {
        const auto source = open_file_source(path, {.map = map});
        std::atomic<size_t> right = 0;
        std::vector<std::thread> threads;
        for (int t = 0; t < kThreads; ++t) {
            threads.emplace_back([&, t, access = source->random_access()->clone_access()] {
                std::vector<int64_t> order(images.size());
                std::iota(order.begin(), order.end(), 0);
                std::shuffle(order.begin(), order.end(), std::mt19937(static_cast<unsigned>(t)));
                for (const int64_t index : order) {
                    right += equal_pixels(access->at_index(index).image, images[static_cast<size_t>(index)]) ? 1U : 0U;
                }
            });
        }
        for (std::thread& thread : threads) thread.join();
        CHECK(right == kThreads * images.size());
    }
}

/// Writes numbered frames and has them read.
void check_output(const std::string& name, const SinkOptions& options) {
    const TemporaryFolder folder;
    const auto sink = create_file_sink(folder / name, options);
    for (int i = 0; i < kFrames; ++i) {
        Frame frame;
        frame.image = make_numbered_image({24, 40, 1, CV_8U}, i * 7);
        sink->write(frame);
    }
    sink->close();
    check_threads(folder / name);
}

}  // namespace

TEST_SUITE_BEGIN("threads");

TEST_CASE("foreign files: threads that read TIFF pages at once do not disturb each other") {
    check_output("a.tif", {});
    check_output("b.tif", {.codec = {{"compression", "lzw"}}});
    check_output("c.tif", {.codec = {{"compression", "deflate"}}});
}

TEST_CASE("foreign files: threads that draw GIF images at once do not disturb each other") {
    check_output("a.gif", {});
    // Images drawn upon each other.
    check_threads(test_data() / "fuzz/seeds/gif/transparent/main.gif");
}

TEST_CASE("foreign files: threads that read a folder of images at once do not disturb each other") {
    check_output("images", {});
}

TEST_CASE("foreign files: threads that read recordings of cameras at once do not disturb each other") {
    for (const char* const name :
         {"multirecorder/e_big/main_b_c_d.dat", "fmf/mono16/main.fmf", "spe/type4/main.spe", "bv_raw/mask/main.raw",
          "micam05/analog/main.gsd", "micam_ultima/one/main.rsh", "hiris/records/main.seq", "norpix/jpeg/main.seq",
          "norpix/bayer/main.seq", "cine/packed/main.cine"}) {
        CAPTURE(name);
        check_threads(test_data() / "fuzz/seeds" / name);
    }
}

TEST_SUITE_END();

}  // namespace reelstore
