#include "codecs/packed/pixel_choice.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "codecs/packed/pixel_planes.h"

namespace reelstore {

namespace {

/// Samples of all pieces, and of one piece.
constexpr int kSamples = 4096;
constexpr int kPieceSamples = 128;

using Counts = std::array<uint32_t, 256>;

/// n * log2(n), for as many as are ever counted together.
const std::vector<float>& products_with_logarithm() {
    static const std::vector<float> table = [] {
        std::vector<float> values(kSamples * sizeof(uint64_t) + 1);
        for (size_t n = 1; n < values.size(); ++n) {
            values[n] = static_cast<float>(static_cast<double>(n) * std::log2(static_cast<double>(n)));
        }
        return values;
    }();
    return table;
}

/// For all that were counted together, in bits.
double information(const Counts& counts) {
    const std::vector<float>& product = products_with_logarithm();
    uint32_t total = 0;
    float sum = 0;
    for (const uint32_t count : counts) {
        total += count;
        sum += product[count];
    }
    return product[total] - sum;
}

/// Pieces of rows all over an image, each with the row above it, by which filters are compared.
template <class T>
class Pieces {
public:
    /// Those of at most `samples` samples, with neighbours at a distance of `step`. The image is larger than that in
    /// both directions.
    Pieces(const cv::Mat& image, int step, bool green, int samples) : step_(step) {
        const ImageType type = ImageType::of(image);
        const ElementKind kind = kind_of_element(type.depth);
        const int channels = type.channels;
        length_ = std::min({type.width - 2 * step, kPieceSamples, std::max(1, samples / channels)});
        const int count = std::clamp(samples / (length_ * channels), 1, type.height - step);
        const auto line_samples = static_cast<size_t>(length_ + 2 * step);
        std::vector<T> elements(line_samples * static_cast<size_t>(channels));
        for (int i = 0; i < count; ++i) {
            // Golden ratio: no two pieces stand in one column, and a pattern of the image is not met again and again.
            const double across = i * 0.6180339887498949;
            const int x = static_cast<int>((across - std::floor(across)) * (type.width - 2 * step - length_ + 1));
            const int y = step + static_cast<int>((i + 0.5) * (type.height - step) / count);
            for (const int row : {y - step, y}) {
                const T* from = image.ptr<T>(row) + x * channels;
                std::copy_n(from, elements.size(), elements.data());
                elements_to_samples(kind, elements.data(), elements.size());
                const size_t first = lines_.size();
                for (int channel = 0; channel < channels; ++channel) {
                    for (size_t column = 0; column < line_samples; ++column) {
                        lines_.push_back(
                            elements[column * static_cast<size_t>(channels) + static_cast<size_t>(channel)]);
                    }
                }
                if (green) {
                    T* const lines = lines_.data() + first;
                    subtract_green(lines, lines + line_samples, line_samples);
                    subtract_green(lines + 2 * line_samples, lines + line_samples, line_samples);
                }
            }
        }
        channels_ = channels;
    }

    template <Predictor predictor>
    double cost() const {
        std::array<Counts, sizeof(T)> counts{};
        each([&](const Neighbours<T>& near, T sample) {
            const T folded = fold(static_cast<T>(sample - predict<predictor>(near)));
            for (size_t b = 0; b < sizeof(T); ++b) ++counts[b][static_cast<uint8_t>(folded >> (8 * b))];
        });
        double bits = 0;
        for (const Counts& of_byte : counts) bits += information(of_byte);
        return bits;
    }

    /// Without any filter: all bytes of a sample are alike to a compressor.
    double cost_stored() const {
        Counts counts{};
        each([&](const Neighbours<T>&, T sample) {
            for (size_t b = 0; b < sizeof(T); ++b) ++counts[static_cast<uint8_t>(sample >> (8 * b))];
        });
        return information(counts);
    }

private:
    template <class Use>
    void each(const Use& use) const {
        const auto step = static_cast<size_t>(step_);
        const size_t line_samples = static_cast<size_t>(length_) + 2 * step;
        const size_t row_samples = line_samples * static_cast<size_t>(channels_);
        for (size_t piece = 0; piece < lines_.size(); piece += 2 * row_samples) {
            for (size_t line = piece; line < piece + row_samples; line += line_samples) {
                const T* above = lines_.data() + line + step;
                const T* row = above + row_samples;
                for (int i = 0; i < length_; ++i, ++above, ++row) {
                    use(Neighbours<T>{*(row - step), *above, *(above - step), above[step]}, *row);
                }
            }
        }
    }

    int step_;
    int length_ = 0;
    int channels_ = 1;
    std::vector<T> lines_;
};

template <class T>
PixelFilter choose(const cv::Mat& image) {
    using enum Predictor;
    // Rough comparisons of two ways to take samples need fewer of them.
    constexpr int kFew = kSamples / 4;
    PixelFilter best;
    int step = 1;
    bool green = false;
    if (sizeof(T) <= 2 && image.channels() == 1 && std::min(image.rows, image.cols) > 4) {
        // Cameras give these types. Neighbours further away are worse where there is no mosaic.
        const double near = Pieces<T>(image, 1, false, kFew).template cost<median>();
        if (Pieces<T>(image, 2, false, kFew).template cost<median>() < 0.97 * near) step = 2;
    }
    if (image.channels() == 3) {
        const double plain = Pieces<T>(image, 1, false, kFew).template cost<median>();
        green = Pieces<T>(image, 1, true, kFew).template cost<median>() < plain;
    }
    const Pieces<T> pieces(image, step, green, kSamples);
    // What predicts has to be worth its time.
    double least = 0.99 * (green ? Pieces<T>(image, step, false, kSamples).cost_stored() : pieces.cost_stored());
    const auto compare = [&](Predictor predictor, double cost) {
        if (cost >= least) return;
        least = cost;
        best = {predictor, static_cast<uint8_t>(step), green, false};
    };
    compare(average, pieces.template cost<average>());
    compare(median, pieces.template cost<median>());
    compare(left, pieces.template cost<left>());
    compare(above, pieces.template cost<above>());
    if (sizeof(T) > 1) compare(zero, pieces.template cost<zero>());
    return best;
}

}  // namespace

PixelFilter choose_filter(const cv::Mat& image) {
    // Nothing to compare.
    if (image.rows < 2 && image.cols < 3) return {};
    if (image.rows < 2 || image.cols < 3) return {Predictor::median, 1, false, false};
    switch (image.elemSize1()) {
        case 1:
            return choose<uint8_t>(image);
        case 2:
            return choose<uint16_t>(image);
        case 4:
            return choose<uint32_t>(image);
        default:
            return choose<uint64_t>(image);
    }
}

double sampled_entropy(const uint8_t* bytes, size_t count) {
    if (count == 0) return 0;
    Counts counts{};
    constexpr size_t kPiece = 64;
    constexpr size_t kPieces = 16;
    if (count <= kPieces * kPiece) {
        for (size_t i = 0; i < count; ++i) ++counts[bytes[i]];
        return information(counts) / static_cast<double>(count);
    }
    for (size_t piece = 0; piece < kPieces; ++piece) {
        const uint8_t* from = bytes + (count - kPiece) / (kPieces - 1) * piece;
        for (size_t i = 0; i < kPiece; ++i) ++counts[from[i]];
    }
    return information(counts) / (kPieces * kPiece);
}

}  // namespace reelstore
