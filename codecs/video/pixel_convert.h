#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <opencv2/core/mat.hpp>

#include "base/pixel_type.h"
#include "codecs/packet_table.h"
#include "codecs/video/libav.h"

namespace reelstore {

/// Whether luma uses all of 0..255: by the frame's tag, by its format, or because its format knows no other way.
bool is_full_range(const AVFrame& frame);
/// FFmpeg's name of a pixel format, with the yuvj formats under their plain names.
std::string plain_pixel_format(AVPixelFormat format);
/// Writes into `stream` what a decoded frame shows: size, pixel format, range, matrix.
void describe_picture(const AVFrame& frame, VideoStream& stream);
/// Whether the format has no colour ("gray"); false for unknown names.
bool is_gray_format(const std::string& pixel_format);

/// Whether all samples have 9 to 16 bits and are whole numbers; false for unknown names.
bool is_deep_format(const std::string& pixel_format);

/// Why decoded frames cannot be given as 8-bit images of this type; empty when they can.
std::optional<std::string> refuses_pixels(const ImageType& type);

/// Decoded frames to images. Keeps FFmpeg's scaler between frames of the same kind; used by one thread at a time.
class FrameToImage {
public:
    /// An image of its own memory, rows without padding. `type` is 8-bit gray or BGR, or the same with 16 bits for
    /// frames with 9 to 16 bits a sample; 16-bit values keep the number of bits of the frame (0..1023 of 10 bits). The
    /// frame may be larger by the padding to even sizes, which is cut off.
    ///
    /// Gray is the luma plane itself, brought to full range as the frame's tag says. Colour is converted with the
    /// matrix and range of the frame, BT.601 where it does not say, as OpenCV does, and with chroma interpolated from
    /// where it lies: in the middle of its luma samples when the frame says so (JPEG, MPEG-1), above the left ones
    /// when it does not say. Throws Error(wrong_type) when sizes or types do not fit and Error(unsupported) when
    /// FFmpeg cannot convert the format. Errors carry no path.
    cv::Mat convert(const AVFrame& frame, const ImageType& type);

private:
    /// What a scaler is made for.
    struct Kind {
        int width = 0;
        int height = 0;
        int from = AV_PIX_FMT_NONE;
        int to = AV_PIX_FMT_NONE;
        int matrix = -1;
        bool full_range = false;
        int chroma_location = 0;

        bool operator==(const Kind&) const = default;
    };

    cv::Mat from_deep(const AVFrame& frame, const AVPixFmtDescriptor& format, const ImageType& type);
    /// By FFmpeg's scaler, to 8-bit or 16-bit BGR.
    cv::Mat scaled(const AVFrame& frame, AVPixelFormat to, const ImageType& type);

    UniqueScaler scaler_;
    Kind kind_;
};

/// How frames are handed to an encoder.
struct FrameLayout {
    /// Gray, planar YUV, NV12 or P010 for gray images and 8-bit BGR; BGR0, BGR24 or planar RGB for BGR.
    AVPixelFormat format = AV_PIX_FMT_NONE;
    bool full_range = true;  ///< luma and chroma use all values; has no meaning for RGB
    bool even = true;        ///< sizes are padded to even ones by repeating the last row and column
};

/// Images to frames for an encoder, BT.601. Used by one thread at a time.
class ImageToFrame {
public:
    /// `type` is gray or BGR, of 8 bits or, for formats with 9 to 16 bits a sample, of 16. Throws Error(wrong_type)
    /// for images that the format cannot be made of.
    ImageToFrame(const ImageType& type, const FrameLayout& layout);

    /// A frame of its own memory. `image` has the type given to the constructor. Gray images become the luma plane
    /// exactly (rounded where the range is limited), and images keep every bit in RGB formats. Throws Error(wrong_type)
    /// for 16-bit values that do not fit in the format's bits.
    UniqueFrame convert(const cv::Mat& image);

    AVPixelFormat format() const { return layout_.format; }
    bool full_range() const { return layout_.full_range; }
    /// RGB or BT.601.
    AVColorSpace color_space() const;
    int width() const { return width_; }
    int height() const { return height_; }

private:
    void check_values(const cv::Mat& image) const;
    void copy_luma(const cv::Mat& image, AVFrame& frame) const;
    void copy_deep_luma(const cv::Mat& image, AVFrame& frame) const;
    void copy_rgb(const cv::Mat& image, AVFrame& frame) const;
    void convert_colour(const cv::Mat& image, AVFrame& frame);

    ImageType type_;
    FrameLayout layout_;
    const AVPixFmtDescriptor& descriptor_;
    int width_;
    int height_;
    std::vector<uint16_t> luma_;  ///< values of limited range by those of the image; empty: they are the same
    UniqueScaler scaler_;
    cv::Mat padded_;
};

}  // namespace reelstore
