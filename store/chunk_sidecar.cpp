#include "store/chunk_sidecar.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file_system.h"
#include "base/npy.h"
#include "base/npz.h"
#include "base/yaml.h"
#include "codecs/checksum.h"

namespace reelstore {

namespace {

// Members of the .npz and keys of the .yaml.
constexpr const char* kNumbers = "frame_number";
constexpr const char* kTimes = "frame_time";
constexpr const char* kNumbersBefore = "_frame_number_before_reindex";
constexpr const char* kSynthetic = "synthetic_times";

ChunkSidecar read_npz(const std::filesystem::path& path) {
    const NpzReader npz(path);
    ChunkSidecar sidecar;
    sidecar.numbers = int64_from_npy(npz.member(kNumbers));
    sidecar.times = double_from_npy(npz.member(kTimes));
    if (npz.contains(kNumbersBefore)) sidecar.numbers_before_renumbering = int64_from_npy(npz.member(kNumbersBefore));
    sidecar.synthetic = npz.contains(kSynthetic);
    return sidecar;
}

ChunkSidecar read_yaml(const std::filesystem::path& path) {
    constexpr uint64_t kMaxBytes = uint64_t{64} << 20;
    const Json root = parse_yaml(read_text_file(path, kMaxBytes), path.string()).value;
    const auto list = [&](const char* key) -> const Json& {
        if (!root.is_object() || !root.contains(key) || !root[key].is_array()) {
            throw Error(ErrorCode::corrupt, fmt::format("there is no list `{}` in it", key));
        }
        return root[key];
    };
    ChunkSidecar sidecar;
    for (const Json& value : list(kNumbers)) {
        if (!value.is_number()) throw Error(ErrorCode::corrupt, "a frame number is not a number");
        const double number = value.get<double>();
        if (value.is_number_float() && (number != std::floor(number) || std::abs(number) > 9e15)) {
            throw Error(ErrorCode::corrupt, "a frame number is not an integer");
        }
        sidecar.numbers.push_back(value.get<int64_t>());
    }
    for (const Json& value : list(kTimes)) {
        if (!value.is_number() && !value.is_null()) throw Error(ErrorCode::corrupt, "a frame time is not a number");
        sidecar.times.push_back(value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>());
    }
    return sidecar;
}

template <typename Read>
ChunkSidecar read_checked(const std::filesystem::path& path, int64_t chunk, Read read) {
    try {
        ChunkSidecar sidecar = read(path);
        if (sidecar.numbers.size() != sidecar.times.size()) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("{} frame numbers but {} times", sidecar.numbers.size(), sidecar.times.size()));
        }
        return sidecar;
    } catch (const Error& error) {
        throw error.at({path.string(), chunk, {}});
    }
}

}  // namespace

std::optional<SidecarMark> read_sidecar_mark(const StoreLayout& layout, int64_t chunk) {
    constexpr uint64_t kMarkedBytes = 4096;
    for (const char* extension : {".npz", ".yaml"}) {
        const std::filesystem::path path = layout.sidecar(chunk, extension);
        const FileStatus status = file_system().status(path);
        if (status.kind != FileKind::file) continue;
        std::vector<uint8_t> end(static_cast<size_t>(std::min(status.size, kMarkedBytes)));
        end.resize(file_system().open(path, OpenMode::read)->read_at(end.data(), end.size(), status.size - end.size()));
        return SidecarMark{status.size, frame_checksum(end)};
    }
    return std::nullopt;
}

std::optional<ChunkSidecar> read_chunk_sidecar(const StoreLayout& layout, int64_t chunk) {
    const std::filesystem::path npz = layout.sidecar(chunk, ".npz");
    const std::filesystem::path yaml = layout.sidecar(chunk, ".yaml");
    const bool has_yaml = file_system().status(yaml).kind == FileKind::file;
    if (file_system().status(npz).kind == FileKind::file) {
        try {
            return read_checked(npz, chunk, read_npz);
        } catch (const Error&) {
            if (!has_yaml) throw;
        }
    }
    if (has_yaml) return read_checked(yaml, chunk, read_yaml);
    return std::nullopt;
}

void write_chunk_sidecar(const StoreLayout& layout, int64_t chunk, const StoreMetadata& metadata,
                         const ChunkSidecar& sidecar) {
    std::vector<std::pair<std::string, std::vector<uint8_t>>> members;
    members.emplace_back(kNumbers, npy_from_int64(sidecar.numbers));
    members.emplace_back(kTimes, npy_from_double(sidecar.times));
    if (metadata.kind == ChunkKind::file) members.emplace_back("extension", npy_from_text(metadata.extension));
    members.emplace_back("imgshape", npy_from_int64(metadata.recorded_type.shape()));
    members.emplace_back("imgdtype", npy_from_text(dtype_name(metadata.recorded_type.depth)));
    members.emplace_back("chunksize", npy_from_scalar(metadata.chunk_frames));
    members.emplace_back("format", npy_from_text(metadata.format));
    members.emplace_back("class", npy_from_text(metadata.class_name));
    members.emplace_back("version", npy_from_scalar(2));
    members.emplace_back("encoding", metadata.encoding.empty() ? npy_none() : npy_from_text(metadata.encoding));
    members.emplace_back("created_utc", npy_from_text(utc_text(metadata.created)));
    members.emplace_back("timezone_local", npy_from_text(metadata.time_zone));
    members.emplace_back("uuid", npy_from_text(metadata.uuid));
    if (sidecar.synthetic) members.emplace_back(kSynthetic, npy_from_scalar(1));
    const std::vector<uint8_t> bytes = make_npz(members);
    write_file_atomically(layout.sidecar(chunk), bytes.data(), bytes.size());
}

void write_renumbered_sidecar(const StoreLayout& layout, int64_t chunk, const ChunkSidecar& sidecar) {
    std::vector<std::pair<std::string, std::vector<uint8_t>>> members = {
        {kTimes, npy_from_double(sidecar.times)},
        {kNumbers, npy_from_int64(sidecar.numbers)},
        {kNumbersBefore, npy_from_int64(sidecar.numbers_before_renumbering)}};
    if (sidecar.synthetic) members.emplace_back(kSynthetic, npy_from_scalar(1));
    const std::vector<uint8_t> bytes = make_npz(members);
    write_file_atomically(layout.sidecar(chunk), bytes.data(), bytes.size());
    const std::filesystem::path yaml = layout.sidecar(chunk, ".yaml");
    if (file_system().status(yaml).kind == FileKind::file) file_system().remove(yaml);
}

}  // namespace reelstore
