#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "codecs/packet_table.h"
#include "codecs/video/libav.h"

namespace reelstore {

/// Whether mp4 and Matroska keep parameter sets of the codec in a configuration record: avcC, hvcC (ISO/IEC 14496-15)
/// or av1C (AV1-ISOBMFF).
bool has_configuration_record(const std::string& codec);

/// Whether extradata of such a codec is that record; otherwise it is parameter sets one behind the other.
bool is_configuration_record(const std::string& codec, std::span<const uint8_t> extradata);

/// The configuration record made of parameter sets that stand one behind the other as in a raw stream. Throws
/// Error(unsupported) when they are not all there.
std::vector<uint8_t> configuration_record(const VideoStream& stream, std::span<const uint8_t> headers);

/// Fills in codec, size, pixel format and `extradata`; a stream without a size gets some. Throws Error(unsupported) for
/// unknown codecs.
void fill_codec_parameters(AVCodecParameters& parameters, const VideoStream& stream,
                           std::span<const uint8_t> extradata);

}  // namespace reelstore
