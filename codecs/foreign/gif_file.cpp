#include "codecs/foreign/gif_file.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "base/error.h"
#include "codecs/foreign/gif_lzw.h"
#include "codecs/foreign/header_bytes.h"

namespace reelstore {

namespace {

constexpr uint64_t kScreenPlace = 6;
constexpr uint64_t kFirstBlock = 13;
constexpr uint8_t kImageBlock = 0x2C;
constexpr uint8_t kExtensionBlock = 0x21;
constexpr uint8_t kTrailer = 0x3B;
constexpr uint8_t kGraphicControl = 0xF9;
constexpr uint8_t kComment = 0xFE;
constexpr uint8_t kApplication = 0xFF;
constexpr size_t kLongestComment = size_t{1} << 16;

constexpr uint8_t kWhite = 255;
/// Kept canvases, and the bytes of all of them together.
constexpr size_t kMostCanvases = 8;
constexpr size_t kMostCanvasBytes = size_t{256} << 20;
/// One code stands for fewer indices than this.
constexpr uint64_t kMostExpansion = 4096;

Error damaged(const std::string& what) {
    return Error(ErrorCode::corrupt, what);
}

/// Bytes of a file in order, read in pieces.
class Walker {
public:
    explicit Walker(const FileBytes& file) : file_(file) {}

    uint64_t place() const { return place_; }
    bool at_end() const { return place_ >= file_.size(); }
    void go_to(uint64_t place) { place_ = place; }
    void skip(uint64_t bytes) {
        if (bytes > file_.size() - std::min(place_, file_.size())) throw damaged("the file is cut off");
        place_ += bytes;
    }
    uint8_t byte() {
        if (place_ < piece_place_ || place_ - piece_place_ >= piece_.size()) {
            piece_ = file_.read(place_, kPiece);
            piece_place_ = place_;
            if (piece_.empty()) throw damaged("the file is cut off");
        }
        return piece_[place_++ - piece_place_];
    }
    uint16_t number() {
        const uint16_t low = byte();
        return static_cast<uint16_t>(low | byte() << 8);
    }
    void skip_blocks() {
        while (const uint8_t size = byte()) skip(size);
    }
    /// The content of blocks up to the empty one that ends them; what is longer is left out.
    std::string blocks(size_t most) {
        std::string text;
        while (const uint8_t size = byte()) {
            for (int i = 0; i < size; ++i) {
                const auto character = static_cast<char>(byte());
                if (text.size() < most) text += character;
            }
        }
        return text;
    }

private:
    static constexpr size_t kPiece = size_t{1} << 16;

    const FileBytes& file_;
    uint64_t place_ = 0;
    uint64_t piece_place_ = 0;
    std::vector<uint8_t> piece_;
};

bool is_gray_palette(const FileBytes& file, uint64_t place, int colors) {
    const std::vector<uint8_t> bytes = file.read(place, static_cast<size_t>(colors) * 3);
    for (size_t i = 0; i + 2 < bytes.size(); i += 3) {
        if (bytes[i] != bytes[i + 1] || bytes[i] != bytes[i + 2]) return false;
    }
    return true;
}

class Scanner {
public:
    explicit Scanner(const FileBytes& file) : file_(file), walker_(file) {}

    GifImages scan() {
        walker_.skip(kScreenPlace);
        found_.width = walker_.number();
        found_.height = walker_.number();
        const uint8_t flags = walker_.byte();
        walker_.go_to(kFirstBlock);
        if (flags & 0x80) {
            global_place_ = kFirstBlock;
            global_colors_ = 2 << (flags & 7);
            walker_.skip(static_cast<uint64_t>(global_colors_) * 3);
        }
        try {
            while (scan_block()) {
            }
        } catch (const Error& error) {
            if (error.code() != ErrorCode::corrupt) throw;
            if (found_.images.empty()) throw damaged(error.message() + " before its first image ends");
            found_.warnings.push_back(
                fmt::format("{}; the {} images before that are read", error.message(), found_.images.size()));
        }
        if (found_.images.empty()) throw damaged("holds no image");
        found_.gray = all_gray_;
        find_entries();
        return std::move(found_);
    }

private:
    /// False at the end.
    bool scan_block() {
        if (walker_.at_end()) return false;
        const uint8_t kind = walker_.byte();
        if (kind == kTrailer) return false;
        if (kind == kImageBlock) {
            scan_image();
        } else if (kind == kExtensionBlock) {
            scan_extension();
        } else if (kind != 0) {
            // Some writers leave zeros between blocks.
            throw damaged(fmt::format("there is no block at {}", walker_.place() - 1));
        }
        return true;
    }

    void scan_extension() {
        const uint8_t label = walker_.byte();
        if (label == kGraphicControl) {
            const std::string control = walker_.blocks(4);
            if (control.size() < 4) return;
            const auto flags = static_cast<uint8_t>(control[0]);
            const int disposal = flags >> 2 & 7;
            next_.disposal = disposal == 2   ? GifImage::Disposal::clear
                             : disposal == 3 ? GifImage::Disposal::restore
                                             : GifImage::Disposal::keep;
            next_.delay = static_cast<uint8_t>(control[1]) | static_cast<uint8_t>(control[2]) << 8;
            next_.transparent = flags & 1 ? static_cast<uint8_t>(control[3]) : -1;
        } else if (label == kComment) {
            const std::string comment = walker_.blocks(kLongestComment);
            if (found_.comment.empty()) found_.comment = utf8_of_foreign_text(comment);
        } else if (label == kApplication) {
            const std::string text = walker_.blocks(14);
            const bool is_loop = text.starts_with("NETSCAPE2.0") || text.starts_with("ANIMEXTS1.0");
            if (is_loop && text.size() == 14 && (text[11] & 7) == 1) {
                found_.extra_plays = static_cast<uint8_t>(text[12]) | static_cast<uint8_t>(text[13]) << 8;
            }
        } else {
            walker_.skip_blocks();
        }
    }

    void scan_image() {
        GifImage image = std::exchange(next_, {});
        image.left = walker_.number();
        image.top = walker_.number();
        image.width = walker_.number();
        image.height = walker_.number();
        const uint8_t flags = walker_.byte();
        image.interlaced = (flags & 0x40) != 0;
        image.palette = global_place_;
        image.colors = global_colors_;
        if (flags & 0x80) {
            image.palette = walker_.place();
            image.colors = 2 << (flags & 7);
            walker_.skip(static_cast<uint64_t>(image.colors) * 3);
        }
        image.data = walker_.place();
        walker_.skip(1);
        walker_.skip_blocks();
        // As browsers do: a first image that does not fit makes the picture larger.
        if (found_.images.empty()) {
            found_.width = std::max(found_.width, image.left + image.width);
            found_.height = std::max(found_.height, image.top + image.height);
        }
        if (image.palette != last_palette_) {
            last_palette_ = image.palette;
            all_gray_ = all_gray_ && is_gray_palette(file_, image.palette, image.colors);
        }
        found_.images.push_back(image);
    }

    bool covers_all(const GifImage& image) const {
        return image.left == 0 && image.top == 0 && image.width >= found_.width && image.height >= found_.height;
    }

    void find_entries() {
        int64_t base = 0;
        bool is_cleared = true;
        for (size_t i = 0; i < found_.images.size(); ++i) {
            GifImage& image = found_.images[i];
            const auto index = static_cast<int64_t>(i);
            const bool is_entry = is_cleared || (covers_all(image) && image.transparent < 0);
            image.entry = is_entry ? index : base;
            const bool is_removed = image.disposal == GifImage::Disposal::restore;
            // What is seen again when it is removed must be known to the images behind it.
            if (is_cleared || (is_entry && !is_removed)) base = index;
            is_cleared = image.disposal == GifImage::Disposal::clear ? covers_all(image) : is_removed && is_cleared;
        }
    }

    const FileBytes& file_;
    Walker walker_;
    GifImages found_;
    GifImage next_;  ///< what a graphic control extension says of it
    uint64_t global_place_ = 0;
    int global_colors_ = 0;
    uint64_t last_palette_ = 0;
    bool all_gray_ = true;
};

/// The row of an interlaced image that comes in place `order`.
int interlaced_row(int order, int height) {
    constexpr std::array<std::pair<int, int>, 4> kPasses = {{{0, 8}, {4, 8}, {2, 4}, {1, 2}}};
    for (const auto& [first, step] : kPasses) {
        const int rows = first < height ? (height - first - 1) / step + 1 : 0;
        if (order < rows) return first + order * step;
        order -= rows;
    }
    return height - 1;
}

}  // namespace

bool is_gif(std::span<const uint8_t> head) {
    return head.size() >= 6 &&
           (std::memcmp(head.data(), "GIF89a", 6) == 0 || std::memcmp(head.data(), "GIF87a", 6) == 0);
}

int shown_delay(int delay) {
    return delay < 2 ? 10 : delay;
}

GifImages find_gif_images(const FileBytes& file) {
    if (!is_gif(file.read(0, 6))) throw damaged("this is no GIF file");
    GifImages found = Scanner(file).scan();
    const ImageType type{found.height, found.width, found.gray ? 1 : 3, CV_8U};
    if (!plausible(type) || type.bytes() / (kMostExpansion * 3) > file.size()) {
        throw damaged(fmt::format("{} is no plausible image for a file of {} bytes", type.text(), file.size()));
    }
    return found;
}

GifPainter::GifPainter(std::shared_ptr<const FileBytes> file, GifImages images)
    : file_(std::move(file)), images_(std::move(images)) {}

cv::Mat GifPainter::draw(int64_t index) const {
    Canvas canvas = take(index);
    while (canvas.index < index) advance(canvas);
    cv::Mat seen = canvas.pixels.clone();
    give_back(std::move(canvas));
    return seen;
}

GifPainter::Canvas GifPainter::take(int64_t index) const {
    const int64_t entry = images_.images[static_cast<size_t>(index)].entry;
    Canvas canvas;
    {
        const std::lock_guard lock(mutex_);
        auto best = idle_.end();
        for (auto one = idle_.begin(); one != idle_.end(); ++one) {
            const bool is_on_the_way = one->first <= entry && one->index >= entry && one->index <= index;
            if (is_on_the_way && (best == idle_.end() || one->index > best->index)) best = one;
        }
        const size_t canvas_bytes = ImageType{images_.height, images_.width, 3, CV_8U}.bytes() * 2;
        const size_t most = std::clamp<size_t>(kMostCanvasBytes / std::max<size_t>(canvas_bytes, 1), 1, kMostCanvases);
        const bool is_used_up = best == idle_.end() && idle_.size() >= most;
        if (is_used_up) best = idle_.begin();
        if (best != idle_.end()) {
            canvas = std::move(*best);
            idle_.erase(best);
            if (!is_used_up) return canvas;
        }
    }
    // Nothing that is drawn before the entry can be seen at it.
    canvas.first = entry;
    canvas.index = entry - 1;
    canvas.pixels.create(images_.height, images_.width, images_.gray ? CV_8UC1 : CV_8UC3);
    canvas.pixels.setTo(cv::Scalar::all(kWhite));
    canvas.before.release();
    advance(canvas);
    return canvas;
}

void GifPainter::give_back(Canvas canvas) const {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(canvas));
}

/// Draws the next image.
void GifPainter::advance(Canvas& canvas) const {
    const int64_t next = canvas.index + 1;
    const GifImage& image = images_.images[static_cast<size_t>(next)];
    if (next > canvas.first) dispose(images_.images[static_cast<size_t>(canvas.index)], canvas);
    if (image.disposal == GifImage::Disposal::restore) canvas.pixels.copyTo(canvas.before);
    draw_image(next, canvas.pixels);
    canvas.index = next;
}

void GifPainter::dispose(const GifImage& image, Canvas& canvas) const {
    if (image.disposal == GifImage::Disposal::clear) {
        canvas.pixels(visible(image)).setTo(cv::Scalar::all(kWhite));
    } else if (image.disposal == GifImage::Disposal::restore) {
        canvas.before.copyTo(canvas.pixels);
    }
}

cv::Rect GifPainter::visible(const GifImage& image) const {
    return cv::Rect(image.left, image.top, image.width, image.height) & cv::Rect(0, 0, images_.width, images_.height);
}

std::vector<uint8_t> GifPainter::codes_of(const GifImage& image, int& bits) const {
    std::vector<uint8_t> codes;
    Walker walker(*file_);
    walker.go_to(image.data);
    bits = walker.byte();
    if (bits < 1 || bits > 8) throw damaged(fmt::format("indices of {} bits are none of GIF", bits));
    while (const uint8_t size = walker.byte()) {
        for (int i = 0; i < size; ++i) codes.push_back(walker.byte());
    }
    return codes;
}

void GifPainter::draw_image(int64_t index, cv::Mat& pixels) const {
    const GifImage& image = images_.images[static_cast<size_t>(index)];
    const auto failure = [&](const std::string& what) { return damaged(fmt::format("image {}: {}", index, what)); };
    if (image.width == 0 || image.height == 0) return;
    if (image.palette == 0) throw failure("has no palette");
    const auto size = static_cast<size_t>(image.width) * static_cast<size_t>(image.height);
    int bits = 0;
    const std::vector<uint8_t> codes = codes_of(image, bits);
    if (size / kMostExpansion > codes.size()) throw failure("is cut off");
    const std::vector<uint8_t> indices = decode_gif_indices(codes, bits, size);
    if (indices.size() < size) throw failure("its pixels end early or are damaged");
    std::array<uint8_t, 768> palette{};
    const std::vector<uint8_t> colors = file_->read(image.palette, static_cast<size_t>(image.colors) * 3);
    std::copy(colors.begin(), colors.end(), palette.begin());

    const cv::Rect seen = visible(image);
    for (int order = 0; order < image.height; ++order) {
        const int row = (image.interlaced ? interlaced_row(order, image.height) : order) + image.top;
        if (row >= seen.y + seen.height) continue;
        const uint8_t* from = indices.data() + static_cast<size_t>(order) * static_cast<size_t>(image.width);
        uint8_t* to = pixels.ptr(row, seen.x);
        const size_t step = pixels.elemSize();
        for (int column = 0; column < seen.width; ++column, to += step) {
            const uint8_t color = from[column];
            if (color == image.transparent) continue;
            const uint8_t* const rgb = palette.data() + size_t{color} * 3;
            to[0] = rgb[step == 3 ? 2 : 0];
            if (step == 3) {
                to[1] = rgb[1];
                to[2] = rgb[0];
            }
        }
    }
}

}  // namespace reelstore
