#pragma once

#include <cstdint>

namespace reelstore {

/// Work done by a reader since it was opened; for users' tuning and for tests that assert on it.
struct DecodeCounters {
    int64_t packets_sent = 0;
    int64_t frames_decoded = 0;
    int64_t seeks = 0;  ///< restarts at a key frame
    int64_t decoder_opens = 0;
    int64_t bytes_read = 0;
    int64_t demux_scans = 0;  ///< whole files read through, to learn the packets or to reach one
    int64_t cache_hits = 0;   ///< frames given from those that were decoded on the way to another

    DecodeCounters& operator+=(const DecodeCounters& other) {
        packets_sent += other.packets_sent;
        frames_decoded += other.frames_decoded;
        seeks += other.seeks;
        decoder_opens += other.decoder_opens;
        bytes_read += other.bytes_read;
        demux_scans += other.demux_scans;
        cache_hits += other.cache_hits;
        return *this;
    }
};

}  // namespace reelstore
