#include "codecs/option_values.h"
#include "codecs/packed/packed_chunk_format.h"
#include "codecs/packed/zstd_frame.h"

namespace reelstore {

namespace {

int level_of(const CodecOptions& options) {
    return integer_option(options, "level", 1, 1, 19);
}

class Encoder final : public PackedEncoder {
public:
    explicit Encoder(int level) : zstd_(level) {}

    void encode(const cv::Mat& image, std::vector<uint8_t>& bytes) override {
        const cv::Mat continuous = image.isContinuous() ? image : image.clone();
        zstd_.encode({continuous.data, continuous.total() * continuous.elemSize()}, bytes);
    }

private:
    ZstdImageEncoder zstd_;
};

class Decoder final : public PackedDecoder {
public:
    void decode(std::span<const uint8_t> bytes, cv::Mat& image, bool verified) override {
        zstd_.decode(bytes, image, verified);
    }

private:
    ZstdImageDecoder zstd_;
};

}  // namespace

void add_chunk_formats_zstd_npy(ChunkFormatTable& table) {
    PackedKind kind{.container = zstd_npy_container()};
    kind.info.name = "zstd/npy";
    kind.info.options = {{"level", "1", "1 (fast) to 19 (small) as for the program zstd; images gain little above 1"},
                         threads_option()};
    kind.check_values = [](const CodecOptions& options) {
        level_of(options);
        threads_of(options);
    };
    kind.make_encoder = [](const ImageType&, const CodecOptions& options) {
        return std::make_unique<Encoder>(level_of(options));
    };
    kind.make_decoder = [](const ImageType&) { return std::make_unique<Decoder>(); };
    table.push_back(std::make_unique<PackedChunkFormat>(std::move(kind)));
}

}  // namespace reelstore
