#pragma once

#include <filesystem>
#include <memory>

#include "codecs/foreign/mat_file.h"

namespace reelstore {

/// Opens a MATLAB file of version 7.3, which is an HDF5 file behind a block of 512 bytes. Frames of variables in one
/// piece are views or copies of the mapped file; those of variables in chunks are read one by one, never the whole
/// variable, through HDF5, which serves one thread at a time. `file` is the same file. Throws Error(corrupt) when the
/// file is damaged or cut off.
///
/// Sizes, types and places are checked here; everything below that is left to libhdf5, which trusts some lengths inside
/// the file: read files that you do not trust in a process of its own.
std::unique_ptr<MatFile> open_mat73(std::shared_ptr<const FileBytes> file);

}  // namespace reelstore
