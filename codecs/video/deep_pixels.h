#pragma once

#include <opencv2/core/mat.hpp>

#include "codecs/video/libav.h"
#include "codecs/video/yuv_to_bgr.h"

// Decoded frames with samples of 9 to 16 bits, as 16-bit images whose values keep the number of bits. Frames have no
// negative strides, and rows that begin at even addresses.

namespace reelstore {

/// Whether all samples have 9 to 16 bits and are whole numbers.
bool is_deep(const AVPixFmtDescriptor& format);

/// Whether deep_luma() can take plane 0: YUV and gray of any subsampling, in either byte order.
bool has_deep_luma(const AVPixFmtDescriptor& format);
/// CV_16UC1 of the frame's upper left corner; limited range is expanded to the full one.
cv::Mat deep_luma(const AVFrame& frame, cv::Size size, bool full_range);

/// Whether deep_bgr() can convert the format: planar YUV and RGB in the machine's byte order; alpha is ignored.
bool has_deep_bgr(const AVPixFmtDescriptor& format);
/// CV_16UC3 of the frame's upper left corner, full range. Chroma is interpolated as in yuv_to_bgr(); `horizontal` and
/// `vertical` say where it lies.
cv::Mat deep_bgr(const AVFrame& frame, cv::Size size, const YuvEncoding& encoding, ChromaSiting horizontal,
                 ChromaSiting vertical);

}  // namespace reelstore
