#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "codecs/bloscpack.h"
#include "codecs/image_chunk_format.h"
#include "codecs/option_values.h"

namespace reelstore {

namespace {

/// Header, metadata, offsets and what chunks of any usual size add to the pixels.
constexpr uint64_t kMostOverhead = uint64_t{1} << 20;

BloscpackOptions bpk_options(const CodecOptions& given) {
    const BloscpackOptions usual;
    BloscpackOptions options;
    options.codec = choice_option(given, "codec", usual.codec, bloscpack_codecs());
    options.level = integer_option(given, "level", usual.level, 0, 9);
    const std::string shuffle = choice_option(given, "shuffle", "byte", {"none", "byte", "bit"});
    options.shuffle = shuffle == "none"   ? BloscpackOptions::Shuffle::none
                      : shuffle == "byte" ? BloscpackOptions::Shuffle::byte
                                          : BloscpackOptions::Shuffle::bit;
    return options;
}

cv::Mat decode_bpk(std::span<const uint8_t> bytes, const std::string& path, const std::optional<ImageType>& expected) {
    try {
        return image_from_bloscpack(bytes, expected);
    } catch (const Error& error) {
        throw error.at({path, {}, {}});
    }
}

}  // namespace

void add_chunk_formats_bpk(ChunkFormatTable& table) {
    const BloscpackOptions usual;
    ImageKind kind;
    kind.info.name = "bpk";
    kind.info.kind = ChunkKind::folder;
    kind.info.extension = ".bpk";
    kind.info.lossless = true;
    kind.info.default_chunk_frames = kFolderChunkFrames;
    kind.info.types = "every element type and number of channels";
    kind.info.options = {{"codec", usual.codec, fmt::format("{}", fmt::join(bloscpack_codecs(), ", "))},
                         {"level", std::to_string(usual.level), "0 (stored) to 9 (smallest)"},
                         {"shuffle", "byte", "none, byte or bit: how the elements' bytes are sorted first"}};
    kind.recognises = is_bloscpack;
    kind.accepts = [](const ImageType&) { return true; };
    kind.check_values = [](const CodecOptions& options) { bpk_options(options); };
    kind.encode = [](const cv::Mat& image, const CodecOptions& options) {
        return bloscpack_from_image(image, bpk_options(options));
    };
    kind.decode = decode_bpk;
    kind.largest_file = [](const ImageType& type) { return 2 * uint64_t{type.bytes()} + kMostOverhead; };
    table.push_back(std::make_unique<ImageFolderFormat>(std::move(kind)));
}

}  // namespace reelstore
