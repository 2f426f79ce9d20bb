#pragma once

#include <filesystem>

#include "store/extra_data_file.h"

namespace reelstore {

/// Reads Motif's `.extra_data.h5`; see read_extra_data_file() for its layout.
///
/// A record holds the values of all columns by name, then `sample_delay` where the file has it, then frame_number,
/// frame_time, frame_index and what else the camera's samples have. A column whose name is taken already comes as
/// "DATASET.NAME". NaN and infinity become null. Data that lie outside the file (external storage, links to other
/// files) are refused. May be called from any thread; calls are served one after another.
///
/// Sizes, types and places are checked here before data are read; everything below that is left to libhdf5, which (seen
/// with 1.10.8) trusts some lengths inside the file: changed bytes there, above all in the heap that holds text of
/// variable length, can crash the process. Read files that you do not trust in a process of its own.
///
/// Throws Error(corrupt) when the file is damaged, cut off or lacks what it must have; Error(unsupported) when data
/// sets have different sample rates, when data lie in other files and when there is more than memory should hold.
ExtraDataFile read_motif_hdf5(const std::filesystem::path& path);

}  // namespace reelstore
