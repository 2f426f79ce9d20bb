#include <opencv2/core.hpp>

#include "base/pixel_type.h"
#include "filters/filter_table.h"
#include "filters/temporal.h"

namespace reelstore {

namespace {

constexpr double kFarthest = 1e300;
constexpr int kMost = 1000000;
constexpr int kLongestMean = 32767;
constexpr int kMostSamples = 100000;

std::optional<int> depth_of(const FilterArguments& arguments) {
    if (!arguments.has("type")) return std::nullopt;
    return depth_of_dtype(arguments.choice("type", "", {"uint8", "uint16", "int16", "float32", "float64"}));
}

FilterArgumentInfo type_argument(const std::string& otherwise) {
    return {"type", "", "of the results: uint8, uint16, int16, float32 or float64 (default: " + otherwise + ")"};
}

const FilterArgumentInfo kMissingArgument = {"missing", "keep",
                                             "what becomes of NaN itself: keep, or fill from around it"};

MissingValues missing_of(const FilterArguments& arguments) {
    return arguments.choice("missing", "keep", {"keep", "fill"}) == "keep" ? MissingValues::keep : MissingValues::fill;
}

const std::vector<FilterArgumentInfo> kPixelwiseArguments = {{"to_low", "0", "what a pixel's smallest value becomes"},
                                                             {"to_high", "1", "and its largest"}};

PixelwiseRange pixelwise_range_of(const FilterArguments& arguments) {
    return {arguments.number("to_low", 0, -kFarthest, kFarthest),
            arguments.number("to_high", 1, -kFarthest, kFarthest)};
}

std::unique_ptr<Filter> make_difference(const FilterArguments& arguments) {
    return temporal_difference({.n = arguments.integer("n", 1, 1, kMost),
                                .center = arguments.flag("center", false),
                                .fill = arguments.number("fill", 0, -kFarthest, kFarthest),
                                .depth = depth_of(arguments)});
}

std::unique_ptr<Filter> make_smooth(const FilterArguments& arguments) {
    constexpr double kWidest = 1000;
    SpatioTemporalOptions options;
    options.sigma_temporal = arguments.number("sigma_temporal", 1, 0, kWidest);
    options.sigma_spatial = arguments.number("sigma_spatial", 1, 0, kWidest);
    options.truncate = arguments.number("truncate", 4, 0.1, 10);
    const std::string edge = arguments.choice("edge", "symmetric", {"reflect", "symmetric", "edge"});
    options.edge = edge == "reflect" ? EdgeMode::reflect : edge == "edge" ? EdgeMode::edge : EdgeMode::symmetric;
    options.missing = missing_of(arguments);
    options.depth = depth_of(arguments);
    return smooth_spatiotemporal(options);
}

std::unique_ptr<Filter> make_mean(const FilterArguments& arguments) {
    return mean_filter({.size_temporal = arguments.integer("size_temporal", 1, 1, kLongestMean),
                        .size_spatial = arguments.integer("size_spatial", 1, 1, kLongestMean),
                        .missing = missing_of(arguments),
                        .depth = depth_of(arguments)});
}

const FilterArgumentInfo kResultArgument = {"result", "absolute",
                                            "absolute (difference), difference (with its sign) or background"};

BackgroundResult background_result_of(const FilterArguments& arguments) {
    const std::string name = arguments.choice("result", "absolute", {"absolute", "difference", "background"});
    return name == "absolute"     ? BackgroundResult::absolute
           : name == "difference" ? BackgroundResult::difference
                                  : BackgroundResult::background;
}

std::unique_ptr<Filter> make_background(const FilterArguments& arguments) {
    constexpr double kLongest = 1e9;
    if (arguments.has("rate") && arguments.has("seconds")) arguments.refuse("takes rate or seconds, not both");
    BackgroundOptions options;
    options.rate = arguments.number("rate", options.rate, 1e-12, 1);
    options.seconds = arguments.number("seconds", 1e-6, kLongest);
    options.result = background_result_of(arguments);
    options.depth = depth_of(arguments);
    return subtract_background(options);
}

std::unique_ptr<Filter> make_rate(const FilterArguments& arguments) {
    if (!arguments.has("rate")) arguments.refuse("needs frames a second such as rate=25");
    const std::string choice = arguments.choice("choose", "nearest", {"nearest", "previous"});
    return change_frame_rate(arguments.number("rate", 1, 1e-9, 1e9),
                             choice == "nearest" ? FrameChoice::nearest : FrameChoice::previous);
}

std::unique_ptr<Filter> make_jitter(const FilterArguments& arguments) {
    const std::string reference = arguments.choice("reference", "median", {"median", "previous"});
    return evolve_jitter({.frame_rate = arguments.number("framerate", 1e-6, 1e9),
                          .threshold = arguments.number("threshold", 0.004, 0, 1e9),
                          .reference = reference == "median" ? JitterReference::median : JitterReference::previous});
}

int count_of(const FilterArguments& arguments, const char* example) {
    if (!arguments.has("n")) arguments.refuse(std::string("needs a number of frames such as ") + example);
    return arguments.integer("n", 1, 1, 1000000000);
}

}  // namespace

void add_filters_temporal(FilterTable& table) {
    table.push_back(
        {"difference",
         "each frame minus the one n frames before",
         {{"n", "1", "frames between the two"},
          {"center", "no", "yes: n - n//2 frames are filled at the start and n//2 at the end, not all n at the start"},
          {"fill", "0", "value of frames without the other one"},
          type_argument("float32, float64 of float64")},
         make_difference});
    table.push_back({"normalize-pixelwise",
                     "each pixel's own smallest to largest value over the whole recording becomes 0 to 1 (float32); "
                     "reads it twice",
                     kPixelwiseArguments, [](const FilterArguments& arguments) {
                         return normalize_pixelwise(pixelwise_range_of(arguments));
                     }});
    std::vector<FilterArgumentInfo> sliding = {
        {"window", "", "frames: window // 2 before and behind each, less at the ends"}};
    sliding.insert(sliding.end(), kPixelwiseArguments.begin(), kPixelwiseArguments.end());
    table.push_back(
        {"normalize-sliding", "the same over the frames about each", sliding, [](const FilterArguments& arguments) {
             if (!arguments.has("window")) arguments.refuse("needs a number of frames such as window=101");
             return normalize_pixelwise_sliding(arguments.integer("window", 1, 1, kMost),
                                                pixelwise_range_of(arguments));
         }});
    table.push_back({"smooth",
                     "Gaussian in time and space",
                     {{"sigma_temporal", "1", "standard deviation in frames; 0: not in time"},
                      {"sigma_spatial", "1", "in pixels; 0: not in space"},
                      {"truncate", "4", "where the Gaussian ends, in standard deviations"},
                      {"edge", "symmetric", "reflect (dcb|abcd), symmetric (cba|abcd) or edge (aaa|abcd), in time too"},
                      kMissingArgument,
                      type_argument("that of the frames")},
                     make_smooth});
    table.push_back({"mean",
                     "means over a window in time and space",
                     {{"size_temporal", "1", "frames"},
                      {"size_spatial", "1", "pixels, both ways"},
                      kMissingArgument,
                      type_argument("that of the frames")},
                     make_mean});
    table.push_back({"background",
                     "each frame compared with a running background",
                     {{"rate", "0.05", "share of each frame in the background"},
                      {"seconds", "", "instead of rate: time in which the background follows to 63 %"},
                      kResultArgument,
                      type_argument("that of the frames; float32 where result=difference")},
                     make_background});
    table.push_back({"background-mean",
                     "each frame compared with the mean of the frames about it",
                     {{"window", "101", "frames"},
                      kResultArgument,
                      type_argument("that of the frames; float32 where result=difference")},
                     [](const FilterArguments& arguments) {
                         return subtract_mean_background({.window = arguments.integer("window", 101, 1, kLongestMean),
                                                          .result = background_result_of(arguments),
                                                          .depth = depth_of(arguments)});
                     }});
    table.push_back({"background-median",
                     "each frame compared with the medians of frames spread over the recording; reads it twice",
                     {{"samples", "50", "frames the medians are taken of, to twice as many"},
                      kResultArgument,
                      type_argument("that of the frames; float32 where result=difference")},
                     [](const FilterArguments& arguments) {
                         return subtract_median_background(
                             {.samples = arguments.integer("samples", 50, 1, kMostSamples),
                              .result = background_result_of(arguments),
                              .depth = depth_of(arguments)});
                     }});
    table.push_back(
        {"rate",
         "so many frames a second, by their times; frames repeat or are left out",
         {{"rate", "", "frames a second"}, {"choose", "nearest", "the frame nearest in time, or the previous one"}},
         make_rate});
    table.push_back({"skip", "every n-th frame", {{"n", "", "frames"}}, [](const FilterArguments& arguments) {
                         return skip_frames(count_of(arguments, "skip=10"));
                     }});
    table.push_back(
        {"hold", "each frame n times, times spread evenly", {{"n", "", "times"}}, [](const FilterArguments& arguments) {
             return hold_frames(count_of(arguments, "hold=2"));
         }});
    table.push_back({"evolve-jitter",
                     "single dark frames of Photometrics Evolve 128 cameras made brighter",
                     {{"framerate", "", "frames a second (default: the recording's, 500 if that is unknown)"},
                      {"threshold", "0.004", "change of the frame's mean, relative to the reference"},
                      {"reference", "median", "median of all frames' means (reads the recording twice), or previous"}},
                     make_jitter});
}

}  // namespace reelstore
