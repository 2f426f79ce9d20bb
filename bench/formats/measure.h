#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bench/formats/clip.h"
#include "bench/series.h"

namespace reelstore::bench {

/// How much is done.
struct Scale {
    bool quick = false;
    int repetitions = 5;
    size_t coded_images = 16;  ///< of the clip that coders are given
    size_t slow_images = 4;    ///< of them in one repetition, for slow coders
    size_t slow_requests = 8;  ///< of single frames, for slow readers
    int view_rounds = 32;      ///< how often each frame is asked for where it is only mapped
    int64_t recorded_frames = 800;
    size_t format_images = 24;  ///< of the clip that every chunk format is given
    int format_repetitions = 2;
};

/// Encoding and decoding in memory.
struct CodingResult {
    Comparison encode;  ///< frame_bytes are of all images
    Comparison decode;
};
CodingResult measure_coding(const Clip& clip, const Scale& scale);

/// Single frames in no order from files in the system's cache, each asked for once. Files are made in `folder`.
/// `views`: frames that are mapped and not copied, each asked for many times.
struct ReadingResult {
    Comparison single;
    Comparison views;
};
ReadingResult measure_reading(const Clip& clip, const Scale& scale, const std::filesystem::path& folder);

inline constexpr char kDd[] = "dd if=/dev/zero conv=fsync";
std::string store_recorder_name(const std::string& format);
/// Recordings from the first frame until everything is on the disk of `folder`.
Comparison measure_recording(const Clip& clip, const Scale& scale, const std::filesystem::path& folder);

/// One chunk format with some options.
struct FormatResult {
    std::string name;
    bool lossless = false;
    double least_psnr = 0;  ///< of all frames, in dB; infinite when all are bit-identical
    Series write;
    Series in_order;
    Series at_random;
};
struct FormatsResult {
    std::string clip;
    double image_bytes = 0;
    std::vector<FormatResult> formats = {};
};
/// Every chunk format of this build that can hold the clip, through its own writer and reader.
FormatsResult measure_formats(const Clip& clip, const Scale& scale, const std::filesystem::path& folder);

}  // namespace reelstore::bench
