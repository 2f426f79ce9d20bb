#include "base/numbered_frames.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/error.h"

namespace reelstore {

namespace {

constexpr int kBars = 16;
constexpr int kDark = 30;
constexpr int kBright = 220;

/// Factor from the 8-bit brightness the picture is drawn in to the values of another element type.
double scale_of(int depth) {
    switch (depth) {
        case CV_8U:
            return 1;
        case CV_8S:
            return 0.5;
        case CV_16S:
            return 128;
        case CV_16U:
        case CV_32S:
            return 257;
        default:
            return 1.0 / 7;  // floats get values that are no whole numbers
    }
}

/// First column of a bar.
int bar_start(int bar, int width) {
    return (bar * width + kBars - 1) / kBars;
}

/// Brightness from kDark to kBright: slanted waves that move with the number and differ between channels.
uchar texture(int row, int column, int channel, int number) {
    constexpr int kPeriod = 64;
    int phase = (column * 3 + row * 5 + channel * 21 + number * 7) % (2 * kPeriod);
    return static_cast<uchar>(kDark + std::abs(kPeriod - phase) * (kBright - kDark) / kPeriod);
}

}  // namespace

cv::Mat make_numbered_image(const ImageType& type, int number) {
    if (!plausible(type) || type.width < kBars) {
        throw Error(ErrorCode::invalid_argument, "no numbered image of " + type.text() + ": it must be at least " +
                                                     std::to_string(kBars) + " pixels wide");
    }
    if (number < 0 || number >= 1 << kBars) {
        throw Error(ErrorCode::invalid_argument,
                    "no numbered image for " + std::to_string(number) + ": the number must be in 0..65535");
    }
    cv::Mat drawn(type.height, type.width, CV_8UC(type.channels));
    int bar_rows = (type.height + 1) / 2;
    for (int row = 0; row < type.height; ++row) {
        uchar* pixel = drawn.ptr(row);
        for (int column = 0; column < type.width; ++column) {
            bool bright = number >> (kBars - 1 - column * kBars / type.width) & 1;
            for (int channel = 0; channel < type.channels; ++channel) {
                *pixel++ = row >= bar_rows ? texture(row, column, channel, number) : bright ? kBright : kDark;
            }
        }
    }
    if (type.depth == CV_8U) return drawn;
    cv::Mat image;
    drawn.convertTo(image, type.depth, scale_of(type.depth));
    return image;
}

std::optional<int> read_image_number(const cv::Mat& image) {
    if (image.dims != 2 || image.rows < 1 || image.cols < kBars) return std::nullopt;
    double scale = scale_of(image.depth());
    int rows = std::max(1, image.rows * 2 / 5);
    int number = 0;
    for (int bar = 0; bar < kBars; ++bar) {
        int start = bar_start(bar, image.cols);
        int end = bar_start(bar + 1, image.cols);
        int margin = static_cast<int>(std::lround((end - start) * 0.2));
        cv::Mat part;
        image(cv::Range(0, rows), cv::Range(start + margin, end - margin)).convertTo(part, CV_64F);
        double sum = 0;
        for (int row = 0; row < part.rows; ++row) {
            // One channel is enough, and the only one that carries plain bars where the channels differ.
            for (int column = 0; column < part.cols; ++column) sum += part.ptr<double>(row)[column * part.channels()];
        }
        double mean = sum / (part.rows * part.cols);
        double fraction = (mean / scale - kDark) / (kBright - kDark);
        if (fraction > 0.6) {
            number |= 1 << (kBars - 1 - bar);
        } else if (!(fraction < 0.4)) {
            return std::nullopt;
        }
    }
    return number;
}

}  // namespace reelstore
