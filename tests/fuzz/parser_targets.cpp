#include "base/error.h"
#include "base/file_system.h"
#include "base/npy.h"
#include "base/npz.h"
#include "base/yaml.h"
#include "codecs/bloscpack.h"
#include "codecs/chunk_format.h"
#include "codecs/image_header.h"
#include "codecs/packed/packed_container.h"
#include "tests/fuzz/fuzz_target.h"

namespace reelstore {

namespace {

void read_image_headers(const FuzzInput& input) {
    const std::vector<uint8_t>& bytes = input.main();
    const std::string_view format = sniff_image_format(bytes);
    if (const auto header = read_image_header(bytes)) {
        require(header->format == format, "a header is of the format that its first bytes announce");
        require(header->channels > 0, "an image has channels");
    }
    has_jpeg_end(bytes);
}

void read_bloscpack(const FuzzInput& input) {
    const std::vector<uint8_t>& bytes = input.main();
    is_bloscpack(bytes);
    tolerate_errors([&] { image_from_bloscpack(bytes); });
    const ImageType small{4, 16, 1, CV_8U};
    tolerate_errors([&] { require(ImageType::of(image_from_bloscpack(bytes, small)) == small, "the type is kept"); });
}

/// The format that keeps chunks in this container.
const ChunkFormat* format_of(const PackedContainer& container) {
    for (const auto& format : chunk_formats()) {
        if (format->info().extension == container.extension()) return format.get();
    }
    return nullptr;
}

void read_packed_container(const PackedContainer& container, const std::string& path) {
    ImageType type;
    tolerate_errors([&] {
        const auto file = file_system().open(path, OpenMode::read);
        tolerate_errors([&] { type = container.read_header(*file).type; });
        tolerate_errors([&] { container.complete(*file); });
        tolerate_errors([&] { container.frames(*file); });
    });
    tolerate_errors([&] { container.find_frames(path); });
    const ChunkFormat* const format = format_of(container);
    require(format, "every container belongs to a chunk format");
    if (type.empty()) return;
    tolerate_errors([&] {
        const auto reader = format->open(path, type);
        tolerate_errors([&] { reader->frame_count(); });
        for (const int64_t position : {0, 2, 1}) {
            tolerate_errors([&] {
                const cv::Mat image = reader->read(position);
                require(ImageType::of(image) == type, "frames are of the type of the header");
                touch_pixels(image);
            });
        }
    });
}

void read_packed(const FuzzInput& input) {
    const std::string& path = input.files.front().first;
    // By the name alone the fuzzer would have to keep it right.
    for (const PackedContainer* container : {&npy_container(), &zstd_npy_container(), &predicted_container()}) {
        read_packed_container(*container, path);
    }
}

void read_yaml(const FuzzInput& input) {
    // What a recording's metadata may be is far below the limit; these keep a run short.
    const YamlLimits limits{.bytes = size_t{1} << 16, .depth = 64, .nodes = 10'000};
    const std::vector<uint8_t>& bytes = input.main();
    const YamlDocument document =
        parse_yaml({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, "metadata.yaml", limits);
    std::string written;
    try {
        written = to_yaml(document.value);
    } catch (const Error& error) {
        require(error.code() == ErrorCode::invalid_argument, "only what is no UTF-8 or too deep cannot be written");
        return;
    }
    require(parse_yaml(written, "written.yaml").value.dump() == document.value.dump(), "what is written is read back");
}

void read_npz_members(const FuzzInput& input) {
    const NpzReader members(input.files.front().first);
    constexpr uint64_t kMostBytes = uint64_t{16} << 20;
    for (const std::string& name : members.names()) {
        tolerate_errors([&] {
            const std::vector<uint8_t> bytes = members.member(name, kMostBytes);
            tolerate_errors([&] { parse_npy_header(bytes); });
            tolerate_errors([&] { int64_from_npy(bytes); });
            tolerate_errors([&] { double_from_npy(bytes); });
            tolerate_errors([&] { image_from_npy(bytes); });
        });
    }
}

}  // namespace

std::vector<FuzzTarget> parser_targets() {
    return {{"image_header", read_image_headers},
            {"bloscpack", read_bloscpack},
            {"packed", read_packed},
            {"yaml", read_yaml},
            {"npz_members", read_npz_members}};
}

}  // namespace reelstore
