#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "codecs/chunk_format.h"

namespace reelstore {

/// Everything that can be set about encoding a video, checked.
struct EncoderSettings {
    std::string encoder;       ///< "libx264" or "mjpeg"
    std::string preset;        ///< of libx264
    std::string tune;          ///< of libx264; "none" for no tuning
    double crf = 0;            ///< of libx264: 0 (lossless) to 51
    std::optional<int> qp;     ///< of libx264: constant quantizer instead of crf, 0 (lossless) to 51
    int gop = 1;               ///< most frames from one key frame to the next
    int bframes = 0;           ///< in a row
    int quality = 1;           ///< of mjpeg: 1 (best) to 31
    std::string pixel_format;  ///< "yuv420p", "yuv422p", "yuv444p" or "gray", always full range
    double frame_rate = 0;     ///< nominal, frames per second
    int threads = 0;           ///< 0: as many as there are processors
};

/// Reads options for one of the encoders in `allowed` (the first is the default). Throws Error(invalid_argument) for an
/// option that does not exist or does not belong to the encoder, and for a bad value, naming the valid ones.
EncoderSettings parse_encoder_options(const CodecOptions& options, const std::vector<std::string>& allowed);

/// The options that parse_encoder_options() knows for these encoders, with defaults.
std::vector<CodecOptionInfo> encoder_option_list(const std::vector<std::string>& allowed);

}  // namespace reelstore
