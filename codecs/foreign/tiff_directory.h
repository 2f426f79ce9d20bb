#pragma once

#include <bit>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/pixel_type.h"
#include "codecs/foreign/file_bytes.h"

namespace reelstore {

/// Numbers of the TIFF specification and of its registered extensions.
namespace tiff {

inline constexpr uint16_t kNewSubfileType = 254;
inline constexpr uint16_t kSubfileType = 255;
inline constexpr uint16_t kImageWidth = 256;
inline constexpr uint16_t kImageLength = 257;
inline constexpr uint16_t kBitsPerSample = 258;
inline constexpr uint16_t kCompression = 259;
inline constexpr uint16_t kPhotometric = 262;
inline constexpr uint16_t kFillOrder = 266;
inline constexpr uint16_t kImageDescription = 270;
inline constexpr uint16_t kMake = 271;
inline constexpr uint16_t kModel = 272;
inline constexpr uint16_t kStripOffsets = 273;
inline constexpr uint16_t kSamplesPerPixel = 277;
inline constexpr uint16_t kRowsPerStrip = 278;
inline constexpr uint16_t kStripByteCounts = 279;
inline constexpr uint16_t kXResolution = 282;
inline constexpr uint16_t kYResolution = 283;
inline constexpr uint16_t kPlanarConfiguration = 284;
inline constexpr uint16_t kResolutionUnit = 296;
inline constexpr uint16_t kSoftware = 305;
inline constexpr uint16_t kDateTime = 306;
inline constexpr uint16_t kArtist = 315;
inline constexpr uint16_t kHostComputer = 316;
inline constexpr uint16_t kPredictor = 317;
inline constexpr uint16_t kTileWidth = 322;
inline constexpr uint16_t kTileLength = 323;
inline constexpr uint16_t kTileOffsets = 324;
inline constexpr uint16_t kTileByteCounts = 325;
inline constexpr uint16_t kSubDirectories = 330;
inline constexpr uint16_t kExtraSamples = 338;
inline constexpr uint16_t kSampleFormat = 339;
/// MetaMorph's: a value for every plane of a stack that has but one page.
inline constexpr uint16_t kMetaMorphPlanes = 33629;
inline constexpr uint16_t kMicroManagerMetadata = 51123;

inline constexpr uint16_t kNoCompression = 1;
inline constexpr uint16_t kOldJpegCompression = 6;
inline constexpr uint16_t kJpegCompression = 7;

inline constexpr uint16_t kMinIsWhite = 0;
inline constexpr uint16_t kMinIsBlack = 1;
inline constexpr uint16_t kRgb = 2;
inline constexpr uint16_t kPalette = 3;
inline constexpr uint16_t kYCbCr = 6;

inline constexpr uint16_t kUnsignedFormat = 1;
inline constexpr uint16_t kSignedFormat = 2;
inline constexpr uint16_t kFloatFormat = 3;
inline constexpr uint16_t kUndefinedFormat = 4;

}  // namespace tiff

/// What the first bytes of a TIFF file say.
struct TiffHeader {
    std::endian order = std::endian::little;
    bool big = false;     ///< BigTIFF: offsets of 64 bits
    uint64_t offset = 0;  ///< of the first directory
};

/// Whether a file that begins so is a TIFF.
bool is_tiff(std::span<const uint8_t> head);
/// Throws Error(corrupt) when the file is none.
TiffHeader read_tiff_header(const FileBytes& file);

/// The tags of one page. Absent tags are no error, damaged ones are Error(corrupt) when they are asked for. It refers
/// to the file, which must outlive it.
class TiffDirectory {
public:
    /// Throws Error(corrupt) when the file ends before the directory does or it has an absurd number of tags.
    TiffDirectory(const FileBytes& file, const TiffHeader& header, uint64_t offset);

    uint64_t next() const { return next_; }    ///< offset of the next directory; 0: there is none
    uint64_t bytes() const { return bytes_; }  ///< of the directory itself

    bool has(uint16_t tag) const { return find(tag) != nullptr; }
    /// Number of values of a tag; 0 when it is absent.
    uint64_t count(uint16_t tag) const;
    /// One whole number of a tag.
    uint64_t number(uint16_t tag, uint64_t fallback, uint64_t place = 0) const;
    /// All whole numbers of a tag. Throws Error(corrupt) when there are more than `most`.
    std::vector<uint64_t> numbers(uint16_t tag, uint64_t most) const;
    /// A fraction or floating point number.
    std::optional<double> fraction(uint16_t tag) const;
    /// Text as UTF-8, cut off where it is longer than a description may be; empty when absent.
    std::string text(uint16_t tag) const;

private:
    struct Entry {
        uint16_t tag = 0;
        uint16_t type = 0;
        uint64_t count = 0;
        uint64_t place = 0;  ///< of the values in the file
    };

    const Entry* find(uint16_t tag) const;
    uint64_t number_at(const Entry& entry, uint64_t place) const;

    const FileBytes& file_;
    std::endian order_;
    std::vector<Entry> entries_;
    uint64_t next_ = 0;
    uint64_t bytes_ = 0;
    uint64_t block_place_ = 0;  ///< of the bytes in block_
    std::vector<uint8_t> block_;
};

/// How the pixels of a page are kept.
struct TiffLayout {
    uint32_t width = 0;
    uint32_t height = 0;
    uint16_t bits = 1;  ///< of every sample; 0 when samples differ
    uint16_t samples = 1;
    uint16_t sample_format = tiff::kUnsignedFormat;
    uint16_t photometric = tiff::kMinIsWhite;
    uint16_t compression = tiff::kNoCompression;
    bool planes = false;  ///< every sample has a plane of its own
    bool reversed_bits = false;
    uint32_t tile_width = 0;  ///< 0: strips
    uint32_t tile_height = 0;

    bool operator==(const TiffLayout&) const = default;
    bool tiled() const { return tile_width > 0; }
};

struct TiffPage {
    uint64_t directory = 0;     ///< offset
    uint64_t pixels = 0;        ///< offset of pixels that lie in one piece, uncompressed; 0 otherwise
    uint64_t stored_bytes = 0;  ///< of its strips or tiles
    uint32_t layout = 0;        ///< among TiffPages::layouts
    bool reduced = false;       ///< a smaller form of another page
    bool complete = true;       ///< false: the file ends before its pixels do
};

/// The chain of directories of a file.
struct TiffPages {
    TiffHeader header;
    std::vector<TiffPage> pages;
    std::vector<TiffLayout> layouts;
    bool has_images_elsewhere = false;  ///< in directories beside the chain
    std::vector<std::string> warnings;  ///< without the file's name

    const TiffLayout& layout_of(const TiffPage& page) const { return layouts[page.layout]; }
};

/// Follows the chain, without reading pixels. What cannot be followed ends it with a warning; throws Error(corrupt)
/// when not even the first directory can be read.
TiffPages find_tiff_pages(const FileBytes& file);

}  // namespace reelstore
