#include <zstd.h>

#include "base/error.h"
#include "bench/formats/coder.h"
#include "codecs/packed/pixel_coder.h"

namespace reelstore::bench {

namespace {

constexpr int kLevel = 1;

class Predicted : public Coder {
public:
    Predicted(const ImageType& type, PixelEffort effort) : encoder_(type, effort, kLevel), decoder_(type) {}

    std::span<const uint8_t> encode(const cv::Mat& image) override { return encoder_.encode(image); }
    void decode(std::span<const uint8_t> bytes, cv::Mat& image) override { decoder_.decode(bytes, image); }

private:
    PixelEncoder encoder_;
    PixelDecoder decoder_;
};

/// What of the decoding of predicted frames is zstd's: their bytes are zstd frames, the header a skippable one.
class BareZstd : public Coder {
public:
    explicit BareZstd(const ImageType& type)
        : encoder_(type, PixelEffort::fast, kLevel), context_(ZSTD_createDCtx()), filtered_(type.bytes()) {}

    std::span<const uint8_t> encode(const cv::Mat& image) override { return encoder_.encode(image); }
    void decode(std::span<const uint8_t> bytes, cv::Mat&) override {
        const size_t size =
            ZSTD_decompressDCtx(context_.get(), filtered_.data(), filtered_.size(), bytes.data(), bytes.size());
        if (size != filtered_.size()) throw Error(ErrorCode::internal, "ZSTD_decompress() gives no whole image");
    }

private:
    struct FreeContext {
        void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
    };

    PixelEncoder encoder_;
    std::unique_ptr<ZSTD_DCtx, FreeContext> context_;
    std::vector<uint8_t> filtered_;
};

CoderEntry entry(const std::string& name, PixelEffort effort) {
    return {.name = name,
            .make = [effort](const Clip& clip) { return std::make_unique<Predicted>(clip.type, effort); }};
}

}  // namespace

std::vector<CoderEntry> predicted_coders() {
    return {entry(kPredictedFast, PixelEffort::fast),
            entry(kPredictedSmall, PixelEffort::small),
            {.name = kBareZstd,
             .make = [](const Clip& clip) { return std::make_unique<BareZstd>(clip.type); },
             .whole_decoder = false}};
}

}  // namespace reelstore::bench
