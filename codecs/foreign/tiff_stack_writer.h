#pragma once

#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "base/file_system.h"
#include "base/pixel_type.h"
#include "codecs/foreign/tiff_library.h"

namespace reelstore {

struct TiffStackOptions {
    TiffCompression compression = TiffCompression::none;
    bool predictor = true;         ///< of compressed values
    std::optional<bool> big = {};  ///< BigTIFF; none: from the beginning or from when it is needed
    std::optional<int64_t> expected_frames = {};
    /// Size beyond which a file has to be a BigTIFF.
    uint64_t largest_classic = std::numeric_limits<uint32_t>::max();
};

/// Writes a TIFF file with a page for every frame, each of one strip.
///
/// After every frame the file is whole: a program that dies leaves the frames so far. A classic file that outgrows 4 GB
/// becomes a BigTIFF in place, its pixels staying where they are. Where the number of frames is known and nothing is
/// compressed, all pixels lie in one piece, so that they can be mapped as one array. Used by one thread at a time.
class TiffStackWriter {
public:
    /// Creates the file. `type` has whole or floating point elements and 1, 3 (BGR) or 4 (BGRA) channels.
    TiffStackWriter(const std::filesystem::path& path, const ImageType& type, const TiffStackOptions& options);

    /// Throws Error(no_space) at 4 GB where BigTIFF has been ruled out.
    void write(const cv::Mat& image);
    void close();
    bool big() const { return big_; }

private:
    struct Strip {
        uint64_t offset = 0;
        uint64_t bytes = 0;
    };

    std::vector<uint8_t> directory(const Strip& strip) const;
    uint64_t directory_bytes() const;
    void write_header();
    void write_directory(const Strip& strip, uint64_t offset);
    void link(uint64_t directory_offset);
    void become_big();

    std::filesystem::path path_;
    ImageType type_;
    TiffStackOptions options_;
    std::unique_ptr<File> file_;
    bool big_ = false;
    uint64_t end_ = 0;             ///< where the next pixels or directory go
    uint64_t next_place_ = 0;      ///< offset of the number that will say where the next directory is
    uint64_t reserved_place_ = 0;  ///< of the next directory of those that have room at the beginning
    int64_t reserved_ = 0;         ///< how many still have
    std::vector<Strip> strips_;
};

}  // namespace reelstore
