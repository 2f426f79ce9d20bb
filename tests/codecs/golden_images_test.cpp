#include <algorithm>

extern "C" {
#include <libavutil/mem.h>
#include <libavutil/sha.h>
}

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <opencv2/core.hpp>

#include "base/file_system.h"
#include "base/numbered_frames.h"
#include "codecs/chunk_format.h"
#include "base/encoding.h"
#include "tests/test_data.h"

namespace reelstore {

namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMostText = 1 << 20;

/// The first 16 hexadecimal digits of the SHA-256 of an image's pixels in C order.
std::string hash_of(const cv::Mat& image) {
    const cv::Mat pixels = image.isContinuous() ? image : image.clone();
    AVSHA* context = av_sha_alloc();
    av_sha_init(context, 256);
    av_sha_update(context, pixels.data, pixels.total() * pixels.elemSize());
    uint8_t digest[32];
    av_sha_final(context, digest);
    av_free(context);
    std::string text;
    for (int i = 0; i < 8; ++i) text += fmt::format("{:02x}", digest[i]);
    return text;
}

/// The value of a key that stands on a line of its own.
std::string yaml_value(const std::string& yaml, const std::string& key) {
    const size_t place = yaml.find(key + ": ");
    if (place == std::string::npos) return {};
    const size_t begin = place + key.size() + 2;
    return yaml.substr(begin, yaml.find('\n', begin) - begin);
}

/// Type of the images in the files; the expected shape is that after decoding.
ImageType stored_type(const Json& expect, const std::string& yaml, bool is_raw) {
    const auto shape = expect.at("image_shape").get<std::vector<int>>();
    const int channels = shape.size() == 3 && !is_raw ? shape[2] : 1;
    return {shape[0], shape[1], channels, depth_of_dtype(yaml_value(yaml, "imgdtype")).value()};
}

/// The number of frames found to be right.
int check_store(const fs::path& folder, const Json& expect) {
    const std::string yaml = read_text_file(folder / "metadata.yaml", kMostText);
    const Encoding* encoding = find_encoding(yaml_value(yaml, "encoding"));
    const ImageType type = stored_type(expect, yaml, encoding);
    const ChunkFormat* format = find_chunk_format(expect.at("format").get<std::string>());
    REQUIRE(format);
    int index = 0;
    for (const int chunk : expect.at("chunks")) {
        const auto reader = format->open(folder / fmt::format("{:06d}", chunk), type);
        const int64_t count = reader->frame_count().value();
        for (int64_t position = 0; position < count; ++position, ++index) {
            cv::Mat image = reader->read(position);
            if (encoding) image = decode(*encoding, image);
            if (expect.contains("sha256_16_of_pixels")) {
                CHECK(hash_of(image) == expect.at("sha256_16_of_pixels").at(size_t(index)));
            }
            if (expect.value("barcode_equals", "") == "frame_index") CHECK(read_image_number(image) == index);
        }
    }
    return index;
}

}  // namespace

TEST_CASE("golden: images of imgstore's folder stores have the expected pixels") {
    const fs::path golden = test_data() / "golden" / "imgstore-0.4.0";
    int stores = 0;
    for (const std::string& name : file_system().list(golden)) {
        if (!name.ends_with(".expect.json")) continue;
        const Json expect = Json::parse(read_text_file(golden / name, kMostText));
        const ChunkFormat* format = find_chunk_format(expect.at("format").get<std::string>());
        if (!format || format->info().kind != ChunkKind::folder || expect.at("frame_count") == 0) continue;
        CAPTURE(name);
        CHECK(check_store(golden / expect.at("name").get<std::string>(), expect) == expect.at("frame_count"));
        ++stores;
    }
    CHECK(stores >= 16);
}

}  // namespace reelstore
