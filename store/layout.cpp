#include "store/layout.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file_system.h"

namespace reelstore {

namespace {

constexpr size_t kLeastDigits = 6;
constexpr size_t kMostDigits = 15;

}  // namespace

StoreLayout::StoreLayout(std::filesystem::path folder, ChunkKind kind, std::string extension)
    : folder_(std::move(folder)), kind_(kind), extension_(std::move(extension)) {}

std::string StoreLayout::chunk_name(int64_t chunk) {
    return fmt::format("{:06d}", chunk);
}

std::filesystem::path StoreLayout::media(int64_t chunk) const {
    return folder_ / (kind_ == ChunkKind::folder ? chunk_name(chunk) : chunk_name(chunk) + extension_);
}

std::filesystem::path StoreLayout::sidecar(int64_t chunk, const std::string& extension) const {
    if (kind_ == ChunkKind::folder) return folder_ / chunk_name(chunk) / ("index" + extension);
    return folder_ / (chunk_name(chunk) + extension);
}

std::filesystem::path StoreLayout::extra_data(int64_t chunk) const {
    return sidecar(chunk, ".extra.json");
}

std::vector<std::filesystem::path> StoreLayout::extra_data_files(int64_t chunk) const {
    const auto exists = [](const std::filesystem::path& path) {
        return file_system().status(path).kind == FileKind::file;
    };
    for (const char* extension : {".extra_data.h5", ".extra_data.json"}) {
        const std::filesystem::path path = folder_ / (chunk_name(chunk) + extension);
        if (exists(path)) return {path};
    }
    std::vector<std::filesystem::path> found;
    for (const char* extension : {".extra.json", ".extra_data.json"}) {
        const std::filesystem::path path = sidecar(chunk, extension);
        if (exists(path)) found.push_back(path);
    }
    return found;
}

std::vector<StoreLayout::Chunk> StoreLayout::chunks() const {
    std::map<int64_t, Chunk> found;
    for (const std::string& name : file_system().list(folder_)) {
        const std::optional<ChunkFileName> split = split_chunk_file_name(name);
        if (!split) continue;
        // Extensions may hold a dot themselves: all of it is compared.
        const std::string& extension = split->rest;
        Chunk& chunk = found.try_emplace(split->chunk, Chunk{split->chunk}).first->second;
        if (kind_ == ChunkKind::folder) {
            if (extension.empty() && file_system().status(folder_ / name).kind == FileKind::folder)
                chunk.has_media = true;
        } else if (extension == extension_) {
            chunk.has_media = true;
        } else if (extension == ".npz" || extension == ".yaml") {
            chunk.has_sidecar = true;
        }
    }
    std::vector<Chunk> chunks;
    for (auto& [number, chunk] : found) {
        if (kind_ == ChunkKind::folder) {
            for (const char* extension : {".npz", ".yaml"}) {
                if (file_system().status(sidecar(number, extension)).kind == FileKind::file) chunk.has_sidecar = true;
            }
        }
        if (chunk.has_media || chunk.has_sidecar) chunks.push_back(chunk);
    }
    return chunks;
}

std::optional<ChunkFileName> split_chunk_file_name(const std::string& name) {
    const size_t digits = std::min(name.find_first_not_of("0123456789"), name.size());
    if (digits < kLeastDigits || digits > kMostDigits || (digits < name.size() && name[digits] != '.'))
        return std::nullopt;
    const int64_t chunk = std::stoll(name.substr(0, digits));
    if (StoreLayout::chunk_name(chunk) != name.substr(0, digits)) return std::nullopt;
    return ChunkFileName{chunk, name.substr(digits)};
}

std::filesystem::path store_folder(const std::filesystem::path& path) {
    std::error_code error;
    const std::filesystem::path absolute = std::filesystem::absolute(path, error).lexically_normal();
    if (error) throw system_error(error.value(), path.string(), "find the working directory");
    const FileKind kind = file_system().status(absolute).kind;
    if (kind == FileKind::missing) throw Error(ErrorCode::not_found, {path.string(), {}, {}}, "no such file or folder");
    if (kind == FileKind::file && absolute.filename() == "metadata.yaml") return absolute.parent_path();
    if (kind != FileKind::folder) {
        throw Error(ErrorCode::not_a_store, {path.string(), {}, {}},
                    "not a store: give the store's folder or the metadata.yaml in it");
    }
    const std::filesystem::path folder = absolute.has_filename() ? absolute : absolute.parent_path();
    if (file_system().status(StoreLayout::metadata(folder)).kind != FileKind::file) {
        throw Error(ErrorCode::not_a_store, {path.string(), {}, {}},
                    "not a store: there is no metadata.yaml in this folder");
    }
    return folder;
}

bool is_store(const std::filesystem::path& path) {
    try {
        store_folder(path);
        return true;
    } catch (const Error&) {
        return false;
    }
}

}  // namespace reelstore
