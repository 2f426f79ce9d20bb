#include "codecs/video/pixel_convert.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <opencv2/imgproc.hpp>

namespace reelstore {

namespace {

/// swscale writes whole vectors: rows that are no multiple of this get a padded buffer.
constexpr int kVectorPixels = 32;
constexpr int kScalerFlags = SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP;
constexpr int kFixedOne = 1 << 16;

int round_up(int value, int step) {
    return (value + step - 1) / step * step;
}

/// Swscale's number for a matrix.
int matrix_of(AVColorSpace space) {
    switch (space) {
        case AVCOL_SPC_BT709:
            return SWS_CS_ITU709;
        case AVCOL_SPC_FCC:
            return SWS_CS_FCC;
        case AVCOL_SPC_SMPTE240M:
            return SWS_CS_SMPTE240M;
        case AVCOL_SPC_BT2020_NCL:
        case AVCOL_SPC_BT2020_CL:
            return SWS_CS_BT2020;
        default:
            return SWS_CS_ITU601;
    }
}

AVPixelFormat plain_format(AVPixelFormat format) {
    switch (format) {
        case AV_PIX_FMT_YUVJ420P:
            return AV_PIX_FMT_YUV420P;
        case AV_PIX_FMT_YUVJ422P:
            return AV_PIX_FMT_YUV422P;
        case AV_PIX_FMT_YUVJ444P:
            return AV_PIX_FMT_YUV444P;
        case AV_PIX_FMT_YUVJ440P:
            return AV_PIX_FMT_YUV440P;
        case AV_PIX_FMT_YUVJ411P:
            return AV_PIX_FMT_YUV411P;
        default:
            return format;
    }
}

/// Whether plane 0 is a picture of 8-bit luma by itself.
bool has_luma_plane(const AVPixFmtDescriptor& format) {
    const uint64_t others = AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_BITSTREAM |
                            AV_PIX_FMT_FLAG_HWACCEL | AV_PIX_FMT_FLAG_BAYER;
    const AVComponentDescriptor& luma = format.comp[0];
    return (format.flags & others) == 0 && luma.plane == 0 && luma.step == 1 && luma.offset == 0 && luma.shift == 0 &&
           luma.depth == 8;
}

/// Whether the frame is gray of 9 to 16 bits in the lower bits of machine words.
bool has_deep_luma_plane(const AVPixFmtDescriptor& format) {
    const AVComponentDescriptor& luma = format.comp[0];
    const uint64_t others = AV_PIX_FMT_FLAG_BE | AV_PIX_FMT_FLAG_FLOAT;
    return format.nb_components == 1 && (format.flags & others) == 0 && luma.depth > 8 && luma.depth <= 16 &&
           luma.step == 2 && luma.shift == 0;
}

cv::Mat deep_luma_image(const AVFrame& frame, const ImageType& type) {
    cv::Mat image(type.height, type.width, CV_16UC1);
    for (int y = 0; y < type.height; ++y) {
        std::memcpy(image.ptr(y), frame.data[0] + static_cast<ptrdiff_t>(y) * frame.linesize[0],
                    static_cast<size_t>(type.width) * 2);
    }
    return image;
}

/// Full-range value of each limited-range one.
const std::array<uint8_t, 256>& expansion_table() {
    static const std::array<uint8_t, 256> table = [] {
        std::array<uint8_t, 256> values{};
        for (int y = 0; y < 256; ++y) {
            values[static_cast<size_t>(y)] =
                static_cast<uint8_t>(std::clamp(((y - 16) * 255 * 2 + 219) / (2 * 219), 0, 255));
        }
        return values;
    }();
    return table;
}

cv::Mat luma_image(const AVFrame& frame, const ImageType& type) {
    cv::Mat image(type.height, type.width, CV_8UC1);
    const bool full = is_full_range(frame);
    const std::array<uint8_t, 256>& expanded = expansion_table();
    for (int y = 0; y < type.height; ++y) {
        const uint8_t* from = frame.data[0] + static_cast<ptrdiff_t>(y) * frame.linesize[0];
        uint8_t* to = image.ptr<uint8_t>(y);
        if (full) {
            std::memcpy(to, from, static_cast<size_t>(type.width));
        } else {
            for (int x = 0; x < type.width; ++x) to[x] = expanded[from[x]];
        }
    }
    return image;
}

UniqueScaler make_scaler(int width, int height, AVPixelFormat from, bool from_full, AVPixelFormat to, bool to_full,
                         int matrix) {
    UniqueScaler scaler(
        sws_getContext(width, height, from, width, height, to, kScalerFlags, nullptr, nullptr, nullptr));
    if (!scaler) {
        throw Error(ErrorCode::unsupported, std::string("cannot convert ") + av_get_pix_fmt_name(from) + " pixels to " +
                                                av_get_pix_fmt_name(to));
    }
    const int* coefficients = sws_getCoefficients(matrix);
    sws_setColorspaceDetails(scaler.get(), coefficients, from_full, coefficients, to_full, 0, kFixedOne, kFixedOne);
    return scaler;
}

UniqueFrame new_frame(int width, int height, int format) {
    UniqueFrame frame = make_frame();
    frame->width = width;
    frame->height = height;
    frame->format = format;
    if (av_frame_get_buffer(frame.get(), 64) < 0) throw Error(ErrorCode::internal, "out of memory for a video frame");
    return frame;
}

}  // namespace

bool is_full_range(const AVFrame& frame) {
    const auto format = static_cast<AVPixelFormat>(frame.format);
    if (frame.color_range == AVCOL_RANGE_JPEG || plain_format(format) != format) return true;
    if (frame.color_range == AVCOL_RANGE_MPEG) return false;
    const AVPixFmtDescriptor* descriptor = av_pix_fmt_desc_get(format);
    return descriptor && (descriptor->nb_components < 3 || (descriptor->flags & AV_PIX_FMT_FLAG_RGB) != 0);
}

std::string plain_pixel_format(AVPixelFormat format) {
    const char* name = av_get_pix_fmt_name(plain_format(format));
    return name ? name : "";
}

void describe_picture(const AVFrame& frame, VideoStream& stream) {
    stream.width = frame.width;
    stream.height = frame.height;
    stream.pixel_format = plain_pixel_format(static_cast<AVPixelFormat>(frame.format));
    if (is_full_range(frame)) {
        stream.color_range = "pc";
    } else if (frame.color_range == AVCOL_RANGE_MPEG) {
        stream.color_range = "tv";
    }
    const char* space = frame.colorspace == AVCOL_SPC_UNSPECIFIED ? nullptr : av_color_space_name(frame.colorspace);
    if (space) stream.color_space = space;
}

bool is_gray_format(const std::string& pixel_format) {
    const AVPixFmtDescriptor* format = av_pix_fmt_desc_get(av_get_pix_fmt(pixel_format.c_str()));
    return format && format->nb_components < 3 && !(format->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL));
}

int sample_bits(const std::string& pixel_format) {
    const AVPixFmtDescriptor* format = av_pix_fmt_desc_get(av_get_pix_fmt(pixel_format.c_str()));
    return format ? format->comp[0].depth : 0;
}

std::optional<std::string> refuses_pixels(const ImageType& type) {
    if (type.depth == CV_8U && (type.channels == 1 || type.channels == 3)) return std::nullopt;
    return "video holds 8-bit gray and BGR images, not " + type.text() + "; keep them as npy, tif or png";
}

cv::Mat FrameToImage::convert(const AVFrame& frame, const ImageType& type) {
    const bool deep = type.depth == CV_16U && type.gray();
    const auto refused = refuses_pixels(type);
    if (refused && !deep) throw Error(ErrorCode::wrong_type, *refused);
    const auto fits = [](int coded, int wanted) { return coded == wanted || coded == round_up(wanted, 2); };
    if (!fits(frame.width, type.width) || !fits(frame.height, type.height)) {
        throw Error(ErrorCode::wrong_type, "holds frames of " + std::to_string(frame.height) + "x" +
                                               std::to_string(frame.width) + " where " + type.text() + " is expected");
    }
    const AVPixFmtDescriptor* format = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
    if (!format || !frame.data[0]) throw Error(ErrorCode::unsupported, "decodes to an unknown pixel format");
    if (deep) {
        if (!has_deep_luma_plane(*format)) throw Error(ErrorCode::wrong_type, "holds no 16-bit gray frames");
        return deep_luma_image(frame, type);
    }
    cv::Mat gray;
    if (has_luma_plane(*format) && (type.gray() || format->nb_components < 3)) gray = luma_image(frame, type);
    if (type.gray() && !gray.empty()) return gray;
    if (!gray.empty()) {
        cv::Mat bgr;
        cv::cvtColor(gray, bgr, cv::COLOR_GRAY2BGR);
        return bgr;
    }
    const cv::Mat bgr = to_bgr(frame)(cv::Rect(0, 0, type.width, type.height));
    cv::Mat image;
    if (type.gray()) {
        cv::cvtColor(bgr, image, cv::COLOR_BGR2GRAY);
        return image;
    }
    return bgr.isContinuous() ? bgr : bgr.clone();
}

cv::Mat FrameToImage::to_bgr(const AVFrame& frame) {
    const auto format = static_cast<AVPixelFormat>(frame.format);
    const int matrix = matrix_of(frame.colorspace);
    const bool full = is_full_range(frame);
    if (!scaler_ || frame.width != width_ || frame.height != height_ || frame.format != format_ || matrix != matrix_ ||
        full != full_range_) {
        scaler_ = make_scaler(frame.width, frame.height, plain_format(format), full, AV_PIX_FMT_BGR24, true, matrix);
        width_ = frame.width;
        height_ = frame.height;
        format_ = frame.format;
        matrix_ = matrix;
        full_range_ = full;
    }
    // Decoders of raw formats hand out the packet's own bytes, whose rows may be too short for swscale's vectors.
    UniqueFrame aligned;
    if (frame.linesize[0] % kVectorPixels != 0 || frame.linesize[0] < 0) {
        aligned = new_frame(frame.width, frame.height, frame.format);
        if (av_frame_copy(aligned.get(), &frame) < 0) throw Error(ErrorCode::unsupported, "cannot copy decoded pixels");
    }
    const AVFrame& source = aligned ? *aligned : frame;
    cv::Mat bgr(frame.height, round_up(frame.width, kVectorPixels), CV_8UC3);
    uint8_t* const data[] = {bgr.data, nullptr, nullptr, nullptr};
    const int strides[] = {static_cast<int>(bgr.step[0]), 0, 0, 0};
    if (sws_scale(scaler_.get(), source.data, source.linesize, 0, frame.height, data, strides) != frame.height) {
        throw Error(ErrorCode::internal, "FFmpeg could not convert a frame's pixels");
    }
    return bgr(cv::Rect(0, 0, frame.width, frame.height));
}

ImageToFrame::ImageToFrame(const ImageType& type, AVPixelFormat format)
    : type_(type), format_(format), width_(round_up(type.width, 2)), height_(round_up(type.height, 2)) {
    if (const auto refused = refuses_pixels(type)) throw Error(ErrorCode::wrong_type, *refused);
    if (type.gray()) return;
    scaler_ = make_scaler(width_, height_, AV_PIX_FMT_BGR24, true, plain_format(format), true, SWS_CS_ITU601);
    padded_.create(height_, round_up(width_, kVectorPixels), CV_8UC3);
    padded_.setTo(0);
}

UniqueFrame ImageToFrame::convert(const cv::Mat& image) {
    UniqueFrame frame = new_frame(width_, height_, format_);
    frame->color_range = AVCOL_RANGE_JPEG;
    frame->colorspace = AVCOL_SPC_SMPTE170M;
    if (type_.gray()) {
        copy_luma(image, *frame);
    } else {
        convert_colour(image, *frame);
    }
    return frame;
}

void ImageToFrame::copy_luma(const cv::Mat& image, AVFrame& frame) const {
    for (int y = 0; y < height_; ++y) {
        const uint8_t* from = image.ptr<uint8_t>(std::min(y, type_.height - 1));
        uint8_t* to = frame.data[0] + static_cast<ptrdiff_t>(y) * frame.linesize[0];
        std::memcpy(to, from, static_cast<size_t>(type_.width));
        if (width_ > type_.width) to[type_.width] = from[type_.width - 1];
    }
    const AVPixFmtDescriptor* format = av_pix_fmt_desc_get(format_);
    const int chroma_height = AV_CEIL_RSHIFT(height_, format->log2_chroma_h);
    for (int plane = 1; plane < 3 && frame.data[plane]; ++plane) {
        std::memset(frame.data[plane], 128,
                    static_cast<size_t>(frame.linesize[plane]) * static_cast<size_t>(chroma_height));
    }
}

void ImageToFrame::convert_colour(const cv::Mat& image, AVFrame& frame) {
    for (int y = 0; y < height_; ++y) {
        const uint8_t* from = image.ptr<uint8_t>(std::min(y, type_.height - 1));
        uint8_t* to = padded_.ptr<uint8_t>(y);
        std::memcpy(to, from, static_cast<size_t>(type_.width) * 3);
        if (width_ > type_.width) std::memcpy(to + type_.width * 3, from + (type_.width - 1) * 3, 3);
    }
    const uint8_t* const data[] = {padded_.data, nullptr, nullptr, nullptr};
    const int strides[] = {static_cast<int>(padded_.step[0]), 0, 0, 0};
    if (sws_scale(scaler_.get(), data, strides, 0, height_, frame.data, frame.linesize) != height_) {
        throw Error(ErrorCode::internal, "FFmpeg could not convert an image's pixels");
    }
}

}  // namespace reelstore
