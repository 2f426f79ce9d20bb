#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/file_system.h"
#include "codecs/foreign/hdf5_id.h"

namespace reelstore {

/// An HDF5 file that the library reads and writes through our own File. The member `id` and everything else of HDF5 is
/// only touched while hdf5_mutex() is held, destructor included.
class Hdf5File {
public:
    /// Opens the file for reading. Throws Error(corrupt) when HDF5 finds it damaged or cut off.
    static std::unique_ptr<Hdf5File> open(const std::filesystem::path& path);
    /// Makes an HDF5 file of this new, empty file, whose first bytes HDF5 leaves alone: `user_block` of them, 0 or a
    /// power of two from 512.
    static std::unique_ptr<Hdf5File> create(const std::filesystem::path& path, std::unique_ptr<File> file,
                                            uint64_t user_block);
    ~Hdf5File();
    Hdf5File(const Hdf5File&) = delete;
    Hdf5File& operator=(const Hdf5File&) = delete;

    hid_t id() const { return id_; }
    File& file() { return *file_; }
    /// Writes what HDF5 still holds and closes it; the File stays open.
    void close();
    /// The id, or the Error that tells why the library gave none.
    Hdf5Id checked(hid_t id, const std::string& action) const;
    /// Throws likewise for a negative result.
    void check(herr_t result, const std::string& action) const;

    struct Storage;  ///< what the library's driver sees

private:
    explicit Hdf5File(std::filesystem::path path, std::unique_ptr<File> file);
    Hdf5Id access() const;

    std::filesystem::path path_;
    std::unique_ptr<File> file_;
    std::shared_ptr<Storage> storage_;
    Hdf5Id id_;
};

}  // namespace reelstore
