#pragma once

#include <memory>
#include <string>
#include <vector>

#include "codecs/packet_table.h"
#include "codecs/video/libav.h"

namespace reelstore {

/// Opened decoders that wait for the next file with the same kind of stream: taking one from here saves opening it and,
/// what costs more, the memory for its pictures. Used by one thread at a time.
class DecoderPool {
public:
    struct Request {
        const VideoStream& stream;
        int reorder_depth = 0;  ///< pictures that H.264 holds back, where the stream does not say
    };

    /// A flushed decoder for such a stream. `opened` is set when none was waiting. `path` only stands in messages.
    /// Throws Error(unsupported) when this FFmpeg does not know the codec.
    UniqueCodecContext take(const Request& request, const std::string& path, bool& opened);
    /// Takes back what take() gave for the same request.
    void give_back(const Request& request, UniqueCodecContext context);

private:
    struct Idle {
        VideoStream stream;
        int reorder_depth = 0;
        UniqueCodecContext context;
    };

    std::vector<Idle> idle_;  ///< the one given back last is at the end
};

}  // namespace reelstore
