#include "codecs/foreign/npy_array.h"

#include <fmt/format.h>

#include "base/error.h"

namespace reelstore {

namespace {

std::string usual_axes(const std::vector<int64_t>& shape) {
    if (shape.size() == 2) return "hw";
    if (shape.size() == 3) {
        return is_narrow_image(shape[1], shape[2]) && shape[0] >= kColorImageSide ? "hwc" : "nhw";
    }
    if (shape.size() == 4) return "nhwc";
    throw Error(ErrorCode::unsupported,
                fmt::format("an array of {} dimensions is no stack of images; (h, w), (n, h, w) and (n, h, w, c) are",
                            shape.size()));
}

/// Whole numbers that no image holds, among them numpy's usual ones: their images are doubles.
std::optional<ElementKind> wide_kind(const NpyHeader& header) {
    if (header.kind() == 'i' && header.item_bytes() == 8) return ElementKind::int64;
    if (header.kind() == 'u' && header.item_bytes() == 8) return ElementKind::uint64;
    if (header.kind() == 'u' && header.item_bytes() == 4) return ElementKind::uint32;
    return std::nullopt;
}

}  // namespace

CodecOptionInfo npy_layout_option() {
    return {"layout", "nhw or nhwc",
            "what the axes of the array are, in their order: n frames, h height, w width, c channels (hwn: time last)"};
}

bool is_narrow_image(int64_t height, int64_t width) {
    return (width == 3 || width == 4) && height >= kColorImageSide;
}

ArrayLayout npy_layout(const NpyHeader& header, const CodecOptions& options) {
    const auto given = options.find("layout");
    const std::string axes = given == options.end() ? usual_axes(header.shape) : given->second;
    const std::vector<uint64_t> strides =
        header.fortran_order ? fortran_strides(header.shape) : c_strides(header.shape);
    const std::optional<ElementKind> wide = wide_kind(header);
    ArrayLayout layout = array_layout(header.shape, strides, axes, wide ? CV_64F : header.pixel_depth());
    if (wide) layout.stored = *wide;
    layout.order = header.big_endian() ? std::endian::big : std::endian::little;
    layout.bools = header.kind() == 'b';
    return layout;
}

std::shared_ptr<const ImageSequence> npy_frames(ArrayBytes bytes, const NpyHeader& header, const CodecOptions& options,
                                                ArrayStamps stamps, OpenedSequence& opened) {
    const ArrayLayout layout = npy_layout(header, options);
    opened.info.image_type = layout.type;
    describe_stamps(stamps, layout.frames, opened.info);
    return array_sequence(std::move(bytes), layout, std::move(stamps), opened.warnings);
}

}  // namespace reelstore
