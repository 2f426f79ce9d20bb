#include "codecs/packed/pixel_coder.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <opencv2/core.hpp>

#include "base/error.h"
#include "base/numbered_frames.h"
#include "codecs/packed/pixel_choice.h"
#include "codecs/packed/pixel_filter.h"
#include "codecs/packed/residual_groups.h"
#include "tests/image_equality.h"
#include "tests/sanitized.h"

namespace reelstore {

namespace {

constexpr int kDepths[] = {CV_8U, CV_8S, CV_16U, CV_16S, CV_32S, CV_32F, CV_64F, CV_16F};
struct Shape {
    int height, width;
};

/// Those of vectors and of groups of rows, and one more or less.
constexpr Shape kShapes[] = {{1, 1},   {1, 2},   {2, 1},    {3, 5},   {1, 4096}, {5, 16},
                             {40, 17}, {33, 47}, {31, 130}, {64, 64}, {67, 201}};

/// Part of a larger image, so that its rows do not follow each other.
struct Part {
    cv::Mat whole;
    cv::Mat image;

    Part(int height, int width, int type)
        : whole(height + 2, width + 3, type), image(whole, cv::Rect(1, 1, width, height)) {
        std::memset(whole.data, 0, whole.total() * whole.elemSize());
    }
};

Part random_bits(int height, int width, int type, uint32_t seed) {
    Part part(height, width, CV_MAKETYPE(CV_MAT_DEPTH(type), CV_MAT_CN(type)));
    std::mt19937 random(seed);
    for (int y = 0; y < height; ++y) {
        uint8_t* row = part.image.ptr(y);
        for (size_t i = 0; i < part.image.elemSize() * static_cast<size_t>(width); ++i) {
            row[i] = static_cast<uint8_t>(random());
        }
    }
    return part;
}

/// What a camera gives: a scene that changes slowly, with noise; the halves of the image differ in it.
Part scene(int height, int width, int type, int noise, bool mosaic, uint32_t seed) {
    Part part(height, width, CV_64FC(CV_MAT_CN(type)));
    std::mt19937 random(seed);
    for (int y = 0; y < height; ++y) {
        auto* row = part.image.ptr<double>(y);
        for (int x = 0; x < width; ++x) {
            for (int channel = 0; channel < CV_MAT_CN(type); ++channel) {
                const int rough = x > width / 2 ? 3 * noise : noise;
                const int colour = mosaic ? 40 * (y % 2) + 25 * (x % 2) : 0;
                *row++ =
                    20 + 0.2 * x + 0.3 * y + 5 * channel + colour + static_cast<int>(random() % (noise ? rough : 1));
            }
        }
    }
    Part converted(height, width, type);
    const double scale = CV_ELEM_SIZE1(type) > 1 ? 40.3 : 1;
    const double offset = CV_MAT_DEPTH(type) == CV_8U || CV_MAT_DEPTH(type) == CV_16U ? 0 : -60 * scale;
    part.image.convertTo(part.whole, CV_MAT_DEPTH(type), scale, offset);
    part.whole.copyTo(converted.image);
    return converted;
}

std::vector<uint8_t> encoded(const cv::Mat& image, PixelEffort effort = PixelEffort::fast, int level = 1) {
    PixelEncoder encoder(ImageType::of(image), effort, level);
    const std::span<const uint8_t> bytes = encoder.encode(image);
    return {bytes.begin(), bytes.end()};
}

cv::Mat decoded(std::span<const uint8_t> bytes, const ImageType& type) {
    cv::Mat image;
    PixelDecoder(type).decode(bytes, image);
    return image;
}

ErrorCode code_of_decoding(std::span<const uint8_t> bytes, const ImageType& type) {
    try {
        decoded(bytes, type);
    } catch (const Error& error) {
        CHECK_FALSE(error.message().empty());
        return error.code();
    }
    return ErrorCode::internal;
}

/// Corrects the checksum of a header after a change.
void seal(std::vector<uint8_t>& frame) {
    uint32_t crc = 0xffffffff;
    for (size_t i = 8; i < 24; ++i) {
        crc ^= frame[i];
        for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
    }
    for (size_t i = 0; i < 4; ++i) frame[24 + i] = static_cast<uint8_t>(~crc >> (8 * i));
}

template <class Use>
void each_filter(const ImageType& type, const Use& use) {
    for (int predictor = 0; predictor < kPredictors + 1; ++predictor) {
        for (uint8_t step = 0; step <= 3; ++step) {
            for (const bool green : {false, true}) {
                const PixelFilter filter = {static_cast<Predictor>(predictor), step, green, false};
                if (filter_fits(filter, type)) use(filter);
            }
        }
    }
}

}  // namespace

TEST_CASE("every type and shape comes back bit for bit") {
    int seed = 0;
    for (const int depth : kDepths) {
        for (const int channels : {1, 2, 3, 4, 7}) {
            for (const Shape& shape : kShapes) {
                const int height = shape.height;
                const int width = shape.width;
                CAPTURE(dtype_name(depth));
                CAPTURE(channels);
                CAPTURE(height);
                CAPTURE(width);
                const int type = CV_MAKETYPE(depth, channels);
                for (const Part& part : {random_bits(height, width, type, static_cast<uint32_t>(++seed)),
                                         scene(height, width, type, 4, false, static_cast<uint32_t>(++seed))}) {
                    const ImageType image_type = ImageType::of(part.image);
                    for (const PixelEffort effort : {PixelEffort::fast, PixelEffort::small}) {
                        const std::vector<uint8_t> bytes = encoded(part.image, effort);
                        CHECK(bytes.size() <= image_type.bytes() + 300);
                        CHECK(predicted_frame_bytes(bytes, nullptr) == bytes.size());
                        CHECK(equal_pixels(decoded(bytes, image_type), part.image));
                    }
                }
            }
        }
    }
}

TEST_CASE("images of as many channels as OpenCV has come back") {
    for (const int depth : {CV_8U, CV_64F}) {
        for (const int channels : {5, 300, CV_CN_MAX}) {
            for (const Part& part : {random_bits(4, 150, CV_MAKETYPE(depth, channels), 1),
                                     scene(4, 150, CV_MAKETYPE(depth, channels), 4, false, 1)}) {
                const std::vector<uint8_t> bytes = encoded(part.image, PixelEffort::small);
                CHECK(equal_pixels(decoded(bytes, ImageType::of(part.image)), part.image));
            }
        }
    }
}

TEST_CASE("one encoder and one decoder take one image after the other, at every level") {
    for (const ImageType& type : {ImageType{48, 64, 1, CV_8U}, {48, 64, 3, CV_8U}, {48, 64, 1, CV_16U}}) {
        for (const PixelEffort effort : {PixelEffort::fast, PixelEffort::small}) {
            for (const int level : {1, 2, 19}) {
                PixelEncoder encoder(type, effort, level);
                PixelDecoder decoder(type);
                Part into(type.height, type.width, type.cv_type());
                for (const int number : {7, 8, 65535, 0}) {
                    const cv::Mat image = make_numbered_image(type, number);
                    decoder.decode(encoder.encode(image), into.image);
                    CHECK(equal_pixels(into.image, image));
                    CHECK(read_image_number(into.image) == number);
                }
                // Rows beside the part are not its own.
                CHECK(cv::countNonZero(into.whole.row(0).reshape(1)) == 0);
                CHECK(cv::countNonZero(into.whole.col(type.width + 1).clone().reshape(1)) == 0);
            }
        }
    }
    CHECK_THROWS_AS(PixelEncoder({48, 64, 1, CV_8U}, PixelEffort::fast, 0), Error);
    CHECK_THROWS_AS(PixelEncoder({48, 64, 1, CV_8U}, PixelEffort::fast, 20), Error);
    CHECK_THROWS_AS(PixelEncoder({0, 64, 1, CV_8U}, PixelEffort::fast, 1), Error);
    CHECK_THROWS_AS(PixelDecoder({70000, 64, 1, CV_8U}), Error);
    PixelEncoder encoder({48, 64, 1, CV_8U}, PixelEffort::fast, 1);
    CHECK_THROWS_AS(encoder.encode(cv::Mat(48, 63, CV_8U, cv::Scalar(0))), Error);
    CHECK_THROWS_AS(encoder.encode(cv::Mat(48, 64, CV_8S, cv::Scalar(0))), Error);
}

TEST_CASE("every filter gives the same bytes with all instructions, and is undone by all") {
    FilterMemory memory;
    uint32_t seed = 0;
    for (const int depth : {CV_8U, CV_8S, CV_16U, CV_16F, CV_32F, CV_64F}) {
        for (const int channels : {1, 3, 4}) {
            for (const Shape& shape : kShapes) {
                const int height = shape.height;
                const int width = shape.width;
                const Part part = random_bits(height, width, CV_MAKETYPE(depth, channels), ++seed);
                const ImageType type = ImageType::of(part.image);
                each_filter(type, [&](const PixelFilter& filter) {
                    CAPTURE(type.text());
                    CAPTURE(static_cast<int>(filter.predictor));
                    CAPTURE(static_cast<int>(filter.step));
                    const size_t whole = type.bytes() + 2 * kFilterMargin;
                    std::vector<uint8_t> best(whole, 17);
                    std::vector<uint8_t> portable(whole, 17);
                    filter_pixels(part.image, filter, best.data() + kFilterMargin, memory, FilterInstructions::best);
                    filter_pixels(part.image, filter, portable.data() + kFilterMargin, memory,
                                  FilterInstructions::portable);
                    CHECK(best == portable);
                    CHECK(best[kFilterMargin - 1] == 17);
                    CHECK(best[whole - kFilterMargin] == 17);
                    for (const auto instructions : {FilterInstructions::best, FilterInstructions::portable}) {
                        Part restored(height, width, part.image.type());
                        restore_pixels(best.data() + kFilterMargin, filter, restored.image, memory, instructions);
                        CHECK(equal_pixels(restored.image, part.image));
                        restored.image.setTo(cv::Scalar::all(0));
                        CHECK(equal_pixels(restored.whole, Part(height, width, part.image.type()).whole));
                    }
                });
            }
        }
    }
}

TEST_CASE("grouped residuals come back, and sizes that cannot be are refused") {
    std::vector<uint8_t> memory;
    for (const Shape& shape : kShapes) {
        const int height = shape.height;
        const int width = shape.width;
        const Part part = scene(height, width, CV_8U, 30, false, 3);
        const cv::Mat image = part.image.clone();
        const std::vector<SamplePlane> planes = sample_planes(ImageType::of(image), 1);
        std::vector<uint8_t> grouped(image.total());
        std::vector<uint8_t> restored(image.total());
        GroupSizes sizes = group_residuals(image.data, planes, grouped.data(), memory);
        REQUIRE(ungroup_residuals(grouped.data(), sizes, planes, restored.data()));
        CHECK(std::equal(restored.begin(), restored.end(), image.data));
        // The first row of all is in one group.
        const size_t first = static_cast<size_t>(std::max_element(sizes.begin(), sizes.end()) - sizes.begin());
        std::swap(sizes[first], sizes[(first + 1) % sizes.size()]);
        if (sizes[first] != sizes[(first + 1) % sizes.size()]) {
            CHECK_FALSE(ungroup_residuals(grouped.data(), sizes, planes, restored.data()));
        }
    }
}

TEST_CASE("the filter follows the image") {
    const auto chosen = [](const Part& part) { return choose_filter(part.image); };
    CHECK(chosen(random_bits(200, 300, CV_8U, 1)).predictor == Predictor::stored);
    CHECK(chosen(random_bits(1, 1, CV_8U, 1)).predictor == Predictor::stored);
    CHECK(chosen(scene(200, 300, CV_8U, 6, false, 2)) == PixelFilter{Predictor::average, 1, false, false});
    CHECK(chosen(scene(200, 300, CV_8U, 6, true, 2)) == PixelFilter{Predictor::average, 2, false, false});
    for (const int depth : kDepths) {
        CAPTURE(dtype_name(depth));
        for (const bool mosaic : {false, true}) {
            const PixelFilter filter = chosen(scene(200, 300, depth, 6, mosaic, 2));
            CHECK(filter.predictor >= (CV_ELEM_SIZE1(depth) <= 2 ? Predictor::left : Predictor::zero));
            CHECK(filter.step == (mosaic && CV_ELEM_SIZE1(depth) <= 2 ? 2 : 1));
        }
    }
    // The channels' noise is their own, so that a difference has more of it.
    CHECK_FALSE(chosen(scene(200, 300, CV_8UC3, 6, false, 2)).subtract_green);
    cv::Mat gray = scene(200, 300, CV_8U, 6, false, 2).image;
    cv::Mat colours;
    cv::merge(std::vector<cv::Mat>{gray, gray, gray}, colours);
    CHECK(choose_filter(colours).subtract_green);
    // Columns of their own brightness: only the row above knows it.
    Part columns = random_bits(200, 300, CV_8U, 4);
    for (int y = 1; y < 200; ++y) columns.image.row(0).copyTo(columns.image.row(y));
    const Predictor of_columns = chosen(columns).predictor;
    CHECK((of_columns == Predictor::above || of_columns == Predictor::median));
    CHECK(chosen([&] {
              Part turned(300, 200, CV_8U);
              cv::transpose(columns.image, turned.image);
              return turned;
          }())
              .predictor != Predictor::above);
}

TEST_CASE("noise becomes as small as its entropy lets it") {
    const Part part = scene(256, 512, CV_8U, 4, false, 1);
    const size_t raw = ImageType::of(part.image).bytes();
    // 4 values left of the middle and 12 right of it, each as likely, against neighbours with noise of their own.
    const size_t fast = encoded(part.image).size();
    const size_t small = encoded(part.image, PixelEffort::small).size();
    CHECK(fast < raw / 2);
    CHECK(small < fast);
    const Part deep = scene(256, 512, CV_16U, 4, false, 1);
    CHECK(encoded(deep.image).size() < ImageType::of(deep.image).bytes() * 2 / 3);
    CHECK(encoded(cv::Mat(256, 512, CV_8U, cv::Scalar(7))).size() < 100);
}

TEST_CASE("the header tells what spec/format.md says") {
    const Part part = scene(48, 64, CV_16SC3, 20, false, 1);
    const std::vector<uint8_t> frame = encoded(part.image);
    const std::vector<uint8_t> begin(frame.begin(), frame.begin() + 9);
    CHECK(begin == std::vector<uint8_t>{0x57, 0x2A, 0x4D, 0x18, 20, 0, 0, 0, 1});
    CHECK(frame[9] >= 2);
    CHECK(frame[10] == 1);
    CHECK(frame[11] <= 1);
    const std::vector<uint8_t> shape(frame.begin() + 12, frame.begin() + 24);
    CHECK(shape == std::vector<uint8_t>{48, 0, 0, 0, 64, 0, 0, 0, 3, 0, 'i', 2});
    std::vector<uint8_t> sealed = frame;
    seal(sealed);
    CHECK(sealed == frame);
    CHECK(std::vector<uint8_t>(frame.begin() + 28, frame.begin() + 32) == std::vector<uint8_t>{0x28, 0xB5, 0x2F, 0xFD});

    const std::vector<uint8_t> stored = encoded(random_bits(200, 300, CV_8U, 1).image);
    CHECK(std::vector<uint8_t>(stored.begin() + 9, stored.begin() + 12) == std::vector<uint8_t>{0, 0, 0});
    CHECK(encoded(scene(48, 64, CV_8U, 6, false, 1).image, PixelEffort::small)[11] == 2);
    const char kinds[] = {'u', 'i', 'u', 'i', 'i', 'f', 'f', 'f'};
    for (const int depth : kDepths) {
        const std::vector<uint8_t> of_depth = encoded(scene(8, 8, depth, 2, false, 1).image);
        CHECK(of_depth[22] == kinds[depth]);
        CHECK(of_depth[23] == CV_ELEM_SIZE1(depth));
    }
}

TEST_CASE("frames are told apart in a row of them") {
    const Part part = scene(33, 47, CV_8U, 4, false, 1);
    const std::vector<uint8_t> first = encoded(part.image, PixelEffort::small);
    std::vector<uint8_t> both = first;
    const std::vector<uint8_t> second = encoded(random_bits(33, 47, CV_8U, 2).image);
    both.insert(both.end(), second.begin(), second.end());
    std::string reason;
    CHECK(predicted_frame_bytes(both, &reason) == first.size());
    CHECK(reason.empty());
    CHECK(predicted_frame_bytes(std::span(both).subspan(first.size()), &reason) == second.size());
    for (size_t size = 0; size < first.size(); ++size) {
        CHECK(predicted_frame_bytes(std::span(first).first(size), &reason) == 0);
        CHECK(reason.empty());
    }
    CHECK(predicted_frame_bytes(std::span(both).subspan(1), &reason) == 0);
    CHECK_FALSE(reason.empty());
    CHECK(code_of_decoding(both, ImageType::of(part.image)) == ErrorCode::corrupt);
}

TEST_CASE("a frame of another type is refused") {
    const Part part = scene(48, 64, CV_8U, 4, false, 1);
    const std::vector<uint8_t> frame = encoded(part.image);
    for (const ImageType& type : {ImageType{64, 48, 1, CV_8U},
                                  {48, 64, 1, CV_8S},
                                  {24, 64, 2, CV_8U},
                                  {48, 32, 1, CV_16U},
                                  {48, 65, 1, CV_8U},
                                  {1, 1, 1, CV_8U}}) {
        CHECK(code_of_decoding(frame, type) == ErrorCode::corrupt);
    }
}

TEST_CASE("no damaged or hostile frame gives wrong pixels or reaches beyond memory") {
    std::mt19937 random(20260101);
    struct Sample {
        Part part;
        PixelEffort effort;
    };
    const Sample samples[] = {{scene(20, 30, CV_8U, 4, false, 1), PixelEffort::small},
                              {scene(20, 30, CV_8U, 4, true, 1), PixelEffort::fast},
                              {scene(20, 30, CV_8UC3, 4, false, 1), PixelEffort::small},
                              {scene(20, 30, CV_16U, 4, false, 1), PixelEffort::fast},
                              {scene(9, 11, CV_32F, 4, false, 1), PixelEffort::fast},
                              {random_bits(20, 30, CV_8U, 1), PixelEffort::fast}};
    for (const Sample& sample : samples) {
        const ImageType type = ImageType::of(sample.part.image);
        const std::vector<uint8_t> frame = encoded(sample.part.image, sample.effort);
        PixelDecoder decoder(type);
        cv::Mat image;
        // True when it was refused.
        const auto survives = [&](std::span<const uint8_t> bytes) {
            // Where it ends exactly, so that a sanitizer sees what lies behind it.
            const std::vector<uint8_t> exact(bytes.begin(), bytes.end());
            try {
                decoder.decode(exact, image);
            } catch (const Error& error) {
                CHECK(error.code() == ErrorCode::corrupt);
                return true;
            }
            return false;
        };
        for (size_t size = 0; size < frame.size(); size += kSanitized ? 7 : 1) {
            CHECK(survives(std::span(frame).first(size)));
        }
        for (size_t bit = 0; bit < 8 * frame.size(); bit += kSanitized ? 5 : 1) {
            std::vector<uint8_t> changed = frame;
            changed[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
            if (!survives(changed)) CHECK(equal_pixels(image, sample.part.image));
        }
        for (int round = 0; round < (kSanitized ? 200 : 3000); ++round) {
            std::vector<uint8_t> changed = frame;
            // Headers that are in order, of any filter, and sometimes pixels that are not.
            changed[9] = static_cast<uint8_t>(random() % 8);
            changed[10] = static_cast<uint8_t>(random() % 4);
            changed[11] = static_cast<uint8_t>(random() % 5);
            if (random() % 4 == 0) changed[8 + random() % 16] = static_cast<uint8_t>(random());
            seal(changed);
            if (random() % 2 == 0) changed[28 + random() % (changed.size() - 28)] = static_cast<uint8_t>(random());
            survives(changed);
        }
        survives(frame);
        CHECK(equal_pixels(image, sample.part.image));
    }
}

TEST_CASE("a frame that unpacks to more than its type has is refused before it does") {
    const std::vector<uint8_t> large = encoded(cv::Mat(4000, 4000, CV_8U, cv::Scalar(1)));
    std::vector<uint8_t> frame = encoded(cv::Mat(20, 30, CV_8U, cv::Scalar(1)));
    frame.resize(28);
    frame.insert(frame.end(), large.begin() + 28, large.end());
    CHECK(predicted_frame_bytes(frame, nullptr) == frame.size());
    CHECK(code_of_decoding(frame, {20, 30, 1, CV_8U}) == ErrorCode::corrupt);
}

}  // namespace reelstore
