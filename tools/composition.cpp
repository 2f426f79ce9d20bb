#include "tools/composition.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include <fmt/format.h>

#include "base/error.h"
#include "base/parallel_reader.h"
#include "filters/filter_arguments.h"
#include "filters/filter_table.h"
#include "filters/filtered_source.h"
#include "filters/image_values.h"
#include "store/filtered_recording.h"
#include "tools/verb.h"

namespace reelstore {

namespace {

constexpr double kFarthest = 1e300;
constexpr int kMostPixels = kMaxImageSide;

/// The arguments of an option such as "columns=2:padding=4", which are written as those of a filter.
FilterArguments option_arguments(const std::string& option, const std::string& text,
                                 const std::vector<FilterArgumentInfo>& known) {
    const std::vector<FilterCall> calls = parse_filter_list(option + "=" + text);
    if (calls.size() != 1)
        throw UsageError("--" + option + " " + text + ": its values are separated by colons (NAME=VALUE:NAME=VALUE)");
    return name_arguments(calls.front(), known);
}

/// What messages call a filter is an option here.
template <typename Read>
auto reading_option(const std::string& option, Read read) {
    try {
        return read();
    } catch (const Error& error) {
        if (error.code() != ErrorCode::invalid_argument) throw;
        std::string message = error.what();
        const std::string beginning = "filter " + option + ": ";
        if (message.starts_with(beginning)) message.erase(0, beginning.size());
        throw UsageError("--" + option + ": " + message);
    }
}

/// "a,b,c"; a comma behind a backslash belongs to its part.
std::vector<std::string> parts_of(const std::string& text) {
    std::vector<std::string> parts(1);
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 1 < text.size()) {
            parts.back() += text[++i];
        } else if (text[i] == ',') {
            parts.emplace_back();
        } else {
            parts.back() += text[i];
        }
    }
    return parts;
}

/// One number for each recording.
std::vector<double> numbers_of(const std::string& option, const std::string& text) {
    std::vector<double> numbers;
    if (text.empty()) return numbers;
    for (const std::string& part : parts_of(text)) {
        char* end = nullptr;
        const double number = std::strtod(part.c_str(), &end);
        if (part.empty() || *end != '\0' || !std::isfinite(number))
            throw UsageError(fmt::format("--{} takes numbers with commas between them, not \"{}\"", option, text));
        numbers.push_back(number);
    }
    return numbers;
}

/// "16/9" or "1.5"
double aspect_of(const FilterArguments& arguments) {
    const std::string text = arguments.text("aspect", "16/9");
    char* end = nullptr;
    double aspect = std::strtod(text.c_str(), &end);
    if (*end == '/') {
        const char* const below = end + 1;
        aspect /= std::strtod(below, &end);
        if (end == below) arguments.refuse("aspect", "is no number");
    }
    if (*end != '\0' || text.empty()) arguments.refuse("aspect", "is no number, nor two such as 16/9");
    return aspect;
}

const std::vector<FilterArgumentInfo>& mosaic_arguments() {
    static const std::vector<FilterArgumentInfo> known = {
        {"layout", "grid"}, {"columns"},    {"rows"},       {"aspect", "16/9"}, {"padding", "0"},
        {"border", "0"},    {"background"}, {"width"},      {"height"},         {"max_width"},
        {"max_height"},     {"fit_to"},     {"title_size"}, {"title_color"},    {"title_font"},
    };
    return known;
}

const std::vector<FilterArgumentInfo>& overlay_arguments() {
    static const std::vector<FilterArgumentInfo> known = {
        {"alpha"}, {"blend", "normal"}, {"low"}, {"high"}, {"order", "2"},
        {"mask"},  {"fit", "no"},       {"x"},   {"y"},    {"scale", "1"},
    };
    return known;
}

/// The filter `colormap` as it is called by "viridis=0:100".
std::unique_ptr<Filter> make_colormap(const FilterCall& call) {
    const auto found = std::find_if(filters().begin(), filters().end(),
                                    [](const FilterInfo& filter) { return filter.name == "colormap"; });
    FilterCall whole{found->name, {{"", call.name}}};
    whole.arguments.insert(whole.arguments.end(), call.arguments.begin(), call.arguments.end());
    return found->make(name_arguments(whole, found->arguments));
}

bool keeps_frames(const Filters& filters) {
    return std::all_of(filters.begin(), filters.end(), [](const auto& filter) { return filter->reach().has_value(); });
}

/// A recording that only comes forward, read ahead less far than it would be by itself.
class InOrder : public FrameSource {
public:
    InOrder(std::unique_ptr<Recording> recording, size_t ahead_bytes)
        : recording_(std::move(recording)),
          frames_(*recording_, {.threads = recording_->threads(), .ahead_bytes = ahead_bytes}) {}

    const SourceInfo& info() const override { return recording_->info(); }
    const Json& user_metadata() const override { return recording_->user_metadata(); }
    const std::vector<std::string>& warnings() const override { return recording_->warnings(); }
    std::vector<Json> extra_data() override {
        return last_read_ < 0 ? std::vector<Json>() : recording_->extra_data_of(last_read_);
    }
    std::optional<Frame> next() override {
        last_read_ = -1;
        const int64_t position = frames_.position();
        std::optional<Frame> frame = frames_.next();
        if (frame) last_read_ = position;
        return frame;
    }
    bool rewind() override {
        frames_.seek(0);
        last_read_ = -1;
        return true;
    }

private:
    std::unique_ptr<Recording> recording_;
    SequentialReader frames_;
    int64_t last_read_ = -1;
};

/// Frames of a recording behind filters; they can be had in any order where the filters allow it.
std::unique_ptr<FrameSource> through(std::unique_ptr<Recording> recording, Filters filters, size_t ahead_bytes) {
    if (keeps_frames(filters)) return filtered_recording(std::move(recording), std::move(filters));
    std::unique_ptr<FrameSource> frames = std::make_unique<InOrder>(std::move(recording), ahead_bytes);
    for (std::unique_ptr<Filter>& filter : filters) frames = std::move(frames) | std::move(filter);
    return frames;
}

/// Selected frames of a composition that only comes forward, or that leaves frames out.
class ForwardSelection : public FrameSource {
public:
    ForwardSelection(FrameSource& composition, Recording& leading, const FrameSelection& selection, bool leaves_out)
        : composition_(composition),
          leading_(leading),
          selection_(clipped(selection, leading.frame_count())),
          leaves_out_(leaves_out),
          info_(composition.info()) {
        info_.frame_count = leaves_out ? std::nullopt : selection_.count();
    }

    const SourceInfo& info() const override { return info_; }
    const Json& user_metadata() const override { return composition_.user_metadata(); }
    const std::vector<std::string>& warnings() const override { return composition_.warnings(); }
    std::vector<Json> extra_data() override { return composition_.extra_data(); }

    std::optional<Frame> next() override {
        while (!selection_.runs.empty() && next_row_ < selection_.runs.back().last) {
            std::optional<Frame> frame = composition_.next();
            if (!frame) break;
            const FrameRow row = row_of(*frame);
            next_row_ = row.index + 1;
            if (!selects(row)) continue;
            frame->index = row.index;
            return frame;
        }
        return std::nullopt;
    }
    bool rewind() override {
        if (!composition_.rewind()) return false;
        next_row_ = 0;
        block_.clear();
        return true;
    }

private:
    static FrameSelection clipped(FrameSelection selection, int64_t frame_count) {
        selection.step = std::min(selection.step, kLongestStep);
        return selection.within(0, frame_count);
    }

    /// The first recording's frame that one of the composition is.
    FrameRow row_of(const Frame& frame) {
        if (!leaves_out_) {
            if (const std::optional<FrameRow> row = leading_.row(frame.index)) return *row;
        }
        for (int64_t index = next_row_; index < leading_.frame_count(); ++index) {
            const FrameRow row = listed(index);
            const bool same_time = row.time == frame.time || (std::isnan(row.time) && std::isnan(frame.time));
            if (row.number == frame.number && same_time) return row;
        }
        throw Error(ErrorCode::internal, {leading_.path().string(), {}, {}},
                    fmt::format("frame {} of the composition is none of the recording's", frame.index));
    }

    /// A row, read with those behind it.
    FrameRow listed(int64_t index) {
        constexpr int64_t kBlockRows = 4096;
        const bool known = !block_.empty() && index >= block_.front().index && index <= block_.back().index;
        if (!known) {
            block_.clear();
            leading_.visit_rows(index, index + kBlockRows, [this](const FrameRow& row) {
                block_.push_back(row);
                return true;
            });
        }
        return block_.at(static_cast<size_t>(index - block_.front().index));
    }

    bool selects(const FrameRow& row) const {
        return std::any_of(selection_.runs.begin(), selection_.runs.end(),
                           [&](const IndexRun& run) {
                               return row.index >= run.first && row.index < run.last &&
                                      (row.index - run.first) % selection_.step == 0;
                           }) &&
               (!selection_.wanted || selection_.wanted(row));
    }

    FrameSource& composition_;
    Recording& leading_;
    FrameSelection selection_;
    bool leaves_out_;
    SourceInfo info_;
    int64_t next_row_ = 0;
    std::vector<FrameRow> block_;
};

bool has_nan(const ImageType& type) {
    return type.empty() || type.depth == CV_32F || type.depth == CV_64F || type.depth == CV_16F;
}

}  // namespace

void CompositionOptions::declare(CLI::App& app) {
    CLI::Option_group* group = app.add_option_group("several recordings as one (the first one leads)");
    group->add_option("--mosaic", mosaic_text_,
                      "side by side: [layout=]grid|horizontal|vertical:columns=N:rows=N:aspect=16/9:padding=PIXELS:"
                      "border=PIXELS:background=COLOR:width=PIXELS:height=PIXELS (of a cell):max_width=PIXELS:"
                      "max_height=PIXELS:fit_to=N:title_size=PIXELS:title_color=COLOR:title_font=FONT; all may be left "
                      "out but one");
    group->add_option(
        "--overlay", overlay_text_,
        "the second over the first: [alpha=]0..1:blend=normal|multiply|screen...:low=V:high=V:order=0..8:mask=IMAGE:"
        "fit=yes or x=PIXELS:y=PIXELS:scale=FACTOR. It is transparent where its values are low, or NaN, and opaque "
        "where they are high (order: of the smooth step between, 2; 0 is linear); a third recording is the alpha of "
        "each frame. Both are half seen where nothing says otherwise");
    group->add_option("--sync", sync_text_,
                      "which frames belong together: [by=]index|number|time:missing=hold|drop|blank (where there is "
                      "none):tolerance=SECONDS (default: index, hold)");
    group->add_option("--offset", offset_text_,
                      "how much later each is shown, in frames, numbers or seconds as --sync says: 0,12,-3");
    group->add_option("--rate", rate_text_, "how many times faster each goes: 1,2,0.5");
    group->add_option("--titles", title_text_, "what stands above each image of a mosaic: left eye,right eye");
    app.add_option("--colormap", colormap_text_,
                   "gray values in colours, for all recordings or one each: viridis,magma,none or gray=0:1 with what "
                   "the filter colormap takes");
    app.add_option("--input-filter", input_filters_,
                   "filters of each recording before it becomes part of a picture; once for all of them, or once for "
                   "each in order ('': none)")
        ->allow_extra_args(false);
}

void CompositionOptions::check(size_t recordings) {
    recordings_ = recordings;
    if (mosaic_text_ && overlay_text_) throw UsageError("give --mosaic or --overlay, not both");
    colormaps_ = reading_option("colormap", [&] { return parse_filter_list(colormap_text_); });
    offsets_ = numbers_of("offset", offset_text_);
    rates_ = numbers_of("rate", rate_text_);
    if (!title_text_.empty()) titles_ = parts_of(title_text_);
    check_places();
    for (size_t place = 0; place < recordings; ++place) {
        colormap_of(place);
        filters_of(place, {});
    }
    if (mosaic_text_) mosaic_ = reading_option("mosaic", [&] { return mosaic_options(); });
    if (overlay_text_) reading_option("overlay", [&] { return read_overlay_options(recordings); });
    reading_option("sync", [&] { return read_sync_options(); });
    if (!titles_.empty() && !mosaic_) throw UsageError("--titles are for --mosaic; the filter text writes into images");
    if (composes()) return;
    if (recordings > 1) {
        throw UsageError(
            fmt::format("{} recordings become one picture with --mosaic columns=2 (side by side) or "
                        "--overlay 0.5 (one over the other)",
                        recordings));
    }
    for (const auto& [option, text] :
         {std::pair("sync", &sync_text_), {"offset", &offset_text_}, {"rate", &rate_text_}})
        if (!text->empty()) throw UsageError(fmt::format("--{} is for --mosaic and --overlay", option));
}

void CompositionOptions::check_places() const {
    const auto check = [](const char* option, size_t given, size_t recordings, bool one_for_all) {
        if (given == 0 || given == recordings || (one_for_all && given == 1)) return;
        throw UsageError(fmt::format("--{} has {} values for {} recordings: give {}one for each", option, given,
                                     recordings, one_for_all ? "one for all of them, or " : ""));
    };
    // The third one of an overlay is alpha.
    check("colormap", colormaps_.size(), overlay_text_ ? std::min<size_t>(recordings_, 2) : recordings_, true);
    check("input-filter", input_filters_.size(), recordings_, true);
    check("offset", offsets_.size(), recordings_, false);
    check("rate", rates_.size(), recordings_, false);
    check("titles", titles_.size(), recordings_, false);
}

std::unique_ptr<Filter> CompositionOptions::colormap_of(size_t place) const {
    if (colormaps_.empty() || (overlay_text_ && place > 1)) return nullptr;
    const FilterCall& call = colormaps_[colormaps_.size() == 1 ? 0 : place];
    if (call.name == "none") {
        if (!call.arguments.empty()) throw UsageError("--colormap none takes no arguments");
        return nullptr;
    }
    return reading_option("colormap", [&] { return make_colormap(call); });
}

Filters CompositionOptions::filters_of(size_t place, const SourceOptionGroup& opening) const {
    SourceOptionGroup own = opening;
    own.filter = input_filters_.empty() ? "" : input_filters_[input_filters_.size() == 1 ? 0 : place];
    Filters made = own.filters();
    // An overlay's is put on with its alpha.
    if (overlay_text_ && place == 1) return made;
    if (std::unique_ptr<Filter> colormap = colormap_of(place)) made.push_back(std::move(colormap));
    return made;
}

MosaicOptions CompositionOptions::mosaic_options() {
    const FilterArguments arguments = option_arguments("mosaic", *mosaic_text_, mosaic_arguments());
    MosaicOptions options;
    const std::string layout = arguments.choice("layout", "grid", {"grid", "horizontal", "vertical"});
    options.layout = layout == "grid"         ? MosaicLayout::grid
                     : layout == "horizontal" ? MosaicLayout::row
                                              : MosaicLayout::column;
    options.columns = arguments.integer("columns", 1, 1000);
    options.rows = arguments.integer("rows", 1, 1000);
    options.aspect = aspect_of(arguments);
    options.cell = {arguments.integer("width", 0, 1, kMostPixels), arguments.integer("height", 0, 1, kMostPixels)};
    options.max_size = {arguments.integer("max_width", 0, 1, kMostPixels),
                        arguments.integer("max_height", 0, 1, kMostPixels)};
    options.fit_to = static_cast<size_t>(arguments.integer("fit_to", 1, 1, static_cast<int>(recordings_)) - 1);
    options.padding = arguments.integer("padding", 0, 0, kMostPixels);
    options.border = arguments.integer("border", 0, 0, kMostPixels);
    options.background = color_argument(arguments, "background", options.background);
    options.title_style.size = arguments.number("title_size", options.title_style.size, 1, 1000);
    options.title_style.color = color_argument(arguments, "title_color", options.title_style.color);
    options.title_style.font = arguments.text("title_font", options.title_style.font);
    return options;
}

void CompositionOptions::read_overlay_options(size_t recordings) {
    if (recordings != 2 && recordings != 3) {
        throw UsageError(
            fmt::format("--overlay takes two recordings, or a third one as alpha, and then OUT, not {}", recordings));
    }
    const FilterArguments arguments = option_arguments("overlay", *overlay_text_, overlay_arguments());
    OverlayOptions options;
    opacity_ = arguments.number("alpha", 0, 1);
    options.mode = blend_mode_of(arguments.text("blend", "normal"));
    const auto low = arguments.number("low", -kFarthest, kFarthest);
    const auto high = arguments.number("high", -kFarthest, kFarthest);
    const auto order = arguments.integer("order", 0, kMostSmoothOrder);
    if (low.has_value() != high.has_value()) arguments.refuse("low and high are given together");
    if (order && !low) arguments.refuse("order is that of the step between low and high");
    if (low) ramp_ = AlphaRamp{*low, *high, order.value_or(AlphaRamp().order)};
    if (arguments.has("mask")) options.mask = image_argument(arguments, "mask");
    options.fit = arguments.flag("fit", false);
    options.scale = arguments.number("scale", 1, 1e-3, 1e3);
    if (arguments.has("x") || arguments.has("y")) {
        options.position = {arguments.integer("x", 0, -kMostPixels, kMostPixels),
                            arguments.integer("y", 0, -kMostPixels, kMostPixels)};
    }
    overlay_ = std::move(options);
}

void CompositionOptions::read_sync_options() {
    if (sync_text_.empty()) return;
    const FilterArguments arguments =
        option_arguments("sync", sync_text_, {{"by", "index"}, {"missing", "hold"}, {"tolerance"}});
    const std::string by = arguments.choice("by", "index", {"index", "number", "time"});
    sync_.by = by == "index" ? SyncBy::index : by == "number" ? SyncBy::number : SyncBy::time;
    const std::string missing = arguments.choice("missing", "hold", {"hold", "drop", "blank"});
    sync_.missing = missing == "hold"   ? MissingFrame::hold
                    : missing == "drop" ? MissingFrame::drop
                                        : MissingFrame::blank;
    sync_.tolerance = arguments.number("tolerance", 0, kFarthest);
}

Filters CompositionOptions::top_filters(const FrameSource& top) const {
    std::unique_ptr<Filter> colormap = colormap_of(1);
    Filters made;
    // A colormap shows NaN in a colour of its own, which would not be transparent.
    if (ramp_ || (colormap && has_nan(top.info().image_type))) {
        made.push_back(with_alpha(ramp_, std::move(colormap)));
    } else if (colormap) {
        made.push_back(std::move(colormap));
    }
    return made;
}

std::unique_ptr<FrameSource> CompositionOptions::compose(std::vector<std::unique_ptr<Recording>> recordings,
                                                         const SourceOptionGroup& opening) const {
    std::vector<ComposedSource> sources;
    const size_t ahead_bytes = kComposedAheadBytes / recordings.size();
    for (size_t place = 0; place < recordings.size(); ++place) {
        Filters filters = filters_of(place, opening);
        if (place == 0 && !keeps_frames(filters)) {
            throw UsageError(
                "the first recording leads, so no --input-filter may change number or order of its frames; --filter "
                "does so behind");
        }
        ComposedSource source;
        source.frames = through(std::move(recordings[place]), std::move(filters), ahead_bytes);
        if (!offsets_.empty()) source.offset = offsets_[place];
        if (!rates_.empty()) source.rate = rates_[place];
        sources.push_back(std::move(source));
    }
    return mosaic_ ? mosaic_of(std::move(sources)) : overlay_of(std::move(sources));
}

std::unique_ptr<FrameSource> CompositionOptions::selected(FrameSource& composition, Recording& leading,
                                                          const FrameSelection& selection) const {
    if (composition.random_access() && !leaves_out())
        return std::make_unique<SelectedFrames>(leading, selection, composition);
    return std::make_unique<ForwardSelection>(composition, leading, selection, leaves_out());
}

std::unique_ptr<FrameSource> CompositionOptions::mosaic_of(std::vector<ComposedSource> sources) const {
    std::vector<MosaicItem> items;
    for (size_t place = 0; place < sources.size(); ++place)
        items.push_back({std::move(sources[place]), titles_.empty() ? "" : titles_[place]});
    return mosaic(std::move(items), *mosaic_, sync_);
}

std::unique_ptr<FrameSource> CompositionOptions::overlay_of(std::vector<ComposedSource> sources) const {
    ComposedSource& top = sources[1];
    const bool has_alpha =
        ramp_ || sources.size() > 2 || !overlay_->mask.empty() || top.frames->info().image_type.channels == 4;
    for (std::unique_ptr<Filter>& filter : top_filters(*top.frames))
        top.frames = std::move(top.frames) | std::move(filter);
    OverlayOptions options = *overlay_;
    constexpr double kBothSeen = 0.5;
    options.opacity = opacity_.value_or(has_alpha ? 1 : kBothSeen);
    std::optional<ComposedSource> alpha;
    if (sources.size() > 2) alpha = std::move(sources[2]);
    return overlay(std::move(sources[0]), std::move(top), options, sync_, std::move(alpha));
}

}  // namespace reelstore
