#pragma once

#include <memory>

#include "bench/video_access/contender.h"

namespace reelstore::bench {

// reelstore. Single frames with one decoder thread.
std::unique_ptr<Contender> reelstore_file(const Clip& clip);
std::unique_ptr<Contender> reelstore_store(const Clip& clip);
/// All frames with one call, on all cores.
std::unique_ptr<Contender> reelstore_batch(const Clip& clip);
/// From opening to the last frame.
std::unique_ptr<Contender> reelstore_file_in_order(const Clip& clip);
std::unique_ptr<Contender> reelstore_store_in_order(const Clip& clip);

/// What becomes of a decoded picture.
enum class Delivery {
    none,   ///< stays with the decoder
    image,  ///< a cv::Mat of its own: the luma plane for gray clips, BGR through swscale for colour
};

// The limit: libavcodec opened once, fed from one read of the file with the fewest packets that give the frame.
std::unique_ptr<Contender> limit(const Clip& clip, Delivery delivery);
/// Every group of pictures decoded once, up to the last frame that is wanted of it, by `threads` decoders. With more
/// than one all images are kept until the last is there, as a batch does; with one those of a group.
std::unique_ptr<Contender> limit_by_group(const Clip& clip, int threads);

// libavformat and libavcodec as their documentation uses them.
/// Seeks to the key frame before each frame and decodes up to it.
std::unique_ptr<Contender> seek_and_decode(const Clip& clip);
/// Reads and decodes from the first packet to the last, opening included.
std::unique_ptr<Contender> decode_in_order(const Clip& clip, Delivery delivery, int threads);

// OpenCV's VideoCapture; it decodes with as many threads as there are processors and cannot be told otherwise.
std::unique_ptr<Contender> opencv(const Clip& clip);
std::unique_ptr<Contender> opencv_in_order(const Clip& clip);

// FFMS2, with its index made beforehand.
std::unique_ptr<Contender> ffms2(const Clip& clip);
/// The index is made beforehand here too, so only opening the source is timed.
std::unique_ptr<Contender> ffms2_in_order(const Clip& clip, int threads);

// PyAV in a Python process, which times and checks by itself (pyav_access.py).
std::unique_ptr<Contender> pyav(const Clip& clip);
std::unique_ptr<Contender> pyav_in_order(const Clip& clip, int threads);

/// The command `ffmpeg -threads N -i FILE -f null -`, from its start to its end. It shows no pixels.
std::unique_ptr<Contender> ffmpeg_in_order(const Clip& clip, int threads, bool to_bgr);

}  // namespace reelstore::bench
