#include "codecs/option_values.h"
#include "codecs/packed/packed_chunk_format.h"
#include "codecs/packed/pixel_coder.h"

namespace reelstore {

namespace {

int level_of(const CodecOptions& options) {
    return integer_option(options, "level", 1, 1, 19);
}

PixelEffort effort_of(const CodecOptions& options) {
    return choice_option(options, "effort", "fast", {"fast", "small"}) == "small" ? PixelEffort::small
                                                                                  : PixelEffort::fast;
}

class Encoder final : public PackedEncoder {
public:
    Encoder(const ImageType& type, PixelEffort effort, int level) : pixels_(type, effort, level) {}

    void encode(const cv::Mat& image, std::vector<uint8_t>& bytes) override {
        const std::span<const uint8_t> frame = pixels_.encode(image);
        bytes.assign(frame.begin(), frame.end());
    }

private:
    PixelEncoder pixels_;
};

class Decoder final : public PackedDecoder {
public:
    explicit Decoder(const ImageType& type) : pixels_(type) {}

    void decode(std::span<const uint8_t> bytes, cv::Mat& image, bool verified) override {
        pixels_.decode(bytes, image, verified);
    }

private:
    PixelDecoder pixels_;
};

}  // namespace

void add_chunk_formats_predicted_rpz(ChunkFormatTable& table) {
    PackedKind kind{.container = predicted_container()};
    kind.info.name = "predicted/rpz";
    kind.info.options = {
        {"effort", "fast", "fast or small: how many predictors are tried; what is small takes longer to read, too"},
        {"level", "1", "1 to 19, zstd's for what is left after prediction; noise gains little above 1"},
        threads_option()};
    kind.check_values = [](const CodecOptions& options) {
        effort_of(options);
        level_of(options);
        threads_of(options);
    };
    kind.make_encoder = [](const ImageType& type, const CodecOptions& options) {
        return std::make_unique<Encoder>(type, effort_of(options), level_of(options));
    };
    kind.make_decoder = [](const ImageType& type) { return std::make_unique<Decoder>(type); };
    table.push_back(std::make_unique<PackedChunkFormat>(std::move(kind)));
}

}  // namespace reelstore
