#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "codecs/video/libav.h"
#include "codecs/video/remux.h"

namespace reelstore {

/// What a packet is in the file that remux() writes.
enum class PacketRole : uint8_t {
    shown,
    without_picture,  ///< hidden by its nature
    led_in,           ///< to be hidden, before the first shown one
    led_out,          ///< to be hidden, behind the last shown one
};

/// All packets of the output, one part behind the other.
struct RemuxPlan {
    std::vector<PacketRole> roles;
    std::vector<int64_t> shown;    ///< time of display in units of the plan, 0 for the first frame shown
    std::vector<int64_t> decoded;  ///< rising and never behind the time of display
};

/// Works out roles and times in units of `base`; an avi gets numbers of frames. Hidden packets of which only their
/// bytes tell whether they may stand where they are are read. Throws what remux() says about hidden packets, and
/// Error(corrupt) for times that no file can hold.
RemuxPlan plan_remux(std::span<const RemuxPart> parts, const std::string& extension, AVRational base);

/// Unit of time of Packet::pts.
AVRational time_base_of(const VideoStream& stream);
/// The nominal rate; 25 frames per second where none is known.
AVRational frame_rate_of(const VideoStream& stream);
/// a - b for times; throws Error(corrupt) when that does not fit.
int64_t time_difference(int64_t a, int64_t b);
/// a * from / to for times; throws Error(corrupt) when that does not fit.
int64_t rescale_time(int64_t a, AVRational from, AVRational to);

}  // namespace reelstore
