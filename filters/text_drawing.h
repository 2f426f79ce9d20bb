#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <opencv2/core/mat.hpp>

#include "filters/color_text.h"

namespace reelstore {

/// A place of an image, and the point of a text or a bar that is laid there.
enum class Anchor { top_left, top, top_right, left, center, right, bottom_left, bottom, bottom_right };

/// "top-left" and so on, in the order of Anchor.
const std::vector<std::string>& anchor_names();

/// Where the upper left corner of a box comes to lie in an image. `inset` is how far it is kept from the sides that the
/// anchor names; where the anchor is in the middle, how far right and down of it.
cv::Point place_box(cv::Size box, cv::Size image, Anchor anchor, cv::Point inset);

/// How a text looks.
struct TextStyle {
    /// A TrueType or OpenType file, or one of the fonts that are searched for: sans, sans-bold, mono, mono-bold, serif,
    /// serif-bold (DejaVu).
    std::string font = "sans";
    double size = 16;  ///< of the font's em square, in pixels: 1 to 1000
    Color color = {255, 255, 255};
    std::optional<Color> shadow = Color{0, 0, 0};  ///< none: without
    /// How far the shadow reaches round the letters, in pixels, up to 100; none: size / 12, but at least 1.
    std::optional<double> shadow_size = {};
    double shadow_offset = 0;  ///< how far right and down it is shifted, in pixels, up to 100
};

/// shadow_size, or what it is where there is none.
double shadow_size_of(const TextStyle& style);

/// Draws antialiased UTF-8 text into gray and colour images (3 channels, 4 with alpha) of any type. Glyphs are made
/// once and kept (a bounded number of them).
///
///     TextPainter({.size = 24}).draw(image, "12.5 °C", Anchor::bottom_left, {5, 5});
///
/// May be used by several threads at once. Lines end with '\n'; bytes that are no UTF-8 become U+FFFD; what does not
/// fit is cut off at the image's sides. Where alpha is, it becomes opaque under the letters. Kerning is that of the
/// font; there is no shaping, so scripts that need it (Arabic, Devanagari) come out as single letters, left to right.
class TextPainter {
public:
    /// Throws Error(invalid_argument) for a style that makes no sense, Error(not_found) when there is no such font (and
    /// what to install) and Error(corrupt) when it cannot be read.
    explicit TextPainter(const TextStyle& style);
    ~TextPainter();
    TextPainter(TextPainter&&) noexcept;
    TextPainter& operator=(TextPainter&&) noexcept;

    /// The box that the text takes, without its shadow: its lines from the font's ascender to its descender, as wide as
    /// the widest is long. Letters may stick out a little at the sides.
    cv::Size size_of(std::string_view text) const;
    /// From one line to the next, in pixels.
    int line_height() const;

    /// Lays the text's box at a place of the image: place_box(). Lines stand to the left, centered or to the right,
    /// as the anchor does. Writes into the pixels of `image`. Throws Error(wrong_type) for an image of other channels
    /// or of float16.
    void draw(cv::Mat& image, std::string_view text, Anchor anchor, cv::Point inset = {0, 0}) const;
    /// The same with the box's `anchor` at `point`; in another colour than the style's where one is given.
    void draw_at(cv::Mat& image, std::string_view text, cv::Point point, Anchor anchor,
                 const std::optional<Color>& color = {}) const;

private:
    class Glyphs;
    std::unique_ptr<Glyphs> glyphs_;
};

}  // namespace reelstore
