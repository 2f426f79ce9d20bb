#pragma once

namespace reelstore {

/// What a video encoder does unless told otherwise; the one place to change it. Each value weighs how fast frames are
/// decoded at random (preset, gop, bframes) against size (crf) and the processor time of a recording (preset).
namespace encoder_defaults {

inline constexpr char kPreset[] = "veryfast";
inline constexpr double kCrf = 18;
inline constexpr int kGop = 15;
inline constexpr int kBFrames = 0;
inline constexpr int kThreads = 0;  ///< as many as there are processors
inline constexpr int kJpegQuality = 3;
inline constexpr double kFrameRate = 25;  ///< as imgstore; the true times are in the store

}  // namespace encoder_defaults

}  // namespace reelstore
