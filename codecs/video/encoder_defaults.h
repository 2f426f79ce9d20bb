#pragma once

namespace reelstore {

/// What a video encoder does unless told otherwise; the one place to change it. bench/encoder_defaults.md has the
/// measurements that these were chosen by: the speed at which frames are decoded at random multiplies every later use
/// of a recording, so it weighs most, then the processor time while recording, then size.
namespace encoder_defaults {

inline constexpr char kPreset[] = "superfast";
inline constexpr char kTune[] = "fastdecode";
inline constexpr double kCrf = 20;
inline constexpr char kHevcPreset[] = "superfast";
inline constexpr char kHevcTune[] = "fastdecode";
inline constexpr double kHevcCrf = 20;
inline constexpr char kAv1Preset[] = "superfast";
inline constexpr double kAv1Crf = 24;
inline constexpr char kVp9Preset[] = "superfast";
inline constexpr double kVp9Crf = 24;
inline constexpr char kFfv1Preset[] = "superfast";
inline constexpr char kHardwarePreset[] = "medium";
inline constexpr double kHardwareCrf = 23;
inline constexpr int kHardwareQp = 23;
inline constexpr int kGop = 15;
inline constexpr int kBFrames = 0;
inline constexpr int kThreads = 0;  ///< as many as there are processors
inline constexpr int kJpegQuality = 3;
inline constexpr double kFrameRate = 25;  ///< as imgstore; the true times are in the store

}  // namespace encoder_defaults

}  // namespace reelstore
