#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <opencv2/core/mat.hpp>

#include "filters/image_region.h"

namespace reelstore {

/// Number, mean, standard deviation and limits of values that came one after another. NaN and infinite values are only
/// counted. Sums of integers are exact, whatever their number; floats are summed by deviations in double precision and
/// put together by the formulas of Chan, Golub and LeVeque ("Updating formulae and a pairwise algorithm for computing
/// sample variances", 1979).
class ValueStatistics {
public:
    int64_t count = 0;            ///< of finite values
    int64_t nan_count = 0;        ///< values that were NaN
    int64_t infinite_count = 0;   ///< and those that were infinite
    int64_t saturated_count = 0;  ///< finite values at or above the limit of saturation

    /// NaN without values, as are those below.
    double mean() const;
    /// Of the values themselves (divided by their number, as numpy's std).
    double standard_deviation() const;
    double min() const { return count > 0 ? min_ : std::numeric_limits<double>::quiet_NaN(); }
    double max() const { return count > 0 ? max_ : std::numeric_limits<double>::quiet_NaN(); }

    /// Wide enough for the squares of every frame of a recording.
    __extension__ typedef __int128 Exact;

    void merge(const ValueStatistics& other);
    void add_integers(int64_t number, int64_t sum, Exact squares, double least, double most);
    /// `deviations`: sum of (value - mean)^2.
    void add_reals(int64_t number, double mean, double deviations, double least, double most);

private:
    void add_limits(double least, double most);

    Exact sum_ = 0;
    Exact squares_ = 0;
    int64_t reals_ = 0;
    double mean_ = 0;
    double deviations_ = 0;
    double min_ = std::numeric_limits<double>::infinity();
    double max_ = -std::numeric_limits<double>::infinity();
};

/// Values counted in bins of equal width from `low` to `high`; a bin has its lower edge and not its upper one, but the
/// last has both (as numpy.histogram).
struct Histogram {
    double low = 0;
    double high = 1;
    std::vector<int64_t> counts = {};
    int64_t below = 0;  ///< finite values under `low`
    int64_t above = 0;  ///< and over `high`

    /// The bin of a value; -1 below, counts.size() above. It must be finite.
    int bin_of(double value) const;
    double edge(size_t bin) const;
    void add(double value, int64_t times = 1);
    void merge(const Histogram& other);
};

struct StatisticsOptions {
    int bins = 0;                           ///< of histograms; 0: none are made
    std::optional<double> low = {};         ///< of histograms; none: the least value of integers, 0 for floats
    std::optional<double> high = {};        ///< none: one above the greatest value of integers, 1 for floats
    std::optional<double> saturation = {};  ///< values from here on; none: the greatest value of integers, floats never
};

/// What is known of the values in a region, channel by channel.
struct RegionStatistics {
    std::vector<ValueStatistics> channels = {};
    std::vector<Histogram> histograms = {};  ///< empty unless asked for

    /// Adds what was seen of another image. Throws Error(wrong_type) where channels differ in number.
    void merge(const RegionStatistics& other);
};

/// Statistics of one image of any type. Any number of threads may call it. Throws Error(invalid_argument) for a region
/// that does not lie within the image, and for histograms without a range.
RegionStatistics image_statistics(const cv::Mat& image, const Region& region = {},
                                  const StatisticsOptions& options = {});

/// "gray"; "blue", "green", "red"; the same and "alpha"; "channel 0", "channel 1" for others.
std::string channel_name(int channel, int channels);

}  // namespace reelstore
