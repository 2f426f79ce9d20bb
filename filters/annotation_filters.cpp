#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <mutex>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <opencv2/core.hpp>

#include "base/clock.h"
#include "base/error.h"
#include "base/pixel_type.h"
#include "filters/annotation.h"
#include "filters/filter_table.h"
#include "filters/image_values.h"
#include "filters/text_fields.h"
#include "filters/value_plot.h"

namespace reelstore {

namespace {

constexpr int kMostFrames = 1'000'000;

void check_drawable(const cv::Mat& image, const char* filter) {
    const int channels = image.channels();
    if (image.depth() != CV_16F && (channels == 1 || channels == 3 || channels == 4)) return;
    throw wrong_type(image, filter, "gray and colour (3 or 4 channels), not float16");
}

/// Painters of one style, at the sizes that images of different heights ask for.
class FittedPainter {
public:
    FittedPainter(const TextStyle& style, bool fitted) : style_(style), fitted_(fitted) {
        // The font is missed now rather than at the first frame.
        sized(style.size);
    }

    /// The size that the text has in an image, in pixels.
    double size_in(const cv::Mat& image) const {
        constexpr double kPart = 1.0 / 30;
        constexpr double kSmallest = 10;
        constexpr double kLargest = 1000;
        return fitted_ ? std::clamp(std::round(image.rows * kPart), kSmallest, kLargest) : style_.size;
    }
    const TextStyle& style() const { return style_; }
    const TextPainter& sized(double size) {
        const std::lock_guard lock(mutex_);
        auto found = painters_.find(size);
        if (found == painters_.end()) {
            TextStyle style = style_;
            style.size = size;
            found = painters_.try_emplace(size, style).first;
        }
        return found->second;
    }

private:
    TextStyle style_;
    bool fitted_;
    std::mutex mutex_;
    std::map<double, TextPainter> painters_;
};

cv::Point inset_of(const TextPlacement& placement, double text_size) {
    const int usual = static_cast<int>(std::lround(text_size / 2));
    return {placement.x.value_or(usual), placement.y.value_or(usual)};
}

class TextFilter : public Filter {
public:
    explicit TextFilter(const TextAnnotation& annotation)
        : shared_(std::make_shared<const Shared>(annotation)),
          start_(annotation.start.value_or(std::numeric_limits<double>::quiet_NaN())),
          held_(shared_->text.extra_keys().size()) {
        if (!annotation.zone.empty() && !is_time_zone(annotation.zone))
            throw Error(ErrorCode::invalid_argument, fmt::format("there is no time zone \"{}\"", annotation.zone));
    }

    void begin(SourceInfo& info) override {
        if (!info.times_are_absolute && shared_->text.shows_date())
            throw Error(ErrorCode::invalid_argument,
                        fmt::format("filter text: the times of {} do not say a date, only the time since its start: "
                                    "%H, %M, %S and %f can be shown",
                                    info.name.empty() ? "these frames" : info.name));
        times_.absolute = info.times_are_absolute;
        times_.zone = is_time_zone(info.time_zone) ? info.time_zone : "UTC";
        if (!shared_->annotation.zone.empty()) times_.zone = shared_->annotation.zone;
    }

    void push(Frame frame, const Receiver& receiver) override {
        const std::vector<std::string>& keys = shared_->text.extra_keys();
        std::vector<const Json*> values(keys.size());
        for (size_t i = 0; i < keys.size(); ++i) values[i] = find_extra_value(frame, keys[i]);
        TextTimes times = times_;
        times.start = start_;
        // Any number of threads come here where nothing is kept.
        if (!each_by_itself()) {
            if (std::isnan(start_)) times.start = start_ = frame.time;
            hold(values);
        }
        const std::string text = shared_->text.text_of(frame, times, values);
        receiver(with_changed_image(std::move(frame), [&](const cv::Mat& image) {
            check_drawable(image, "text");
            cv::Mat result = image.clone();
            const TextPlacement& placement = shared_->annotation.placement;
            const double size = shared_->painter.size_in(image);
            shared_->painter.sized(size).draw(result, text, placement.position, inset_of(placement, size));
            return result;
        }));
    }

    bool each_by_itself() const override { return before() == 0; }
    std::optional<FilterReach> reach() const override { return FilterReach{before(), 0}; }
    std::unique_ptr<Filter> fresh() const override {
        auto copy = std::make_unique<TextFilter>(*this);
        if (!shared_->annotation.start) copy->start_ = std::numeric_limits<double>::quiet_NaN();
        copy->held_.assign(held_.size(), {});
        return copy;
    }

private:
    struct Shared {
        explicit Shared(const TextAnnotation& given)
            : annotation(given),
              text(given.text, given.missing),
              painter(given.placement.style, given.placement.fitted) {}

        TextAnnotation annotation;
        TextTemplate text;
        mutable FittedPainter painter;
    };
    struct Held {
        Json value;
        int64_t age = 0;
        bool known = false;
    };

    int64_t before() const {
        if (shared_->text.shows_seconds() && !shared_->annotation.start) return FilterReach::kAll;
        return shared_->text.extra_keys().empty() ? 0 : shared_->annotation.hold;
    }

    /// Puts values of frames before in place of those that are missing.
    void hold(std::vector<const Json*>& values) {
        for (size_t i = 0; i < values.size(); ++i) {
            Held& held = held_[i];
            if (values[i]) {
                held = {*values[i], 0, true};
                values[i] = &held.value;
            } else if (held.known && ++held.age <= shared_->annotation.hold) {
                values[i] = &held.value;
            }
        }
    }

    std::shared_ptr<const Shared> shared_;
    TextTimes times_;
    double start_;
    std::vector<Held> held_;  ///< for each key
};

/// The longest of 1, 2 and 5 times a power of ten that is not longer than `longest`.
double round_length(double longest) {
    const double power = std::pow(10.0, std::floor(std::log10(longest)));
    constexpr std::array kSteps{10.0, 5.0, 2.0, 1.0};  // 10 where the logarithm was rounded down
    for (const double step : kSteps)
        if (step * power <= longest) return step * power;
    return power;
}

cv::Mat with_scale_bar(const cv::Mat& image, const ScaleBar& bar, FittedPainter& painters) {
    check_drawable(image, "scale-bar");
    constexpr double kPart = 0.25;
    constexpr double kGap = 0.1;
    const double size = painters.size_in(image);
    const double length = bar.length.value_or(round_length(image.cols * kPart / bar.pixels_per_unit));
    const int width = std::max(1, static_cast<int>(std::lround(std::min<double>(length * bar.pixels_per_unit, 1e6))));
    const int thickness = bar.thickness.value_or(std::max(1, static_cast<int>(std::lround(size / 4))));
    const std::string label = bar.label.value_or(fmt::format("{:.6g} {}", length, bar.unit));
    const TextPainter& painter = painters.sized(size);
    const cv::Size label_size = label.empty() ? cv::Size() : painter.size_of(label);
    // The descender of the letter µ would touch the bar.
    const int gap = label.empty() ? 0 : std::max(1, static_cast<int>(std::lround(size * kGap)));
    const cv::Size box(std::max(width, label_size.width), label_size.height + gap + thickness);
    const cv::Point corner = place_box(box, image.size(), bar.placement.position, inset_of(bar.placement, size));
    const cv::Rect drawn(corner.x + (box.width - width) / 2, corner.y + box.height - thickness, width, thickness);

    cv::Mat result = image.clone();
    const ImageType type = ImageType::of(image);
    const TextStyle& style = painters.style();
    const auto fill = [&](const cv::Rect& rectangle, const Color& color) {
        const cv::Rect visible = rectangle & cv::Rect({}, result.size());
        if (!visible.empty()) result(visible).setTo(pixel_of(color, type));
    };
    if (style.shadow) {
        TextStyle sized = style;
        sized.size = size;
        const int grown = static_cast<int>(std::lround(shadow_size_of(sized)));
        const int offset = static_cast<int>(std::lround(style.shadow_offset));
        fill({drawn.x - grown + offset, drawn.y - grown + offset, width + 2 * grown, thickness + 2 * grown},
             *style.shadow);
    }
    fill(drawn, style.color);
    if (!label.empty()) painter.draw_at(result, label, {corner.x + box.width / 2, drawn.y - gap}, Anchor::bottom);
    return result;
}

/// The last values of a line, and those before for a while, so that none is moved at every frame.
class Window {
public:
    void add(std::optional<double> value, size_t longest) {
        values_.push_back(value);
        if (values_.size() - first_ > longest) ++first_;
        if (first_ > longest) {
            values_.erase(values_.begin(), values_.begin() + static_cast<std::ptrdiff_t>(first_));
            first_ = 0;
        }
    }
    std::span<const std::optional<double>> values() const { return std::span(values_).subspan(first_); }

private:
    std::vector<std::optional<double>> values_;
    size_t first_ = 0;
};

/// Of what is finite, without alpha.
std::optional<double> mean_of(const cv::Mat& image) {
    const int colors = std::min(3, image.channels());
    const cv::Scalar means = cv::mean(image);
    double sum = 0;
    for (int channel = 0; channel < colors; ++channel) sum += means[channel];
    if (std::isfinite(sum)) return sum / colors;
    double count = 0;
    sum = 0;
    cv::Mat row_values;
    for (int row = 0; row < image.rows; ++row) {
        image.row(row).convertTo(row_values, CV_64F);
        const auto* value = row_values.ptr<double>();
        for (int i = 0; i < image.cols * image.channels(); ++i) {
            if (!std::isfinite(value[i]) || i % image.channels() >= colors) continue;
            sum += value[i];
            ++count;
        }
    }
    return count > 0 ? std::optional(sum / count) : std::nullopt;
}

std::optional<double> number_of(const Json* value) {
    if (!value) return std::nullopt;
    if (value->is_number()) return value->get<double>();
    if (value->is_boolean()) return value->get<bool>() ? 1 : 0;
    return std::nullopt;
}

class PlotFilter : public Filter {
public:
    explicit PlotFilter(const ValuePlot& plot) : shared_(std::make_shared<const Shared>(plot)), frames_(plot.frames) {
        windows_.resize(plot.keys.size());
    }

    void begin(SourceInfo& info) override {
        const ValuePlot& plot = shared_->plot;
        if (plot.seconds) {
            if (!info.frame_rate)
                throw Error(ErrorCode::invalid_argument,
                            fmt::format("filter plot: the frame rate of {} is not known: give frames= instead of "
                                        "seconds=",
                                        info.name.empty() ? "these frames" : info.name));
            frames_ = std::llround(std::clamp<double>(*plot.seconds * *info.frame_rate, 1, kMostFrames));
        }
        if (!info.image_type.empty()) info.image_type.height += strip_height(info.image_type.height);
    }

    void push(Frame frame, const Receiver& receiver) override {
        const ValuePlot& plot = shared_->plot;
        std::vector<std::optional<double>> values;
        for (const std::string& key : shared_->extra_keys) values.push_back(number_of(find_extra_value(frame, key)));
        receiver(with_changed_image(std::move(frame), [&](const cv::Mat& image) {
            check_drawable(image, "plot");
            const int height = strip_height(image.rows);
            if (image.rows + height > kMaxImageSide)
                throw Error(ErrorCode::wrong_type, fmt::format("{} leaves no room for a plot of {} pixels",
                                                               ImageType::of(image).text(), height));
            std::vector<PlottedLine> lines;
            for (size_t i = 0; i < plot.keys.size(); ++i) {
                windows_[i].add(plot.keys[i] == kMean ? mean_of(image) : values[i], static_cast<size_t>(frames_));
                lines.push_back({shared_->extra_keys[i], plot.colors[i % plot.colors.size()], windows_[i].values()});
            }
            cv::Mat result(image.rows + height, image.cols, image.type());
            image.copyTo(result.rowRange(0, image.rows));
            cv::Mat strip = result.rowRange(image.rows, result.rows);
            draw_plot(strip, lines, {frames_, plot.low, plot.high, plot.background}, labels_for(height));
            return result;
        }));
    }

    std::optional<FilterReach> reach() const override { return FilterReach{frames_ - 1, 0}; }
    std::unique_ptr<Filter> fresh() const override {
        auto copy = std::make_unique<PlotFilter>(*this);
        copy->windows_.assign(windows_.size(), {});
        return copy;
    }

private:
    static constexpr const char* kMean = "mean";

    struct Shared {
        explicit Shared(const ValuePlot& given) : plot(given) {
            constexpr std::string_view kExtra = "extra.";
            for (const std::string& key : given.keys)
                extra_keys.push_back(key.starts_with(kExtra) ? key.substr(kExtra.size()) : key);
            if (!given.labels) return;
            const TextStyle style{.font = given.font, .size = given.text_size.value_or(16), .shadow = given.background};
            labels = std::make_unique<FittedPainter>(style, false);
        }

        ValuePlot plot;
        std::vector<std::string> extra_keys;
        std::unique_ptr<FittedPainter> labels;
    };

    int strip_height(int image_height) const {
        constexpr int kSmallest = 40;
        return shared_->plot.height.value_or(std::max(kSmallest, image_height / 4));
    }

    const TextPainter* labels_for(int height) const {
        if (!shared_->labels) return nullptr;
        constexpr double kSmallest = 9;
        constexpr double kLargest = 40;
        constexpr double kPart = 1.0 / 7;
        const double fitted = std::clamp(std::round(height * kPart), kSmallest, kLargest);
        return &shared_->labels->sized(shared_->plot.text_size.value_or(fitted));
    }

    std::shared_ptr<const Shared> shared_;
    int64_t frames_;
    std::vector<Window> windows_;
};

std::vector<FilterArgumentInfo> placement_arguments(const std::string& position) {
    return {{"position", position, fmt::format("{}", fmt::join(anchor_names(), ", "))},
            {"x", "", "pixels from that side, or right of the middle (default: half of size)"},
            {"y", "", "likewise, from above or below"},
            {"size", "", "of the text, in pixels (default: a 30th of the image's height, at least 10)"},
            {"color", "white", "of the text; in gray images its brightness"},
            {"shadow", "black", "colour round the letters; none: without"},
            {"shadow_size", "", "pixels round the letters (default: a 12th of size, at least 1)"},
            {"shadow_offset", "0", "pixels right and down"},
            {"font", "sans", "sans, sans-bold, mono, mono-bold, serif, serif-bold or a TrueType or OpenType file"}};
}

TextPlacement placement_of(const FilterArguments& arguments, Anchor position) {
    constexpr int kFarthest = kMaxImageSide;
    const std::vector<std::string>& names = anchor_names();
    TextPlacement placement;
    const std::string name = arguments.choice("position", names[static_cast<size_t>(position)], names);
    placement.position = static_cast<Anchor>(std::find(names.begin(), names.end(), name) - names.begin());
    placement.x = arguments.integer("x", -kFarthest, kFarthest);
    placement.y = arguments.integer("y", -kFarthest, kFarthest);
    TextStyle& style = placement.style;
    if (const std::optional<double> size = arguments.number("size", 1, 1000)) {
        style.size = *size;
        placement.fitted = false;
    }
    style.color = color_argument(arguments, "color", style.color);
    if (arguments.text("shadow") == "none")
        style.shadow.reset();
    else
        style.shadow = color_argument(arguments, "shadow", *style.shadow);
    style.shadow_size = arguments.number("shadow_size", 0, 100);
    style.shadow_offset = arguments.number("shadow_offset", 0, -100, 100);
    style.font = arguments.text("font", style.font);
    return placement;
}

std::vector<FilterArgumentInfo> joined(std::vector<FilterArgumentInfo> first,
                                       const std::vector<FilterArgumentInfo>& second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
}

TextAnnotation text_of(const FilterArguments& arguments, const std::string& text, Anchor position) {
    TextAnnotation annotation;
    annotation.text = text;
    annotation.placement = placement_of(arguments, position);
    annotation.zone = arguments.text("zone", "");
    if (annotation.zone == "local")
        annotation.zone = local_time_zone();
    else if (arguments.has("zone") && !is_time_zone(annotation.zone))
        arguments.refuse("zone", "is no time zone");
    annotation.missing = arguments.text("missing", annotation.missing);
    return annotation;
}

std::unique_ptr<Filter> make_text(const FilterArguments& arguments) {
    if (!arguments.has("text")) arguments.refuse("needs a text");
    const std::string text = arguments.text("text", "");
    // A colon ends an argument: the rest of the field has been taken for others.
    if (text.rfind('{') != std::string::npos && text.find('}', text.rfind('{')) == std::string::npos)
        arguments.refuse("text",
                         "has a field without end; what holds colons or commas stands in quotes: "
                         "text='{time:%H:%M}'");
    TextAnnotation annotation = text_of(arguments, text, Anchor::top_left);
    const std::string hold = arguments.text("hold", "no");
    if (hold == "yes")
        annotation.hold = FilterReach::kAll;
    else if (hold != "no")
        annotation.hold = arguments.integer("hold", 0, 0, kMostFrames);
    if (const std::optional<std::string> start = arguments.text("start")) {
        annotation.start = parse_utc(*start);
        if (!annotation.start) annotation.start = arguments.number("start", -1e15, 1e15);
    }
    try {
        return draw_text(annotation);
    } catch (const Error& error) {
        if (error.code() != ErrorCode::invalid_argument) throw;
        arguments.refuse(error.message());
    }
}

std::unique_ptr<Filter> make_timestamp(const FilterArguments& arguments) {
    const std::string format = arguments.text("format", "");
    if (format.find_first_of("{}") != std::string::npos) arguments.refuse("format", "must not hold braces");
    TextAnnotation annotation =
        text_of(arguments, format.empty() ? "{time}" : fmt::format("{{time:{}}}", format), Anchor::bottom_left);
    if (!format.empty() && format.find('%') == std::string::npos)
        arguments.refuse("format", "shows no time; %F %T.%3f is the usual one");
    try {
        return draw_text(annotation);
    } catch (const Error& error) {
        if (error.code() != ErrorCode::invalid_argument) throw;
        arguments.refuse(error.message());
    }
}

std::unique_ptr<Filter> make_scale_bar(const FilterArguments& arguments) {
    constexpr double kSmallest = 1e-9;
    constexpr double kLargest = 1e9;
    ScaleBar bar;
    if (arguments.has("pixels_per_unit") == arguments.has("pixel_size"))
        arguments.refuse("needs either pixels_per_unit or pixel_size");
    bar.pixels_per_unit = arguments.number("pixels_per_unit", 1, kSmallest, kLargest);
    if (const std::optional<double> size = arguments.number("pixel_size", kSmallest, kLargest))
        bar.pixels_per_unit = 1 / *size;
    bar.unit = arguments.text("unit", bar.unit);
    bar.length = arguments.number("length", kSmallest, kLargest);
    bar.label = arguments.text("label");
    bar.thickness = arguments.integer("thickness", 1, 1000);
    bar.placement = placement_of(arguments, bar.placement.position);
    return draw_scale_bar(bar);
}

std::vector<std::string> split_list(const std::string& text) {
    std::vector<std::string> parts;
    for (size_t start = 0; start <= text.size();) {
        const size_t end = std::min(text.find(',', start), text.size());
        std::string part = text.substr(start, end - start);
        part.erase(0, std::min(part.find_first_not_of(' '), part.size()));
        part.erase(part.find_last_not_of(' ') + 1);
        if (!part.empty()) parts.push_back(std::move(part));
        start = end + 1;
    }
    return parts;
}

std::unique_ptr<Filter> make_plot(const FilterArguments& arguments) {
    constexpr double kFarthest = 1e300;
    ValuePlot plot;
    plot.keys = split_list(arguments.text("keys", ""));
    if (plot.keys.empty()) arguments.refuse("needs the keys of what is plotted: extra data, or mean");
    if (arguments.has("frames") && arguments.has("seconds")) arguments.refuse("takes frames or seconds, not both");
    plot.frames = arguments.integer("frames", 250, 1, kMostFrames);
    plot.seconds = arguments.number("seconds", 1e-6, 1e9);
    plot.height = arguments.integer("height", 8, 10000);
    plot.low = arguments.number("low", -kFarthest, kFarthest);
    plot.high = arguments.number("high", -kFarthest, kFarthest);
    if (plot.low && plot.high && *plot.low >= *plot.high) arguments.refuse("low does not lie below high");
    if (const auto colors = arguments.text("color")) {
        try {
            for (const std::string& color : split_list(*colors)) plot.colors.push_back(parse_color(color));
        } catch (const Error& error) {
            arguments.refuse("color", error.message());
        }
    }
    plot.background = color_argument(arguments, "background", plot.background);
    plot.labels = arguments.flag("labels", true);
    plot.text_size = arguments.number("size", 1, 1000);
    plot.font = arguments.text("font", plot.font);
    return plot_values(plot);
}

}  // namespace

std::unique_ptr<Filter> draw_text(const TextAnnotation& annotation) {
    return std::make_unique<TextFilter>(annotation);
}

std::unique_ptr<Filter> draw_scale_bar(const ScaleBar& bar) {
    if (!(bar.pixels_per_unit > 0) || !std::isfinite(bar.pixels_per_unit) || (bar.length && !(*bar.length > 0)))
        throw Error(ErrorCode::invalid_argument, "the length of a scale bar and its pixels per unit lie above 0");
    const auto painters = std::make_shared<FittedPainter>(bar.placement.style, bar.placement.fitted);
    return pure_image_filter([bar, painters](const cv::Mat& image) { return with_scale_bar(image, bar, *painters); });
}

std::unique_ptr<Filter> plot_values(const ValuePlot& given) {
    ValuePlot plot = given;
    if (plot.keys.empty() || plot.frames < 1 || plot.frames > kMostFrames)
        throw Error(ErrorCode::invalid_argument,
                    fmt::format("a plot shows one key at least, over 1 to {} frames", kMostFrames));
    if (plot.colors.empty())
        plot.colors = {{255, 184, 0}, {77, 182, 255}, {123, 214, 107}, {255, 107, 157}, {255, 255, 255}};
    return std::make_unique<PlotFilter>(plot);
}

void add_filters_annotation(FilterTable& table) {
    table.push_back(
        {"text", "text with values of the frame",
         joined(
             joined({{"text", "",
                      "with {index}, {number}, {time}, {time:%H:%M:%S}, {seconds}, {extra.KEY}, formats as in "
                      "{number:06}, \\n, {{ for a brace; in quotes"}},
                    placement_arguments("top-left")),
             {{"zone", "", "time zone (Europe/Vienna; local: this machine's; default: the recording's)"},
              {"missing", "-", "what stands for extra data that a frame does not have"},
              {"hold", "no",
               "extra data is shown for so many frames behind its own; yes: until there is other (single frames "
               "then take long: all before are read)"},
              {"start", "", "time from which {seconds} counts: seconds or a date (default: that of the first frame)"}}),
         make_text});
    table.push_back(
        {"timestamp", "date and time of the frame",
         joined(joined({{"format", "%F %T.%3f", "as of strftime; %f: microseconds, %3f: three digits; in quotes"}},
                       placement_arguments("bottom-left")),
                {{"zone", "", "time zone (Europe/Vienna; local: this machine's; default: the recording's)"},
                 {"missing", "-", "what stands for the time of a frame without"}}),
         make_timestamp});
    table.push_back({"scale-bar", "a bar of known length",
                     joined({{"pixels_per_unit", "", "how many pixels a unit is long"},
                             {"unit", "µm", ""},
                             {"length", "", "in units (default: a round one within a quarter of the width)"},
                             {"pixel_size", "", "how many units a pixel is long (instead of pixels_per_unit)"},
                             {"label", "", "instead of length and unit; '': without"},
                             {"thickness", "", "of the bar, in pixels (default: a quarter of size)"}},
                            placement_arguments("bottom-right")),
                     make_scale_bar});
    table.push_back(
        {"plot",
         "values of the last frames as a strip under the image",
         {{"keys", "",
           "of extra data, or mean (of the image); several on one axis: 'a,b' (each on its own: plot=a,plot=b)"},
          {"frames", "250", "how many frames it shows"},
          {"seconds", "", "likewise, instead of frames"},
          {"height", "", "in pixels (default: a quarter of the image's, at least 40)"},
          {"low", "", "value at the lower end (default: the smallest of those shown)"},
          {"high", "", "value at the upper end (default: the largest)"},
          {"color", "", "of the lines; several: 'orange,cyan'"},
          {"background", "16", ""},
          {"labels", "yes", "names, latest values and the ends of the axis"},
          {"size", "", "of the labels, in pixels (default: a seventh of height, 9 to 40)"},
          {"font", "sans", "as of text"}},
         make_plot});
}

}  // namespace reelstore
