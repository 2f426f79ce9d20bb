#include "tools/source_options.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "base/error.h"
#include "filters/filter_table.h"
#include "store/filtered_recording.h"
#include "store/open_source.h"
#include "tools/codec_options.h"
#include "tools/console.h"
#include "tools/ranges.h"
#include "tools/verb.h"

namespace reelstore {

namespace {

/// Frames from which on reading all of them takes so long that one should be told.
constexpr int64_t kLongFirstPass = 5000;

/// "X:Y:WIDTH:HEIGHT"
cv::Rect parse_crop(const std::string& text) {
    std::vector<int> numbers;
    for (size_t begin = 0; begin <= text.size();) {
        const size_t end = std::min(text.find(':', begin), text.size());
        const int64_t number = parse_integer(text.substr(begin, end - begin), "--crop");
        if (number < 0 || number > kMaxImageSide)
            throw UsageError("--crop takes numbers from 0 to 65535, not " + std::to_string(number));
        numbers.push_back(static_cast<int>(number));
        begin = end + 1;
    }
    if (numbers.size() != 4) throw UsageError("--crop takes X:Y:WIDTH:HEIGHT, not \"" + text + "\"");
    return {numbers[0], numbers[1], numbers[2], numbers[3]};
}

}  // namespace

void SourceOptionGroup::declare_format(CLI::App& app) {
    app.add_option("--open", format,
                   "option NAME=VALUE of opening a foreign file (field=video; `store formats --options` lists them)")
        ->allow_extra_args(false);
}

void SourceOptionGroup::declare_images(CLI::App& app) {
    declare_format(app);
    app.add_option("--crop", crop, "the part X:Y:WIDTH:HEIGHT of every image");
    CLI::Option* undecoded = app.add_flag("--raw", raw, "do not decode a raw camera layout (Bayer...)");
    app.add_option("--demosaic", demosaic,
                   "how a Bayer mosaic is decoded: bilinear (default), vng (8 bits) or edge-aware")
        ->excludes(undecoded);
}

void SourceOptionGroup::declare_pixels(CLI::App& app) {
    app.add_flag("--gray", gray, "the frames in gray");
    app.add_flag("--deep", deep, "16-bit images of a video with more than 8 bits a sample");
    declare_images(app);
}

void SourceOptionGroup::declare_filter(CLI::App& app) {
    app.add_option("--filter", filter, kFilterHelp);
}

SourceOptions SourceOptionGroup::options() const {
    SourceOptions source;
    source.gray = gray;
    source.deep = deep;
    source.raw = raw;
    source.demosaic = demosaic_method(demosaic);
    source.format = parse_codec_options(format, "--open");
    if (!crop.empty()) source.crop = parse_crop(crop);
    return source;
}

std::optional<Demosaic> demosaic_method(const std::string& text) {
    if (text.empty()) return std::nullopt;
    try {
        return demosaic_of(text);
    } catch (const Error& error) {
        throw UsageError("--demosaic: " + error.message());
    }
}

std::unique_ptr<Recording> SourceOptionGroup::open(const std::string& name) const {
    return open_recording(name, options());
}

std::string SourceOptionGroup::filter_list() const {
    if (!gray) return filter;
    return filter.empty() ? "gray" : "gray," + filter;
}

std::vector<std::unique_ptr<Filter>> SourceOptionGroup::filters() const {
    return make_filters(filter_list());
}

std::unique_ptr<Recording> SourceOptionGroup::open_filtered(const std::string& name) const {
    // A list that makes no sense is refused before anything is opened, which may take long.
    std::vector<std::unique_ptr<Filter>> made = filters();
    return through(open(name), std::move(made));
}

std::unique_ptr<Recording> SourceOptionGroup::filtered(std::unique_ptr<Recording> recording) const {
    return through(std::move(recording), filters());
}

std::unique_ptr<Recording> SourceOptionGroup::through(std::unique_ptr<Recording> recording,
                                                      std::vector<std::unique_ptr<Filter>> made) const {
    const std::vector<FilterCall> calls = parse_filter_list(filter_list());
    for (size_t i = 0; i < made.size(); ++i) {
        if (made[i]->needs_first_pass() && recording->frame_count() >= kLongFirstPass)
            print_note(fmt::format("the filter {} reads all {} frames first", calls[i].name, recording->frame_count()));
        if (made[i]->reach()) continue;
        throw UsageError("the filter " + calls[i].name +
                         " changes number or order of the frames, so that none can be looked up behind it; `store "
                         "extract` and `store save` take it");
    }
    return filtered_recording(std::move(recording), std::move(made));
}

}  // namespace reelstore
