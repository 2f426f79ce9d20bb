/// Stacks of images in numpy's archives of arrays (numpy.savez, numpy.savez_compressed): a ZIP whose members are .npy
/// files. What is stored is shown where it lies in the mapped file, what is deflated is unpacked into memory. Arrays of
/// Python objects are never read.

#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <zlib.h>

#include "base/error.h"
#include "base/file_system.h"
#include "codecs/file_format.h"
#include "codecs/foreign/header_bytes.h"
#include "codecs/foreign/inflate.h"
#include "codecs/foreign/npy_array.h"
#include "codecs/foreign/zip_directory.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kEnding = ".npy";
constexpr uint16_t kStored = 0;
constexpr uint16_t kDeflated = 8;
constexpr size_t kMostListed = 32;
/// More than the stamps of any recording.
constexpr uint64_t kMostStampBytes = uint64_t{1} << 28;
constexpr uint32_t kLocalSignature = 0x04034b50;

/// An array of the archive.
struct NpzArray {
    std::string name;
    ZipMember member;
    NpyHeader header;
};

class NpzArchive {
public:
    NpzArchive(const fs::path& path, bool map) : file_(std::make_shared<const FileBytes>(path, map)) {
        for (ZipMember& member : read_zip_directory(*file_)) {
            if (!member.name.ends_with(kEnding)) continue;
            NpzArray array;
            array.name = member.name.substr(0, member.name.size() - kEnding.size());
            try {
                array.header = parse_npy_header(head_of(member));
            } catch (const Error& error) {
                problems_.push_back(fmt::format("{}: {}", array.name, error.message()));
                continue;
            }
            array.member = std::move(member);
            arrays_.push_back(std::move(array));
        }
    }

    const std::vector<NpzArray>& arrays() const { return arrays_; }
    /// Members that are no arrays we know, with the reason.
    const std::vector<std::string>& problems() const { return problems_; }

    const NpzArray* find(std::string_view name) const {
        const auto found =
            std::find_if(arrays_.begin(), arrays_.end(), [&](const NpzArray& array) { return array.name == name; });
        return found == arrays_.end() ? nullptr : &*found;
    }

    /// The elements of an array; deflated ones are unpacked.
    ArrayBytes elements(const NpzArray& array, std::vector<std::string>& warnings) const {
        const ZipMember& member = array.member;
        const uint64_t offset = zip_data_offset(*file_, member);
        if (member.method == kStored) {
            if (member.packed_bytes < array.header.data_offset) throw Error(ErrorCode::corrupt, "the array is cut off");
            const uint64_t there = member.packed_bytes - array.header.data_offset;
            return {file_, offset + array.header.data_offset, std::min<uint64_t>(there, array.header.data_bytes())};
        }
        const uint64_t wanted = array.header.data_offset + array.header.data_bytes();
        if (wanted > kMaxImageBytes) {
            throw Error(ErrorCode::unsupported,
                        fmt::format("array \"{}\" is compressed and has {} bytes; such arrays are read up to 2 GiB: "
                                    "save it with numpy.savez or numpy.save instead",
                                    array.name, wanted));
        }
        std::vector<uint8_t> bytes = unpack(member, offset, wanted, warnings);
        bytes.erase(bytes.begin(),
                    bytes.begin() + static_cast<ptrdiff_t>(std::min(bytes.size(), array.header.data_offset)));
        return ArrayBytes(std::move(bytes));
    }

    /// The whole .npy of a short array.
    std::vector<uint8_t> npy_of(const NpzArray& array) const {
        const uint64_t wanted = array.header.data_offset + array.header.data_bytes();
        if (wanted > kMostStampBytes)
            throw Error(ErrorCode::unsupported, fmt::format("array \"{}\" is longer than any recording", array.name));
        const uint64_t offset = zip_data_offset(*file_, array.member);
        if (array.member.method == kStored) {
            return file_->read(offset, std::min(wanted, array.member.packed_bytes));
        }
        std::vector<std::string> ignored;
        return unpack(array.member, offset, wanted, ignored);
    }

private:
    std::vector<uint8_t> head_of(const ZipMember& member) const {
        if (member.encrypted) throw Error(ErrorCode::unsupported, "is encrypted");
        const uint64_t offset = zip_data_offset(*file_, member);
        if (member.method == kStored) {
            return file_->read(offset, std::min<uint64_t>(member.packed_bytes, kLongestNpyHeader));
        }
        if (member.method != kDeflated)
            throw Error(ErrorCode::unsupported,
                        fmt::format("is compressed by method {}, not by deflate", member.method));
        // Deflated bytes are hardly ever more than the bytes themselves.
        const uint64_t packed = std::min<uint64_t>(member.packed_bytes, 2 * kLongestNpyHeader);
        Inflater inflater(file_->part(offset, packed), packed, Inflater::Form::raw);
        return inflater.read(kLongestNpyHeader);
    }

    std::vector<uint8_t> unpack(const ZipMember& member, uint64_t offset, uint64_t wanted,
                                std::vector<std::string>& warnings) const {
        Inflater inflater(file_->part(offset, member.packed_bytes), member.packed_bytes, Inflater::Form::raw);
        if (!inflater.could_hold(wanted)) {
            throw Error(ErrorCode::corrupt, fmt::format("\"{}\" cannot hold the {} bytes that it announces in {}",
                                                        member.name, wanted, member.packed_bytes));
        }
        std::vector<uint8_t> bytes = inflater.read(wanted);
        if (!inflater.problem().empty()) {
            warnings.push_back(fmt::format("\"{}\": {}", member.name, inflater.problem()));
        } else if (bytes.size() == member.bytes && crc_of(bytes) != member.crc) {
            throw Error(ErrorCode::corrupt, fmt::format("the check sum of \"{}\" is wrong", member.name));
        }
        return bytes;
    }

    static uint32_t crc_of(const std::vector<uint8_t>& bytes) {
        return static_cast<uint32_t>(crc32_z(crc32_z(0, nullptr, 0), bytes.data(), bytes.size()));
    }

    std::shared_ptr<const FileBytes> file_;
    std::vector<NpzArray> arrays_;
    std::vector<std::string> problems_;
};

std::string describe(const NpzArray& array) {
    return fmt::format("{} ({}, shape {})", array.name, array.header.descr, fmt::join(array.header.shape, "x"));
}

/// Why an array cannot be the images; empty when it can.
std::string objection(const NpzArray& array, const CodecOptions& options) {
    if (array.header.shape.size() < 2) return "has less than two dimensions";
    if (array.header.element_count() == 0) return "is empty";
    try {
        npy_layout(array.header, options);
    } catch (const Error& error) {
        return error.message();
    }
    return {};
}

const NpzArray& choose(const NpzArchive& archive, const CodecOptions& options) {
    std::vector<std::string> listed;
    for (const NpzArray& array : archive.arrays()) {
        if (listed.size() < kMostListed) listed.push_back(describe(array));
    }
    if (const auto field = options.find("field"); field != options.end()) {
        if (const NpzArray* array = archive.find(field->second)) return *array;
        throw Error(ErrorCode::not_found,
                    fmt::format("holds no array \"{}\"; it has {}", field->second, fmt::join(listed, ", ")));
    }
    const NpzArray* largest = nullptr;
    std::string reasons;
    for (const NpzArray& array : archive.arrays()) {
        const std::string reason = objection(array, options);
        if (!reason.empty()) {
            reasons += fmt::format("; {} {}", array.name, reason);
        } else if (!largest || array.header.element_count() > largest->header.element_count()) {
            largest = &array;
        }
    }
    if (largest) return *largest;
    if (archive.find("frame_number") && archive.find("frame_time")) {
        throw Error(ErrorCode::unsupported,
                    "holds numbers and times of a store's chunk, but no images; open the store's folder instead");
    }
    for (const std::string& problem : archive.problems()) reasons += "; " + problem;
    throw Error(ErrorCode::unsupported, "holds no array that could be images" + reasons);
}

/// Numbers and times from arrays of one dimension whose length is the number of frames.
ArrayStamps stamps_of(const NpzArchive& archive, const NpzArray& images, int64_t frames,
                      std::vector<std::string>& warnings) {
    ArrayStamps stamps;
    const auto fitting = [&](const char* name) {
        const NpzArray* const array = archive.find(name);
        const bool fits = array && array != &images && array->header.shape == std::vector<int64_t>{frames};
        return fits ? array : nullptr;
    };
    const auto read = [&](const NpzArray& array, auto& values, auto parse) {
        try {
            values = parse(archive.npy_of(array));
        } catch (const Error& error) {
            warnings.push_back(fmt::format("array \"{}\" is not used: {}", array.name, error.message()));
        }
    };
    if (const NpzArray* numbers = fitting("frame_number")) read(*numbers, stamps.numbers, int64_from_npy);
    for (const char* name : {"frame_time", "times", "timestamps"}) {
        const NpzArray* const times = fitting(name);
        if (!times || !stamps.times.empty()) continue;
        read(*times, stamps.times, double_from_npy);
    }
    return stamps;
}

std::unique_ptr<FrameSource> open_npz(const fs::path& path, const SourceOptions& options) {
    try {
        const NpzArchive archive(path, options.map);
        const NpzArray& images = choose(archive, options.format);
        OpenedSequence opened;
        opened.info.name = path.string();
        opened.info.format = "npz";
        const int64_t frames = npy_layout(images.header, options.format).frames;
        ArrayStamps stamps = stamps_of(archive, images, frames, opened.warnings);
        opened.frames = npy_frames(archive.elements(images, opened.warnings), images.header, options.format,
                                   std::move(stamps), opened);
        opened.user_metadata["field"] = utf8_of_foreign_text(images.name);
        Json others = Json::array();
        for (const NpzArray& array : archive.arrays()) {
            if (&array != &images && others.size() < kMostListed) others.push_back(array.name);
        }
        if (!others.empty()) opened.user_metadata["other_arrays"] = others;
        return sequence_source(std::move(opened), options);
    } catch (const Error& error) {
        throw error.at({path.string(), {}, {}});
    }
}

class NpzFile : public FileFormat {
public:
    NpzFile() {
        info_.name = "npz";
        info_.extensions = {".npz"};
        info_.reads = true;
        info_.types = "every element type and number of channels";
        info_.tested = "files of numpy";
        info_.source_options = {{"field", "the largest that can be images", "name of the array that holds the images"},
                                npy_layout_option()};
    }

    const FileFormatInfo& info() const override { return info_; }

    bool recognises(const fs::path&, std::span<const uint8_t> head) const override {
        // Any ZIP begins like this; numpy's name their first member NAME.npy.
        constexpr size_t kNameAt = 30;
        if (head.size() < kNameAt || HeaderBytes(head).at<uint32_t>(0) != kLocalSignature) return false;
        const size_t name_bytes = HeaderBytes(head).at<uint16_t>(26);
        if (name_bytes > head.size() - kNameAt) return false;
        return HeaderBytes(head).text(kNameAt, name_bytes).ends_with(kEnding);
    }

    bool writes_to(const fs::path&) const override { return false; }

    std::unique_ptr<FrameSource> open(const fs::path& path, const SourceOptions& options) const override {
        return open_npz(path, options);
    }

    std::unique_ptr<FrameSink> create(const fs::path& path, const SinkOptions&) const override {
        throw Error(ErrorCode::unsupported, {path.string(), {}, {}}, "npz is only read; write .npy");
    }

private:
    FileFormatInfo info_;
};

}  // namespace

void add_file_formats_npz(FileFormatTable& table) {
    table.push_back(std::make_unique<NpzFile>());
}

}  // namespace reelstore
