#include "codecs/video/deep_pixels.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include <opencv2/core.hpp>
#include <opencv2/core/hal/intrin.hpp>

namespace reelstore {

namespace {

/// Pixels converted at a time; buffers of rows have room for a whole block at their end.
constexpr int kBlock = 8;
constexpr uint64_t kOtherLayouts =
    AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_BITSTREAM | AV_PIX_FMT_FLAG_HWACCEL | AV_PIX_FMT_FLAG_BAYER;

bool in_native_order(const AVPixFmtDescriptor& format) {
    const bool big = (format.flags & AV_PIX_FMT_FLAG_BE) != 0;
    return big == (std::endian::native == std::endian::big);
}

const AVPixFmtDescriptor& format_of(const AVFrame& frame) {
    return *av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
}

/// The plane's memory as an image.
cv::Mat plane_view(const AVFrame& frame, int plane, cv::Size size, int channels = 1) {
    return {size, CV_MAKETYPE(CV_16U, channels), frame.data[plane], static_cast<size_t>(frame.linesize[plane])};
}

cv::Mat luma_samples(const AVFrame& frame, cv::Size size) {
    const AVPixFmtDescriptor& format = format_of(frame);
    const AVComponentDescriptor& luma = format.comp[0];
    const cv::Mat view = plane_view(frame, 0, size, luma.step / 2);
    cv::Mat image;
    cv::extractChannel(view, image, luma.offset / 2);
    if (in_native_order(format) && luma.shift == 0) return image;
    for (int y = 0; y < size.height; ++y) {
        for (uint16_t& value : cv::Mat_<uint16_t>(image.row(y))) {
            if (!in_native_order(format)) value = static_cast<uint16_t>(value << 8 | value >> 8);
            value = static_cast<uint16_t>(value >> luma.shift);
        }
    }
    return image;
}

cv::v_float32x4 widened(const uint16_t* values) {
    return cv::v_cvt_f32(cv::v_reinterpret_as_s32(cv::v_load_expand(values)));
}

/// Chroma of a row of luma, as differences from the middle.
class ChromaRow {
public:
    ChromaRow(const AVFrame& frame, int plane, cv::Size size, ChromaSiting horizontal, ChromaSiting vertical)
        : frame_(frame), plane_(plane), size_(size), horizontal_(horizontal), vertical_(vertical) {
        const AVPixFmtDescriptor& format = format_of(frame);
        half_width_ = format.log2_chroma_w == 1;
        half_height_ = format.log2_chroma_h == 1;
        middle_ = static_cast<float>(1 << (format.comp[0].depth - 1));
        count_ = half_width_ ? (size.width + 1) / 2 : size.width;
        values_.resize(static_cast<size_t>(count_) + 2 * kBlock);
    }

    void load(int y) {
        const ChromaRows from = half_height_ ? half_height_rows(y, size_.height, vertical_) : ChromaRows{y, y, 0};
        const uint16_t* near_row = row(from.near_row);
        const uint16_t* far_row = row(from.far_row);
        const float far_weight = static_cast<float>(from.far_weight) / 4;
        const cv::v_float32x4 far_weights = cv::v_setall_f32(far_weight);
        const cv::v_float32x4 middles = cv::v_setall_f32(middle_);
        float* const out = values_.data() + kBlock;
        int i = 0;
        for (; i + 4 <= count_; i += 4) {
            const cv::v_float32x4 here = widened(near_row + i);
            cv::v_store(out + i, here + (widened(far_row + i) - here) * far_weights - middles);
        }
        for (; i < count_; ++i) {
            const float here = near_row[i];
            out[i] = here + (static_cast<float>(far_row[i]) - here) * far_weight - middle_;
        }
        out[-1] = out[0];
        std::fill_n(out + count_, kBlock, out[count_ - 1]);
    }

    /// Of eight pixels from `x` on, which is even.
    void at(int x, cv::v_float32x4& low, cv::v_float32x4& high) const {
        const float* const here = values_.data() + kBlock + (half_width_ ? x / 2 : x);
        const cv::v_float32x4 values = cv::v_load(here);
        if (!half_width_) {
            low = values;
            high = cv::v_load(here + 4);
            return;
        }
        const cv::v_float32x4 next = cv::v_load(here + 1);
        if (horizontal_ == ChromaSiting::centre) {
            const cv::v_float32x4 most = values * cv::v_setall_f32(0.75F);
            const cv::v_float32x4 quarter = cv::v_setall_f32(0.25F);
            cv::v_zip(most + cv::v_load(here - 1) * quarter, most + next * quarter, low, high);
        } else {
            cv::v_zip(values, (values + next) * cv::v_setall_f32(0.5F), low, high);
        }
    }

private:
    const uint16_t* row(int y) const {
        return reinterpret_cast<const uint16_t*>(frame_.data[plane_] +
                                                 static_cast<ptrdiff_t>(y) * frame_.linesize[plane_]);
    }

    const AVFrame& frame_;
    int plane_;
    cv::Size size_;
    ChromaSiting horizontal_;
    ChromaSiting vertical_;
    bool half_width_ = false;
    bool half_height_ = false;
    float middle_ = 0;
    int count_ = 0;
    std::vector<float> values_;  ///< with kBlock more on both sides
};

struct Formula {
    cv::v_float32x4 black, luma, red_v, green_u, green_v, blue_u;
};

Formula spread(const YuvFormula& formula) {
    const auto all = [](double value) { return cv::v_setall_f32(static_cast<float>(value)); };
    return {all(formula.black),   all(formula.luma),    all(formula.red_v),
            all(formula.green_u), all(formula.green_v), all(formula.blue_u)};
}

struct Pixels {
    cv::v_int32x4 blue, green, red;
};

Pixels convert(const cv::v_uint32x4& luma, const cv::v_float32x4& u, const cv::v_float32x4& v, const Formula& by) {
    const cv::v_float32x4 gray = (cv::v_cvt_f32(cv::v_reinterpret_as_s32(luma)) - by.black) * by.luma;
    return {cv::v_round(gray + u * by.blue_u), cv::v_round(gray + u * by.green_u + v * by.green_v),
            cv::v_round(gray + v * by.red_v)};
}

cv::v_uint16x8 clipped(const cv::v_int32x4& low, const cv::v_int32x4& high, const cv::v_uint16x8& most) {
    return cv::v_min(cv::v_pack_u(low, high), most);
}

cv::Mat yuv_image(const AVFrame& frame, cv::Size size, const YuvEncoding& encoding, ChromaSiting horizontal,
                  ChromaSiting vertical) {
    const int bits = format_of(frame).comp[0].depth;
    const Formula formula = spread(yuv_formula(encoding, bits));
    const cv::v_uint16x8 most = cv::v_setall_u16(static_cast<uint16_t>((1 << bits) - 1));
    ChromaRow u(frame, 1, size, horizontal, vertical);
    ChromaRow v(frame, 2, size, horizontal, vertical);
    const size_t padded = static_cast<size_t>(size.width) + kBlock;
    std::vector<uint16_t> luma(padded);
    std::vector<uint16_t> bgr(3 * padded);
    cv::Mat image(size, CV_16UC3);
    for (int y = 0; y < size.height; ++y) {
        std::memcpy(luma.data(), frame.data[0] + static_cast<ptrdiff_t>(y) * frame.linesize[0],
                    static_cast<size_t>(size.width) * 2);
        u.load(y);
        v.load(y);
        for (int x = 0; x < size.width; x += kBlock) {
            cv::v_uint32x4 luma_low, luma_high;
            cv::v_float32x4 u_low, u_high, v_low, v_high;
            cv::v_expand(cv::v_load(luma.data() + x), luma_low, luma_high);
            u.at(x, u_low, u_high);
            v.at(x, v_low, v_high);
            const Pixels low = convert(luma_low, u_low, v_low, formula);
            const Pixels high = convert(luma_high, u_high, v_high, formula);
            cv::v_store_interleave(bgr.data() + 3 * x, clipped(low.blue, high.blue, most),
                                   clipped(low.green, high.green, most), clipped(low.red, high.red, most));
        }
        std::memcpy(image.ptr(y), bgr.data(), static_cast<size_t>(size.width) * 6);
    }
    return image;
}

cv::Mat rgb_image(const AVFrame& frame, cv::Size size) {
    const AVPixFmtDescriptor& format = format_of(frame);
    std::vector<cv::Mat> planes;
    for (const int component : {2, 1, 0}) planes.push_back(plane_view(frame, format.comp[component].plane, size));
    cv::Mat image;
    cv::merge(planes, image);
    return image;
}

}  // namespace

bool is_deep(const AVPixFmtDescriptor& format) {
    if ((format.flags & (AV_PIX_FMT_FLAG_FLOAT | AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_HWACCEL)) != 0) return false;
    return std::all_of(format.comp, format.comp + std::min<int>(format.nb_components, 3),
                       [](const AVComponentDescriptor& sample) { return sample.depth > 8 && sample.depth <= 16; });
}

bool has_deep_luma(const AVPixFmtDescriptor& format) {
    const AVPixelFormat id = av_pix_fmt_desc_get_id(&format);
    if (id == AV_PIX_FMT_XYZ12LE || id == AV_PIX_FMT_XYZ12BE) return false;
    const AVComponentDescriptor& luma = format.comp[0];
    return is_deep(format) && (format.flags & (kOtherLayouts | AV_PIX_FMT_FLAG_RGB)) == 0 && luma.plane == 0 &&
           luma.step % 2 == 0 && luma.step <= 8 && luma.offset % 2 == 0;
}

cv::Mat deep_luma(const AVFrame& frame, cv::Size size, bool full_range) {
    cv::Mat image = luma_samples(frame, size);
    if (full_range) return image;
    const int bits = format_of(frame).comp[0].depth;
    const YuvFormula formula = yuv_formula({.full_range = false}, bits);
    image.convertTo(image, CV_16U, formula.luma, -formula.black * formula.luma);
    cv::min(image, (1 << bits) - 1, image);
    return image;
}

bool has_deep_bgr(const AVPixFmtDescriptor& format) {
    if (!is_deep(format) || !in_native_order(format) || (format.flags & kOtherLayouts) != 0) return false;
    if (!(format.flags & AV_PIX_FMT_FLAG_PLANAR) || format.nb_components < 3) return false;
    if (format.log2_chroma_w > 1 || format.log2_chroma_h > 1) return false;
    return std::all_of(format.comp, format.comp + 3, [](const AVComponentDescriptor& sample) {
        return sample.step == 2 && sample.shift == 0 && sample.offset == 0;
    });
}

cv::Mat deep_bgr(const AVFrame& frame, cv::Size size, const YuvEncoding& encoding, ChromaSiting horizontal,
                 ChromaSiting vertical) {
    if ((format_of(frame).flags & AV_PIX_FMT_FLAG_RGB) != 0) return rgb_image(frame, size);
    return yuv_image(frame, size, encoding, horizontal, vertical);
}

}  // namespace reelstore
