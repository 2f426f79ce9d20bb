#include <opencv2/imgcodecs.hpp>

#include "codecs/image_chunk_format.h"
#include "codecs/option_values.h"

namespace reelstore {

namespace {

const char* const kFast = "fast";

std::vector<int> png_parameters(const CodecOptions& options) {
    const auto option = options.find("compression");
    // OpenCV's own setting (left filter, run lengths) cannot be asked for by a level, only by giving none.
    if (option == options.end() || option->second == kFast) return {};
    return {cv::IMWRITE_PNG_COMPRESSION, integer_option(options, "compression", 0, 0, 9)};
}

bool png_accepts(const ImageType& type) {
    return (type.depth == CV_8U || type.depth == CV_16U) &&
           (type.channels == 1 || type.channels == 3 || type.channels == 4);
}

}  // namespace

void add_chunk_formats_png(ChunkFormatTable& table) {
    ChunkFormatInfo info;
    info.name = "png";
    info.extension = ".png";
    info.lossless = true;
    info.types = "uint8 or uint16 with 1, 3 or 4 channels";
    info.options = {{"compression", kFast,
                     "fast, or a zlib level: 0 (none) to 9 (smallest); 1 makes colour about "
                     "20 % smaller than fast and takes 1.7 times as long"}};
    add_with_color_form(table, opencv_image_kind(std::move(info), png_accepts, png_parameters));
}

}  // namespace reelstore
