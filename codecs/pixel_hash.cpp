#include "codecs/pixel_hash.h"

extern "C" {
#include <libavutil/mem.h>
#include <libavutil/sha.h>
}

#include <array>
#include <memory>

#include <fmt/format.h>

namespace reelstore {

std::string pixel_sha256(const cv::Mat& image) {
    const std::unique_ptr<AVSHA, void (*)(AVSHA*)> context(av_sha_alloc(), [](AVSHA* sha) { av_free(sha); });
    av_sha_init(context.get(), 256);
    for (int row = 0; row < image.rows; ++row) {
        av_sha_update(context.get(), image.ptr(row), static_cast<size_t>(image.cols) * image.elemSize());
    }
    std::array<uint8_t, 32> digest{};
    av_sha_final(context.get(), digest.data());
    std::string text;
    for (const uint8_t byte : digest) text += fmt::format("{:02x}", byte);
    return text;
}

}  // namespace reelstore
