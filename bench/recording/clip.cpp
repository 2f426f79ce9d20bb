#include "bench/recording/clip.h"

#include <cstdlib>

#include <fmt/format.h>

#include "bench/footage.h"

namespace reelstore::bench {

namespace {

Clip make_clip(const ImageType& type, int images, const std::string& content, Footage& footage) {
    Clip clip = {.name = fmt::format("{} {}x{}, {}", type.gray() ? "gray" : "colour", type.width, type.height, content),
                 .type = type,
                 .images = {}};
    for (int i = 0; i < images; ++i) clip.images.push_back(footage.next().clone());
    return clip;
}

}  // namespace

const cv::Mat& Clip::image(int64_t index) const {
    const auto last = static_cast<int64_t>(images.size()) - 1;
    return images[static_cast<size_t>(last - std::abs(last - index % (2 * last)))];
}

Clip synthetic_clip(const ImageType& type, int images) {
    return make_clip(type, images, "synthetic", *synthetic_footage(type));
}

Clip real_clip(const ImageType& type, int images, const std::filesystem::path& video) {
    return make_clip(type, images, "real", *real_footage(type, video));
}

}  // namespace reelstore::bench
