#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <opencv2/core/mat.hpp>

#include "base/byte_writer.h"
#include "base/frame.h"
#include "base/frame_source.h"
#include "codecs/chunk_format.h"

namespace reelstore {

class AudioTrack;

/// How frames become a video in memory or on its way to somebody.
struct EncodeVideoOptions {
    std::string container = "mp4";          ///< "mp4", "m4v", "mov", "mkv", "webm" or, in memory only, "avi"
    std::optional<double> frame_rate = {};  ///< frames per second; none: the source's, else from the frames' times
    /// Of the encoder: encoder, crf, preset, pix_fmt, gop, frame_rate ("24000/1001")...; as of video files in
    /// `store formats`.
    CodecOptions codec = {};
    /// Each frame at its own time, counted from the first; otherwise one after the other at the frame rate.
    bool true_times = false;
    /// An mp4 or mov in parts that can be played one by one (fragmented), also in memory. Streams always are.
    bool fragmented = false;
    std::shared_ptr<AudioTrack> audio = {};  ///< goes beside the frames
};

/// Encodes all frames of `source` and gives the bytes of the video file; an mp4 or mov has its index in front, so that
/// playing can begin while it is still being received. No file is made. Images are 8-bit gray or BGR, and 16-bit gray
/// for encoders with option bits; sizes are padded to even ones by repeating the last row and column unless the encoder
/// keeps the images' own layout (ffv1). Without any frame nothing is given, as no container holds a video without a
/// size.
///
/// Throws Error(invalid_argument or unsupported) for options that do not fit, Error(wrong_type) for images that the
/// encoder cannot hold or that change their type, and what the source throws.
std::vector<uint8_t> encode_video(FrameSource& source, const EncodeVideoOptions& options = {});
/// The same of frames with their times.
std::vector<uint8_t> encode_video(std::span<const Frame> frames, const EncodeVideoOptions& options = {});
/// The same of images without times: the rate is 25 frames per second unless the options say otherwise.
std::vector<uint8_t> encode_video(std::span<const cv::Mat> images, const EncodeVideoOptions& options = {});

/// A sink that hands the bytes of the video to `writer` as they come, on the thread that calls write() and close(), and
/// never goes back: mp4 and mov are fragmented, one part for each group of pictures, ready for the body of a response;
/// mkv and webm are live files; avi is refused. Nothing is handed out without a frame. What `writer` throws comes out
/// of write() or close(), and nothing is handed to it afterwards. `name` is for messages.
std::unique_ptr<FrameSink> stream_sink(ByteWriter writer, const EncodeVideoOptions& options = {},
                                       const std::string& name = "stream");
/// The same to an open file descriptor, which stays open; 1 is standard output. A reader that has gone is an Error(io)
/// that says so, without SIGPIPE.
std::unique_ptr<FrameSink> stream_sink(int descriptor, const EncodeVideoOptions& options = {});

}  // namespace reelstore
