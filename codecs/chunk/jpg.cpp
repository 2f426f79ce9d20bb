#include <opencv2/imgcodecs.hpp>

#include "codecs/image_chunk_format.h"
#include "codecs/option_values.h"

namespace reelstore {

namespace {

constexpr int kDefaultQuality = 95;
/// libjpeg's limit.
constexpr int kLargestSide = 65500;

std::vector<int> jpg_parameters(const CodecOptions& options) {
    return {cv::IMWRITE_JPEG_QUALITY, integer_option(options, "quality", kDefaultQuality, 0, 100)};
}

bool jpg_accepts(const ImageType& type) {
    return type.depth == CV_8U && (type.channels == 1 || type.channels == 3) && type.width <= kLargestSide &&
           type.height <= kLargestSide;
}

}  // namespace

void add_chunk_formats_jpg(ChunkFormatTable& table) {
    ChunkFormatInfo info;
    info.name = "jpg";
    info.extension = ".jpg";
    info.types = "uint8 with 1 or 3 channels, up to 65500x65500";
    info.options = {{"quality", std::to_string(kDefaultQuality), "0 (smallest) to 100 (best)"}};
    ImageKind kind = opencv_image_kind(std::move(info), jpg_accepts, jpg_parameters);
    kind.other_extensions = {".jpeg"};
    add_with_color_form(table, std::move(kind));
}

}  // namespace reelstore
