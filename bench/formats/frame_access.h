#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bench/formats/clip.h"
#include "bench/series.h"

namespace reelstore::bench {

/// One way to get at frames in a file. A new one is made for every repetition, so that nothing is left from the one
/// before; it has opened its file and read frame 0 before it is asked.
class FrameAccess {
public:
    virtual ~FrameAccess() = default;
    /// Gets frames in this order, and compares each with the clip's, which is not timed.
    virtual Pass run(std::span<const int64_t> indices) = 0;
};

struct AccessEntry {
    std::string name;
    std::function<std::unique_ptr<FrameAccess>()> make;
    double frame_bytes = 0;  ///< in its file
    size_t most_requests = SIZE_MAX;
};

inline constexpr char kRaw[] = "raw/npy";
inline constexpr char kFfv1[] = "ffv1/mkv";
inline constexpr char kOpenCv[] = "OpenCV, ffv1/mkv";
inline constexpr char kPyAv[] = "PyAV, ffv1/mkv";
inline constexpr char kH5py[] = "h5py, gzip";
inline constexpr char kZarr[] = "zarr, Zstd(level=1)";

/// The name of a contender that reads a format of ours through its bare chunk reader, and through StoreReader.
std::string chunk_reader_name(const std::string& what);
std::string store_reader_name(const std::string& what);
/// The same, with the pixels copied out of the mapping.
std::string copied_name(const std::string& reader_name);

/// A store of one chunk that holds the clip.
class ClipStore {
public:
    /// Writes it. `what`: name for the report, "predicted, fast".
    ClipStore(const Clip& clip, const std::string& what, const std::string& format,
              const std::map<std::string, std::string>& options, const std::filesystem::path& folder);

    const std::string& what() const { return what_; }
    const std::filesystem::path& folder() const { return folder_; }
    /// The media file of its chunk.
    const std::filesystem::path& chunk() const { return chunk_; }
    AccessEntry chunk_reader(bool copy = false) const;
    AccessEntry store_reader(bool copy = false) const;

private:
    const Clip& clip_;
    std::string what_;
    std::string format_;
    std::filesystem::path folder_;
    std::filesystem::path chunk_;
    double frame_bytes_ = 0;
};

/// OpenCV's VideoCapture on a file of 8-bit gray frames.
AccessEntry opencv_access(const Clip& clip, const std::filesystem::path& video);

/// h5py and zarr with a frame per chunk, and PyAV on `video`, in a Python process of their own. Their files, and the
/// clip as one .npy for comparison, are written to `folder`.
std::vector<AccessEntry> python_access(const Clip& clip, const std::filesystem::path& video,
                                       const std::filesystem::path& folder);

}  // namespace reelstore::bench
