#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <opencv2/core/mat.hpp>

#include "bench/series.h"
#include "codecs/file_format.h"

namespace reelstore::bench {

/// The images that a file holds, as whoever reads it must give them.
struct Images {
    ImageType type;
    std::vector<cv::Mat> images;
};

/// Reads the frames of one file. It is made when its file is opened and used for one pass.
class FileReader {
public:
    virtual ~FileReader() = default;
    /// The next frame asked for: they come in the order that the pass was made for. The pixels may be used until the
    /// next call.
    virtual cv::Mat read(int64_t index) = 0;
};

/// Which frames are asked for, and in which order.
enum class Order { forward, shuffled };

/// One way to read a file.
struct Contender {
    std::string name;
    /// Opens the file, which is timed where frames are read forward. Empty for what runs in Python.
    std::function<std::unique_ptr<FileReader>(Order order)> open = {};
    /// Name of the reader in python_files.py, for what runs there.
    std::string python = {};
    bool shuffled = true;  ///< whether it can read any frame
};

/// What one contender must reach beside another.
struct Target {
    std::string contender;
    std::string against;
    double at_least = 1;
};

/// One file and those who read it.
struct FileCase {
    std::string name;  ///< "tiff, deflate"
    std::filesystem::path path;
    double frame_bytes = 0;  ///< in the file
    const Images* images = nullptr;
    std::vector<Contender> contenders = {};
    std::vector<Target> targets = {};
};

inline constexpr char kReelstore[] = "reelstore";
inline constexpr char kMemcpy[] = "memcpy of the mapped file";

/// Writes files of all kinds to `folder`: by hand, by OpenCV, by the peers in Python, and by reelstore's own sinks
/// where nobody else writes them. `width`, `height`, `count`: of the images.
class TestFiles {
public:
    TestFiles(int width, int height, int count, const std::filesystem::path& folder);
    const std::vector<FileCase>& cases() const { return cases_; }
    /// The images as one .npy, which Python's part reads and compares with.
    std::filesystem::path array() const { return folder_ / "clip.npy"; }

private:
    /// `tiff_start`: of the first pixel in plain.tif.
    void add_mapped(uint64_t tiff_start);
    void add_tiff();
    void add_images();
    void add_mat();
    void add_norpix_jpeg();

    /// The case is where it is until the next one is added.
    FileCase& add(const std::string& name, const std::filesystem::path& path, const Images& images,
                  const SourceOptions& options = {});

    std::filesystem::path folder_;
    Images gray_;
    Images floats_;
    Images jpegs_;  ///< the gray ones as a JPEG decoder gives them back
    std::vector<FileCase> cases_;
};

/// Readers of OpenCV and of nobody.
std::unique_ptr<FileReader> open_reelstore(const std::filesystem::path& path, const SourceOptions& options,
                                           Order order);
std::unique_ptr<FileReader> open_memcpy(const std::filesystem::path& path, uint64_t start, uint64_t stride,
                                        const ImageType& type);
std::unique_ptr<FileReader> open_opencv_pages(const std::filesystem::path& path, Order order);
std::unique_ptr<FileReader> open_opencv_images(std::vector<std::filesystem::path> paths);
std::unique_ptr<FileReader> open_opencv_video(const std::filesystem::path& path);
/// JPEG files at known places of a file.
std::unique_ptr<FileReader> open_opencv_jpegs(const std::filesystem::path& path,
                                              std::vector<std::pair<uint64_t, size_t>> places);

/// What Python's part does with a request; see python_files.py.
Json ask_python(const Json& request);

/// Everything that was measured of one file.
struct CaseResult {
    const FileCase* file = nullptr;
    Comparison forward;
    Comparison shuffled;
};
/// Contenders take turns, `repetitions` times; all frames are asked for in every pass.
CaseResult measure_case(const FileCase& file, const std::filesystem::path& array, int repetitions);

}  // namespace reelstore::bench
