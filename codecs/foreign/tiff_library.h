#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "codecs/foreign/tiff_directory.h"

namespace reelstore {

/// How the samples of a page become elements of an image.
enum class TiffDecoding {
    samples,   ///< values as they are; RGB becomes BGR
    unpacked,  ///< the same from samples that are no whole bytes
    bilevel,   ///< 1 bit: 0 and 255 as they are seen
    palette,   ///< the colours of indices
    as_seen,   ///< through libtiff's conversion to 8-bit RGB
};

struct TiffPixels {
    ImageType type;
    TiffDecoding decoding = TiffDecoding::samples;
    bool swap_colors = false;  ///< RGB to BGR
    bool unsigned_32 = false;  ///< the file's elements are uint32, the image's int32
};

/// What image a page gives. Throws Error(unsupported) for pixels that no image can hold and Error(corrupt) for absurd
/// sizes.
TiffPixels pixels_of(const TiffLayout& layout, bool palette_indices);

/// Decodes pages with libtiff. Any number of threads may call decode() at once; each has a handle of its own.
class TiffDecoder {
public:
    explicit TiffDecoder(std::shared_ptr<const FileBytes> file);
    ~TiffDecoder();
    TiffDecoder(const TiffDecoder&) = delete;
    TiffDecoder& operator=(const TiffDecoder&) = delete;

    /// Throws Error(corrupt) when its pixels cannot be decoded, Error(unsupported) when libtiff lacks the codec.
    cv::Mat decode(const TiffPage& page, const TiffLayout& layout, const TiffPixels& pixels) const;

private:
    class Handle;

    std::unique_ptr<Handle> take() const;
    void give_back(std::unique_ptr<Handle> handle) const;

    std::shared_ptr<const FileBytes> file_;
    mutable std::mutex mutex_;
    mutable std::vector<std::unique_ptr<Handle>> idle_;
};

/// Brings decoded samples, or those of the file, into their final form: order of colours, range of int32.
cv::Mat finish_pixels(cv::Mat image, const TiffPixels& pixels);

/// RGB to BGR and back, with or without a fourth channel, of every element type.
cv::Mat swap_red_and_blue(const cv::Mat& image);

enum class TiffCompression { none = 1, lzw = 5, deflate = 8, zstd = 50000 };

/// Whether libtiff can write it on this machine.
bool can_compress(TiffCompression compression);
/// The strip of a page of one strip, rows without gaps, colours in the order of the image.
std::vector<uint8_t> compress_strip(const cv::Mat& image, TiffCompression compression, bool predictor);
/// Value of the Predictor tag for it.
int tiff_predictor(int depth);

}  // namespace reelstore
