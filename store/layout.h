#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "codecs/chunk_format.h"

namespace reelstore {

/// Every file name in a store is made here.
///
///     STORE/metadata.yaml  STORE/index.sqlite  STORE/.lock  STORE/.trim.lock
///     STORE/000000.mp4     STORE/000000.npz        STORE/000000.extra.json         (chunk 0 as one file)
///     STORE/000000/...     STORE/000000/index.npz  STORE/000000/index.extra.json   (chunk 0 as a folder)
class StoreLayout {
public:
    /// `extension` is that of the chunks' media, with the dot; only used for ChunkKind::file.
    StoreLayout(std::filesystem::path folder, ChunkKind kind, std::string extension);

    static std::filesystem::path metadata(const std::filesystem::path& folder) { return folder / "metadata.yaml"; }
    static std::filesystem::path index(const std::filesystem::path& folder) { return folder / "index.sqlite"; }
    static std::filesystem::path lock(const std::filesystem::path& folder) { return folder / ".lock"; }
    /// Held by whoever removes chunks, rebuilds the index or repairs.
    static std::filesystem::path trim_lock(const std::filesystem::path& folder) { return folder / ".trim.lock"; }
    /// Disk space held back while the store is written.
    static std::filesystem::path reserve(const std::filesystem::path& folder) { return folder / ".reserve"; }
    /// "000042"
    static std::string chunk_name(int64_t chunk);

    const std::filesystem::path& folder() const { return folder_; }
    ChunkKind kind() const { return kind_; }
    /// The chunk's file or folder.
    std::filesystem::path media(int64_t chunk) const;
    /// The chunk's numbers and times; older stores have ".yaml" instead of ".npz".
    std::filesystem::path sidecar(int64_t chunk, const std::string& extension = ".npz") const;
    /// Where the chunk's extra data are written.
    std::filesystem::path extra_data(int64_t chunk) const;
    /// Where extra data of the chunk may be found, in the order in which they count: the first that exists of the two
    /// in the store's folder alone, else every one beside the sidecar.
    std::vector<std::filesystem::path> extra_data_files(int64_t chunk) const;

    /// A chunk as it lies on disk.
    struct Chunk {
        int64_t number = 0;
        bool has_media = false;
        bool has_sidecar = false;
    };
    /// The chunks found in the folder, by number. Names that are not exactly chunk_name() are strays and passed over.
    std::vector<Chunk> chunks() const;

private:
    std::filesystem::path folder_;
    ChunkKind kind_;
    std::string extension_;
};

/// The name of something that belongs to a chunk, taken apart.
struct ChunkFileName {
    int64_t chunk = 0;
    std::string rest = {};  ///< behind chunk_name(): empty, or from the first dot on (".npy.zst", ".npz", ".npy.tmp")
};
/// Nothing for names that do not begin with exactly chunk_name() followed by a dot or nothing.
std::optional<ChunkFileName> split_chunk_file_name(const std::string& name);

/// The store's folder for a path to the folder or to its metadata.yaml, made absolute so that a later change of the
/// working directory does not matter. Throws Error(not_a_store or not_found) saying what is missing.
std::filesystem::path store_folder(const std::filesystem::path& path);
/// Whether `path` is a store's folder or metadata.yaml; never throws.
bool is_store(const std::filesystem::path& path);

}  // namespace reelstore
