#include "codecs/foreign/gif_palette.h"

#include <algorithm>
#include <limits>
#include <unordered_map>

namespace reelstore {

namespace {

constexpr size_t kMostColors = 256;
constexpr int kCellBits = 5;
constexpr int kLookupBits = 6;

uint32_t key_of(const cv::Vec3b& color) {
    return uint32_t{color[0]} << 16 | uint32_t{color[1]} << 8 | color[2];
}

/// Colours that share their upper bits.
struct Cell {
    double count = 0;
    std::array<double, 3> sum{};
    std::array<double, 3> squares{};

    double mean(size_t channel) const { return sum[channel] / count; }
    cv::Vec3b color() const {
        const auto rounded = [this](size_t channel) {
            return static_cast<uint8_t>(std::clamp(mean(channel) + 0.5, 0.0, 255.0));
        };
        return {rounded(0), rounded(1), rounded(2)};
    }
};

void add(Cell& cell, const Cell& other) {
    cell.count += other.count;
    for (size_t c = 0; c < 3; ++c) {
        cell.sum[c] += other.sum[c];
        cell.squares[c] += other.squares[c];
    }
}

size_t nearest_color(const std::vector<cv::Vec3b>& colors, int blue, int green, int red) {
    size_t found = 0;
    int least = std::numeric_limits<int>::max();
    for (size_t i = 0; i < colors.size(); ++i) {
        const int db = colors[i][0] - blue;
        const int dg = colors[i][1] - green;
        const int dr = colors[i][2] - red;
        const int distance = db * db + dg * dg + dr * dr;
        if (distance < least) {
            least = distance;
            found = i;
        }
    }
    return found;
}

/// Moves every colour to the mean of the cells that are nearest to it.
void refine(const std::vector<Cell>& cells, std::vector<cv::Vec3b>& colors) {
    constexpr int kRounds = 2;
    for (int round = 0; round < kRounds; ++round) {
        std::vector<Cell> sums(colors.size());
        for (const Cell& cell : cells) {
            const cv::Vec3b color = cell.color();
            add(sums[nearest_color(colors, color[0], color[1], color[2])], cell);
        }
        for (size_t i = 0; i < colors.size(); ++i) {
            if (sums[i].count > 0) colors[i] = sums[i].color();
        }
    }
}

/// Cells begin..end that become one colour.
struct Box {
    size_t begin = 0;
    size_t end = 0;
    size_t channel = 0;  ///< along which it spreads most
    double spread = 0;   ///< sum of squared distances from the mean there
    double middle = 0;   ///< the mean there
};

Box make_box(const std::vector<Cell>& cells, size_t begin, size_t end) {
    Cell all;
    for (size_t i = begin; i < end; ++i) add(all, cells[i]);
    Box box{begin, end};
    for (size_t c = 0; c < 3; ++c) {
        const double spread = all.squares[c] - all.sum[c] * all.mean(c);
        if (spread > box.spread) {
            box.spread = spread;
            box.channel = c;
        }
    }
    box.middle = all.mean(box.channel);
    if (end - begin == 1) box.spread = 0;
    return box;
}

/// Divides what spreads most until there are enough boxes.
std::vector<Box> divide(std::vector<Cell>& cells) {
    std::vector<Box> boxes = {make_box(cells, 0, cells.size())};
    while (boxes.size() < kMostColors) {
        const auto widest = std::max_element(boxes.begin(), boxes.end(),
                                             [](const Box& a, const Box& b) { return a.spread < b.spread; });
        if (widest->spread <= 0) break;
        const Box box = *widest;
        const auto first = cells.begin() + static_cast<ptrdiff_t>(box.begin);
        const auto last = cells.begin() + static_cast<ptrdiff_t>(box.end);
        const auto middle =
            std::partition(first, last, [&box](const Cell& cell) { return cell.mean(box.channel) < box.middle; });
        if (middle == first || middle == last) {
            // All cells have the same mean and spread within themselves only.
            widest->spread = 0;
            continue;
        }
        const auto split = static_cast<size_t>(middle - cells.begin());
        *widest = make_box(cells, box.begin, split);
        boxes.push_back(make_box(cells, split, box.end));
    }
    return boxes;
}

}  // namespace

GifPalette::GifPalette(const cv::Mat& image) {
    if (!take_all_colors(image)) choose_colors(image);
    nearest_.assign(size_t{1} << 3 * kLookupBits, -1);
}

bool GifPalette::take_all_colors(const cv::Mat& image) {
    std::unordered_map<uint32_t, bool> seen;
    uint32_t last = std::numeric_limits<uint32_t>::max();
    for (int row = 0; row < image.rows; ++row) {
        const auto* const pixels = image.ptr<cv::Vec3b>(row);
        for (int column = 0; column < image.cols; ++column) {
            const uint32_t key = key_of(pixels[column]);
            if (key == last) continue;
            last = key;
            if (!seen.emplace(key, true).second) continue;
            if (seen.size() > kMostColors) {
                colors_.clear();
                return false;
            }
            colors_.push_back(pixels[column]);
        }
    }
    return true;
}

void GifPalette::choose_colors(const cv::Mat& image) {
    constexpr int kShift = 8 - kCellBits;
    std::vector<Cell> all(size_t{1} << 3 * kCellBits);
    for (int row = 0; row < image.rows; ++row) {
        const auto* const pixels = image.ptr<cv::Vec3b>(row);
        for (int column = 0; column < image.cols; ++column) {
            const cv::Vec3b& color = pixels[column];
            Cell& cell = all[static_cast<size_t>((color[0] >> kShift) << 2 * kCellBits |
                                                 (color[1] >> kShift) << kCellBits | color[2] >> kShift)];
            cell.count += 1;
            for (size_t c = 0; c < 3; ++c) {
                const double value = color[static_cast<int>(c)];
                cell.sum[c] += value;
                cell.squares[c] += value * value;
            }
        }
    }
    std::vector<Cell> cells;
    std::copy_if(all.begin(), all.end(), std::back_inserter(cells), [](const Cell& cell) { return cell.count > 0; });
    for (const Box& box : divide(cells)) {
        Cell sum;
        for (size_t i = box.begin; i < box.end; ++i) add(sum, cells[i]);
        colors_.push_back(sum.color());
    }
    refine(cells, colors_);
}

uint8_t GifPalette::nearest(int blue, int green, int red) const {
    constexpr int kShift = 8 - kLookupBits;
    constexpr int kHalf = 1 << (kShift - 1);
    int16_t& found = nearest_[static_cast<size_t>((blue >> kShift) << 2 * kLookupBits |
                                                  (green >> kShift) << kLookupBits | red >> kShift)];
    if (found >= 0) return static_cast<uint8_t>(found);
    const auto middle = [](int value) { return (value >> kShift << kShift) + kHalf; };
    found = static_cast<int16_t>(nearest_color(colors_, middle(blue), middle(green), middle(red)));
    return static_cast<uint8_t>(found);
}

bool GifPalette::exact_indices(const cv::Mat& image, std::vector<uint8_t>& indices) const {
    std::unordered_map<uint32_t, uint8_t> places;
    for (size_t i = 0; i < colors_.size(); ++i) places.emplace(key_of(colors_[i]), static_cast<uint8_t>(i));
    uint8_t* to = indices.data();
    uint32_t last = std::numeric_limits<uint32_t>::max();
    uint8_t last_index = 0;
    for (int row = 0; row < image.rows; ++row) {
        const auto* const pixels = image.ptr<cv::Vec3b>(row);
        for (int column = 0; column < image.cols; ++column) {
            const uint32_t key = key_of(pixels[column]);
            if (key != last) {
                const auto found = places.find(key);
                if (found == places.end()) return false;
                last = key;
                last_index = found->second;
            }
            *to++ = last_index;
        }
    }
    return true;
}

std::vector<uint8_t> GifPalette::indices_of(const cv::Mat& image, GifDither dither) const {
    std::vector<uint8_t> indices(image.total());
    if (exact_indices(image, indices)) return indices;
    // Errors of the row being written and of the one below it, three channels a pixel, a pixel more on each side.
    const auto width = static_cast<size_t>(image.cols);
    std::vector<int> errors((width + 2) * 3);
    std::vector<int> below((width + 2) * 3);
    constexpr std::array<uint8_t, 64> kBayer = {0,  32, 8,  40, 2,  34, 10, 42, 48, 16, 56, 24, 50, 18, 58, 26,
                                                12, 44, 4,  36, 14, 46, 6,  38, 60, 28, 52, 20, 62, 30, 54, 22,
                                                3,  35, 11, 43, 1,  33, 9,  41, 51, 19, 59, 27, 49, 17, 57, 25,
                                                15, 47, 7,  39, 13, 45, 5,  37, 63, 31, 55, 23, 61, 29, 53, 21};
    uint8_t* to = indices.data();
    for (int row = 0; row < image.rows; ++row) {
        const auto* const pixels = image.ptr<cv::Vec3b>(row);
        std::fill(below.begin(), below.end(), 0);
        for (size_t column = 0; column < width; ++column) {
            std::array<int, 3> wanted{};
            for (size_t c = 0; c < 3; ++c) {
                int value = pixels[column][static_cast<int>(c)];
                if (dither == GifDither::floyd_steinberg) {
                    value += (errors[(column + 1) * 3 + c] + 8) >> 4;
                } else if (dither == GifDither::bayer) {
                    value += kBayer[static_cast<size_t>(row) % 8 * 8 + column % 8] / 4 - 8;
                }
                wanted[c] = std::clamp(value, 0, 255);
            }
            const uint8_t index = nearest(wanted[0], wanted[1], wanted[2]);
            *to++ = index;
            if (dither != GifDither::floyd_steinberg) continue;
            for (size_t c = 0; c < 3; ++c) {
                const int error = wanted[c] - colors_[index][static_cast<int>(c)];
                errors[(column + 2) * 3 + c] += error * 7;
                below[column * 3 + c] += error * 3;
                below[(column + 1) * 3 + c] += error * 5;
                below[(column + 2) * 3 + c] += error;
            }
        }
        errors.swap(below);
    }
    return indices;
}

}  // namespace reelstore
