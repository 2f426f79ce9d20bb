#include "filters/value_plot.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>
#include <opencv2/imgproc.hpp>

#include "base/pixel_type.h"
#include "filters/coverage.h"

namespace reelstore {

namespace {

constexpr int kShift = 4;  // binary digits behind the point of drawn coordinates
constexpr int kHalf = 128;

/// Grays for the lines at the ends of the axis and for their labels.
struct AxisColors {
    Color line;
    Color label;
};

AxisColors axis_colors(const Color& background) {
    const bool dark = pixel_of(background, {1, 1, 1, CV_8U})[0] < kHalf;
    if (dark) return {{96, 96, 96}, {176, 176, 176}};
    return {{176, 176, 176}, {96, 96, 96}};
}

struct Limits {
    double low = 0;
    double high = 1;
};

Limits limits_of(std::span<const PlottedLine> lines, const PlotLook& look) {
    std::optional<Limits> found;
    for (const PlottedLine& line : lines) {
        for (const std::optional<double>& value : line.values) {
            if (!value || !std::isfinite(*value)) continue;
            if (!found) found = Limits{*value, *value};
            found->low = std::min(found->low, *value);
            found->high = std::max(found->high, *value);
        }
    }
    Limits limits = found.value_or(Limits{look.low.value_or(0), look.high.value_or(1)});
    limits.low = look.low.value_or(limits.low);
    limits.high = look.high.value_or(limits.high);
    if (limits.low < limits.high) return limits;
    // One value only, or all of them beyond the end that is given.
    constexpr double kPart = 0.05;
    const double room = std::max(std::abs(limits.low), std::abs(limits.high)) * kPart + (limits.low == 0 ? 1 : 0);
    if (look.low) return {limits.low, limits.low + room};
    if (look.high) return {limits.high - room, limits.high};
    return {limits.low - room, limits.high + room};
}

/// Where values come to lie, in pixels of a mask.
struct Scale {
    Limits limits;
    int64_t places = 2;
    cv::Rect area;

    double x(int64_t place) const {
        const double part = places > 1 ? static_cast<double>(place) / static_cast<double>(places - 1) : 1;
        return area.x + part * (area.width - 1);
    }
    double y(double value) const {
        constexpr double kFarthest = 20;  // times the height; what is farther is not seen
        const double part = (value / 2 - limits.low / 2) / (limits.high / 2 - limits.low / 2);
        return area.y + (1 - std::clamp(part, -kFarthest, kFarthest)) * (area.height - 1);
    }
    cv::Point at(int64_t place, double value) const {
        return {static_cast<int>(std::lround(x(place) * (1 << kShift))),
                static_cast<int>(std::lround(y(value) * (1 << kShift)))};
    }
};

/// Values that share a column of pixels come down to the first, smallest, largest and last: the drawing is the same.
class Track {
public:
    Track(cv::Mat& mask, const Scale& scale, int thickness) : mask_(mask), scale_(scale), thickness_(thickness) {}

    void add(int64_t place, double value) {
        const auto column = static_cast<int>(scale_.x(place));
        if (column != column_) leave_column();
        if (column != column_ || !first_) {
            column_ = column;
            first_ = smallest_ = largest_ = last_ = {place, value};
            return;
        }
        last_ = {place, value};
        if (value < smallest_->value) smallest_ = last_;
        if (value > largest_->value) largest_ = last_;
    }

    /// The line ends here.
    void interrupt() {
        leave_column();
        if (points_.size() == 1) points_.push_back(points_[0]);  // a dot
        if (!points_.empty()) cv::polylines(mask_, points_, false, 255, thickness_, cv::LINE_AA, kShift);
        points_.clear();
    }

private:
    struct Value {
        int64_t place = 0;
        double value = 0;
    };

    void leave_column() {
        if (!first_) return;
        std::array between{*smallest_, *largest_};
        if (between[1].place < between[0].place) std::swap(between[0], between[1]);
        for (const Value& value : {*first_, between[0], between[1], *last_}) {
            const cv::Point point = scale_.at(value.place, value.value);
            add(point);
        }
        first_.reset();
    }

    void add(const cv::Point& point) {
        const size_t count = points_.size();
        if (count > 0 && points_.back() == point) return;
        // One long level line has no seams.
        const bool level = count > 1 && points_[count - 1].y == point.y && points_[count - 2].y == point.y;
        if (level && points_[count - 2].x <= points_[count - 1].x) points_.pop_back();
        points_.push_back(point);
    }

    cv::Mat& mask_;
    const Scale& scale_;
    int thickness_;
    int column_ = -1;
    std::optional<Value> first_;
    std::optional<Value> smallest_;
    std::optional<Value> largest_;
    std::optional<Value> last_;
    std::vector<cv::Point> points_;
};

/// A mask with the line and a mark at its latest value.
void draw_line(cv::Mat& mask, const PlottedLine& line, const Scale& scale, int thickness, int mark) {
    const auto count = static_cast<int64_t>(line.values.size());
    const int64_t first = scale.places - count;
    Track track(mask, scale, thickness);
    std::optional<cv::Point> latest;
    for (int64_t i = 0; i < count; ++i) {
        const std::optional<double>& value = line.values[static_cast<size_t>(i)];
        if (!value) continue;
        if (!std::isfinite(*value)) {
            track.interrupt();
            continue;
        }
        track.add(first + i, *value);
        latest = scale.at(first + i, *value);
    }
    track.interrupt();
    if (latest) cv::circle(mask, *latest, mark << kShift, 255, cv::FILLED, cv::LINE_AA, kShift);
}

std::string end_text(double value) {
    return fmt::format("{:.4g}", value);
}

std::string latest_text(const PlottedLine& line) {
    for (auto value = line.values.rbegin(); value != line.values.rend(); ++value)
        if (*value) return fmt::format("{}  {:.5g}", line.name, **value);
    return line.name;
}

}  // namespace

void draw_plot(cv::Mat& strip, std::span<const PlottedLine> lines, const PlotLook& look, const TextPainter* labels) {
    const ImageType type = ImageType::of(strip);
    const AxisColors axis = axis_colors(look.background);
    strip.setTo(pixel_of(look.background, type));
    constexpr double kThick = 65;
    const int thickness = std::max(1, static_cast<int>(std::lround(strip.rows / kThick)));
    const int mark = thickness + 2;
    const int margin = mark + 2;
    // The names stand above the lines and the ends of the axis left of them, where there is room for all.
    const int names = labels && strip.rows >= 3 * labels->line_height() ? labels->line_height() : 0;
    constexpr int kLeastParts = 5;
    const int wanted = names > 0 ? labels->size_of("-88.888").width : 0;
    const int ends = wanted * kLeastParts <= strip.cols ? wanted : 0;
    const int below = ends > 0 ? std::max(margin, labels->line_height() / 2) : margin;
    const cv::Rect area(margin + ends, margin + names, strip.cols - 2 * margin - ends,
                        strip.rows - margin - below - names);
    const Limits limits = limits_of(lines, look);
    if (area.width > 0 && area.height > 0) {
        for (const int y : {area.y, area.y + area.height - 1}) {
            strip(cv::Rect(area.x, y, area.width, 1)).setTo(pixel_of(axis.line, type));
        }
        const Scale scale{limits, look.places, {margin, margin, area.width, area.height}};
        cv::Mat mask(area.height + 2 * margin, area.width + 2 * margin, CV_8U);
        for (const PlottedLine& line : lines) {
            mask.setTo(0);
            draw_line(mask, line, scale, thickness, mark);
            blend_coverage(strip, mask, area.tl() - cv::Point(margin, margin), pixel_of(line.color, type));
        }
    }
    if (!labels) return;
    const auto slots = static_cast<int>(lines.size());
    for (int i = 0; i < slots; ++i) {
        const PlottedLine& line = lines[static_cast<size_t>(i)];
        labels->draw_at(strip, latest_text(line), {area.x + i * area.width / slots, names > 0 ? margin / 2 : 0},
                        Anchor::top_left, line.color);
    }
    if (ends == 0) return;
    const int right = area.x - margin;
    labels->draw_at(strip, end_text(limits.high), {right, area.y}, Anchor::right, axis.label);
    labels->draw_at(strip, end_text(limits.low), {right, area.y + area.height - 1}, Anchor::right, axis.label);
}

}  // namespace reelstore
