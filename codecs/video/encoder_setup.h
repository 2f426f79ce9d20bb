#pragma once

#include <string>

#include "base/pixel_type.h"
#include "codecs/video/encoder_options.h"
#include "codecs/video/libav.h"

namespace reelstore {

/// FFmpeg's name of the encoder for images of this type: where nothing may be lost, colour takes another one.
std::string encoder_for(const EncoderSettings& settings, const ImageType& type);

/// How the encoder is handed images of this type. Throws Error(invalid_argument) when option pix_fmt cannot hold them.
AVPixelFormat coded_format(const EncoderSettings& settings, const ImageType& type);

/// The settings as the encoder's own options. Size, format, rate and range in `context` are left alone.
void set_encoder_options(const EncoderSettings& settings, const ImageType& type, AVCodecContext& context,
                         OptionDictionary& options);

/// The settings that matter to the encoder in words, for messages.
std::string described(const EncoderSettings& settings);

}  // namespace reelstore
