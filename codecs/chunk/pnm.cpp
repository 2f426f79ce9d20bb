#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "base/error.h"
#include "codecs/image_chunk_format.h"
#include "codecs/image_codec.h"

namespace reelstore {

namespace {

bool has_pnm_depth(const ImageType& type) {
    return type.depth == CV_8U || type.depth == CV_16U;
}

std::vector<int> no_parameters(const CodecOptions&) {
    return {};
}

/// The file always holds colour. Gray comes back exactly, because OpenCV's weights of three equal values give that
/// value.
std::vector<uint8_t> encode_ppm(const cv::Mat& image, const CodecOptions&) {
    if (image.channels() == 3) return encode_image(image, ".ppm");
    cv::Mat color;
    try {
        cv::cvtColor(image, color, cv::COLOR_GRAY2BGR);
    } catch (const cv::Exception& error) {
        throw Error(ErrorCode::internal, "cannot expand a gray image to colour: " + error.err);
    }
    return encode_image(color, ".ppm");
}

ImageKind ppm_kind() {
    ChunkFormatInfo info;
    info.name = "ppm";
    info.extension = ".ppm";
    info.lossless = true;
    info.types = "uint8 or uint16 with 1 or 3 channels (1 is stored as 3)";
    const auto accepts = [](const ImageType& type) {
        return has_pnm_depth(type) && (type.channels == 1 || type.channels == 3);
    };
    ImageKind kind = opencv_image_kind(std::move(info), accepts, no_parameters);
    kind.encode = encode_ppm;
    const auto usual_size = kind.largest_file;
    kind.largest_file = [usual_size](const ImageType& type) {
        return usual_size({type.height, type.width, 3, type.depth});
    };
    return kind;
}

ImageKind pgm_kind() {
    ChunkFormatInfo info;
    info.name = "pgm";
    info.extension = ".pgm";
    info.lossless = true;
    info.types = "uint8 or uint16 with 1 channel";
    const auto accepts = [](const ImageType& type) { return has_pnm_depth(type) && type.channels == 1; };
    return opencv_image_kind(std::move(info), accepts, no_parameters);
}

}  // namespace

void add_chunk_formats_pnm(ChunkFormatTable& table) {
    table.push_back(std::make_unique<ImageFolderFormat>(ppm_kind()));
    table.push_back(std::make_unique<ImageFolderFormat>(pgm_kind()));
}

}  // namespace reelstore
