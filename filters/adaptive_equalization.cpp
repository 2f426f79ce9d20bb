#include "filters/adaptive_equalization.h"

#include <algorithm>
#include <array>
#include <vector>

#include <opencv2/core.hpp>
#include <opencv2/core/hal/intrin.hpp>

namespace reelstore {

namespace {

constexpr int kValues = 256;

using Table = std::array<uint8_t, kValues>;

/// The image with tiles of one size: enlarged as OpenCV does it.
struct TiledImage {
    cv::Mat image;
    cv::Size tile;
};

TiledImage tiled(const cv::Mat& image, const ClaheOptions& options) {
    TiledImage result = {image, {image.cols / options.tiles_x, image.rows / options.tiles_y}};
    if (image.cols % options.tiles_x == 0 && image.rows % options.tiles_y == 0) return result;
    cv::copyMakeBorder(image, result.image, 0, options.tiles_y - image.rows % options.tiles_y, 0,
                       options.tiles_x - image.cols % options.tiles_x, cv::BORDER_REFLECT_101 | cv::BORDER_ISOLATED);
    result.tile = {result.image.cols / options.tiles_x, result.image.rows / options.tiles_y};
    return result;
}

Table table_of(const cv::Mat& tile, double clip) {
    // Neighbours are often equal, and a count that was just written is slow to read: two rows of counts in turn.
    std::array<int, kValues> counts = {};
    std::array<int, kValues> others = {};
    for (int row = 0; row < tile.rows; ++row) {
        const auto* values = tile.ptr<uint8_t>(row);
        int i = 0;
        for (; i + 2 <= tile.cols; i += 2) {
            ++counts[values[i]];
            ++others[values[i + 1]];
        }
        if (i < tile.cols) ++counts[values[i]];
    }
    const int area = tile.rows * tile.cols;
    const int limit = std::max(1, static_cast<int>(std::min<double>(clip * area / kValues, area)));
    int cut_off = 0;
    for (size_t value = 0; value < kValues; ++value) {
        counts[value] += others[value];
        cut_off += std::max(0, counts[value] - limit);
        counts[value] = std::min(counts[value], limit);
    }
    const int for_each = cut_off / kValues;
    int rest = cut_off - for_each * kValues;
    for (int& count : counts) count += for_each;
    const size_t step = rest == 0 ? 1 : static_cast<size_t>(std::max(kValues / rest, 1));
    for (size_t value = 0; value < kValues && rest > 0; value += step, --rest) ++counts[value];
    const float scale = static_cast<float>(kValues - 1) / static_cast<float>(area);
    Table table;
    int sum = 0;
    for (size_t value = 0; value < kValues; ++value) {
        sum += counts[value];
        table[value] = cv::saturate_cast<uint8_t>(static_cast<float>(sum) * scale);
    }
    return table;
}

/// Between the middles of which tiles a row or a column lies, and how near to each.
struct Place {
    int first = 0;
    int second = 0;
    float to_first = 0;  ///< weight of the second one

    Place(int at, int tile, int tiles) {
        const float tiles_before = static_cast<float>(at) * (1.0F / static_cast<float>(tile)) - 0.5F;
        const int whole = cvFloor(tiles_before);
        to_first = tiles_before - static_cast<float>(whole);
        first = std::max(whole, 0);
        second = std::min(whole + 1, tiles - 1);
    }
};

/// Columns between the same tiles.
struct Span {
    int start = 0;
    int end = 0;
    int first = 0;
    int second = 0;
    /// What a value becomes by the tables of the four tiles: upper left, upper right, lower left, lower right, from the
    /// lowest byte on.
    std::array<uint32_t, kValues> values = {};

    void take(const std::vector<Table>& tables, const Place& row, int tiles_x) {
        const auto table = [&](int y, int x) -> const Table& { return tables[static_cast<size_t>(y * tiles_x + x)]; };
        const Table& upper_left = table(row.first, first);
        const Table& upper_right = table(row.first, second);
        const Table& lower_left = table(row.second, first);
        const Table& lower_right = table(row.second, second);
        for (size_t i = 0; i < kValues; ++i) {
            values[i] = uint32_t{upper_left[i]} | uint32_t{upper_right[i]} << 8 | uint32_t{lower_left[i]} << 16 |
                        uint32_t{lower_right[i]} << 24;
        }
    }
};

/// Weights of a column's tiles.
struct Weights {
    std::vector<float> first;
    std::vector<float> second;
};

class Mixer {
public:
    Mixer(const Span& span, const Weights& weights, float lower)
        : span_(span), weights_(weights), lower_(lower), upper_(1.0F - lower) {}

    void mix(const uint8_t* from, uint8_t* to) const {
        int x = span_.start;
        for (; x + 8 <= span_.end; x += 8) cv::v_pack_u_store(to + x, cv::v_pack(four(from, x), four(from, x + 4)));
        for (; x < span_.end; ++x) {
            const uint32_t entry = span_.values[from[x]];
            const float first = weights_.first[static_cast<size_t>(x)];
            const float second = weights_.second[static_cast<size_t>(x)];
            const auto byte = [&](int place) { return static_cast<float>(entry >> (8 * place) & 255); };
            to[x] = cv::saturate_cast<uint8_t>((byte(0) * first + byte(1) * second) * upper_ +
                                               (byte(2) * first + byte(3) * second) * lower_);
        }
    }

private:
    cv::v_int32x4 four(const uint8_t* from, int x) const {
        const cv::v_uint32x4 entries(span_.values[from[x]], span_.values[from[x + 1]], span_.values[from[x + 2]],
                                     span_.values[from[x + 3]]);
        const cv::v_uint32x4 low = cv::v_setall_u32(255);
        const auto floats = [](const cv::v_uint32x4& bytes) { return cv::v_cvt_f32(cv::v_reinterpret_as_s32(bytes)); };
        const cv::v_float32x4 first = cv::v_load(weights_.first.data() + x);
        const cv::v_float32x4 second = cv::v_load(weights_.second.data() + x);
        const cv::v_float32x4 upper = floats(entries & low) * first + floats(cv::v_shr<8>(entries) & low) * second;
        const cv::v_float32x4 lower =
            floats(cv::v_shr<16>(entries) & low) * first + floats(cv::v_shr<24>(entries)) * second;
        return cv::v_round(upper * cv::v_setall_f32(upper_) + lower * cv::v_setall_f32(lower_));
    }

    const Span& span_;
    const Weights& weights_;
    float lower_;
    float upper_;
};

}  // namespace

cv::Mat equalized_adaptively(const cv::Mat& image, const ClaheOptions& options) {
    const TiledImage tiles = tiled(image, options);
    std::vector<Table> tables;
    for (int y = 0; y < options.tiles_y; ++y) {
        for (int x = 0; x < options.tiles_x; ++x) {
            const cv::Rect place(x * tiles.tile.width, y * tiles.tile.height, tiles.tile.width, tiles.tile.height);
            tables.push_back(table_of(tiles.image(place), options.clip));
        }
    }
    Weights weights;
    std::vector<Span> spans;
    for (int x = 0; x < image.cols; ++x) {
        const Place place(x, tiles.tile.width, options.tiles_x);
        weights.first.push_back(1.0F - place.to_first);
        weights.second.push_back(place.to_first);
        if (spans.empty() || spans.back().first != place.first || spans.back().second != place.second)
            spans.push_back({.start = x, .first = place.first, .second = place.second});
        spans.back().end = x + 1;
    }
    cv::Mat result(image.size(), CV_8U);
    int first = -1;
    int second = -1;
    for (int y = 0; y < image.rows; ++y) {
        const Place place(y, tiles.tile.height, options.tiles_y);
        const bool other_tiles = place.first != first || place.second != second;
        first = place.first;
        second = place.second;
        for (Span& span : spans) {
            if (other_tiles) span.take(tables, place, options.tiles_x);
            Mixer(span, weights, place.to_first).mix(image.ptr<uint8_t>(y), result.ptr<uint8_t>(y));
        }
    }
    return result;
}

bool suits_adaptive_equalization(const cv::Mat& image, const ClaheOptions& options) {
    constexpr double kLeastPixels = 1024;
    const double tiles = static_cast<double>(options.tiles_x) * options.tiles_y;
    return image.type() == CV_8UC1 && image.cols >= options.tiles_x && image.rows >= options.tiles_y &&
           static_cast<double>(image.total()) / tiles >= kLeastPixels;
}

}  // namespace reelstore
