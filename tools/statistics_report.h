#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <utility>

#include "base/json.h"
#include "store/interval_statistics.h"
#include "store/recording.h"
#include "tools/frame_totals.h"

namespace reelstore {

// What `store stats` prints.

Json regions_json(const FrameTotals& frames);
Json motion_json(const MotionTotals& motion, MotionFrom from);
Json intervals_json(const IntervalStatistics& times);
Json numbers_json(const IntervalStatistics& numbers);

/// The same for people.
class StatisticsText {
public:
    explicit StatisticsText(std::FILE* out) : out_(out) {}

    template <typename... Arguments>
    void line(const char* name, fmt::format_string<Arguments...> format, Arguments&&... arguments) {
        fmt::print(out_, "{:<12} {}\n", name, fmt::format(format, std::forward<Arguments>(arguments)...));
    }
    void pixels(const FrameTotals& frames);
    void motion(const MotionTotals& motion, MotionFrom from);
    void intervals(const IntervalStatistics& times, const Recording& recording);
    void numbers(const IntervalStatistics& numbers);

private:
    void channel_line(const std::string& name, size_t width, const ValueStatistics& values, const ChannelTotals& frames,
                      const ImageType& type);
    void histogram(const std::string& name, const Histogram& histogram);
    void gaps(const IntervalStatistics& times, const Recording& recording);

    std::FILE* out_;
};

}  // namespace reelstore
