#include "bench/formats/clip.h"

#include <cstring>

#include <opencv2/core.hpp>

#include "bench/footage.h"

namespace reelstore::bench {

namespace {

constexpr int kDeepBits = 12;
/// Standard deviation of the noise that 12-bit images get, in their own gray levels: the shot noise of a sensor whose
/// pixels hold 10,000 electrons, in dim light.
constexpr double kDeepNoise = 16;

Clip deepen(const Clip& clip, const std::string& name) {
    Clip deep = {.name = name, .type = clip.type, .bits = kDeepBits, .images = {}};
    deep.type.depth = CV_16U;
    cv::RNG generator(20240608);
    cv::Mat noise(clip.type.height, clip.type.width, CV_16S);
    for (const cv::Mat& image : clip.images) {
        generator.fill(noise, cv::RNG::NORMAL, 0, kDeepNoise);
        cv::Mat brightened;
        image.convertTo(brightened, CV_16S, 1 << (kDeepBits - clip.bits));
        brightened += noise;
        brightened = cv::min(cv::max(brightened, 0), (1 << kDeepBits) - 1);
        cv::Mat result;
        brightened.convertTo(result, CV_16U);
        deep.images.push_back(result);
    }
    return deep;
}

}  // namespace

std::vector<Clip> make_clips(int width, int height, int images, const std::filesystem::path& video) {
    const ImageType type = {.height = height, .width = width};
    std::vector<Clip> clips;
    for (const std::string content : {"synthetic", "real"}) {
        const auto footage = content == "real" ? real_footage(type, video) : synthetic_footage(type);
        Clip clip = {.name = "gray8, " + content, .type = type, .bits = 8, .images = {}};
        for (int i = 0; i < images; ++i) clip.images.push_back(footage->next().clone());
        clips.push_back(std::move(clip));
    }
    for (const size_t i : {0, 1}) {
        clips.push_back(deepen(clips[i], "12 in 16 bits" + clips[i].name.substr(clips[i].name.find(','))));
    }
    return clips;
}

bool identical(const cv::Mat& image, const cv::Mat& other) {
    if (image.size() != other.size() || image.type() != other.type()) return false;
    const size_t row_bytes = image.elemSize() * static_cast<size_t>(image.cols);
    for (int row = 0; row < image.rows; ++row) {
        if (std::memcmp(image.ptr(row), other.ptr(row), row_bytes) != 0) return false;
    }
    return true;
}

}  // namespace reelstore::bench
