#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <opencv2/core/mat.hpp>

#include "bench/formats/clip.h"

namespace reelstore::bench {

/// Turns an image in memory into bytes in memory and back, on one thread, without loss.
class Coder {
public:
    virtual ~Coder() = default;
    /// Valid until the next call.
    virtual std::span<const uint8_t> encode(const cv::Mat& image) = 0;
    /// `image` has the clip's type already.
    virtual void decode(std::span<const uint8_t> bytes, cv::Mat& image) = 0;
};

struct CoderEntry {
    std::string name;
    std::function<std::unique_ptr<Coder>(const Clip&)> make;
    bool slow = false;          ///< timed with fewer images
    bool whole_decoder = true;  ///< false: decode() does a part of the work only, and encode() is another one's
};

// What else there is to encode with, by name; those that a clip cannot be given to are left out.
std::vector<CoderEntry> predicted_coders();
std::vector<CoderEntry> zstd_coders();
std::vector<CoderEntry> blosc_coders();
std::vector<CoderEntry> ffv1_coders(const Clip& clip);
CoderEntry png_coder();
/// Copies pixels and does nothing else.
CoderEntry copy_coder();

inline constexpr char kPredictedFast[] = "predicted, fast";
inline constexpr char kPredictedSmall[] = "predicted, small";
inline constexpr char kBareZstd[] = "ZSTD_decompress alone";
inline constexpr char kBloscLeast[] = "blosc bitshuffle zstd, level 1";
inline constexpr char kFfv1Deep[] = "FFV1 gray12";
inline constexpr char kFfv1Deep16[] = "FFV1 gray16";
inline constexpr char kFfv1Rice[] = "FFV1, rice, 4 slices, no checksums";
inline constexpr char kFfv1Ours[] = "FFV1 as ffv1/mkv writes it";

}  // namespace reelstore::bench
