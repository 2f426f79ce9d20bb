/// Raw 32-bit floats without a header, little endian, in files that say their size by name: STEM_{w}x{h}x{t}.dat, as
/// monochrome and the tools around it write filtered recordings. Something may follow the sizes behind another
/// character than a digit ("signal_128x64x500_f.dat").

#include <charconv>

#include <fmt/format.h>

#include "base/error.h"
#include "base/text.h"
#include "codecs/foreign/multirecorder_header.h"
#include "codecs/foreign/raw_sequence.h"
#include "codecs/foreign/source_format.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

const char* const kName = "float dat";

struct NamedSize {
    uint64_t width = 0;
    uint64_t height = 0;
    uint64_t frames = 0;
};

/// The number at `position`, which moves behind it; nothing where there is none.
std::optional<uint64_t> number_at(const std::string& text, size_t& position) {
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data() + position, text.data() + text.size(), number);
    if (error != std::errc()) return std::nullopt;
    position = static_cast<size_t>(end - text.data());
    return number;
}

/// "{w}x{h}x{t}" at `position`.
std::optional<NamedSize> size_at(const std::string& text, size_t position) {
    const auto width = number_at(text, position);
    if (!width || position >= text.size() || text[position++] != 'x') return std::nullopt;
    const auto height = number_at(text, position);
    if (!height || position >= text.size() || text[position++] != 'x') return std::nullopt;
    const auto frames = number_at(text, position);
    if (!frames || *width == 0 || *height == 0 || *frames == 0) return std::nullopt;
    return NamedSize{*width, *height, *frames};
}

/// The last size in the name: those before it may be of what the file was made from.
std::optional<NamedSize> size_in_name(const fs::path& path) {
    if (lower_case_extension(path) != ".dat") return std::nullopt;
    const std::string stem = path.stem().string();
    for (size_t position = stem.rfind('_'); position != std::string::npos;) {
        if (const auto size = size_at(stem, position + 1)) return size;
        if (position == 0) break;
        position = stem.rfind('_', position - 1);
    }
    return std::nullopt;
}

OpenedSequence open_float_dat(const fs::path& path, const SourceOptions& options) {
    const std::optional<NamedSize> size = size_in_name(path);
    if (!size) throw Error(ErrorCode::unsupported, "the name says no size such as _128x64x500");
    if (size->width > kMaxImageSide || size->height > kMaxImageSide) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("{}x{} in the name is no plausible image", size->width, size->height));
    }
    const ImageType type{static_cast<int>(size->height), static_cast<int>(size->width), 1, CV_32F};
    if (!plausible(type)) throw Error(ErrorCode::corrupt, fmt::format("{} is no plausible image", type.text()));

    auto file = std::make_shared<const FileBytes>(path, options.map);
    const uint64_t frame_bytes = type.bytes();
    const int64_t whole = frames_in_file(file->size(), 0, frame_bytes, frame_bytes);
    const uint64_t pixels = frame_bytes / sizeof(float);
    for (const uint64_t other : {1, 2, 8}) {
        // The product cannot overflow: it is compared by division.
        if (file->size() / (pixels * other) == size->frames && file->size() % (pixels * other) == 0) {
            throw Error(ErrorCode::unsupported,
                        fmt::format("the size of the file fits {} frames of {}-bit pixels, not of 32-bit floats",
                                    size->frames, other * 8));
        }
    }
    OpenedSequence opened;
    opened.info.name = path.string();
    opened.info.format = kName;
    opened.info.image_type = type;
    RawLayout layout{0, frame_bytes, type, std::endian::little, whole};
    if (whole == 0) throw Error(ErrorCode::corrupt, "the file holds no whole frame");
    if (static_cast<uint64_t>(whole) != size->frames || file->size() % frame_bytes != 0) {
        opened.warnings.push_back(
            fmt::format("the name announces {} frames, {} are whole in the file", size->frames, whole));
    }
    opened.frames = std::make_shared<RawSequence>(std::move(file), layout);
    return opened;
}

class FloatDat : public SourceFormat {
public:
    FloatDat()
        : SourceFormat({.name = kName,
                        .extensions = {".dat"},
                        .lossless = true,
                        .types = "gray float32, sizes in the name: _{w}x{h}x{t}",
                        .tested = "made from its description, files of numpy",
                        .options = {},
                        .source_options = {}}) {}

    bool recognises(const fs::path& path, std::span<const uint8_t> head) const override {
        return !head.empty() && size_in_name(path) && !looks_like_multirecorder(head);
    }

    std::unique_ptr<FrameSource> open(const fs::path& path, const SourceOptions& options) const override {
        try {
            return sequence_source(open_float_dat(path, options), options);
        } catch (const Error& error) {
            throw error.at({path.string(), {}, {}});
        }
    }
};

}  // namespace

void add_file_formats_float_dat(FileFormatTable& table) {
    table.push_back(std::make_unique<FloatDat>());
}

}  // namespace reelstore
