#include "base/encoding.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "base/error.h"

namespace reelstore {

namespace {

/// How raw pixels of an encoding lie in an image.
enum class Layout {
    bayer,        ///< one channel, a mosaic of colours
    planar_420,   ///< one channel: full luma, below it the two chroma planes at half size
    packed_422,   ///< two channels: luma and alternating chroma
    packed_16,    ///< two channels: the bytes of a 16 bit word a pixel
    gray,         ///< one channel, no colour
    alpha,        ///< four channels
    color,        ///< three channels
    color_no_16,  ///< three channels; OpenCV has no conversion of uint16
};

struct LayoutOf {
    const char* name;
    int cv_code;
    Layout layout;
};

constexpr std::array kTable{
    LayoutOf{"cv_bayerbg", cv::COLOR_BayerBG2BGR, Layout::bayer},
    LayoutOf{"cv_bayerbggr", cv::COLOR_BayerBGGR2BGR, Layout::bayer},
    LayoutOf{"cv_bayergb", cv::COLOR_BayerGB2BGR, Layout::bayer},
    LayoutOf{"cv_bayergbrg", cv::COLOR_BayerGBRG2BGR, Layout::bayer},
    LayoutOf{"cv_bayergr", cv::COLOR_BayerGR2BGR, Layout::bayer},
    LayoutOf{"cv_bayergrbg", cv::COLOR_BayerGRBG2BGR, Layout::bayer},
    LayoutOf{"cv_bayerrg", cv::COLOR_BayerRG2BGR, Layout::bayer},
    LayoutOf{"cv_bayerrggb", cv::COLOR_BayerRGGB2BGR, Layout::bayer},
    LayoutOf{"cv_bgr555", cv::COLOR_BGR5552BGR, Layout::packed_16},
    LayoutOf{"cv_bgr565", cv::COLOR_BGR5652BGR, Layout::packed_16},
    LayoutOf{"cv_bgra", cv::COLOR_BGRA2BGR, Layout::alpha},
    LayoutOf{"cv_gray", cv::COLOR_GRAY2BGR, Layout::gray},
    LayoutOf{"cv_hls", cv::COLOR_HLS2BGR, Layout::color_no_16},
    LayoutOf{"cv_hsv", cv::COLOR_HSV2BGR, Layout::color_no_16},
    LayoutOf{"cv_lab", cv::COLOR_Lab2BGR, Layout::color_no_16},
    LayoutOf{"cv_luv", cv::COLOR_Luv2BGR, Layout::color_no_16},
    LayoutOf{"cv_rgb", cv::COLOR_RGB2BGR, Layout::color},
    LayoutOf{"cv_rgba", cv::COLOR_RGBA2BGR, Layout::alpha},
    LayoutOf{"cv_xyz", cv::COLOR_XYZ2BGR, Layout::color},
    LayoutOf{"cv_ycrcb", cv::COLOR_YCrCb2BGR, Layout::color},
    LayoutOf{"cv_yuv", cv::COLOR_YUV2BGR, Layout::color},
    LayoutOf{"cv_yuv420p", cv::COLOR_YUV420p2BGR, Layout::planar_420},
    LayoutOf{"cv_yuv420sp", cv::COLOR_YUV420sp2BGR, Layout::planar_420},
    LayoutOf{"cv_yuv_i420", cv::COLOR_YUV2BGR_I420, Layout::planar_420},
    LayoutOf{"cv_yuv_iyuv", cv::COLOR_YUV2BGR_IYUV, Layout::planar_420},
    LayoutOf{"cv_yuv_nv12", cv::COLOR_YUV2BGR_NV12, Layout::planar_420},
    LayoutOf{"cv_yuv_nv21", cv::COLOR_YUV2BGR_NV21, Layout::planar_420},
    LayoutOf{"cv_yuv_uynv", cv::COLOR_YUV2BGR_UYNV, Layout::packed_422},
    LayoutOf{"cv_yuv_uyvy", cv::COLOR_YUV2BGR_UYVY, Layout::packed_422},
    LayoutOf{"cv_yuv_y422", cv::COLOR_YUV2BGR_Y422, Layout::packed_422},
    LayoutOf{"cv_yuv_yunv", cv::COLOR_YUV2BGR_YUNV, Layout::packed_422},
    LayoutOf{"cv_yuv_yuy2", cv::COLOR_YUV2BGR_YUY2, Layout::packed_422},
    LayoutOf{"cv_yuv_yuyv", cv::COLOR_YUV2BGR_YUYV, Layout::packed_422},
    LayoutOf{"cv_yuv_yv12", cv::COLOR_YUV2BGR_YV12, Layout::planar_420},
    LayoutOf{"cv_yuv_yvyu", cv::COLOR_YUV2BGR_YVYU, Layout::packed_422},
};

constexpr std::array kDemosaicNames{"bilinear", "vng", "edge-aware"};

/// OpenCV's codes of the other methods lie at the same distances from the plain one for all patterns.
constexpr int kToVng = cv::COLOR_BayerBG2BGR_VNG - cv::COLOR_BayerBG2BGR;
constexpr int kToEdgeAware = cv::COLOR_BayerBG2BGR_EA - cv::COLOR_BayerBG2BGR;
static_assert(cv::COLOR_BayerGR2BGR_VNG - cv::COLOR_BayerGR2BGR == kToVng);
static_assert(cv::COLOR_BayerGR2BGR_EA - cv::COLOR_BayerGR2BGR == kToEdgeAware);

/// OpenCV's demosaicing takes every pixel's neighbours; smaller images have none.
constexpr int kSmallestBayerSide = 3;

const char* raw_type_of(Layout layout) {
    switch (layout) {
        case Layout::bayer:
            return "uint8 or uint16 with 1 channel, at least 3x3";
        case Layout::planar_420:
            return "uint8 with 1 channel, an even width and a height of 3/2 times the picture's";
        case Layout::packed_422:
            return "uint8 with 2 channels and an even width";
        case Layout::packed_16:
            return "uint8 with 2 channels";
        case Layout::gray:
            return "uint8, uint16 or float32 with 1 channel";
        case Layout::alpha:
            return "uint8, uint16 or float32 with 4 channels";
        case Layout::color:
            return "uint8, uint16 or float32 with 3 channels";
        case Layout::color_no_16:
            return "uint8 or float32 with 3 channels";
    }
    return "";
}

bool can_decode(Layout layout, const ImageType& raw) {
    const bool is_8_bit = raw.depth == CV_8U;
    const bool has_usual_depth = is_8_bit || raw.depth == CV_16U || raw.depth == CV_32F;
    const int channels = raw.channels;
    switch (layout) {
        case Layout::bayer:
            return channels == 1 && (is_8_bit || raw.depth == CV_16U) && raw.height >= kSmallestBayerSide &&
                   raw.width >= kSmallestBayerSide;
        case Layout::planar_420:
            return channels == 1 && is_8_bit && raw.height % 3 == 0 && raw.width % 2 == 0;
        case Layout::packed_422:
            return channels == 2 && is_8_bit && raw.width % 2 == 0;
        case Layout::packed_16:
            return channels == 2 && is_8_bit;
        case Layout::gray:
            return channels == 1 && has_usual_depth;
        case Layout::alpha:
            return channels == 4 && has_usual_depth;
        case Layout::color:
            return channels == 3 && has_usual_depth;
        case Layout::color_no_16:
            return channels == 3 && (is_8_bit || raw.depth == CV_32F);
    }
    return false;
}

Layout layout_of(const Encoding& encoding) {
    for (const LayoutOf& entry : kTable) {
        if (entry.name == encoding.name) return entry.layout;
    }
    throw Error(ErrorCode::invalid_argument, fmt::format("\"{}\" is no known encoding", encoding.name));
}

/// OpenCV confuses the colours of mosaics smaller than 8 in a side and only repeats pixels near the border. Mirrored at
/// its outermost pixels, a mosaic goes on in the same pattern.
cv::Mat decode_vng(const Encoding& encoding, const cv::Mat& raw) {
    constexpr int kMargin = 4;
    cv::Mat wide;
    cv::copyMakeBorder(raw, wide, kMargin, kMargin, kMargin, kMargin, cv::BORDER_REFLECT_101);
    cv::Mat decoded;
    cv::cvtColor(wide, decoded, encoding.cv_code + kToVng);
    return decoded(cv::Rect(kMargin, kMargin, raw.cols, raw.rows)).clone();
}

bool is_bit_count(std::string_view text) {
    constexpr std::array<std::string_view, 6> kBitCounts{"", "8", "10", "12", "14", "16"};
    return std::find(kBitCounts.begin(), kBitCounts.end(), text) != kBitCounts.end();
}

}  // namespace

const std::vector<Encoding>& encodings() {
    static const std::vector<Encoding> all = [] {
        std::vector<Encoding> list;
        for (const LayoutOf& entry : kTable) list.push_back({entry.name, entry.cv_code, raw_type_of(entry.layout)});
        return list;
    }();
    return all;
}

const Encoding* find_encoding(std::string_view name) {
    for (const Encoding& encoding : encodings()) {
        if (encoding.name == name) return &encoding;
    }
    return nullptr;
}

const Encoding* encoding_of_genicam(std::string_view pixel_format) {
    if (pixel_format.empty() || pixel_format == "None") return nullptr;
    constexpr std::string_view kBayer = "Bayer";
    if (pixel_format.starts_with(kBayer)) {
        std::string_view rest = pixel_format.substr(kBayer.size());
        if (rest.starts_with('_')) rest.remove_prefix(1);
        // GenICam names the first two pixels of the first row, OpenCV the second and third of the second row.
        constexpr std::array<std::array<std::string_view, 2>, 4> kNames{
            {{"BG", "cv_bayerrg"}, {"RG", "cv_bayerbg"}, {"GB", "cv_bayergr"}, {"GR", "cv_bayergb"}}};
        for (const auto& [pattern, name] : kNames) {
            if (rest.starts_with(pattern) && is_bit_count(rest.substr(pattern.size()))) return find_encoding(name);
        }
    }
    throw Error(
        ErrorCode::invalid_argument,
        fmt::format("no encoding decodes the pixel format \"{}\"; known are BayerRG, BayerBG, BayerGR and BayerGB "
                    "with 8 to 16 bits, unpacked",
                    pixel_format));
}

std::optional<ImageType> decoded_type(const Encoding& encoding, const ImageType& raw) {
    const Layout layout = layout_of(encoding);
    if (raw.empty() || !can_decode(layout, raw)) return std::nullopt;
    ImageType decoded = raw;
    decoded.channels = 3;
    if (layout == Layout::planar_420) decoded.height = raw.height / 3 * 2;
    return decoded;
}

bool is_bayer(const Encoding& encoding) {
    return layout_of(encoding) == Layout::bayer;
}

std::optional<std::string> refuses_demosaic(const Encoding& encoding, const ImageType& raw, Demosaic method) {
    if (method != Demosaic::vng || raw.depth == CV_8U || !is_bayer(encoding)) return std::nullopt;
    return fmt::format("vng demosaics mosaics of 8 bits only, this one is {}; bilinear and edge-aware take it",
                       dtype_name(raw.depth));
}

std::optional<std::string> refuses_loss(const Encoding& encoding) {
    if (!is_bayer(encoding)) return std::nullopt;
    return fmt::format(
        "lossy compression takes the mosaic of {} for a gray picture and ruins its colours; use a lossless format, or "
        "decode the images before they are stored (jpg+color)",
        encoding.name);
}

const char* to_string(Demosaic method) {
    return kDemosaicNames[static_cast<size_t>(method)];
}

Demosaic demosaic_of(std::string_view name) {
    for (size_t i = 0; i < kDemosaicNames.size(); ++i) {
        if (name == kDemosaicNames[i]) return static_cast<Demosaic>(i);
    }
    throw Error(ErrorCode::invalid_argument,
                fmt::format("\"{}\" is no method of demosaicing; there are {}", name, fmt::join(kDemosaicNames, ", ")));
}

cv::Mat decode(const Encoding& encoding, const cv::Mat& raw, Demosaic method) {
    const ImageType type = ImageType::of(raw);
    if (!decoded_type(encoding, type)) {
        throw Error(ErrorCode::wrong_type,
                    fmt::format("{} decodes {}, not {}", encoding.name, encoding.raw_type, type.text()));
    }
    if (const auto reason = refuses_demosaic(encoding, type, method)) throw Error(ErrorCode::unsupported, *reason);
    cv::Mat decoded;
    try {
        if (method == Demosaic::vng && is_bayer(encoding)) return decode_vng(encoding, raw);
        const bool edge_aware = method == Demosaic::edge_aware && is_bayer(encoding);
        cv::cvtColor(raw, decoded, encoding.cv_code + (edge_aware ? kToEdgeAware : 0));
    } catch (const cv::Exception& error) {
        throw Error(ErrorCode::internal,
                    fmt::format("cannot decode {} as {}: {}", type.text(), encoding.name, error.err));
    }
    return decoded;
}

}  // namespace reelstore
