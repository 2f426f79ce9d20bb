#include "filters/median.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

namespace reelstore {

namespace {

/// OpenCV has medians of uint16 and float32 up to this size.
constexpr int kLargestOfOpenCv = 5;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// Counts of the values within a window, and where their middle is: Huang, Yang, Tang, "A fast two-dimensional median
/// filtering algorithm" (1979), with a second, coarser row of counts.
class WindowCounts {
public:
    explicit WindowCounts(size_t values) : fine_(values, 0), coarse_((values >> kBits) + 1, 0) {}

    void add(uint32_t value) { change(value, 1); }
    void remove(uint32_t value) { change(value, -1); }
    int count() const { return count_; }
    /// The value at `place` of them in ascending order; 0 <= place < count().
    uint32_t at(int place) {
        while (below_ > place) below_ -= coarse_[--bin_];
        while (below_ + coarse_[bin_] <= place) below_ += coarse_[bin_++];
        auto value = static_cast<uint32_t>(bin_ << kBits);
        int seen = below_ + fine_[value];
        while (seen <= place) seen += fine_[++value];
        return value;
    }

private:
    static constexpr int kBits = 8;

    void change(uint32_t value, int by) {
        const size_t bin = value >> kBits;
        fine_[value] = static_cast<uint16_t>(fine_[value] + by);
        coarse_[bin] += by;
        if (bin < bin_) below_ += by;
        count_ += by;
    }

    std::vector<uint16_t> fine_;
    std::vector<int> coarse_;
    size_t bin_ = 0;
    int below_ = 0;  // values in the bins before bin_
    int count_ = 0;
};

constexpr uint32_t kMissing = std::numeric_limits<uint32_t>::max();

/// Whole numbers in the order of the values, with which they can be counted.
struct Ranks {
    std::vector<uint32_t> of_pixels;  // kMissing where a value is
    std::vector<float> values;        // of each rank
};

Ranks ranks_of(const cv::Mat& image) {
    Ranks ranks;
    ranks.values.reserve(image.total());
    for (int row = 0; row < image.rows; ++row) {
        const auto* value = image.ptr<float>(row);
        std::copy_if(value, value + image.cols, std::back_inserter(ranks.values),
                     [](float single) { return std::isfinite(single); });
    }
    std::sort(ranks.values.begin(), ranks.values.end());
    ranks.values.erase(std::unique(ranks.values.begin(), ranks.values.end()), ranks.values.end());
    ranks.of_pixels.reserve(image.total());
    for (int row = 0; row < image.rows; ++row) {
        const auto* value = image.ptr<float>(row);
        for (int column = 0; column < image.cols; ++column) {
            const auto place = std::lower_bound(ranks.values.begin(), ranks.values.end(), value[column]);
            ranks.of_pixels.push_back(std::isfinite(value[column]) ? static_cast<uint32_t>(place - ranks.values.begin())
                                                                   : kMissing);
        }
    }
    return ranks;
}

/// Medians of the windows of `size` that lie within `image`, which is wider and higher by size - 1 than the result.
/// `rank` gives the rank of a pixel (row, column), `median` takes the counts of a window.
template <typename Rank, typename Median>
void slide(const cv::Size& result, int size, WindowCounts& counts, Rank rank, Median median) {
    const auto change = [&](int row, int column, bool in) {
        const uint32_t value = rank(row, column);
        if (value == kMissing) return;
        if (in) {
            counts.add(value);
        } else {
            counts.remove(value);
        }
    };
    for (int row = 0; row < size; ++row) {
        for (int column = 0; column < size; ++column) change(row, column, true);
    }
    // To the right, one down, back to the left: the window always moves by one pixel.
    int column = 0;
    for (int row = 0; row < result.height; ++row) {
        const bool to_the_right = row % 2 == 0;
        const int last = to_the_right ? result.width - 1 : 0;
        median(row, column);
        while (column != last) {
            const int out = to_the_right ? column : column + size - 1;
            const int in = to_the_right ? column + size : column - 1;
            for (int i = 0; i < size; ++i) {
                change(row + i, out, false);
                change(row + i, in, true);
            }
            column += to_the_right ? 1 : -1;
            median(row, column);
        }
        if (row + 1 == result.height) break;
        for (int i = 0; i < size; ++i) {
            change(row, column + i, false);
            change(row + size, column + i, true);
        }
    }
}

/// Of one channel with its edges.
cv::Mat medians_by_counts(const cv::Mat& padded, int size) {
    cv::Mat result(padded.rows - size + 1, padded.cols - size + 1, padded.type());
    if (padded.depth() == CV_16U) {
        WindowCounts counts(65536);
        slide(
            result.size(), size, counts, [&](int row, int column) { return padded.at<uint16_t>(row, column); },
            [&](int row, int column) {
                result.at<uint16_t>(row, column) = static_cast<uint16_t>(counts.at(counts.count() / 2));
            });
        return result;
    }
    const Ranks ranks = ranks_of(padded);
    WindowCounts counts(std::max<size_t>(ranks.values.size(), 1));
    const auto width = static_cast<size_t>(padded.cols);
    slide(
        result.size(), size, counts,
        [&](int row, int column) {
            return ranks.of_pixels[static_cast<size_t>(row) * width + static_cast<size_t>(column)];
        },
        [&](int row, int column) {
            float& median = result.at<float>(row, column);
            if (counts.count() == 0) {
                median = kNan;
                return;
            }
            const float low = ranks.values[counts.at((counts.count() - 1) / 2)];
            const float high = ranks.values[counts.at(counts.count() / 2)];
            median = low == high ? low : low / 2 + high / 2;
        });
    return result;
}

/// The median of the finite values in a small window of one channel.
float median_within(const cv::Mat& padded, int row, int column, int size) {
    std::array<float, kLargestOfOpenCv* kLargestOfOpenCv> values = {};
    int count = 0;
    for (int y = 0; y < size; ++y) {
        const float* value = padded.ptr<float>(row + y) + column;
        for (int x = 0; x < size; ++x) {
            if (std::isfinite(value[x])) values[static_cast<size_t>(count++)] = value[x];
        }
    }
    if (count == 0) return kNan;
    float* const middle = values.data() + count / 2;
    std::nth_element(values.data(), middle, values.data() + count);
    if (count % 2 == 1) return *middle;
    return *middle / 2 + *std::max_element(values.data(), middle) / 2;
}

/// Puts the medians of finite values where a window of one channel has others too.
void correct_missing(const cv::Mat& padded, int size, cv::Mat& result) {
    cv::Mat missing(padded.size(), CV_8U);
    for (int row = 0; row < padded.rows; ++row) {
        const auto* value = padded.ptr<float>(row);
        auto* is_missing = missing.ptr<uint8_t>(row);
        for (int column = 0; column < padded.cols; ++column) is_missing[column] = std::isfinite(value[column]) ? 0 : 1;
    }
    cv::Mat reached;
    cv::dilate(missing, reached, cv::Mat::ones(size, size, CV_8U));
    const int radius = size / 2;
    for (int row = 0; row < result.rows; ++row) {
        const auto* is_reached = reached.ptr<uint8_t>(row + radius) + radius;
        auto* median = result.ptr<float>(row);
        for (int column = 0; column < result.cols; ++column) {
            if (is_reached[column]) median[column] = median_within(padded, row, column, size);
        }
    }
}

cv::Mat of_each_channel(const cv::Mat& image, const MedianOptions& options, bool finite) {
    std::vector<cv::Mat> planes;
    cv::split(image, planes);
    for (cv::Mat& plane : planes) {
        const cv::Mat padded = with_edges(plane, options.size / 2, options.edge);
        if (options.size > kLargestOfOpenCv && plane.depth() != CV_8U) {
            plane = medians_by_counts(padded, options.size);
            continue;
        }
        const int radius = options.size / 2;
        cv::Mat medians;
        cv::medianBlur(padded, medians, options.size);
        plane = medians(cv::Rect(radius, radius, plane.cols, plane.rows)).clone();
        if (!finite) correct_missing(padded, options.size, plane);
    }
    cv::Mat result;
    cv::merge(planes, result);
    return result;
}

}  // namespace

cv::Mat median_blurred(const cv::Mat& image, const MedianOptions& options) {
    if (options.size == 1) return image;
    const bool known = (image.depth() == CV_8U || options.size <= kLargestOfOpenCv) && image.channels() != 2;
    const bool finite = all_finite(image);
    cv::Mat result;
    if (!known || !finite) {
        result = of_each_channel(image, options, finite);
    } else if (options.edge == EdgeMode::edge) {
        cv::medianBlur(image, result, options.size);
    } else {
        const int radius = options.size / 2;
        cv::medianBlur(with_edges(image, radius, options.edge), result, options.size);
        result = result(cv::Rect(radius, radius, image.cols, image.rows));
    }
    if (!finite && options.missing == MissingValues::keep) put_back_missing(image, result);
    return result;
}

}  // namespace reelstore
