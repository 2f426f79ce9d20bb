#include <blosc.h>
#include <zstd.h>

#include <cstring>

#include <opencv2/imgcodecs.hpp>

#include "base/error.h"
#include "bench/formats/coder.h"

namespace reelstore::bench {

namespace {

Error failed(const std::string& what) {
    return Error(ErrorCode::internal, what + " failed");
}

class Zstd : public Coder {
public:
    Zstd(const ImageType& type, int level)
        : level_(level),
          bytes_(ZSTD_compressBound(type.bytes())),
          compressor_(ZSTD_createCCtx()),
          decompressor_(ZSTD_createDCtx()) {}
    ~Zstd() override {
        ZSTD_freeCCtx(compressor_);
        ZSTD_freeDCtx(decompressor_);
    }
    Zstd(const Zstd&) = delete;
    Zstd& operator=(const Zstd&) = delete;

    std::span<const uint8_t> encode(const cv::Mat& image) override {
        const size_t size = ZSTD_compressCCtx(compressor_, bytes_.data(), bytes_.size(), image.data,
                                              image.total() * image.elemSize(), level_);
        if (ZSTD_isError(size)) throw failed("ZSTD_compressCCtx()");
        return {bytes_.data(), size};
    }
    void decode(std::span<const uint8_t> bytes, cv::Mat& image) override {
        const size_t size = image.total() * image.elemSize();
        if (ZSTD_decompressDCtx(decompressor_, image.data, size, bytes.data(), bytes.size()) != size) {
            throw failed("ZSTD_decompressDCtx()");
        }
    }

private:
    int level_;
    std::vector<uint8_t> bytes_;
    ZSTD_CCtx* compressor_;
    ZSTD_DCtx* decompressor_;
};

class Blosc : public Coder {
public:
    Blosc(const ImageType& type, int level) : level_(level), bytes_(type.bytes() + BLOSC_MAX_OVERHEAD) {}

    std::span<const uint8_t> encode(const cv::Mat& image) override {
        const int size = blosc_compress_ctx(level_, BLOSC_BITSHUFFLE, image.elemSize1(),
                                            image.total() * image.elemSize(), image.data, bytes_.data(), bytes_.size(),
                                            BLOSC_ZSTD_COMPNAME, /*blocksize=*/0, /*numinternalthreads=*/1);
        if (size <= 0) throw failed("blosc_compress_ctx()");
        return {bytes_.data(), static_cast<size_t>(size)};
    }
    void decode(std::span<const uint8_t> bytes, cv::Mat& image) override {
        const size_t size = image.total() * image.elemSize();
        if (blosc_decompress_ctx(bytes.data(), image.data, size, 1) != static_cast<int>(size)) {
            throw failed("blosc_decompress_ctx()");
        }
    }

private:
    int level_;
    std::vector<uint8_t> bytes_;
};

class Png : public Coder {
public:
    std::span<const uint8_t> encode(const cv::Mat& image) override {
        if (!cv::imencode(".png", image, bytes_, {cv::IMWRITE_PNG_COMPRESSION, 1})) throw failed("cv::imencode()");
        return bytes_;
    }
    void decode(std::span<const uint8_t> bytes, cv::Mat& image) override {
        const cv::Mat view(1, static_cast<int>(bytes.size()), CV_8U, const_cast<uint8_t*>(bytes.data()));
        cv::imdecode(view, cv::IMREAD_UNCHANGED, &image);
    }

private:
    std::vector<uint8_t> bytes_;
};

class Copy : public Coder {
public:
    explicit Copy(const ImageType& type) : bytes_(type.bytes()) {}

    std::span<const uint8_t> encode(const cv::Mat& image) override {
        std::memcpy(bytes_.data(), image.data, bytes_.size());
        return bytes_;
    }
    void decode(std::span<const uint8_t> bytes, cv::Mat& image) override {
        std::memcpy(image.data, bytes.data(), bytes.size());
    }

private:
    std::vector<uint8_t> bytes_;
};

}  // namespace

std::vector<CoderEntry> zstd_coders() {
    return {{.name = "zstd, level 1", .make = [](const Clip& clip) { return std::make_unique<Zstd>(clip.type, 1); }}};
}

std::vector<CoderEntry> blosc_coders() {
    return {{.name = kBloscLeast, .make = [](const Clip& clip) { return std::make_unique<Blosc>(clip.type, 1); }},
            {.name = "blosc bitshuffle zstd, level 5",
             .make = [](const Clip& clip) { return std::make_unique<Blosc>(clip.type, 5); },
             .slow = true}};
}

CoderEntry png_coder() {
    return {.name = "png, level 1", .make = [](const Clip&) { return std::make_unique<Png>(); }, .slow = true};
}

CoderEntry copy_coder() {
    return {.name = "copy", .make = [](const Clip& clip) { return std::make_unique<Copy>(clip.type); }};
}

}  // namespace reelstore::bench
