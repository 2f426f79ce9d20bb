#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <opencv2/core/mat.hpp>

#include "codecs/foreign/file_bytes.h"

namespace reelstore {

/// One image of a GIF and how it becomes part of what is seen.
struct GifImage {
    /// What is done with it before the next image is drawn.
    enum class Disposal { keep, clear, restore };

    uint64_t data = 0;     ///< offset of its pixels: the number of bits, then blocks
    uint64_t palette = 0;  ///< offset of its palette
    int colors = 0;        ///< of that palette
    int left = 0;
    int top = 0;
    int width = 0;
    int height = 0;
    int transparent = -1;  ///< the index that is not drawn; -1: none
    int delay = 0;         ///< hundredths of a second, as the file says
    Disposal disposal = Disposal::keep;
    bool interlaced = false;
    /// The image to begin drawing at to see this one.
    int64_t entry = 0;
};

/// The blocks of a GIF file.
struct GifImages {
    int width = 0;
    int height = 0;
    bool gray = true;  ///< every palette is all gray
    std::vector<GifImage> images;
    std::optional<int> extra_plays;  ///< of the loop extension: 0 for ever, else how often it is played again
    std::string comment;
    std::vector<std::string> warnings;  ///< without the file's name
};

bool is_gif(std::span<const uint8_t> head);
/// Finds every image without decoding one. What is damaged or cut off ends them with a warning; throws Error(corrupt)
/// when there is none before it.
GifImages find_gif_images(const FileBytes& file);

/// The hundredths of a second for which players show an image: 10 for those that say 0 or 1.
int shown_delay(int delay);

/// Draws images as browsers show them, transparent parts white. Any number of threads may call draw() at once; what was
/// drawn last is kept, so that reading on costs one image, within bounds of memory.
class GifPainter {
public:
    GifPainter(std::shared_ptr<const FileBytes> file, GifImages images);

    const GifImages& images() const { return images_; }
    /// The whole picture at an image, one channel when all is gray and BGR otherwise. Throws Error(corrupt) when it or
    /// one that it is drawn upon is damaged.
    cv::Mat draw(int64_t index) const;

private:
    /// What is seen at an image.
    struct Canvas {
        int64_t first = 0;   ///< the image that was drawn first, on white
        int64_t index = -1;  ///< the one drawn last
        cv::Mat pixels;
        cv::Mat before;  ///< what an image that is to be removed covers
    };

    Canvas take(int64_t index) const;
    void give_back(Canvas canvas) const;
    void advance(Canvas& canvas) const;
    void dispose(const GifImage& image, Canvas& canvas) const;
    void draw_image(int64_t index, cv::Mat& pixels) const;
    cv::Rect visible(const GifImage& image) const;
    std::vector<uint8_t> codes_of(const GifImage& image, int& bits) const;

    std::shared_ptr<const FileBytes> file_;
    GifImages images_;
    mutable std::mutex mutex_;
    mutable std::vector<Canvas> idle_;  ///< the one used last at the end
};

}  // namespace reelstore
