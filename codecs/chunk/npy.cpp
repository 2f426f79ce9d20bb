#include <fmt/format.h>

#include "base/error.h"
#include "base/npy.h"
#include "codecs/image_chunk_format.h"

namespace reelstore {

namespace {

/// numpy's own headers are padded to a multiple of 64; no header of a plain array is longer than this.
constexpr uint64_t kLargestHeader = 4096;

void check_type(const NpyHeader& header, const ImageType& expected, size_t file_size) {
    std::vector<int64_t> shape = header.shape;
    if (shape.size() == 3 && shape[2] == 1) shape.pop_back();
    if (shape != expected.shape() || header.cv_depth() != expected.depth) {
        throw Error(ErrorCode::corrupt, fmt::format("the array of shape ({}) and type {} is not the store's {}",
                                                    fmt::join(header.shape, ", "), header.descr, expected.text()));
    }
    if (file_size != header.data_offset + header.data_bytes()) {
        throw Error(ErrorCode::corrupt, fmt::format("the file has {} bytes, its header announces {}", file_size,
                                                    header.data_offset + header.data_bytes()));
    }
}

cv::Mat decode_npy(std::span<const uint8_t> bytes, const std::string& path, const std::optional<ImageType>& expected) {
    try {
        if (expected) check_type(parse_npy_header(bytes), *expected, bytes.size());
        return image_from_npy(bytes);
    } catch (const Error& error) {
        throw error.at({path, {}, {}});
    }
}

}  // namespace

void add_chunk_formats_npy(ChunkFormatTable& table) {
    ImageKind kind;
    kind.info.name = "npy";
    kind.info.kind = ChunkKind::folder;
    kind.info.extension = ".npy";
    kind.info.lossless = true;
    kind.info.default_chunk_frames = kFolderChunkFrames;
    kind.info.types = "every element type and number of channels";
    kind.single_image = false;
    kind.accepts = [](const ImageType&) { return true; };
    kind.encode = [](const cv::Mat& image, const CodecOptions&) { return npy_from_image(image); };
    kind.decode = decode_npy;
    kind.largest_file = [](const ImageType& type) { return type.bytes() + kLargestHeader; };
    table.push_back(std::make_unique<ImageFolderFormat>(std::move(kind)));
}

}  // namespace reelstore
