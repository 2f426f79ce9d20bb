#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace reelstore {

/// Members of a .npz file (a ZIP of .npy files) by name, for reading.
///
/// The whole archive is read into memory at opening; a member is decompressed only when asked for, so pickled members
/// cost and risk nothing. Used by one thread at a time.
class NpzReader {
public:
    /// Throws Error(corrupt) when the file is no ZIP, cut off or larger than 1 GiB, Error(not_found) when missing.
    explicit NpzReader(const std::filesystem::path& path);
    ~NpzReader();
    NpzReader(const NpzReader&) = delete;
    NpzReader& operator=(const NpzReader&) = delete;

    std::vector<std::string> names() const;  ///< without ".npy"
    bool contains(std::string_view name) const;
    /// Bytes of the .npy member; throws Error(not_found) when it is not there and Error(corrupt) when its check sum is
    /// wrong or it would unpack to more than `limit` bytes.
    std::vector<uint8_t> member(std::string_view name, uint64_t limit = uint64_t{4} << 30) const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// The bytes of a .npz with these members in this order, stored without compression and dated 1980-01-01, as
/// numpy.savez writes it: equal members give equal bytes. Names are given without ".npy".
std::vector<uint8_t> make_npz(const std::vector<std::pair<std::string, std::vector<uint8_t>>>& members);

}  // namespace reelstore
