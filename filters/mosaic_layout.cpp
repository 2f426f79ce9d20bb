#include "filters/mosaic_layout.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "base/error.h"
#include "base/pixel_type.h"

namespace reelstore {

namespace {

[[noreturn]] void refuse(const std::string& reason) {
    throw Error(ErrorCode::invalid_argument, reason);
}

void check(const std::vector<cv::Size>& sizes, const MosaicOptions& options) {
    if (options.columns.value_or(1) < 1 || options.rows.value_or(1) < 1)
        refuse("a mosaic needs a column and a row at least");
    if (!(options.aspect > 0) || !std::isfinite(options.aspect)) refuse("the aspect must be a number above 0");
    const bool sides_in_range =
        std::min({options.padding, options.border, options.cell.width, options.cell.height, options.max_size.width,
                  options.max_size.height}) >= 0 &&
        std::max({options.padding, options.border, options.cell.width, options.cell.height}) <= kMaxImageSide;
    if (!sides_in_range)
        refuse(fmt::format("sizes, the padding and the border of a mosaic are 0 to {} pixels", kMaxImageSide));
    if (options.fit_to >= sizes.size())
        refuse(fmt::format("there is no item {} among {} to fit the others to", options.fit_to, sizes.size()));
    const bool is_grid = options.layout == MosaicLayout::grid;
    if (!is_grid && (options.columns || options.rows || !options.cell.empty() || options.cell != cv::Size()))
        refuse("columns, rows and the size of cells are for a grid");
}

/// Pixels that are left for images where `fixed` of `most` are something else; any number where there is no limit.
double left_for_images(int most, int64_t fixed) {
    if (most == 0) return std::numeric_limits<double>::infinity();
    if (fixed >= most) refuse(fmt::format("a mosaic of {} pixels leaves none for the images", most));
    return static_cast<double>(most - fixed);
}

void check_fits(const MosaicPlaces& places, const cv::Size& most) {
    const bool fits =
        (most.width == 0 || places.size.width <= most.width) && (most.height == 0 || places.size.height <= most.height);
    if (!fits)
        refuse(fmt::format("the images cannot be made so small that {}x{} pixels hold them", most.width, most.height));
}

cv::Size largest_of(const std::vector<cv::Size>& sizes) {
    cv::Size largest;
    for (const cv::Size& size : sizes)
        largest = {std::max(largest.width, size.width), std::max(largest.height, size.height)};
    return largest;
}

cv::Size cell_of(const std::vector<cv::Size>& sizes, const cv::Size& wanted) {
    const cv::Size largest = largest_of(sizes);
    if (wanted.width > 0 && wanted.height > 0) return wanted;
    const double scale = wanted.width > 0    ? double(wanted.width) / largest.width
                         : wanted.height > 0 ? double(wanted.height) / largest.height
                                             : 1;
    const auto scaled = [&](int side) {
        return static_cast<int>(std::clamp<double>(std::round(side * scale), 1, kMaxImageSide));
    };
    return {scaled(largest.width), scaled(largest.height)};
}

/// A grid's columns and rows.
cv::Size grid_of(int items, const cv::Size& cell, const MosaicOptions& options, int band) {
    const auto others = [items](int given) { return (items + given - 1) / given; };
    if (options.columns && options.rows) {
        if (int64_t{*options.columns} * *options.rows < items)
            refuse(fmt::format("{} columns and {} rows are too few for {} images", *options.columns, *options.rows,
                               items));
        return {*options.columns, *options.rows};
    }
    if (options.columns) return {std::min(*options.columns, items), others(std::min(*options.columns, items))};
    if (options.rows) return {others(*options.rows), others(others(*options.rows))};
    cv::Size best;
    double least = std::numeric_limits<double>::infinity();
    for (int columns = 1; columns <= items; ++columns) {
        const int rows = others(columns);
        // As many columns as leave no column empty.
        if (others(rows) != columns) continue;
        const double width = double(columns) * (cell.width + options.padding);
        const double height = double(rows) * (cell.height + band + options.padding);
        const double difference = std::abs(std::log(width / height / options.aspect));
        // Of two that differ as much, the wider one.
        if (difference <= least + 1e-9) best = {columns, rows};
        least = std::min(least, difference);
    }
    return best;
}

MosaicPlaces grid(const std::vector<cv::Size>& sizes, const MosaicOptions& options, int band) {
    cv::Size cell = cell_of(sizes, options.cell);
    const cv::Size count = grid_of(static_cast<int>(sizes.size()), cell, options, band);
    const int64_t frame = 2 * int64_t{options.border};
    const int64_t fixed_width = frame + int64_t{options.padding} * (count.width - 1);
    const int64_t fixed_height = frame + int64_t{options.padding} * (count.height - 1) + int64_t{band} * count.height;
    const double scale =
        std::min({1.0, left_for_images(options.max_size.width, fixed_width) / (double(cell.width) * count.width),
                  left_for_images(options.max_size.height, fixed_height) / (double(cell.height) * count.height)});
    // What is a whole number but for the last bit is not to lose a pixel.
    const auto scaled = [&](int side) { return std::max(1, static_cast<int>(side * scale + 1e-6)); };
    cell = {scaled(cell.width), scaled(cell.height)};
    const double width = double(fixed_width) + double(cell.width) * count.width;
    const double height = double(fixed_height) + double(cell.height) * count.height;
    if (width > kMaxImageSide || height > kMaxImageSide)
        refuse(fmt::format("a mosaic of {:.0f}x{:.0f} pixels is too large", width, height));
    MosaicPlaces places{{static_cast<int>(width), static_cast<int>(height)}, {}, {}};
    for (int i = 0; i < static_cast<int>(sizes.size()); ++i) {
        const int x = options.border + i % count.width * (cell.width + options.padding);
        const int y = options.border + i / count.width * (cell.height + band + options.padding);
        places.bands.emplace_back(x, y, cell.width, band);
        places.cells.emplace_back(x, y + band, cell.width, cell.height);
    }
    return places;
}

/// A row, or a column where `is_column`: both sides of everything change their parts then.
MosaicPlaces snapped(const std::vector<cv::Size>& sizes, const MosaicOptions& options, int band, bool is_column) {
    const auto across = [&](const cv::Size& size) { return is_column ? size.width : size.height; };
    const auto along = [&](const cv::Size& size) { return is_column ? size.height : size.width; };
    const auto is_known = [](const cv::Size& size) { return !size.empty(); };
    // An image that is not known gets the place of the one that the others are fitted to.
    const cv::Size reference =
        is_known(sizes[options.fit_to]) ? sizes[options.fit_to] : *std::find_if(sizes.begin(), sizes.end(), is_known);
    const auto lengths = [&](int width) {
        std::vector<int> result;
        for (const cv::Size& size : sizes) {
            const cv::Size& shape = is_known(size) ? size : reference;
            const double length = std::round(double(along(shape)) * width / across(shape));
            result.push_back(static_cast<int>(std::clamp<double>(length, 1, kMaxImageSide + 1)));
        }
        return result;
    };
    const auto sum_of = [](const std::vector<int>& values) {
        double sum = 0;
        for (const int value : values) sum += value;
        return sum;
    };
    const auto count = static_cast<int64_t>(sizes.size());
    const int64_t frame = 2 * int64_t{options.border};
    const int64_t fixed_along = frame + options.padding * (count - 1) + (is_column ? band * count : 0);
    const int64_t fixed_across = frame + (is_column ? 0 : band);
    const double most_along = left_for_images(along(options.max_size), fixed_along);
    const double most_across = left_for_images(across(options.max_size), fixed_across);
    int width = static_cast<int>(std::min<double>(across(reference), most_across));
    const double scale = std::min(1.0, most_along / sum_of(lengths(width)));
    width = std::max(1, static_cast<int>(width * scale + 1e-6));
    // Rounding can make it a few pixels too long.
    while (width > 1 && sum_of(lengths(width)) > most_along) --width;
    const std::vector<int> all = lengths(width);
    const double total = double(fixed_along) + sum_of(all);
    if (total > kMaxImageSide || double(fixed_across) + width > kMaxImageSide)
        refuse(fmt::format("a mosaic of {:.0f} pixels is too large", total));
    MosaicPlaces places;
    int x = options.border;
    int y = options.border;
    for (const int length : all) {
        const cv::Size cell = is_column ? cv::Size(width, length) : cv::Size(length, width);
        places.bands.emplace_back(x, y, cell.width, band);
        places.cells.emplace_back(x, y + band, cell.width, cell.height);
        if (is_column)
            y += band + length + options.padding;
        else
            x += length + options.padding;
    }
    const cv::Rect& last = places.cells.back();
    places.size = {last.x + last.width + options.border, last.y + last.height + options.border};
    return places;
}

}  // namespace

std::vector<cv::Rect> MosaicPlaces::uncovered() const {
    std::vector<int> edges{0, size.height};
    for (const cv::Rect& cell : cells) edges.insert(edges.end(), {cell.y, cell.y + cell.height});
    std::sort(edges.begin(), edges.end());
    edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
    std::vector<cv::Rect> parts;
    const auto add = [&](const cv::Rect& part) {
        if (!part.empty()) parts.push_back(part);
    };
    // Between two edges, every cell goes through from top to bottom or is not there.
    for (size_t i = 0; i + 1 < edges.size(); ++i) {
        const int top = edges[i];
        const int height = edges[i + 1] - top;
        std::vector<cv::Rect> in_strip;
        for (const cv::Rect& cell : cells) {
            if (cell.y <= top && top < cell.y + cell.height) in_strip.push_back(cell);
        }
        std::sort(in_strip.begin(), in_strip.end(), [](const auto& a, const auto& b) { return a.x < b.x; });
        int x = 0;
        for (const cv::Rect& cell : in_strip) {
            add({x, top, cell.x - x, height});
            x = cell.x + cell.width;
        }
        add({x, top, size.width - x, height});
    }
    return parts;
}

MosaicPlaces lay_out(const std::vector<cv::Size>& sizes, const MosaicOptions& options, int band) {
    check(sizes, options);
    MosaicPlaces places = options.layout == MosaicLayout::grid
                              ? grid(sizes, options, band)
                              : snapped(sizes, options, band, options.layout == MosaicLayout::column);
    check_fits(places, options.max_size);
    return places;
}

cv::Rect fitted(const cv::Size& image, const cv::Rect& place) {
    const double scale = std::min(double(place.width) / image.width, double(place.height) / image.height);
    const auto scaled = [&](int side, int most) {
        return std::clamp(static_cast<int>(std::round(side * scale)), 1, most);
    };
    const int width = scaled(image.width, place.width);
    const int height = scaled(image.height, place.height);
    return {place.x + (place.width - width) / 2, place.y + (place.height - height) / 2, width, height};
}

}  // namespace reelstore
