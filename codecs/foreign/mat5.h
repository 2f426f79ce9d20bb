#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "codecs/foreign/mat_file.h"

namespace reelstore {

/// Opens a MATLAB file of version 5 (also 6 and 7, which compress), of either order of bytes. Variables that are not
/// compressed are shown where they lie, compressed ones are unpacked into memory when their images are asked for, up
/// to 2 GiB. Throws Error without a path.
std::unique_ptr<MatFile> open_mat5(std::shared_ptr<const FileBytes> file);

/// Where something can be appended to the file: behind its whole variables. Throws Error(unsupported) when it is no
/// little-endian file of version 5, Error(already_exists) when it has a variable of one of these names and
/// Error(corrupt) when something that is no whole variable follows the last one.
uint64_t check_mat5_for_appending(const std::filesystem::path& path, const std::vector<std::string>& names);

/// Whether this is the header of a file of version 5.
bool is_mat5_header(std::span<const uint8_t> head);

}  // namespace reelstore
