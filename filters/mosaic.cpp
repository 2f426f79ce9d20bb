#include "filters/mosaic.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "base/error.h"
#include "base/pixel_type.h"
#include "filters/image_values.h"
#include "filters/mosaic_layout.h"

namespace reelstore {

namespace {

constexpr const char* kTaken = "gray and colour images of uint8, uint16, int16, float32 and float64 can";

/// A source that only comes forward and does not know the type of its images: its first frame is read ahead.
class LookedAhead : public FrameSource {
public:
    explicit LookedAhead(std::unique_ptr<FrameSource> source) : source_(std::move(source)) {
        try {
            first_ = source_->next();
            if (!first_) return;
            extra_data_ = source_->extra_data();
            type_ = ImageType::of(first_->image);
        } catch (const Error& error) {
            error_ = error;
        }
    }

    const SourceInfo& info() const override {
        info_ = source_->info();
        info_.image_type = type_;
        return info_;
    }
    std::optional<Frame> next() override {
        if (const std::optional<Error> error = std::exchange(error_, std::nullopt)) throw Error(*error);
        if (first_) return std::exchange(first_, std::nullopt);
        extra_data_.reset();
        return source_->next();
    }
    bool rewind() override {
        if (!source_->rewind()) return false;
        error_.reset();
        first_.reset();
        extra_data_.reset();
        return true;
    }
    std::vector<Json> extra_data() override { return extra_data_ ? *extra_data_ : source_->extra_data(); }
    const Json& user_metadata() const override { return source_->user_metadata(); }
    const std::vector<std::string>& warnings() const override { return source_->warnings(); }

private:
    std::unique_ptr<FrameSource> source_;
    std::optional<Frame> first_;
    std::optional<std::vector<Json>> extra_data_;  ///< of the first frame, until the next one is read
    std::optional<Error> error_;                   ///< of reading the first frame
    ImageType type_;
    mutable SourceInfo info_;
};

/// The type of a source's images; empty where it has none that could be told.
ImageType type_of(std::unique_ptr<FrameSource>& source) {
    if (!source->info().image_type.empty()) return source->info().image_type;
    RandomAccess* const access = source->random_access();
    if (!access) {
        source = std::make_unique<LookedAhead>(std::move(source));
        return source->info().image_type;
    }
    if (access->frame_count() == 0) return {};
    try {
        return ImageType::of(access->at_index(0).image);
    } catch (const Error&) {
        // Whoever reads it is told.
        return {};
    }
}

/// Types of pixels by what they hold; -1 for those that are not converted.
int range_of(int depth) {
    constexpr std::array<int, 4> kByRange = {CV_8U, CV_16U, CV_32F, CV_64F};
    const auto found = std::find(kByRange.begin(), kByRange.end(), depth);
    return found == kByRange.end() ? -1 : static_cast<int>(found - kByRange.begin());
}

bool is_gray(const Color& color) {
    return color.red == color.green && color.green == color.blue;
}

/// Whether images of one type can become part of a mosaic of another without loss.
bool fits_into(const ImageType& type, const ImageType& whole) {
    if (type.channels != 1 && type.channels != 3 && type.channels != 4) return false;
    if (whole.channels == 1 && type.channels != 1) return false;
    return type.depth == whole.depth || (range_of(type.depth) >= 0 && range_of(type.depth) <= range_of(whole.depth));
}

Error cannot_be_part(const std::string& name, const ImageType& type, const std::string& why) {
    return Error(ErrorCode::wrong_type, {name, {}, {}},
                 fmt::format("{} cannot be part of a mosaic: {}", type.text(), why));
}

/// Channels and range of a mosaic; its size is left open.
ImageType common_type(const std::vector<ImageType>& types, const std::vector<std::string>& names, bool with_colors) {
    ImageType common;
    common.channels = with_colors ? 3 : 1;
    common.depth = -1;
    for (size_t i = 0; i < types.size(); ++i) {
        const ImageType& type = types[i];
        if (type.empty()) continue;
        if (range_of(type.depth) < 0 && type.depth != CV_16S) throw cannot_be_part(names[i], type, kTaken);
        if (type.channels != 1) common.channels = 3;
        if (!fits_into(type, {.channels = 3, .depth = type.depth})) throw cannot_be_part(names[i], type, kTaken);
        const bool is_other = common.depth != -1 && type.depth != common.depth;
        if (is_other && (range_of(type.depth) < 0 || range_of(common.depth) < 0))
            throw cannot_be_part(names[i], type, "int16 and other types cannot be mixed");
        if (common.depth == -1 || range_of(type.depth) > range_of(common.depth)) common.depth = type.depth;
    }
    if (common.depth == -1)
        throw Error(ErrorCode::invalid_argument, {names.front(), {}, {}},
                    "no source of the mosaic has a first frame that could be read");
    return common;
}

/// Gray to colour, or alpha left out.
void change_channels(const cv::Mat& image, cv::Mat& result) {
    const bool from_gray = image.channels() == 1;
    if (image.depth() == CV_8U || image.depth() == CV_16U || image.depth() == CV_32F) {
        cv::cvtColor(image, result, from_gray ? cv::COLOR_GRAY2BGR : cv::COLOR_BGRA2BGR);
        return;
    }
    result.create(image.size(), CV_MAKETYPE(image.depth(), 3));
    cv::mixChannels(std::vector<cv::Mat>{image}, std::vector<cv::Mat>{result},
                    from_gray ? std::vector<int>{0, 0, 0, 1, 0, 2} : std::vector<int>{0, 0, 1, 1, 2, 2});
}

/// Writes the image into `part`, a part of the mosaic, with its size and type; none of both is made anew.
void write_into(cv::Mat part, const cv::Mat& image, Interpolation interpolation) {
    cv::Mat changed = image;
    // The last change is written where it belongs.
    const bool changes_range = image.depth() != part.depth();
    const bool changes_channels = image.channels() != part.channels();
    if (image.size() != part.size()) {
        cv::Mat resized;
        if (!changes_channels && !changes_range) resized = part;
        cv::resize(changed, resized, part.size(), 0, 0, resize_flags(interpolation, image.size(), part.size()));
        if (!changes_channels && !changes_range) return;
        changed = resized;
    }
    if (changes_channels) {
        cv::Mat other;
        if (!changes_range) other = part;
        change_channels(changed, other);
        if (!changes_range) return;
        changed = other;
    }
    changed.convertTo(part, part.depth(), white_of(part.depth()) / white_of(changed.depth()));
}

/// Pixels above and below a title.
int room_around(const TextStyle& style) {
    return std::max(1, static_cast<int>(style.size / 4));
}

/// Makes the images of a mosaic.
class MosaicPainter {
public:
    MosaicPainter(const ImageType& type, MosaicPlaces places, const std::vector<std::string>& names,
                  const std::vector<std::string>& titles, const std::optional<TextPainter>& painter,
                  const MosaicOptions& options)
        : type_(type),
          places_(std::move(places)),
          uncovered_(places_.uncovered()),
          names_(names),
          interpolation_(options.interpolation),
          background_(places_.size, type.cv_type(), pixel_of(options.background, type)) {
        if (!painter) return;
        for (size_t i = 0; i < titles.size(); ++i) {
            if (titles[i].empty()) continue;
            cv::Mat band = background_(places_.bands[i]);
            // Of a title that is too long, the beginning is seen.
            const bool fits = painter->size_of(titles[i]).width <= band.cols;
            painter->draw(band, titles[i], fits ? Anchor::bottom : Anchor::bottom_left,
                          {0, room_around(options.title_style)});
        }
    }

    cv::Mat paint(std::span<const std::optional<Frame>> frames) const {
        cv::Mat whole(places_.size, type_.cv_type());
        for (const cv::Rect& part : uncovered_) clear(whole, part);
        for (size_t i = 0; i < frames.size(); ++i) {
            const cv::Rect& cell = places_.cells[i];
            if (!frames[i]) {
                clear(whole, cell);
                continue;
            }
            const cv::Mat& image = frames[i]->image;
            if (!fits_into(ImageType::of(image), type_))
                throw cannot_be_part(names_[i], ImageType::of(image), "it has become another type than before")
                    .at({{}, {}, frames[i]->index});
            const cv::Rect place = fitted(image.size(), cell);
            clear_around(whole, cell, place);
            write_into(whole(place), image, interpolation_);
        }
        return whole;
    }

private:
    void clear(cv::Mat& whole, const cv::Rect& part) const {
        if (part.empty()) return;
        cv::Mat target = whole(part);
        background_(part).copyTo(target);
    }

    void clear_around(cv::Mat& whole, const cv::Rect& cell, const cv::Rect& place) const {
        if (place == cell) return;
        const int right = place.x + place.width;
        const int bottom = place.y + place.height;
        clear(whole, {cell.x, cell.y, cell.width, place.y - cell.y});
        clear(whole, {cell.x, place.y, place.x - cell.x, place.height});
        clear(whole, {right, place.y, cell.x + cell.width - right, place.height});
        clear(whole, {cell.x, bottom, cell.width, cell.y + cell.height - bottom});
    }

    ImageType type_;
    MosaicPlaces places_;
    std::vector<cv::Rect> uncovered_;
    std::vector<std::string> names_;
    Interpolation interpolation_;
    cv::Mat background_;  ///< the whole without images
};

}  // namespace

std::unique_ptr<FrameSource> mosaic(std::vector<MosaicItem> items, const MosaicOptions& options,
                                    const SyncOptions& sync) {
    if (items.empty()) throw Error(ErrorCode::invalid_argument, "there is no image to make a mosaic of");
    std::vector<ComposedSource> sources;
    std::vector<std::string> titles;
    std::vector<std::string> names;
    std::vector<ImageType> types;
    std::vector<cv::Size> sizes;
    for (MosaicItem& item : items) {
        types.push_back(type_of(item.source.frames));
        sizes.emplace_back(types.back().width, types.back().height);
        names.push_back(item.source.frames->info().name);
        titles.push_back(std::move(item.title));
        sources.push_back(std::move(item.source));
    }
    const bool has_titles = std::any_of(titles.begin(), titles.end(), [](const auto& title) { return !title.empty(); });
    const TextStyle& style = options.title_style;
    std::optional<TextPainter> painter;
    int band = 0;
    bool with_colors = !is_gray(options.background);
    if (has_titles) {
        painter.emplace(style);
        for (const std::string& title : titles) {
            if (!title.empty()) band = std::max(band, painter->size_of(title).height + 2 * room_around(style));
        }
        if (!is_gray(style.color) || (style.shadow && !is_gray(*style.shadow))) with_colors = true;
    }
    ImageType type = common_type(types, names, with_colors);
    MosaicPlaces places = lay_out(sizes, options, band);
    type.width = places.size.width;
    type.height = places.size.height;
    if (!plausible(type))
        throw Error(ErrorCode::invalid_argument, fmt::format("a mosaic of {} is too large", type.text()));
    const auto shared = std::make_shared<const MosaicPainter>(type, std::move(places), names, titles, painter, options);
    return composed_source(std::move(sources), sync,
                           [shared](std::span<const std::optional<Frame>> frames) { return shared->paint(frames); });
}

}  // namespace reelstore
