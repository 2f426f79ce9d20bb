#include "filters/text_drawing.h"

#include <ft2build.h>
#include FT_FREETYPE_H
#include FT_GLYPH_H
#include FT_STROKER_H

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <mutex>
#include <unordered_map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "base/file_system.h"
#include "base/nearest_name.h"
#include "base/pixel_type.h"
#include "base/utf8.h"
#include "filters/coverage.h"

namespace reelstore {

namespace {

constexpr int kSubpixels = 64;  // FreeType counts in 64ths of a pixel
constexpr char32_t kReplacement = 0xfffd;
constexpr int kTabSpaces = 4;
constexpr uint64_t kMostFontBytes = uint64_t{64} << 20;
constexpr size_t kMostGlyphs = 2048;
constexpr size_t kMostGlyphBytes = size_t{32} << 20;
// Room for the widest letters there are; a damaged font may ask for any size.
constexpr double kMostGlyphArea = 32;  // in squares of the font's size
constexpr double kMostGlyphExtra = 65536;
constexpr int kFarthest = 1 << 24;  // pixels from the corner that are still counted exactly

struct NamedFont {
    const char* name;
    const char* file;
};
constexpr std::array kFonts{NamedFont{"sans", "DejaVuSans.ttf"},     NamedFont{"sans-bold", "DejaVuSans-Bold.ttf"},
                            NamedFont{"mono", "DejaVuSansMono.ttf"}, NamedFont{"mono-bold", "DejaVuSansMono-Bold.ttf"},
                            NamedFont{"serif", "DejaVuSerif.ttf"},   NamedFont{"serif-bold", "DejaVuSerif-Bold.ttf"}};
constexpr std::array kFontFolders{"/usr/share/fonts/truetype/dejavu",  // Debian, Ubuntu
                                  "/usr/share/fonts/dejavu-sans-fonts",
                                  "/usr/share/fonts/dejavu-sans-mono-fonts",
                                  "/usr/share/fonts/dejavu-serif-fonts",
                                  "/usr/share/fonts/dejavu",
                                  "/usr/share/fonts/TTF",
                                  "/usr/local/share/fonts/dejavu",
                                  "/usr/local/share/fonts",
                                  "/opt/homebrew/share/fonts"};

std::vector<std::string> font_names() {
    std::vector<std::string> names;
    names.reserve(kFonts.size());
    for (const NamedFont& font : kFonts) names.emplace_back(font.name);
    return names;
}

/// The file of a font that is given by name or is a file already.
std::filesystem::path find_font(const std::string& font) {
    for (const NamedFont& named : kFonts) {
        if (font != named.name) continue;
        for (const char* folder : kFontFolders) {
            std::filesystem::path file = std::filesystem::path(folder) / named.file;
            if (file_system().status(file).kind == FileKind::file) return file;
        }
        throw Error(ErrorCode::not_found,
                    fmt::format("the font {} is not installed (Debian package fonts-dejavu-core); "
                                "any TrueType or OpenType file can be given instead of \"{}\"",
                                named.file, font));
    }
    if (file_system().status(font).kind == FileKind::file) return font;
    const std::vector<std::string> names = font_names();
    const std::string nearest = nearest_name(font, names);
    throw Error(ErrorCode::not_found,
                fmt::format("there is no font file \"{}\"{}; the fonts with names are {}", font,
                            nearest.empty() ? "" : fmt::format(", did you mean {}?", nearest), fmt::join(names, ", ")));
}

struct LibraryDeleter {
    void operator()(FT_Library library) const { FT_Done_FreeType(library); }
};
struct FaceDeleter {
    void operator()(FT_Face face) const { FT_Done_Face(face); }
};
struct StrokerDeleter {
    void operator()(FT_Stroker stroker) const { FT_Stroker_Done(stroker); }
};
struct GlyphDeleter {
    void operator()(FT_Glyph glyph) const { FT_Done_Glyph(glyph); }
};
using UniqueLibrary = std::unique_ptr<FT_LibraryRec_, LibraryDeleter>;
using UniqueFace = std::unique_ptr<FT_FaceRec_, FaceDeleter>;
using UniqueStroker = std::unique_ptr<FT_StrokerRec_, StrokerDeleter>;
using UniqueGlyph = std::unique_ptr<FT_GlyphRec_, GlyphDeleter>;

/// Pixels of a letter, seen from its pen's place on the base line.
struct Shape {
    cv::Mat coverage;  // CV_8U; empty: nothing to draw
    cv::Point corner;
};

struct Glyph {
    FT_UInt index = 0;
    int advance = 0;  // in 64ths of a pixel
    Shape letter;
    Shape shadow;
};

/// One letter of a text with the pen's place, from the start of the text's first base line.
struct PlacedGlyph {
    std::shared_ptr<const Glyph> glyph;
    cv::Point pen;
};

struct Line {
    std::vector<PlacedGlyph> glyphs;
    int width = 0;
};

void check(const TextStyle& style) {
    const auto refuse = [](const char* what, double value, double smallest, double largest) {
        throw Error(ErrorCode::invalid_argument,
                    fmt::format("{} of {:g} pixels: it must lie in {:g} to {:g}", what, value, smallest, largest));
    };
    constexpr double kMostSize = 1000;
    constexpr double kMostShadow = 100;
    if (!(style.size >= 1 && style.size <= kMostSize)) refuse("a text size", style.size, 1, kMostSize);
    if (!(shadow_size_of(style) >= 0 && shadow_size_of(style) <= kMostShadow))
        refuse("a shadow size", shadow_size_of(style), 0, kMostShadow);
    if (!(std::abs(style.shadow_offset) <= kMostShadow))
        refuse("a shadow offset", style.shadow_offset, -kMostShadow, kMostShadow);
}

enum class Place { low, middle, high };

Place across(Anchor anchor) {
    return static_cast<Place>(static_cast<int>(anchor) % 3);
}

Place down(Anchor anchor) {
    return static_cast<Place>(static_cast<int>(anchor) / 3);
}

/// Where a box of `size` begins whose low end, middle or high end is at `point`.
int box_start(Place place, int point, int size) {
    return place == Place::low ? point : place == Place::middle ? point - size / 2 : point - size;
}

}  // namespace

double shadow_size_of(const TextStyle& style) {
    constexpr double kPart = 1.0 / 12;
    return style.shadow_size.value_or(std::max(1.0, style.size * kPart));
}

const std::vector<std::string>& anchor_names() {
    static const std::vector<std::string> names{"top-left", "top",         "top-right", "left",        "center",
                                                "right",    "bottom-left", "bottom",    "bottom-right"};
    return names;
}

cv::Point place_box(cv::Size box, cv::Size image, Anchor anchor, cv::Point inset) {
    const auto start = [](Place place, int room, int size, int kept) {
        return place == Place::low ? kept : place == Place::middle ? (room - size) / 2 + kept : room - size - kept;
    };
    return {start(across(anchor), image.width, box.width, inset.x),
            start(down(anchor), image.height, box.height, inset.y)};
}

/// The letters of one font at one size. All members may be called by several threads at once.
class TextPainter::Glyphs {
public:
    explicit Glyphs(const TextStyle& style) : style_(style) {
        check(style);
        path_ = find_font(style.font);
        bytes_ = read_file(path_, kMostFontBytes);
        FT_Library library = nullptr;
        if (FT_Init_FreeType(&library) != 0) throw Error(ErrorCode::internal, "FreeType does not start");
        library_.reset(library);
        FT_Face face = nullptr;
        const FT_Error error =
            FT_New_Memory_Face(library, bytes_.data(), static_cast<FT_Long>(bytes_.size()), 0, &face);
        if (error != 0)
            fail(error == FT_Err_Unknown_File_Format ? "is no font that can be read" : "is damaged, or no font");
        face_.reset(face);
        const auto size = static_cast<FT_F26Dot6>(std::lround(style.size * kSubpixels));
        constexpr FT_UInt kOnePixel = 72;  // dots an inch at which a point is a pixel
        if (!FT_IS_SCALABLE(face) || FT_Set_Char_Size(face, 0, size, kOnePixel, kOnePixel) != 0)
            fail("cannot be scaled: only TrueType and OpenType outlines are taken");
        const auto metric = [this](FT_Pos value) {
            constexpr double kMost = 8;  // sizes of the font; ascender and descender seldom reach 2
            if (std::abs(static_cast<double>(value)) > kMost * kSubpixels * (style_.size + 1)) fail("is damaged");
            return static_cast<int>(std::lround(static_cast<double>(value) / kSubpixels));
        };
        ascender_ = metric(face->size->metrics.ascender);
        descender_ = metric(face->size->metrics.descender);
        line_height_ = std::max(1, metric(face->size->metrics.height));
        if (style.shadow && shadow_size_of(style) > 0) {
            FT_Stroker stroker = nullptr;
            if (FT_Stroker_New(library, &stroker) != 0) throw Error(ErrorCode::internal, "FreeType has no stroker");
            stroker_.reset(stroker);
            FT_Stroker_Set(stroker, std::lround(shadow_size_of(style) * kSubpixels), FT_STROKER_LINECAP_ROUND,
                           FT_STROKER_LINEJOIN_ROUND, 0);
        }
    }

    const TextStyle& style() const { return style_; }
    int ascender() const { return ascender_; }
    int line_height() const { return line_height_; }
    /// Of that many lines.
    int height(size_t lines) const {
        const auto between = static_cast<int64_t>(lines - 1) * line_height_;
        return static_cast<int>(std::min<int64_t>(kFarthest, between + ascender_ - descender_));
    }

    /// The text with each line beginning at 0.
    std::vector<Line> lay_out(std::string_view text) {
        const std::lock_guard lock(mutex_);
        std::vector<Line> lines(1);
        int64_t pen = 0;
        int base_line = 0;
        FT_UInt previous = 0;
        const auto end_line = [&] {
            lines.back().width = static_cast<int>((std::max<int64_t>(0, pen) + kSubpixels - 1) / kSubpixels);
        };
        for (size_t position = 0; position < text.size();) {
            const std::optional<char32_t> read = next_code_point(text, position);
            if (!read) ++position;
            const char32_t character = read.value_or(kReplacement);
            if (character == U'\n') {
                end_line();
                lines.emplace_back();
                base_line = std::min(kFarthest, base_line + line_height_);
                pen = 0;
                previous = 0;
                continue;
            }
            const bool tab = character == U'\t';
            if (character < U' ' && !tab) continue;
            std::shared_ptr<const Glyph> glyph = find(tab ? U' ' : character);
            FT_Vector kerning{};
            if (previous != 0 && glyph->index != 0 &&
                FT_Get_Kerning(face_.get(), previous, glyph->index, FT_KERNING_DEFAULT, &kerning) == 0) {
                pen += kerning.x;
            }
            previous = glyph->index;
            const int advance = glyph->advance * (tab ? kTabSpaces : 1);
            const int64_t place = (pen + kSubpixels / 2) / kSubpixels;
            if (!glyph->letter.coverage.empty() && place < kFarthest) {
                lines.back().glyphs.push_back({std::move(glyph), {static_cast<int>(place), base_line}});
            }
            pen = std::min<int64_t>(pen + advance, int64_t{kFarthest} * kSubpixels);
        }
        end_line();
        return lines;
    }

private:
    [[noreturn]] void fail(const std::string& reason) const {
        throw Error(ErrorCode::corrupt, {path_.string(), {}, {}}, "the font file " + reason);
    }

    std::shared_ptr<const Glyph> find(char32_t character) {
        if (const auto found = glyphs_.find(character); found != glyphs_.end()) return found->second;
        std::shared_ptr<const Glyph> glyph = make(character);
        const size_t bytes = glyph->letter.coverage.total() + glyph->shadow.coverage.total();
        if (glyphs_.size() >= kMostGlyphs || glyph_bytes_ + bytes > kMostGlyphBytes) {
            glyphs_.clear();
            glyph_bytes_ = 0;
        }
        glyph_bytes_ += bytes;
        glyphs_.emplace(character, glyph);
        return glyph;
    }

    std::shared_ptr<const Glyph> make(char32_t character) const {
        const auto damaged = [&] { fail(fmt::format("is damaged at the letter U+{:04X}", uint32_t{character})); };
        auto result = std::make_shared<Glyph>();
        result->index = FT_Get_Char_Index(face_.get(), character);
        if (FT_Load_Glyph(face_.get(), result->index, FT_LOAD_DEFAULT | FT_LOAD_NO_BITMAP) != 0) damaged();
        const FT_GlyphSlot slot = face_->glyph;
        const FT_Pos most_advance = static_cast<FT_Pos>(kMostGlyphArea * kSubpixels * (style_.size + 1));
        result->advance = static_cast<int>(std::clamp(slot->metrics.horiAdvance, -most_advance, most_advance));
        FT_Glyph loaded = nullptr;
        if (slot->format != FT_GLYPH_FORMAT_OUTLINE || FT_Get_Glyph(slot, &loaded) != 0) damaged();
        UniqueGlyph outline(loaded);
        if (stroker_) {
            FT_Glyph copied = nullptr;
            if (FT_Glyph_Copy(loaded, &copied) != 0) damaged();
            // On success, the copy is destroyed by FreeType and replaced.
            const FT_Error error = FT_Glyph_Stroke(&copied, stroker_.get(), 1);
            UniqueGlyph stroked(copied);
            if (error != 0 || !rendered(std::move(stroked), result->shadow)) damaged();
        }
        if (!rendered(std::move(outline), result->letter)) damaged();
        if (style_.shadow && !stroker_) result->shadow = result->letter;
        return result;
    }

    bool rendered(UniqueGlyph outline, Shape& shape) const {
        FT_BBox box{};
        FT_Glyph_Get_CBox(outline.get(), FT_GLYPH_BBOX_PIXELS, &box);
        const double width = static_cast<double>(box.xMax) - static_cast<double>(box.xMin);
        const double height = static_cast<double>(box.yMax) - static_cast<double>(box.yMin);
        const double side = style_.size + 2 * (style_.shadow ? shadow_size_of(style_) : 0);
        if (width * height > kMostGlyphArea * side * side + kMostGlyphExtra) return false;
        FT_Glyph glyph = outline.release();
        const FT_Error error = FT_Glyph_To_Bitmap(&glyph, FT_RENDER_MODE_NORMAL, nullptr, 1);
        outline.reset(glyph);
        if (error != 0) return false;
        const auto* bitmap = reinterpret_cast<const FT_BitmapGlyphRec*>(glyph);
        const FT_Bitmap& pixels = bitmap->bitmap;
        if (pixels.width == 0 || pixels.rows == 0) return true;
        if (pixels.pixel_mode != FT_PIXEL_MODE_GRAY || pixels.pitch <= 0) return false;
        shape.corner = {bitmap->left, -bitmap->top};
        shape.coverage = cv::Mat(static_cast<int>(pixels.rows), static_cast<int>(pixels.width), CV_8U, pixels.buffer,
                                 static_cast<size_t>(pixels.pitch))
                             .clone();
        return true;
    }

    TextStyle style_;
    std::filesystem::path path_;
    std::vector<uint8_t> bytes_;  // what face_ looks into
    UniqueLibrary library_;
    UniqueFace face_;
    UniqueStroker stroker_;
    int ascender_ = 0;
    int descender_ = 0;
    int line_height_ = 0;
    std::mutex mutex_;  // FreeType's objects and the glyphs made so far
    std::unordered_map<char32_t, std::shared_ptr<const Glyph>> glyphs_;
    size_t glyph_bytes_ = 0;
};

TextPainter::TextPainter(const TextStyle& style) : glyphs_(std::make_unique<Glyphs>(style)) {}
TextPainter::~TextPainter() = default;
TextPainter::TextPainter(TextPainter&&) noexcept = default;
TextPainter& TextPainter::operator=(TextPainter&&) noexcept = default;

namespace {

int width_of(const std::vector<Line>& lines) {
    int width = 0;
    for (const Line& line : lines) width = std::max(width, line.width);
    return width;
}

}  // namespace

cv::Size TextPainter::size_of(std::string_view text) const {
    const std::vector<Line> lines = glyphs_->lay_out(text);
    return {width_of(lines), glyphs_->height(lines.size())};
}

int TextPainter::line_height() const {
    return glyphs_->line_height();
}

void TextPainter::draw(cv::Mat& image, std::string_view text, Anchor anchor, cv::Point inset) const {
    const cv::Point point = place_box({}, image.size(), anchor, inset);
    draw_at(image, text, point, anchor);
}

void TextPainter::draw_at(cv::Mat& image, std::string_view text, cv::Point point, Anchor anchor,
                          const std::optional<Color>& other_color) const {
    const TextStyle& style = glyphs_->style();
    const ImageType type = ImageType::of(image);
    const cv::Scalar color = pixel_of(other_color.value_or(style.color), type);
    const std::vector<Line> lines = glyphs_->lay_out(text);
    const int top = box_start(down(anchor), point.y, glyphs_->height(lines.size()));
    const auto paint = [&](Shape Glyph::*shape, const cv::Scalar& pixel, int offset) {
        for (const Line& line : lines) {
            const cv::Point start{box_start(across(anchor), point.x, line.width) + offset,
                                  top + glyphs_->ascender() + offset};
            for (const PlacedGlyph& placed : line.glyphs) {
                const Shape& shown = (*placed.glyph).*shape;
                if (!shown.coverage.empty())
                    blend_coverage(image, shown.coverage, start + placed.pen + shown.corner, pixel);
            }
        }
    };
    // All shadows first: that of a letter must not fall on the one before.
    if (style.shadow)
        paint(&Glyph::shadow, pixel_of(*style.shadow, type), static_cast<int>(std::lround(style.shadow_offset)));
    paint(&Glyph::letter, color, 0);
}

}  // namespace reelstore
