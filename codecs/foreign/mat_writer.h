#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/pixel_type.h"

namespace reelstore {

/// Writes the variables of a MATLAB file, the images first. Used by one thread at a time. Errors name the file.
class MatWriter {
public:
    virtual ~MatWriter() = default;
    /// Begins the variable of the images, of size (height, width[, channels], frames). `class_name` as MATLAB's.
    virtual void begin_images(const std::string& name, const std::string& class_name, const ImageType& type) = 0;
    /// The pixels of the next frame, first axis densest. Throws Error(unsupported) when the variable is full, which
    /// then stays as it is.
    virtual void add_image(const uint8_t* pixels) = 0;
    /// Ends the variable of the images.
    virtual void end_images() = 0;
    /// A column of doubles.
    virtual void add_column(const std::string& name, const std::vector<double>& values) = 0;
    /// Completes the file under its own name.
    virtual void close() = 0;
};

/// The longest variable of version 5 that every program reads.
inline constexpr uint64_t kMostMat5Bytes = (uint64_t{1} << 31) - 4096;

/// A new file of version 5. When the program dies before close(), all frames written are in it, in a variable that
/// announces more and seems cut off.
std::unique_ptr<MatWriter> create_mat5(const std::filesystem::path& path);
/// Adds to a little-endian file of version 5: to a copy, which takes its place at close() and is dropped without
/// it. Throws Error(already_exists)
/// when the file has a variable of one of these names and Error(unsupported) when it is no such file.
std::unique_ptr<MatWriter> append_to_mat5(const std::filesystem::path& path, const std::vector<std::string>& names);
/// A new file of version 7.3, of any length; one chunk a frame.
std::unique_ptr<MatWriter> create_mat73(const std::filesystem::path& path);

}  // namespace reelstore
