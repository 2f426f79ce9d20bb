#include "codecs/foreign/tiff_library.h"

#include <tiffio.h>

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <utility>

#include <fmt/format.h>
#include <opencv2/imgproc.hpp>

#include "base/error.h"

namespace reelstore {

namespace {

/// One piece of memory of libtiff's own; images are no larger.
constexpr auto kMostMemory = static_cast<tmsize_t>(kMaxImageBytes);
/// A decoder allocates whole tiles: one much larger than the image is a trap.
constexpr uint32_t kLargestPadding = 4096;
/// No compression of TIFF makes more of a byte; a small file that claims a huge image is a trap.
constexpr uint64_t kMostExpansion = 1 << 16;

/// libtiff's messages of one handle.
int keep_message(TIFF*, void* target, const char*, const char* format, va_list values) {
    std::array<char, 400> text{};
    std::vsnprintf(text.data(), text.size(), format, values);
    auto& message = *static_cast<std::string*>(target);
    if (message.empty()) message = text.data();
    return 1;
}

int ignore_message(TIFF*, void*, const char*, const char*, va_list) {
    return 1;
}

struct OptionsDeleter {
    void operator()(TIFFOpenOptions* options) const { TIFFOpenOptionsFree(options); }
};
struct TiffDeleter {
    void operator()(TIFF* tiff) const { TIFFCleanup(tiff); }
};
using UniqueTiff = std::unique_ptr<TIFF, TiffDeleter>;

/// What libtiff calls for its input and output, `Io` providing the members. Nothing is thrown through it.
template <typename Io>
UniqueTiff open_tiff(const char* mode, Io& io, std::string& message) {
    const std::unique_ptr<TIFFOpenOptions, OptionsDeleter> options(TIFFOpenOptionsAlloc());
    if (!options) throw Error(ErrorCode::internal, "libtiff has no memory");
    TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), kMostMemory);
    TIFFOpenOptionsSetErrorHandlerExtR(options.get(), keep_message, &message);
    TIFFOpenOptionsSetWarningHandlerExtR(options.get(), ignore_message, nullptr);
    return UniqueTiff(TIFFClientOpenExt(
        "", mode, &io,
        [](thandle_t self, void* data, tmsize_t size) { return static_cast<Io*>(self)->read(data, size); },
        [](thandle_t self, void* data, tmsize_t size) { return static_cast<Io*>(self)->write(data, size); },
        [](thandle_t self, toff_t offset, int whence) { return static_cast<Io*>(self)->seek(offset, whence); },
        [](thandle_t) { return 0; }, [](thandle_t self) { return static_cast<Io*>(self)->size(); },
        [](thandle_t self, void** base, toff_t* size) { return static_cast<Io*>(self)->map(base, size); },
        [](thandle_t, void*, toff_t) {}, options.get()));
}

/// A place in a file or memory, moved as lseek() does.
class Position {
public:
    uint64_t get() const { return position_; }
    void advance(uint64_t bytes) { position_ += bytes; }
    toff_t seek(toff_t offset, int whence, uint64_t size) {
        const uint64_t base = whence == SEEK_CUR ? position_ : whence == SEEK_END ? size : 0;
        position_ = base + offset;
        return position_;
    }

private:
    uint64_t position_ = 0;
};

/// Reads a FileBytes.
class FileIo {
public:
    explicit FileIo(const FileBytes& file) : file_(file) {}

    tmsize_t read(void* data, tmsize_t size) {
        if (position_.get() >= file_.size()) return 0;
        const auto bytes =
            static_cast<size_t>(std::min<uint64_t>(static_cast<uint64_t>(size), file_.size() - position_.get()));
        try {
            file_.read_into(data, position_.get(), bytes);
        } catch (const Error& error) {
            if (!error_) error_ = error;
            return -1;
        }
        position_.advance(bytes);
        return static_cast<tmsize_t>(bytes);
    }
    tmsize_t write(const void*, tmsize_t) { return -1; }
    toff_t seek(toff_t offset, int whence) { return position_.seek(offset, whence, file_.size()); }
    toff_t size() const { return file_.size(); }
    int map(void** base, toff_t* size) const {
        if (!file_.mapped()) return 0;
        // libtiff only reads what it is told to be mapped.
        *base = const_cast<uint8_t*>(file_.part(0, file_.size()).data);
        *size = file_.size();
        return 1;
    }
    /// What made reading fail, once.
    std::optional<Error> take_error() { return std::exchange(error_, std::nullopt); }

private:
    const FileBytes& file_;
    Position position_;
    std::optional<Error> error_;
};

/// Writes to memory.
class MemoryIo {
public:
    tmsize_t read(void* data, tmsize_t size) {
        if (position_.get() >= bytes_.size()) return 0;
        const auto count = std::min(static_cast<size_t>(size), bytes_.size() - position_.get());
        std::memcpy(data, bytes_.data() + position_.get(), count);
        position_.advance(count);
        return static_cast<tmsize_t>(count);
    }
    tmsize_t write(const void* data, tmsize_t size) {
        const auto count = static_cast<size_t>(size);
        try {
            if (bytes_.size() < position_.get() + count) bytes_.resize(position_.get() + count);
        } catch (const std::bad_alloc&) {
            return -1;
        }
        std::memcpy(bytes_.data() + position_.get(), data, count);
        position_.advance(count);
        return size;
    }
    toff_t seek(toff_t offset, int whence) { return position_.seek(offset, whence, bytes_.size()); }
    toff_t size() const { return bytes_.size(); }
    int map(void**, toff_t*) const { return 0; }
    const std::vector<uint8_t>& bytes() const { return bytes_; }

private:
    std::vector<uint8_t> bytes_;
    Position position_;
};

template <typename Value>
Value tag_of(TIFF* tiff, uint32_t tag) {
    Value value{};
    TIFFGetFieldDefaulted(tiff, tag, &value);
    return value;
}

uint64_t plane_row_bytes(const TiffLayout& layout) {
    return (uint64_t{layout.width} * layout.bits * (layout.planes ? 1 : layout.samples) + 7) / 8;
}

/// Copies samples of one plane into an image with several channels.
void spread_plane(const uint8_t* plane, uint64_t row_bytes, cv::Mat& image, int channel) {
    const size_t item = image.elemSize1();
    const size_t pixel = image.elemSize();
    for (int row = 0; row < image.rows; ++row) {
        const uint8_t* from = plane + static_cast<uint64_t>(row) * row_bytes;
        uint8_t* to = image.ptr(row) + static_cast<size_t>(channel) * item;
        for (int column = 0; column < image.cols; ++column, from += item, to += pixel) std::memcpy(to, from, item);
    }
}

/// Elements of samples that follow each other bit by bit, most significant first, rows at whole bytes.
template <typename Element>
void unpack_row(const uint8_t* packed, unsigned bits, bool is_signed, size_t count, Element* elements, size_t step) {
    uint64_t held = 0;
    unsigned held_bits = 0;
    const uint64_t mask = (uint64_t{1} << bits) - 1;
    for (size_t i = 0; i < count; ++i, elements += step) {
        while (held_bits < bits) {
            held = held << 8 | *packed++;
            held_bits += 8;
        }
        held_bits -= bits;
        uint64_t value = held >> held_bits & mask;
        if (is_signed && (value >> (bits - 1)) != 0) value |= ~mask;
        *elements = static_cast<Element>(value);
    }
}

void unpack(const uint8_t* packed, uint64_t row_bytes, const TiffLayout& layout, cv::Mat& image, int channel) {
    const size_t step = layout.planes ? layout.samples : 1;
    const size_t count = size_t{layout.width} * (layout.planes ? 1 : layout.samples);
    const bool is_signed = layout.sample_format == tiff::kSignedFormat;
    for (int row = 0; row < image.rows; ++row) {
        const uint8_t* const from = packed + static_cast<uint64_t>(row) * row_bytes;
        if (image.elemSize1() == 1) {
            unpack_row(from, layout.bits, is_signed, count, image.ptr<uint8_t>(row) + channel, step);
        } else {
            unpack_row(from, layout.bits, is_signed, count, image.ptr<uint16_t>(row) + channel, step);
        }
    }
}

}  // namespace

TiffPixels pixels_of(const TiffLayout& layout, bool palette_indices) {
    const auto unsupported = [](const std::string& what) { return Error(ErrorCode::unsupported, what); };
    constexpr uint32_t kMostSamples = CV_CN_MAX;
    if (layout.width > uint32_t{kMaxImageSide} || layout.height > uint32_t{kMaxImageSide} || layout.samples == 0) {
        throw Error(ErrorCode::corrupt, fmt::format("{}x{} (width x height) with {} samples is no plausible image",
                                                    layout.width, layout.height, layout.samples));
    }
    if (layout.samples > kMostSamples)
        throw unsupported(fmt::format("{} samples a pixel are too many", layout.samples));
    if (layout.tiled() &&
        (layout.tile_width > layout.width + kLargestPadding || layout.tile_height > layout.height + kLargestPadding)) {
        throw Error(ErrorCode::corrupt, "its tiles are much larger than the image");
    }

    TiffPixels pixels;
    pixels.type = {int(layout.height), int(layout.width), layout.samples, CV_8U};
    const bool is_jpeg = layout.compression == tiff::kJpegCompression;
    const bool jpeg_gives_rgb = layout.photometric == tiff::kYCbCr && is_jpeg && !layout.planes && layout.samples == 3;
    const bool is_plain = layout.photometric <= tiff::kPalette || jpeg_gives_rgb || layout.photometric == 4 ||
                          layout.photometric == 32803 || layout.photometric == 34892;
    if (!is_plain || layout.compression == tiff::kOldJpegCompression) {
        pixels.type.channels = 3;
        pixels.decoding = TiffDecoding::as_seen;
    } else if (layout.bits == 0) {
        throw unsupported("samples of different depths are not read");
    } else if (layout.photometric == tiff::kPalette && !palette_indices) {
        if (layout.samples != 1 || layout.bits > 16) throw unsupported("such a palette is not read");
        pixels.type.channels = 3;
        pixels.decoding = TiffDecoding::palette;
    } else {
        const bool is_float = layout.sample_format == tiff::kFloatFormat;
        const bool is_signed = layout.sample_format == tiff::kSignedFormat;
        const bool is_known = is_float || is_signed || layout.sample_format == tiff::kUnsignedFormat ||
                              layout.sample_format == tiff::kUndefinedFormat;
        const auto odd = [&] {
            return unsupported(fmt::format("samples of {} bits{} are not read", layout.bits,
                                           is_float   ? ", floating point"
                                           : is_known ? ""
                                                      : ", complex"));
        };
        if (!is_known) throw odd();
        if (is_float) {
            if (layout.bits != 16 && layout.bits != 32 && layout.bits != 64) throw odd();
            pixels.type.depth = layout.bits == 16 ? CV_16F : layout.bits == 32 ? CV_32F : CV_64F;
        } else if (layout.bits == 32) {
            pixels.type.depth = CV_32S;
            pixels.unsigned_32 = !is_signed;
        } else if (layout.bits > 16) {
            throw odd();
        } else {
            const bool is_byte = layout.bits <= 8;
            pixels.type.depth = is_signed ? (is_byte ? CV_8S : CV_16S) : (is_byte ? CV_8U : CV_16U);
            if (layout.bits != 8 && layout.bits != 16) pixels.decoding = TiffDecoding::unpacked;
            if (layout.bits == 1 && layout.samples == 1 && layout.photometric != tiff::kPalette) {
                pixels.decoding = TiffDecoding::bilevel;
            }
        }
        const bool is_rgb = layout.photometric == tiff::kRgb || jpeg_gives_rgb;
        pixels.swap_colors = is_rgb && (layout.samples == 3 || layout.samples == 4);
    }
    if (!plausible(pixels.type)) {
        throw Error(ErrorCode::corrupt, fmt::format("{} is no plausible image", pixels.type.text()));
    }
    return pixels;
}

cv::Mat finish_pixels(cv::Mat image, const TiffPixels& pixels) {
    if (pixels.unsigned_32) {
        double least = 0;
        cv::minMaxLoc(image.reshape(1), &least, nullptr);
        if (least < 0) {
            throw Error(ErrorCode::unsupported,
                        fmt::format("holds the value {}, and images here hold whole numbers up to 2147483647",
                                    static_cast<uint32_t>(static_cast<int32_t>(least))));
        }
    }
    return pixels.swap_colors ? swap_red_and_blue(image) : image;
}

cv::Mat swap_red_and_blue(const cv::Mat& image) {
    cv::Mat swapped(image.size(), image.type());
    // Elements are only moved, so those that OpenCV knows less well pass as others of their size.
    const int depth = image.elemSize1() == 1 ? CV_8U : image.elemSize1() == 2 ? CV_16U : image.depth();
    const auto as = [&](const cv::Mat& whole) {
        return cv::Mat(whole.rows, whole.cols, CV_MAKETYPE(depth, whole.channels()), whole.data, whole.step);
    };
    const cv::Mat from = as(image);
    cv::Mat to = as(swapped);
    if (depth == CV_8U || depth == CV_16U) {
        cv::cvtColor(from, to, from.channels() == 3 ? cv::COLOR_RGB2BGR : cv::COLOR_RGBA2BGRA);
    } else {
        const std::array<int, 8> places = {0, 2, 1, 1, 2, 0, 3, 3};
        cv::mixChannels(&from, 1, &to, 1, places.data(), static_cast<size_t>(from.channels()));
    }
    return swapped;
}

/// One TIFF* and what it reads.
class TiffDecoder::Handle {
public:
    explicit Handle(std::shared_ptr<const FileBytes> file) : file_(std::move(file)), io_(*file_) {
        // The header alone is read; single strips stay single.
        tiff_ = open_tiff("rhc", io_, message_);
        if (!tiff_) throw failure("libtiff cannot open it");
    }

    cv::Mat decode(const TiffPage& page, const TiffLayout& layout, const TiffPixels& pixels) {
        message_.clear();
        if (!TIFFSetSubDirectory(tiff_.get(), page.directory)) throw failure("its tags cannot be read");
        check_same(layout);
        if (!TIFFIsCODECConfigured(layout.compression)) {
            throw Error(ErrorCode::unsupported,
                        fmt::format("libtiff of this system lacks compression {}", layout.compression));
        }
        switch (pixels.decoding) {
            case TiffDecoding::as_seen:
                return as_seen(pixels.type);
            case TiffDecoding::samples:
                return finish_pixels(samples(layout, pixels.type), pixels);
            case TiffDecoding::palette:
                return palette(layout, pixels.type);
            case TiffDecoding::bilevel:
                return bilevel(layout, pixels.type);
            case TiffDecoding::unpacked:
                return finish_pixels(unpacked(layout, pixels.type), pixels);
        }
        throw Error(ErrorCode::internal, "an unknown way of decoding");
    }

private:
    Error failure(const std::string& what) {
        if (const auto error = io_.take_error()) return *error;
        return Error(ErrorCode::corrupt, message_.empty() ? what : fmt::format("{} ({})", what, message_));
    }

    /// Sizes are computed from our reading of the tags, so libtiff's must be the same.
    void check_same(const TiffLayout& layout) {
        TIFF* const tiff = tiff_.get();
        const bool is_tiled = TIFFIsTiled(tiff) != 0;
        const bool has_planes =
            layout.samples > 1 && tag_of<uint16_t>(tiff, TIFFTAG_PLANARCONFIG) == PLANARCONFIG_SEPARATE;
        const bool same = tag_of<uint32_t>(tiff, TIFFTAG_IMAGEWIDTH) == layout.width &&
                          tag_of<uint32_t>(tiff, TIFFTAG_IMAGELENGTH) == layout.height &&
                          tag_of<uint16_t>(tiff, TIFFTAG_SAMPLESPERPIXEL) == layout.samples &&
                          (tag_of<uint16_t>(tiff, TIFFTAG_BITSPERSAMPLE) == layout.bits || layout.bits == 0) &&
                          tag_of<uint16_t>(tiff, TIFFTAG_COMPRESSION) == layout.compression &&
                          is_tiled == layout.tiled() && has_planes == layout.planes;
        if (!same) throw failure("its tags contradict each other");
        if (is_tiled && (tag_of<uint32_t>(tiff, TIFFTAG_TILEWIDTH) != layout.tile_width ||
                         tag_of<uint32_t>(tiff, TIFFTAG_TILELENGTH) != layout.tile_height)) {
            throw failure("its tags contradict each other");
        }
        if (layout.compression == COMPRESSION_JPEG && layout.photometric == PHOTOMETRIC_YCBCR) {
            TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
        }
    }

    cv::Mat as_seen(const ImageType& type) {
        cv::Mat rgba(type.height, type.width, CV_8UC4);
        // Asked for in the orientation it has, so that nothing is turned.
        const auto orientation = tag_of<uint16_t>(tiff_.get(), TIFFTAG_ORIENTATION);
        if (!TIFFReadRGBAImageOriented(tiff_.get(), static_cast<uint32_t>(type.width),
                                       static_cast<uint32_t>(type.height), rgba.ptr<uint32_t>(), orientation, 1)) {
            throw failure("its pixels cannot be decoded");
        }
        cv::Mat image;
        cv::cvtColor(rgba, image, cv::COLOR_RGBA2BGR);
        return image;
    }

    /// Pixels whose samples are whole bytes.
    cv::Mat samples(const TiffLayout& layout, const ImageType& type) {
        cv::Mat image(type.height, type.width, type.cv_type());
        if (!layout.planes) {
            read_plane(layout, 0, image.data);
            return image;
        }
        std::vector<uint8_t> plane(plane_row_bytes(layout) * layout.height);
        for (int channel = 0; channel < type.channels; ++channel) {
            read_plane(layout, channel, plane.data());
            spread_plane(plane.data(), plane_row_bytes(layout), image, channel);
        }
        return image;
    }

    cv::Mat unpacked(const TiffLayout& layout, const ImageType& type) {
        cv::Mat image(type.height, type.width, type.cv_type());
        std::vector<uint8_t> plane(plane_row_bytes(layout) * layout.height);
        for (int channel = 0; channel < (layout.planes ? type.channels : 1); ++channel) {
            read_plane(layout, channel, plane.data());
            unpack(plane.data(), plane_row_bytes(layout), layout, image, channel);
        }
        return image;
    }

    cv::Mat bilevel(const TiffLayout& layout, const ImageType& type) {
        const cv::Mat bits = unpacked(layout, type);
        cv::Mat image;
        cv::compare(bits, 0, image, layout.photometric == tiff::kMinIsWhite ? cv::CMP_EQ : cv::CMP_NE);
        return image;
    }

    cv::Mat palette(const TiffLayout& layout, const ImageType& type) {
        uint16_t* red = nullptr;
        uint16_t* green = nullptr;
        uint16_t* blue = nullptr;
        if (!TIFFGetField(tiff_.get(), TIFFTAG_COLORMAP, &red, &green, &blue)) throw failure("its palette is missing");
        const ImageType index_type{type.height, type.width, 1, layout.bits <= 8 ? CV_8U : CV_16U};
        const bool is_whole = layout.bits == 8 || layout.bits == 16;
        const cv::Mat indices = is_whole ? samples(layout, index_type) : unpacked(layout, index_type);
        const size_t colors = size_t{1} << layout.bits;
        // Some writers give 8-bit colours where 16-bit ones are due.
        const auto is_short = [colors](const uint16_t* values) {
            return std::all_of(values, values + colors, [](uint16_t value) { return value < 256; });
        };
        const int shift = is_short(red) && is_short(green) && is_short(blue) ? 0 : 8;
        cv::Mat image(type.height, type.width, CV_8UC3);
        for (int row = 0; row < image.rows; ++row) {
            for (int column = 0; column < image.cols; ++column) {
                const size_t index =
                    index_type.depth == CV_8U ? indices.ptr<uint8_t>(row)[column] : indices.ptr<uint16_t>(row)[column];
                image.ptr<cv::Vec3b>(row)[column] =
                    cv::Vec3b(static_cast<uint8_t>(blue[index] >> shift), static_cast<uint8_t>(green[index] >> shift),
                              static_cast<uint8_t>(red[index] >> shift));
            }
        }
        return image;
    }

    /// The rows of one plane, or of all samples where they lie together, without gaps.
    void read_plane(const TiffLayout& layout, int plane, uint8_t* target) {
        const uint64_t row_bytes = plane_row_bytes(layout);
        if (layout.tiled()) {
            read_tiles(layout, plane, target, row_bytes);
        } else {
            read_strips(layout, plane, target, row_bytes);
        }
    }

    void read_strips(const TiffLayout& layout, int plane, uint8_t* target, uint64_t row_bytes) {
        TIFF* const tiff = tiff_.get();
        if (static_cast<uint64_t>(TIFFScanlineSize64(tiff)) != row_bytes) throw failure("its rows have another size");
        const uint64_t rows = std::min(tag_of<uint32_t>(tiff, TIFFTAG_ROWSPERSTRIP), layout.height);
        if (rows == 0) throw failure("its strips have no rows");
        for (uint64_t row = 0; row < layout.height; row += rows) {
            const uint64_t bytes = std::min<uint64_t>(rows, layout.height - row) * row_bytes;
            const uint32_t strip = TIFFComputeStrip(tiff, static_cast<uint32_t>(row), static_cast<uint16_t>(plane));
            const tmsize_t read =
                TIFFReadEncodedStrip(tiff, strip, target + row * row_bytes, static_cast<tmsize_t>(bytes));
            if (read < 0 || static_cast<uint64_t>(read) != bytes) throw failure("its pixels cannot be decoded");
        }
    }

    void read_tiles(const TiffLayout& layout, int plane, uint8_t* target, uint64_t row_bytes) {
        TIFF* const tiff = tiff_.get();
        const auto tile_bytes = static_cast<uint64_t>(TIFFTileSize64(tiff));
        const auto tile_row = static_cast<uint64_t>(TIFFTileRowSize64(tiff));
        if (tile_bytes == 0 || tile_bytes > kMaxImageBytes || tile_row * layout.tile_height != tile_bytes) {
            throw failure("its tiles have an absurd size");
        }
        std::vector<uint8_t> tile(tile_bytes);
        for (uint32_t y = 0; y < layout.height; y += layout.tile_height) {
            uint64_t column_bytes = 0;
            for (uint32_t x = 0; x < layout.width; x += layout.tile_width, column_bytes += tile_row) {
                const uint32_t number = TIFFComputeTile(tiff, x, y, 0, static_cast<uint16_t>(plane));
                const tmsize_t read = TIFFReadEncodedTile(tiff, number, tile.data(), static_cast<tmsize_t>(tile_bytes));
                if (read < 0 || static_cast<uint64_t>(read) != tile_bytes)
                    throw failure("its pixels cannot be decoded");
                if (column_bytes >= row_bytes) throw failure("its tiles have an absurd size");
                const uint64_t bytes = std::min(tile_row, row_bytes - column_bytes);
                const uint32_t rows = std::min(layout.tile_height, layout.height - y);
                for (uint32_t row = 0; row < rows; ++row) {
                    std::memcpy(target + (uint64_t{y} + row) * row_bytes + column_bytes, tile.data() + row * tile_row,
                                bytes);
                }
            }
        }
    }

    std::shared_ptr<const FileBytes> file_;
    FileIo io_;
    std::string message_;
    UniqueTiff tiff_;
};

TiffDecoder::TiffDecoder(std::shared_ptr<const FileBytes> file) : file_(std::move(file)) {}

TiffDecoder::~TiffDecoder() = default;

std::unique_ptr<TiffDecoder::Handle> TiffDecoder::take() const {
    {
        const std::lock_guard lock(mutex_);
        if (!idle_.empty()) {
            std::unique_ptr<Handle> handle = std::move(idle_.back());
            idle_.pop_back();
            return handle;
        }
    }
    return std::make_unique<Handle>(file_);
}

void TiffDecoder::give_back(std::unique_ptr<Handle> handle) const {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(handle));
}

cv::Mat TiffDecoder::decode(const TiffPage& page, const TiffLayout& layout, const TiffPixels& pixels) const {
    if (pixels.type.bytes() / kMostExpansion > page.stored_bytes) {
        throw Error(ErrorCode::corrupt, fmt::format("{} bytes cannot hold {}", page.stored_bytes, pixels.type.text()));
    }
    std::unique_ptr<Handle> handle = take();
    try {
        cv::Mat image = handle->decode(page, layout, pixels);
        give_back(std::move(handle));
        return image;
    } catch (const cv::Exception& error) {
        throw Error(ErrorCode::internal, "cannot convert the pixels: " + error.err);
    }
}

bool can_compress(TiffCompression compression) {
    return compression == TiffCompression::none || TIFFIsCODECConfigured(static_cast<uint16_t>(compression)) != 0;
}

int tiff_predictor(int depth) {
    return depth == CV_32F || depth == CV_64F || depth == CV_16F ? PREDICTOR_FLOATINGPOINT : PREDICTOR_HORIZONTAL;
}

std::vector<uint8_t> compress_strip(const cv::Mat& image, TiffCompression compression, bool predictor) {
    const ImageType type = ImageType::of(image);
    MemoryIo io;
    std::string message;
    const auto failure = [&] {
        return Error(ErrorCode::internal, fmt::format("libtiff cannot compress {}: {}", type.text(), message));
    };
    const UniqueTiff tiff = open_tiff("w", io, message);
    if (!tiff) throw failure();
    const int depth = type.depth;
    const bool is_float = tiff_predictor(depth) == PREDICTOR_FLOATINGPOINT;
    const bool is_signed = depth == CV_8S || depth == CV_16S || depth == CV_32S;
    const auto set = [&](uint32_t tag, auto value) {
        if (!TIFFSetField(tiff.get(), tag, value)) throw failure();
    };
    set(TIFFTAG_IMAGEWIDTH, static_cast<uint32_t>(type.width));
    set(TIFFTAG_IMAGELENGTH, static_cast<uint32_t>(type.height));
    set(TIFFTAG_SAMPLESPERPIXEL, type.channels);
    set(TIFFTAG_BITSPERSAMPLE, static_cast<int>(8 * image.elemSize1()));
    set(TIFFTAG_SAMPLEFORMAT, is_float ? SAMPLEFORMAT_IEEEFP : is_signed ? SAMPLEFORMAT_INT : SAMPLEFORMAT_UINT);
    set(TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
    set(TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK);
    set(TIFFTAG_ROWSPERSTRIP, static_cast<uint32_t>(type.height));
    set(TIFFTAG_COMPRESSION, static_cast<int>(compression));
    if (predictor) set(TIFFTAG_PREDICTOR, tiff_predictor(depth));
    if (compression == TiffCompression::zstd) set(TIFFTAG_ZSTD_LEVEL, 1);

    // The predictor works in place.
    cv::Mat copy = image.clone();
    const auto bytes = static_cast<tmsize_t>(type.bytes());
    if (TIFFWriteEncodedStrip(tiff.get(), 0, copy.data, bytes) != bytes || !TIFFFlushData(tiff.get())) throw failure();
    uint64_t* offsets = nullptr;
    uint64_t* sizes = nullptr;
    if (!TIFFGetField(tiff.get(), TIFFTAG_STRIPOFFSETS, &offsets) ||
        !TIFFGetField(tiff.get(), TIFFTAG_STRIPBYTECOUNTS, &sizes) || offsets[0] > io.bytes().size() ||
        sizes[0] > io.bytes().size() - offsets[0]) {
        throw failure();
    }
    const auto begin = io.bytes().begin() + static_cast<ptrdiff_t>(offsets[0]);
    return {begin, begin + static_cast<ptrdiff_t>(sizes[0])};
}

}  // namespace reelstore
