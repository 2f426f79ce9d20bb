#include "bench/footage.h"

#include <algorithm>
#include <cstdlib>

#include <opencv2/imgproc.hpp>

#include "base/error.h"
#include "base/numbered_frames.h"
#include "codecs/file_format.h"

namespace reelstore::bench {

namespace {

/// Pixels that the background may move, and that the noise may be shifted by.
constexpr int kTravel = 128;
/// Standard deviation of the noise, in gray levels: a camera in good light.
constexpr double kNoise = 1.5;

/// 0, 1, ... kTravel, ... 1, 0, 1, ...
int back_and_forth(int64_t step) {
    const int64_t phase = step % (2 * kTravel);
    return static_cast<int>(kTravel - std::abs(kTravel - phase));
}

class SyntheticFootage : public Footage {
public:
    explicit SyntheticFootage(const ImageType& type) : type_(type) {
        const cv::Size size(type.width + kTravel, type.height + kTravel);
        cv::RNG generator(20240607);
        background_ = cv::Mat(size, CV_32FC(type.channels), cv::Scalar::all(118));
        // Structure at several scales, as scenes have it.
        for (const auto& [sigma, contrast] : {std::pair{40.0, 1800.0}, {8.0, 300.0}, {2.0, 40.0}}) {
            cv::Mat layer(size, background_.type());
            generator.fill(layer, cv::RNG::NORMAL, 0, contrast);
            cv::GaussianBlur(layer, layer, {}, sigma);
            background_ += layer;
        }
        background_.convertTo(background_, CV_8U);
        noise_.create(size, CV_16SC(type.channels));
        generator.fill(noise_, cv::RNG::NORMAL, 0, kNoise);
    }

    cv::Mat next() override {
        const cv::Rect seen(back_and_forth(2 * step_), back_and_forth(step_), type_.width, type_.height);
        ++step_;
        const auto shift = [this] { return static_cast<int>(random_() % (kTravel + 1)); };
        const int x = shift();
        const int y = shift();
        cv::Mat image;
        cv::add(background_(seen), noise_(cv::Rect(x, y, type_.width, type_.height)), image, cv::noArray(), CV_8U);
        return image;
    }

private:
    ImageType type_;
    cv::Mat background_;
    cv::Mat noise_;
    std::mt19937 random_;
    int64_t step_ = 0;
};

class RealFootage : public Footage {
public:
    RealFootage(const ImageType& type, std::filesystem::path video) : type_(type), video_(std::move(video)) { open(); }

    cv::Mat next() override {
        std::optional<Frame> frame = source_->next();
        if (!frame) {
            open();
            frame = source_->next();
        }
        if (!frame) throw Error(ErrorCode::corrupt, {video_.string(), {}, {}}, "holds no frame");
        cv::Mat image;
        cv::resize(frame->image, image, cv::Size(type_.width, type_.height), 0, 0, cv::INTER_LINEAR);
        return image;
    }

private:
    void open() { source_ = open_file_source(video_, {.gray = type_.gray()}); }

    ImageType type_;
    std::filesystem::path video_;
    std::unique_ptr<FrameSource> source_;
};

}  // namespace

std::unique_ptr<Footage> synthetic_footage(const ImageType& type) {
    return std::make_unique<SyntheticFootage>(type);
}

std::unique_ptr<Footage> real_footage(const ImageType& type, const std::filesystem::path& video) {
    return std::make_unique<RealFootage>(type, video);
}

void draw_number(cv::Mat& image, int number) {
    ImageType strip = ImageType::of(image);
    strip.height = 2 * kBarcodeRows;
    make_numbered_image(strip, number).rowRange(0, kBarcodeRows).copyTo(image.rowRange(0, kBarcodeRows));
}

bool shows_number(const cv::Mat& image, int64_t number) {
    // A few rows from the middle of the strip, where the codec's blocks hold nothing else.
    if (image.rows < kBarcodeRows) return false;
    return read_image_number(image.rowRange(kBarcodeRows / 2 - 3, kBarcodeRows / 2 + 3)) == number;
}

}  // namespace reelstore::bench
