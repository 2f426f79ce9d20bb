#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace reelstore {

/// One step of what a CrashSimulation has recorded; for the kit itself.
struct CrashOperation {
    enum class Kind {
        create_file,
        create_folder,
        rename,
        remove,
        write,
        resize,
        sync,
        failed_sync,
        sync_folder,
        mark,
        all_durable,  ///< what was there at the start ends here
    };

    Kind kind = Kind::mark;
    std::string path = {};  ///< within the folder, or the text of a mark
    int node = -1;          ///< the file or folder that is made, moved, written, synced
    int folder = -1;        ///< of a change of names: where
    std::string name = {};
    int to_folder = -1;
    std::string to_name = {};
    uint64_t offset = 0;
    uint64_t size = 0;
    std::shared_ptr<const std::string> data = {};
    size_t covers = 0;  ///< of a sync: operations before this one have been done when it began
};

/// The number of the folder of the simulation; the others count from there.
constexpr int kTopNode = 0;

/// SQLite's, which is made anew after a power cut.
inline bool is_shared_memory(const std::filesystem::path& path) {
    return path.string().ends_with("-shm");
}

std::string read_whole_file(const std::filesystem::path& path);

}  // namespace reelstore
