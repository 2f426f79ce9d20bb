#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codecs/chunk_format.h"

namespace reelstore {

/// Frames in a chunk of image files unless the user says otherwise: what imgstore uses.
inline constexpr int64_t kFolderChunkFrames = 200;

/// What distinguishes one kind of image file from another. Everything else that a chunk format of one file a frame
/// needs is in ImageFolderFormat.
struct ImageKind {
    ChunkFormatInfo info;
    std::vector<std::string> other_extensions;  ///< that mean the same in foreign files (".jpeg")
    bool single_image = true;                   ///< a foreign file of this kind holds one image, not perhaps a stack
    /// Whether a file beginning with these bytes (up to 4096) is of this kind; empty for the kinds that decode_image()
    /// tells apart.
    std::function<bool(std::span<const uint8_t>)> recognises = {};
    std::function<bool(const ImageType&)> accepts;
    /// Throws Error(invalid_argument) on a bad value; names have been checked.
    std::function<void(const CodecOptions&)> check_values = [](const CodecOptions&) {};
    std::function<std::vector<uint8_t>(const cv::Mat&, const CodecOptions&)> encode;
    /// Decodes to the expected type, or to what the file holds when there is none; the path is for messages.
    std::function<cv::Mat(std::span<const uint8_t>, const std::string&, const std::optional<ImageType>&)> decode;
    /// No file that holds an image of this type is larger; checked before a file is read.
    std::function<uint64_t(const ImageType&)> largest_file;
};

/// The usual kind: encoded with encode_image() and `parameters`, decoded with decode_image().
/// `parameters` gives OpenCV's IMWRITE_ pairs for the options, and throws Error(invalid_argument) on a bad value.
ImageKind opencv_image_kind(ChunkFormatInfo info, std::function<bool(const ImageType&)> accepts,
                            std::function<std::vector<int>(const CodecOptions&)> parameters);

/// Keeps a chunk as a folder with a file 000000.EXT, 000001.EXT, ... for every frame, named by position in the chunk.
///
/// Nothing but these image files is ever created in the folder.
class ImageFolderFormat : public ChunkFormat {
public:
    explicit ImageFolderFormat(ImageKind kind);

    const ChunkFormatInfo& info() const override { return kind_.info; }
    std::optional<std::string> refuses(const ImageType& type) const override;
    void check_options(const CodecOptions& options) const override;
    std::unique_ptr<ChunkWriter> create(const std::filesystem::path& path, const ImageType& type,
                                        const CodecOptions& codec, const ChunkWriteOptions& options) const override;
    std::unique_ptr<ChunkReader> open(const std::filesystem::path& path, const ImageType& type,
                                      const ChunkReadOptions& options) const override;

    const ImageKind& kind() const { return kind_; }

private:
    ImageKind kind_;
};

/// "000042.png"
std::string image_file_name(int64_t position, const std::string& extension);

/// Largest foreign image file that is read.
inline constexpr uint64_t kLargestImageFile = kMaxImageBytes + (uint64_t{1} << 20);

/// The kinds of image file of this build: every folder format without its "+color" form.
const std::vector<const ImageFolderFormat*>& image_formats();
/// The kind of a foreign image file by its extension (with the dot, in any case); null when there is none.
const ImageFolderFormat* find_image_format(std::string_view extension);
/// The kind of a foreign image file that decode_image() does not read, by its first bytes; null when it is none.
const ImageFolderFormat* recognised_image_format(std::span<const uint8_t> head);
/// Reads one foreign image file of this kind as it is, one channel with `gray`.
cv::Mat read_foreign_image(const ImageFolderFormat& format, const std::filesystem::path& path, bool gray);

/// Adds a format and, under the name "NAME+color", the form whose raw input is decoded before it is stored.
void add_with_color_form(ChunkFormatTable& table, ImageKind kind);

}  // namespace reelstore
