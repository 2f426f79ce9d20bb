#include "codecs/packed/npy_stack.h"

#include <algorithm>
#include <string>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.h"

namespace reelstore {

std::vector<uint8_t> npy_stack_header(const ImageType& type, int64_t frames) {
    std::vector<int64_t> shape = type.shape();
    shape.insert(shape.begin(), frames);
    std::string text = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", npy_descr(type.depth),
                                   fmt::join(shape, ", "));
    constexpr std::string_view kBefore{"\x93NUMPY\x01\x00\x76\x00", 10};
    static_assert(kNpyStackHeaderBytes == 10 + 0x76);
    text.resize(kNpyStackHeaderBytes - kBefore.size() - 1, ' ');
    text = std::string(kBefore) + text + '\n';
    return {text.begin(), text.end()};
}

PackedHeader stack_of(const NpyHeader& header) {
    const std::string array =
        fmt::format("an array of shape ({}) and type {}", fmt::join(header.shape, ", "), header.descr);
    const size_t dimensions = header.shape.size();
    const std::optional<int> depth = header.cv_depth();
    if ((dimensions != 3 && dimensions != 4) || !depth) {
        throw Error(ErrorCode::unsupported,
                    fmt::format("{} is no stack of images; those are (frames, height, width[, channels])", array));
    }
    const auto side = [](int64_t size, int most) {
        return static_cast<int>(std::min<int64_t>(size, int64_t{most} + 1));
    };
    PackedHeader stack;
    stack.type.height = side(header.shape[1], kMaxImageSide);
    stack.type.width = side(header.shape[2], kMaxImageSide);
    stack.type.channels = dimensions == 4 ? side(header.shape[3], CV_CN_MAX) : 1;
    stack.type.depth = *depth;
    if (stack.type.channels < 1 || stack.type.channels > CV_CN_MAX || !plausible(stack.type))
        throw Error(ErrorCode::corrupt, fmt::format("{} makes no images", array));
    stack.frames = header.shape[0];
    stack.first_byte = header.data_offset;
    stack.plain = !header.fortran_order && !(header.big_endian() && header.item_bytes() > 1) && header.kind() != 'b';
    return stack;
}

}  // namespace reelstore
