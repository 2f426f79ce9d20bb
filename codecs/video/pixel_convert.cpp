#include "codecs/video/pixel_convert.h"

extern "C" {
#include <libavutil/opt.h>
}

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include <opencv2/imgproc.hpp>

#include "codecs/video/deep_pixels.h"

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

/// Where chroma lies; as in MPEG-2 and all that came after it where a stream does not say.
struct Siting {
    ChromaSiting horizontal = ChromaSiting::first;
    ChromaSiting vertical = ChromaSiting::centre;
};

Siting siting_of(AVChromaLocation location) {
    switch (location) {
        case AVCHROMA_LOC_CENTER:
            return {ChromaSiting::centre, ChromaSiting::centre};
        case AVCHROMA_LOC_TOPLEFT:
            return {ChromaSiting::first, ChromaSiting::first};
        case AVCHROMA_LOC_TOP:
            return {ChromaSiting::centre, ChromaSiting::first};
        case AVCHROMA_LOC_BOTTOMLEFT:
            return {ChromaSiting::first, ChromaSiting::last};
        case AVCHROMA_LOC_BOTTOM:
            return {ChromaSiting::centre, ChromaSiting::last};
        default:
            return {};
    }
}

YuvEncoding encoding_of(const AVFrame& frame) {
    const bool full = is_full_range(frame);
    switch (matrix_of(frame.colorspace)) {
        case SWS_CS_ITU709:
            return {.red_weight = 0.2126, .blue_weight = 0.0722, .full_range = full};
        case SWS_CS_FCC:
            return {.red_weight = 0.30, .blue_weight = 0.11, .full_range = full};
        case SWS_CS_SMPTE240M:
            return {.red_weight = 0.212, .blue_weight = 0.087, .full_range = full};
        case SWS_CS_BT2020:
            return {.red_weight = 0.2627, .blue_weight = 0.0593, .full_range = full};
        default:
            return {.full_range = full};
    }
}

/// The frame as yuv_to_bgr() takes it; empty for other formats than 8-bit YUV of full or half width in planes.
std::optional<YuvImage> yuv_image(const AVFrame& frame, const AVPixFmtDescriptor& format, const ImageType& type) {
    const AVComponentDescriptor& u = format.comp[1];
    const AVComponentDescriptor& v = format.comp[2];
    if (!has_luma_plane(format) || format.nb_components != 3 || u.plane == 0 || v.plane == 0) return std::nullopt;
    if (format.log2_chroma_w > 1 || format.log2_chroma_h > format.log2_chroma_w) return std::nullopt;
    for (const AVComponentDescriptor& chroma : {u, v}) {
        if (chroma.depth != 8 || chroma.shift != 0 || chroma.step != u.step || !frame.data[chroma.plane]) {
            return std::nullopt;
        }
    }
    if (u.step != 1 && !(u.step == 2 && u.plane == v.plane && format.log2_chroma_w == 1)) return std::nullopt;
    const Siting siting = siting_of(frame.chroma_location);
    YuvImage image;
    image.width = type.width;
    image.height = type.height;
    image.luma = frame.data[0];
    image.luma_stride = frame.linesize[0];
    image.u = frame.data[u.plane] + u.offset;
    image.v = frame.data[v.plane] + v.offset;
    image.u_stride = frame.linesize[u.plane];
    image.v_stride = frame.linesize[v.plane];
    image.chroma_step = u.step;
    image.half_width = format.log2_chroma_w == 1;
    image.half_height = format.log2_chroma_h == 1;
    image.horizontal = siting.horizontal;
    image.vertical = siting.vertical;
    return image;
}

cv::Mat luma_image(const AVFrame& frame, const ImageType& type) {
    cv::Mat image(type.height, type.width, CV_8UC1);
    const bool full = is_full_range(frame);
    for (int y = 0; y < type.height; ++y) {
        const uint8_t* from = frame.data[0] + static_cast<ptrdiff_t>(y) * frame.linesize[0];
        if (full) {
            std::memcpy(image.ptr(y), from, static_cast<size_t>(type.width));
        } else {
            expand_luma_range(from, image.ptr(y), type.width);
        }
    }
    return image;
}

/// `chroma` says where chroma lies in the format that has it.
UniqueScaler make_scaler(int width, int height, AVPixelFormat from, bool from_full, AVPixelFormat to, bool to_full,
                         int matrix, const Siting& chroma) {
    UniqueScaler scaler(sws_alloc_context());
    if (!scaler) throw Error(ErrorCode::internal, "out of memory for converting pixels");
    // In units of 1/256 of the distance of luma samples.
    const auto position = [](ChromaSiting siting) { return static_cast<int>(siting) * 128; };
    const AVPixFmtDescriptor* const formats[] = {av_pix_fmt_desc_get(from), av_pix_fmt_desc_get(to)};
    const std::pair<const char*, int> options[] = {
        {"srcw", width},  {"srch", height},   {"src_format", from},       {"dstw", width},
        {"dsth", height}, {"dst_format", to}, {"sws_flags", kScalerFlags}};
    for (const auto& [name, value] : options) av_opt_set_int(scaler.get(), name, value, 0);
    for (int i = 0; i < 2; ++i) {
        const std::string side = i == 0 ? "src" : "dst";
        if (formats[i]->log2_chroma_w == 1) {
            av_opt_set_int(scaler.get(), (side + "_h_chr_pos").c_str(), position(chroma.horizontal), 0);
        }
        if (formats[i]->log2_chroma_h == 1) {
            av_opt_set_int(scaler.get(), (side + "_v_chr_pos").c_str(), position(chroma.vertical), 0);
        }
    }
    const int* coefficients = sws_getCoefficients(matrix);
    sws_setColorspaceDetails(scaler.get(), coefficients, from_full, coefficients, to_full, 0, kFixedOne, kFixedOne);
    if (sws_init_context(scaler.get(), nullptr, nullptr) < 0) {
        throw Error(ErrorCode::unsupported, std::string("cannot convert ") + av_get_pix_fmt_name(from) + " pixels to " +
                                                av_get_pix_fmt_name(to));
    }
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

/// Decoders of raw formats hand out the packet's own bytes, whose rows may be too short for swscale's vectors, begin at
/// odd addresses or go from bottom to top. Null when there is nothing to mend.
UniqueFrame copy_if_untidy(const AVFrame& frame) {
    bool tidy = true;
    for (int plane = 0; plane < 4 && frame.data[plane]; ++plane) {
        tidy = tidy && frame.linesize[plane] >= 0 && frame.linesize[plane] % 2 == 0 &&
               reinterpret_cast<uintptr_t>(frame.data[plane]) % 2 == 0;
    }
    if (tidy && frame.linesize[0] % kVectorPixels == 0) return nullptr;
    UniqueFrame copy = new_frame(frame.width, frame.height, frame.format);
    if (av_frame_copy(copy.get(), &frame) < 0) throw Error(ErrorCode::unsupported, "cannot copy decoded pixels");
    copy->color_range = frame.color_range;
    copy->colorspace = frame.colorspace;
    copy->chroma_location = frame.chroma_location;
    return copy;
}

const AVPixFmtDescriptor& described_format(AVPixelFormat format) {
    const AVPixFmtDescriptor* descriptor = av_pix_fmt_desc_get(format);
    if (!descriptor) throw Error(ErrorCode::unsupported, "this FFmpeg lacks a pixel format");
    return *descriptor;
}

bool is_rgb(const AVPixFmtDescriptor& format) {
    return (format.flags & AV_PIX_FMT_FLAG_RGB) != 0;
}

/// Values of limited range for all those of full range.
std::vector<uint16_t> limited_luma(int bits) {
    const YuvFormula formula = yuv_formula({.full_range = false}, bits);
    std::vector<uint16_t> values(size_t{1} << bits);
    for (size_t value = 0; value < values.size(); ++value) {
        values[value] = static_cast<uint16_t>(std::lround(static_cast<double>(value) / formula.luma + formula.black));
    }
    return values;
}

/// Pixels of 8 bits that are blue, green and red already, whatever their order; empty for other formats. Nothing is
/// rounded.
std::optional<cv::Mat> plain_bgr(const AVFrame& frame, const AVPixFmtDescriptor& format, const ImageType& type) {
    const uint64_t others = AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_BITSTREAM | AV_PIX_FMT_FLAG_HWACCEL |
                            AV_PIX_FMT_FLAG_BAYER | AV_PIX_FMT_FLAG_FLOAT;
    if (!is_rgb(format) || (format.flags & others) != 0 || format.nb_components < 3) return std::nullopt;
    const cv::Size size(type.width, type.height);
    cv::Mat image(size, CV_8UC3);
    for (int component = 0; component < 3; ++component) {
        const AVComponentDescriptor& sample = format.comp[component];
        if (sample.depth != 8 || sample.shift != 0 || sample.step > 4 || frame.linesize[sample.plane] < 0)
            return std::nullopt;
        const cv::Mat plane(size, CV_8UC(sample.step), frame.data[sample.plane],
                            static_cast<size_t>(frame.linesize[sample.plane]));
        const std::array<int, 2> from_to = {sample.offset, 2 - component};
        cv::mixChannels(&plane, 1, &image, 1, from_to.data(), 1);
    }
    return image;
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

std::optional<std::string> refuses_pixels(const ImageType& type) {
    if (type.depth == CV_8U && (type.channels == 1 || type.channels == 3)) return std::nullopt;
    return "video gives 8-bit gray and BGR images, not " + type.text() + "; keep them as predicted/rpz, raw/npy or npy";
}

bool is_deep_format(const std::string& pixel_format) {
    const AVPixFmtDescriptor* format = av_pix_fmt_desc_get(av_get_pix_fmt(pixel_format.c_str()));
    return format && is_deep(*format);
}

cv::Mat FrameToImage::convert(const AVFrame& frame, const ImageType& type) {
    const bool deep = type.depth == CV_16U && (type.channels == 1 || type.channels == 3);
    const auto refused = refuses_pixels(type);
    if (refused && !deep) throw Error(ErrorCode::wrong_type, *refused);
    const auto fits = [](int coded, int wanted) { return coded == wanted || coded == round_up(wanted, 2); };
    if (!fits(frame.width, type.width) || !fits(frame.height, type.height)) {
        throw Error(ErrorCode::wrong_type, "holds frames of " + std::to_string(frame.height) + "x" +
                                               std::to_string(frame.width) + " where " + type.text() + " is expected");
    }
    const AVPixFmtDescriptor* format = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
    if (!format || !frame.data[0]) throw Error(ErrorCode::unsupported, "decodes to an unknown pixel format");
    if (deep && !is_deep(*format)) throw Error(ErrorCode::wrong_type, "holds frames of 8 bits where 16 are expected");
    if (is_deep(*format)) {
        const UniqueFrame tidy = copy_if_untidy(frame);
        return from_deep(tidy ? *tidy : frame, *format, type);
    }
    cv::Mat image;
    if (has_luma_plane(*format) && (type.gray() || format->nb_components < 3)) {
        image = luma_image(frame, type);
        if (!type.gray()) cv::cvtColor(image, image, cv::COLOR_GRAY2BGR);
    } else if (const auto yuv = yuv_image(frame, *format, type); yuv && !type.gray()) {
        image.create(type.height, type.width, CV_8UC3);
        yuv_to_bgr(*yuv, encoding_of(frame), image);
    } else {
        const auto plain = plain_bgr(frame, *format, type);
        image = plain ? *plain : scaled(frame, AV_PIX_FMT_BGR24, type);
        if (type.gray()) cv::cvtColor(image, image, cv::COLOR_BGR2GRAY);
    }
    return image;
}

cv::Mat FrameToImage::from_deep(const AVFrame& frame, const AVPixFmtDescriptor& format, const ImageType& type) {
    const cv::Size size(type.width, type.height);
    const int most = (1 << format.comp[0].depth) - 1;
    cv::Mat image;
    if (has_deep_luma(format) && (type.gray() || format.nb_components < 3)) {
        image = deep_luma(frame, size, is_full_range(frame));
        if (type.depth == CV_8U) image.convertTo(image, CV_8U, 255.0 / most);
        if (!type.gray()) cv::cvtColor(image, image, cv::COLOR_GRAY2BGR);
        return image;
    }
    if (has_deep_bgr(format)) {
        const Siting siting = siting_of(frame.chroma_location);
        image = deep_bgr(frame, size, encoding_of(frame), siting.horizontal, siting.vertical);
        if (type.depth == CV_8U) image.convertTo(image, CV_8U, 255.0 / most);
    } else if (type.depth == CV_8U) {
        image = scaled(frame, AV_PIX_FMT_BGR24, type);
    } else {
        image = scaled(frame, AV_PIX_FMT_BGR48, type);
        if (most < 0xffff) image.convertTo(image, CV_16U, most / 65535.0);
    }
    if (type.gray()) cv::cvtColor(image, image, cv::COLOR_BGR2GRAY);
    return image;
}

cv::Mat FrameToImage::scaled(const AVFrame& frame, AVPixelFormat to, const ImageType& type) {
    const auto format = static_cast<AVPixelFormat>(frame.format);
    const Kind kind = {.width = frame.width,
                       .height = frame.height,
                       .from = format,
                       .to = to,
                       .matrix = matrix_of(frame.colorspace),
                       .full_range = is_full_range(frame),
                       .chroma_location = frame.chroma_location};
    if (!scaler_ || kind != kind_) {
        scaler_ = make_scaler(kind.width, kind.height, plain_format(format), kind.full_range, to, true, kind.matrix,
                              siting_of(frame.chroma_location));
        kind_ = kind;
    }
    const UniqueFrame tidy = copy_if_untidy(frame);
    const AVFrame& source = tidy ? *tidy : frame;
    cv::Mat bgr(frame.height, round_up(frame.width, kVectorPixels), to == AV_PIX_FMT_BGR24 ? CV_8UC3 : CV_16UC3);
    uint8_t* const data[] = {bgr.data, nullptr, nullptr, nullptr};
    const int strides[] = {static_cast<int>(bgr.step[0]), 0, 0, 0};
    if (sws_scale(scaler_.get(), source.data, source.linesize, 0, frame.height, data, strides) != frame.height) {
        throw Error(ErrorCode::internal, "FFmpeg could not convert a frame's pixels");
    }
    const cv::Mat image = bgr(cv::Rect(0, 0, type.width, type.height));
    return image.isContinuous() ? image : image.clone();
}

ImageToFrame::ImageToFrame(const ImageType& type, const FrameLayout& layout)
    : type_(type),
      layout_(layout),
      descriptor_(described_format(layout.format)),
      width_(layout.even ? round_up(type.width, 2) : type.width),
      height_(layout.even ? round_up(type.height, 2) : type.height) {
    const bool deep = type.depth == CV_16U && is_deep(descriptor_);
    const bool shallow = type.depth == CV_8U && descriptor_.comp[0].depth == 8;
    const bool fits = type.gray() ? !is_rgb(descriptor_) : type.channels == 3 && (shallow || is_rgb(descriptor_));
    if ((!deep && !shallow) || !fits) {
        throw Error(ErrorCode::wrong_type,
                    "images of " + type.text() + " cannot become " + descriptor_.name + " frames");
    }
    if (type.gray()) {
        if (!layout.full_range) luma_ = limited_luma(descriptor_.comp[0].depth);
        return;
    }
    if (is_rgb(descriptor_)) return;
    // JPEG has chroma in the middle of its luma samples, the others above the left ones.
    const bool jpeg = plain_format(layout.format) != layout.format;
    scaler_ = make_scaler(width_, height_, AV_PIX_FMT_BGR24, true, plain_format(layout.format), layout.full_range,
                          SWS_CS_ITU601, jpeg ? Siting{ChromaSiting::centre, ChromaSiting::centre} : Siting{});
    padded_.create(height_, round_up(width_, kVectorPixels), CV_8UC3);
    padded_.setTo(0);
}

AVColorSpace ImageToFrame::color_space() const {
    return is_rgb(descriptor_) ? AVCOL_SPC_RGB : AVCOL_SPC_SMPTE170M;
}

UniqueFrame ImageToFrame::convert(const cv::Mat& image) {
    if (type_.depth == CV_16U) check_values(image);
    UniqueFrame frame = new_frame(width_, height_, layout_.format);
    frame->color_range = layout_.full_range ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
    frame->colorspace = color_space();
    if (is_rgb(descriptor_)) {
        copy_rgb(image, *frame);
    } else if (type_.depth == CV_16U) {
        copy_deep_luma(image, *frame);
    } else if (type_.gray()) {
        copy_luma(image, *frame);
    } else {
        convert_colour(image, *frame);
    }
    return frame;
}

void ImageToFrame::check_values(const cv::Mat& image) const {
    const int bits = descriptor_.comp[0].depth;
    if (bits == 16) return;
    double most = 0;
    cv::minMaxLoc(image.reshape(1), nullptr, &most);
    if (most < 1 << bits) return;
    throw Error(ErrorCode::wrong_type, "has a pixel of " + std::to_string(static_cast<int>(most)) +
                                           ", which does not fit in " + std::to_string(bits) +
                                           " bits (option bits); ffv1/mkv with bits=16, npy, tif or png hold it");
}

void ImageToFrame::copy_luma(const cv::Mat& image, AVFrame& frame) const {
    for (int y = 0; y < height_; ++y) {
        const uint8_t* from = image.ptr<uint8_t>(std::min(y, type_.height - 1));
        uint8_t* to = frame.data[0] + static_cast<ptrdiff_t>(y) * frame.linesize[0];
        if (luma_.empty()) {
            std::memcpy(to, from, static_cast<size_t>(type_.width));
        } else {
            std::transform(from, from + type_.width, to,
                           [this](uint8_t value) { return static_cast<uint8_t>(luma_[value]); });
        }
        if (width_ > type_.width) to[type_.width] = to[type_.width - 1];
    }
    const int chroma_height = AV_CEIL_RSHIFT(height_, descriptor_.log2_chroma_h);
    for (int plane = 1; plane < 3 && frame.data[plane]; ++plane) {
        std::memset(frame.data[plane], 128,
                    static_cast<size_t>(frame.linesize[plane]) * static_cast<size_t>(chroma_height));
    }
}

void ImageToFrame::copy_deep_luma(const cv::Mat& image, AVFrame& frame) const {
    const int shift = descriptor_.comp[0].shift;
    const auto row_of = [&](int plane, int y) {
        return reinterpret_cast<uint16_t*>(frame.data[plane] + static_cast<ptrdiff_t>(y) * frame.linesize[plane]);
    };
    for (int y = 0; y < height_; ++y) {
        const uint16_t* from = image.ptr<uint16_t>(std::min(y, type_.height - 1));
        uint16_t* to = row_of(0, y);
        std::transform(from, from + type_.width, to, [&](uint16_t value) {
            return static_cast<uint16_t>((luma_.empty() ? value : luma_[value]) << shift);
        });
        if (width_ > type_.width) to[type_.width] = to[type_.width - 1];
    }
    const auto middle = static_cast<uint16_t>(1 << (descriptor_.comp[0].depth - 1 + shift));
    const int chroma_height = AV_CEIL_RSHIFT(height_, descriptor_.log2_chroma_h);
    for (int plane = 1; plane < 3 && frame.data[plane]; ++plane) {
        for (int y = 0; y < chroma_height; ++y) std::fill_n(row_of(plane, y), frame.linesize[plane] / 2, middle);
    }
}

void ImageToFrame::copy_rgb(const cv::Mat& image, AVFrame& frame) const {
    const cv::Size size(width_, height_);
    if (descriptor_.flags & AV_PIX_FMT_FLAG_PLANAR) {
        for (int channel = 0; channel < 3; ++channel) {
            const int plane = descriptor_.comp[2 - channel].plane;
            cv::Mat samples(size, CV_MAKETYPE(type_.depth, 1), frame.data[plane],
                            static_cast<size_t>(frame.linesize[plane]));
            cv::extractChannel(image, samples, channel);
        }
        return;
    }
    const int step = descriptor_.comp[0].step;
    cv::Mat pixels(size, CV_8UC(step), frame.data[0], static_cast<size_t>(frame.linesize[0]));
    if (step == 3) {
        image.copyTo(pixels);
    } else {
        cv::cvtColor(image, pixels, cv::COLOR_BGR2BGRA);
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
