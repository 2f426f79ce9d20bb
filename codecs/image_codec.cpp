#include "codecs/image_codec.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "base/error.h"
#include "codecs/image_header.h"

namespace reelstore {

namespace {

Error failure(ErrorCode code, const std::string& path, const std::string& message) {
    return Error(code, {path, {}, {}}, message);
}

void check_header(const ImageHeader& header, const std::string& path, const std::optional<ImageType>& expected) {
    if (expected) {
        if (header.width != expected->width || header.height != expected->height) {
            throw failure(ErrorCode::corrupt, path,
                          fmt::format("the header says {}x{}, the store {}x{} (width x height)", header.width,
                                      header.height, expected->width, expected->height));
        }
        if (header.depth != expected->depth) {
            throw failure(
                ErrorCode::corrupt, path,
                fmt::format("the file holds {}, the store {}", dtype_name(header.depth), dtype_name(expected->depth)));
        }
        return;
    }
    const bool fits_int = std::clamp<int64_t>(header.width, 0, kMaxImageSide) == header.width &&
                          std::clamp<int64_t>(header.height, 0, kMaxImageSide) == header.height;
    const ImageType claimed{int(header.height), int(header.width), header.channels, header.depth};
    if (!fits_int || !plausible(claimed)) {
        throw failure(ErrorCode::corrupt, path,
                      fmt::format("the header says {}x{} with {} channels, which is no plausible image", header.width,
                                  header.height, header.channels));
    }
}

int read_flags(int channels) {
    if (channels == 1) return cv::IMREAD_ANYDEPTH | cv::IMREAD_GRAYSCALE | cv::IMREAD_IGNORE_ORIENTATION;
    if (channels == 3) return cv::IMREAD_ANYDEPTH | cv::IMREAD_COLOR | cv::IMREAD_IGNORE_ORIENTATION;
    return cv::IMREAD_UNCHANGED;
}

}  // namespace

cv::Mat decode_image(std::span<const uint8_t> bytes, const std::string& path,
                     const std::optional<ImageType>& expected) {
    const std::optional<ImageHeader> header = read_image_header(bytes);
    if (!header) {
        const bool known = !sniff_image_format(bytes).empty();
        throw failure(known || expected ? ErrorCode::corrupt : ErrorCode::unsupported, path,
                      known ? "the image's header is damaged" : "this is no PNG, JPEG, TIFF, BMP or PNM image");
    }
    check_header(*header, path, expected);
    if (header->channels > 4) {
        throw failure(ErrorCode::unsupported, path,
                      fmt::format("images of {} channels cannot be read", header->channels));
    }
    if (bytes.size() > size_t{std::numeric_limits<int>::max()}) {
        throw failure(ErrorCode::unsupported, path, "the image file is larger than 2 GiB");
    }
    // libjpeg fills what is missing at the end with gray and reports success.
    if (header->format == "JPEG" && !has_jpeg_end(bytes)) {
        throw failure(ErrorCode::corrupt, path, "the JPEG image is cut off: it has no end marker");
    }

    cv::Mat image;
    try {
        const cv::Mat buffer(1, int(bytes.size()), CV_8U, const_cast<uint8_t*>(bytes.data()));
        image = cv::imdecode(buffer, read_flags(expected ? expected->channels : header->channels));
    } catch (const cv::Exception& error) {
        throw failure(ErrorCode::corrupt, path, "the image cannot be decoded: " + error.err);
    }
    if (image.empty()) {
        throw failure(ErrorCode::corrupt, path,
                      fmt::format("the {} image cannot be decoded: it is damaged or cut off", header->format));
    }
    const ImageType type = ImageType::of(image);
    if (expected && type != *expected) {
        throw failure(ErrorCode::corrupt, path,
                      fmt::format("the image decodes as {}, the store says {}", type.text(), expected->text()));
    }
    if (type.width != header->width || type.height != header->height || type.depth != header->depth) {
        throw failure(ErrorCode::corrupt, path,
                      fmt::format("the image decodes as {}, its header says {}x{} {} (width x height)", type.text(),
                                  header->width, header->height, dtype_name(header->depth)));
    }
    return image;
}

std::vector<uint8_t> encode_image(const cv::Mat& image, const std::string& extension,
                                  const std::vector<int>& parameters) {
    const std::string what = fmt::format("OpenCV cannot encode {} as {}", ImageType::of(image).text(), extension);
    std::vector<uint8_t> bytes;
    bool done = false;
    try {
        done = cv::imencode(extension, image, bytes, parameters);
    } catch (const cv::Exception& error) {
        throw Error(ErrorCode::internal, what + ": " + error.err);
    }
    if (!done || bytes.empty()) throw Error(ErrorCode::internal, what);
    return bytes;
}

cv::Mat gray_image(const cv::Mat& image) {
    if (image.channels() == 1) return image;
    const int depth = image.depth();
    const bool convertible =
        (image.channels() == 3 || image.channels() == 4) && (depth == CV_8U || depth == CV_16U || depth == CV_32F);
    if (!convertible) {
        throw Error(ErrorCode::wrong_type, "cannot make " + ImageType::of(image).text() + " gray");
    }
    cv::Mat gray;
    try {
        cv::cvtColor(image, gray, image.channels() == 3 ? cv::COLOR_BGR2GRAY : cv::COLOR_BGRA2GRAY);
    } catch (const cv::Exception& error) {
        throw Error(ErrorCode::internal, "cannot make an image gray: " + error.err);
    }
    return gray;
}

}  // namespace reelstore
