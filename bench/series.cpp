#include "bench/series.h"

#include <algorithm>

#include "base/median.h"

namespace reelstore::bench {

namespace {

double median_ratio(std::vector<double> numerators, const std::vector<double>& divisors) {
    for (size_t i = 0; i < numerators.size(); ++i) numerators[i] /= divisors.at(i);
    return median(std::move(numerators));
}

}  // namespace

std::vector<double> Series::milliseconds() const {
    std::vector<double> times;
    for (const Pass& pass : passes) times.push_back(1e3 * pass.seconds / static_cast<double>(pass.frames));
    return times;
}

double Series::median_milliseconds() const {
    return median(milliseconds());
}

std::vector<double> Series::cpu_milliseconds() const {
    std::vector<double> times;
    for (const Pass& pass : passes) times.push_back(1e3 * pass.cpu_seconds / static_cast<double>(pass.frames));
    return times;
}

double Series::median_cpu_milliseconds() const {
    return median(cpu_milliseconds());
}

int64_t Series::frames() const {
    int64_t sum = 0;
    for (const Pass& pass : passes) sum += pass.frames;
    return sum;
}

int64_t Series::wrong_frames() const {
    int64_t sum = 0;
    for (const Pass& pass : passes) sum += pass.wrong_frames;
    return sum;
}

const Series* Comparison::find(const std::string& name) const {
    const auto found = std::find_if(series.begin(), series.end(), [&](const Series& one) { return one.name == name; });
    return found == series.end() ? nullptr : &*found;
}

double times_as_fast(const Series& one, const Series& other) {
    return median_ratio(other.milliseconds(), one.milliseconds());
}

double times_as_fast_by_cpu(const Series& one, const Series& other) {
    return median_ratio(other.cpu_milliseconds(), one.cpu_milliseconds());
}

}  // namespace reelstore::bench
