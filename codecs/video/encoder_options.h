#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/pixel_type.h"
#include "codecs/chunk_format.h"

namespace reelstore {

/// Which library or device encodes; those of a family are set in the same way.
enum class EncoderFamily { x264, x265, svt_av1, vpx, nvenc, vaapi, ffv1, mjpeg };

/// What an encoder can be told and what it can hold. Where a list is empty or a value missing, it has no such option.
struct EncoderTraits {
    std::string name;  ///< FFmpeg's; the value of option `encoder`
    EncoderFamily family = EncoderFamily::x264;
    std::string preset = {};                      ///< the default one
    std::vector<std::string> tunes = {};          ///< the default one first
    std::vector<std::string> pixel_formats = {};  ///< the default one first; empty: the layout of the images
    std::vector<int> bits = {};                   ///< of 16-bit images, besides 8-bit ones
    std::optional<double> crf = {};               ///< the default; it is the encoder's unless a qp is given
    double best_crf = 0;
    double worst_crf = 51;
    std::optional<int> qp = {};  ///< the default where there is no crf
    int best_qp = 0;
    int worst_qp = 51;
    bool has_gop = true;
    bool has_bframes = true;
    bool has_threads = true;
    int least_side = 1;  ///< in pixels, before sizes are padded to even ones
};

/// Everything that can be set about encoding a video, checked.
struct EncoderSettings {
    std::string encoder;        ///< EncoderTraits::name
    bool lossless = false;      ///< the format promises it: H.264 with quantizer 0 in the layout of the images
    std::string preset;         ///< speed against size on the scale of all encoders, "ultrafast" to "placebo"
    std::string tune;           ///< "none" for no tuning
    double crf = 0;             ///< constant quality, lower is better
    std::optional<int> qp;      ///< constant quantizer instead of crf
    int gop = 1;                ///< most frames from one key frame to the next
    int bframes = 0;            ///< in a row
    int quality = 1;            ///< of mjpeg: 1 (best) to 31
    std::string pixel_format;   ///< "yuv420p", "yuv422p", "yuv444p" or "gray"; empty: the layout of the images
    bool full_range = true;     ///< luma uses all values
    std::optional<int> bits;    ///< of 16-bit images: values are 0..2^bits-1
    std::optional<int> slices;  ///< of FFV1: parts of a frame that are coded side by side
    std::string coder;          ///< of FFV1: "rice" or "range"; empty: the preset's
    int context = 0;            ///< of FFV1: 0 or 1
    double frame_rate = 0;      ///< nominal, frames per second; the nearest fraction of small numbers is meant
    int threads = 0;            ///< 0: as many as there are processors
};

/// The words of option `preset`, fastest first.
const std::vector<std::string>& encoder_presets();

/// By FFmpeg's name; throws Error(internal) for encoders that this library does not know.
const EncoderTraits& encoder_traits(std::string_view name);

/// Reads options for one of the encoders in `allowed` (the first is the default), `lossless` as in EncoderSettings.
/// Throws Error(invalid_argument) for an option that does not exist or does not belong to the encoder, and for a bad
/// value, naming the valid ones. Whether this machine has the encoder is not looked at.
EncoderSettings parse_encoder_options(const CodecOptions& options, const std::vector<std::string>& allowed,
                                      bool lossless = false);

/// The options that parse_encoder_options() knows for these encoders, with defaults.
std::vector<CodecOptionInfo> encoder_option_list(const std::vector<std::string>& allowed, bool lossless = false);

/// Why images of this type cannot be encoded with these settings, and what could hold them; empty when they can.
std::optional<std::string> refuses_images(const EncoderSettings& settings, const ImageType& type);

}  // namespace reelstore
