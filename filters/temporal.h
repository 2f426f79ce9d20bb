#pragma once

#include <memory>
#include <optional>

#include "base/filter.h"
#include "filters/smoothing.h"

namespace reelstore {

// Filters that look at frames before and behind. They hold the frames of their window and no more. Images are uint8,
// uint16, int16, float32 or float64 of any number of channels, each channel by itself, and all of one size and type:
// others throw Error(wrong_type), naming the frame. Results keep index, number, time and extra data of the frame at
// their window's centre, and are the same to the last bit in whatever order they are asked for (Filter::reach()).
//
// `depth` is CV_8U, CV_16U, CV_16S, CV_32F or CV_64F of the results; none: as said. Integers are rounded and cut off at
// the limits of their type, NaN becomes 0. Values are missing when they are not finite (NaN, infinite).
//
// A window may be longer than the recording. Options that make no sense throw Error(invalid_argument).

struct TemporalDifferenceOptions {
    int n = 1;            ///< frames between the two, at least 1
    bool center = false;  ///< see temporal_difference()
    double fill = 0;      ///< all values of frames that lack one of the two
    /// None: float64 of float64, float32 of others, which holds the differences of integers exactly, with their sign.
    std::optional<int> depth = {};
};
/// Each frame minus that n frames before. The first n frames have none. Centred, the frame n // 2 behind minus that
/// n - n // 2 before: so many are filled at the end and at the beginning.
std::unique_ptr<Filter> temporal_difference(const TemporalDifferenceOptions& options);

/// What a pixel's smallest and largest value become.
struct PixelwiseRange {
    double to_low = 0;
    double to_high = 1;
};
/// Each pixel's own smallest to largest value over the whole recording becomes to_low to to_high, as float32 (float64
/// of float64). Pixels that never change become to_low. NaN stays, infinite values become one of both ends. Reads the
/// recording twice.
std::unique_ptr<Filter> normalize_pixelwise(const PixelwiseRange& range = {});
/// The same over `window` // 2 frames before and behind each frame, less at the ends of the recording.
std::unique_ptr<Filter> normalize_pixelwise_sliding(int window, const PixelwiseRange& range = {});

struct SpatioTemporalOptions {
    double sigma_temporal = 1;  ///< standard deviation in frames, 0: not smoothed in time
    double sigma_spatial = 1;   ///< in pixels, likewise
    double truncate = 4;        ///< the kernel ends at so many standard deviations (rounded to whole frames and pixels)
    EdgeMode edge = EdgeMode::symmetric;  ///< at the ends of the recording, too
    MissingValues missing = MissingValues::keep;
    std::optional<int> depth = {};  ///< none: the images'
};
/// Convolution with a Gaussian in time and space (scipy.ndimage.gaussian_filter).
std::unique_ptr<Filter> smooth_spatiotemporal(const SpatioTemporalOptions& options);

struct MeanFilterOptions {
    int size_temporal = 1;  ///< frames
    int size_spatial = 1;   ///< pixels, both ways
    MissingValues missing = MissingValues::keep;
    std::optional<int> depth = {};  ///< none: the images'
};
/// Means over a window in time and space, without missing values. Even sizes reach one farther back, to the left and to
/// the top. Beyond the ends and edges, the nearest frame and pixel are taken.
std::unique_ptr<Filter> mean_filter(const MeanFilterOptions& options);

enum class BackgroundResult {
    absolute,    ///< how far the frame is from the background
    difference,  ///< frame - background
    background,  ///< the background itself
};
struct BackgroundOptions {
    double rate = 0.05;                  ///< share of each frame in the background, above 0 to 1
    std::optional<double> seconds = {};  ///< instead: time constant in which the background follows to 63 %
    BackgroundResult result = BackgroundResult::absolute;
    /// None: the images' of `absolute` and `background`; of `difference` as temporal_difference().
    std::optional<int> depth = {};
};
/// Each frame compared with a running background: b += rate * (frame - b), begun with the first frame, as the frames
/// before it left it. With `seconds`, the rate is 1 - exp(-(time since the last frame) / seconds), by the frames' times
/// or, where they have none or do not go on, the frame rate; Error(invalid_argument) without both. Missing values leave
/// the background as it is and stay NaN.
std::unique_ptr<Filter> subtract_background(const BackgroundOptions& options = {});
struct MeanBackgroundOptions {
    int window = 101;  ///< frames
    BackgroundResult result = BackgroundResult::absolute;
    std::optional<int> depth = {};
};
/// Each frame compared with the mean of a window about it, as mean_filter() has it.
std::unique_ptr<Filter> subtract_mean_background(const MeanBackgroundOptions& options = {});

struct MedianBackgroundOptions {
    int samples = 50;  ///< frames that the medians are taken of, at least; at most twice as many
    BackgroundResult result = BackgroundResult::absolute;
    std::optional<int> depth = {};
};
/// Each frame compared with each pixel's median over frames spread evenly over the whole recording. Reads it twice and
/// holds the samples.
std::unique_ptr<Filter> subtract_median_background(const MedianBackgroundOptions& options = {});

enum class FrameChoice {
    nearest,   ///< the frame nearest in time, of two the one before
    previous,  ///< the last one that had been taken
};
/// So many frames a second from the first frame's time to the last one's: each is the frame chosen there, with its
/// index, number and extra data, so that frames repeat or are left out; times are those of the new rate. Frames without
/// times are as far apart as the recording's frame rate says. Throws Error(invalid_argument) without that, too, and at
/// frames whose time goes back.
std::unique_ptr<Filter> change_frame_rate(double rate, FrameChoice choice = FrameChoice::nearest);
/// Every n-th frame, the first one first.
std::unique_ptr<Filter> skip_frames(int n);
/// Each frame n times. Times are spread evenly up to the next frame's; the last frame lasts as long as the one before
/// it, or as the frame rate says when there is one only.
std::unique_ptr<Filter> hold_frames(int n);

enum class JitterReference {
    median,    ///< the median of all frames' means; reads the recording twice
    previous,  ///< the mean of the frame before
};
struct EvolveJitterOptions {
    std::optional<double> frame_rate = {};  ///< none: the recording's, 500 if that is unknown
    double threshold = 0.004;               ///< change of a frame's mean relative to the reference
    JitterReference reference = JitterReference::median;
};
/// Against single dark frames of Photometrics Evolve 128 cameras: one whose mean lies more than the threshold below the
/// means of both its neighbours is multiplied by 1 + 14e-6 * frame rate.
std::unique_ptr<Filter> evolve_jitter(const EvolveJitterOptions& options = {});

}  // namespace reelstore
