#pragma once

#include <cstdint>
#include <string>

#include "codecs/packet_table.h"

namespace reelstore {

/// Bits of the column packet_flags.
inline constexpr int64_t kKeyFlag = 1;
inline constexpr int64_t kDisposableFlag = 2;
/// Says the contrary of kDisposableFlag, so that no single changed bit makes a reader leave out what is needed.
inline constexpr int64_t kNeededFlag = 4;

/// Units of time from one frame to the next at the nominal rate, if that is a whole number; else 0. The time stamps of
/// most videos are multiples of it, and then not kept.
int64_t ticks_per_frame(const VideoStream& stream);
int64_t flags_of(const Packet& packet);
/// As a signed number, which takes four bytes in SQLite's records where an unsigned one may take six.
int64_t kept_checksum(uint32_t checksum);
uint32_t text_checksum(const std::string& text);
/// The column stream, with a checksum: a changed parameter can give other pixels without any error of the decoder.
std::string stream_text(const VideoStream& stream);
/// Throws when it is damaged.
VideoStream parse_stream(const std::string& text);

}  // namespace reelstore
