#include "codecs/image_chunk_format.h"

namespace reelstore {

namespace {

/// OpenCV writes a fourth channel but does not read it back.
bool bmp_accepts(const ImageType& type) {
    return type.depth == CV_8U && (type.channels == 1 || type.channels == 3);
}

}  // namespace

void add_chunk_formats_bmp(ChunkFormatTable& table) {
    ChunkFormatInfo info;
    info.name = "bmp";
    info.extension = ".bmp";
    info.lossless = true;
    info.types = "uint8 with 1 or 3 channels";
    add_with_color_form(
        table, opencv_image_kind(std::move(info), bmp_accepts, [](const CodecOptions&) { return std::vector<int>{}; }));
}

}  // namespace reelstore
