#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <opencv2/core/mat.hpp>

#include "codecs/chunk_format.h"
#include "store/recording.h"

namespace reelstore {

/// Frames of a recording, in memory: some runs of consecutive ones, spread evenly.
struct FormatSample {
    std::vector<cv::Mat> frames;
    ImageType type;
    std::vector<IndexRun> runs;  ///< where they are in the recording
    int64_t wanted = 0;          ///< frames that were asked for and are there; more than `frames` where memory is short
    int64_t damaged = 0;         ///< left out because they cannot be read
    std::string first_damage;
};

/// Takes at most `frames` of the frames first..last-1, and at most `bytes` of pixels, but at least one frame. Throws
/// Error(wrong_type) when frames differ in size or type, and Error(not_found) when there is none.
FormatSample take_sample(Recording& recording, IndexRun range, int64_t frames, size_t bytes, std::stop_token stop);

/// What a chunk format makes of a sample.
struct FormatFigures {
    std::string format;
    uint64_t bytes = 0;         ///< of the chunk on disk
    double write_seconds = 0;   ///< for all frames, until the chunk is complete, without syncs
    double random_seconds = 0;  ///< to read all frames once in shuffled order
    double sequential_seconds = 0;
    bool exact = false;          ///< every pixel of every frame came back as it was
    double psnr = 0;             ///< dB over all frames; meaningless when exact
    std::optional<double> ssim;  ///< mean over at most kSsimFrames frames; nothing for images too small
};

inline constexpr size_t kSsimFrames = 20;

/// Writes the frames as one chunk named after the format in `folder` and reads them back, the file being in the
/// system's cache. One encoder and one reader at a time, each with the threads it takes by itself; both get some frames
/// before the clock runs. `peak` is the value that is white. Throws what the format throws, and Error(cancelled).
FormatFigures measure_format(const ChunkFormat& format, const std::vector<cv::Mat>& frames, const CodecOptions& codec,
                             double peak, const std::filesystem::path& folder, std::stop_token stop);

/// Name of the chunk that measure_format() leaves in its folder.
std::string sample_chunk_name(const ChunkFormatInfo& info);

}  // namespace reelstore
