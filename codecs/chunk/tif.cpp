#include <opencv2/imgcodecs.hpp>

#include "codecs/image_chunk_format.h"
#include "codecs/option_values.h"

namespace reelstore {

namespace {

const char* const kDefaultCompression = "lzw";

std::vector<int> tif_parameters(const CodecOptions& options) {
    // Numbers of the TIFF specification. One is always given: without it OpenCV would store float colour as LogLuv,
    // which is lossy.
    constexpr int kNone = 1;
    constexpr int kLzw = 5;
    constexpr int kDeflate = 8;
    const std::string word = choice_option(options, "compression", kDefaultCompression, {"none", "lzw", "deflate"});
    const int compression = word == "none" ? kNone : word == "lzw" ? kLzw : kDeflate;
    return {cv::IMWRITE_TIFF_COMPRESSION, compression};
}

/// The types that OpenCV writes and reads back bit by bit.
bool tif_accepts(const ImageType& type) {
    const int depth = type.depth;
    if (type.channels == 1) return depth != CV_16F;
    if (type.channels == 3 || type.channels == 4) return depth == CV_8U || depth == CV_16U || depth == CV_32F;
    return false;
}

}  // namespace

void add_chunk_formats_tif(ChunkFormatTable& table) {
    ChunkFormatInfo info;
    info.name = "tif";
    info.extension = ".tif";
    info.lossless = true;
    info.types = "uint8, uint16 or float32 with 1, 3 or 4 channels; int8, int16, int32 or float64 with 1 channel";
    info.options = {
        {"compression", kDefaultCompression, "none, lzw or deflate; 32 and 64 bit values are never compressed"}};
    ImageKind kind = opencv_image_kind(std::move(info), tif_accepts, tif_parameters);
    kind.other_extensions = {".tiff"};
    add_with_color_form(table, std::move(kind));
}

}  // namespace reelstore
