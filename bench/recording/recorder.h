#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "bench/recording/clip.h"
#include "store/store_writer.h"

namespace reelstore::bench {

/// What writing some frames took.
struct Run {
    int64_t frames = 0;
    double seconds = 0;      ///< from before the first frame until everything is closed
    double cpu_seconds = 0;  ///< of all threads
    double others = 0;       ///< processors that other programs kept busy meanwhile, on average
    uint64_t bytes = 0;      ///< of the files
    std::optional<WriterStats> stats = {};

    double rate() const { return static_cast<double>(frames) / seconds; }
};

/// One way to write the frames of a clip to a path that does not exist yet.
struct Recorder {
    std::string name;
    std::function<std::optional<WriterStats>(const Clip& clip, int64_t frames, const std::filesystem::path& path)>
        record;
    bool own_length = false;  ///< so much slower or faster than the others that it gets frames for as long, not as many
};

/// One way to keep frames.
struct Coding {
    std::string name;  ///< "avc1/mp4, ultrafast"
    std::string format;
    CodecOptions options = {};
};
const std::vector<Coding>& codings();

inline constexpr char kOff[] = "off";
inline constexpr char kDefault[] = "every second";
inline constexpr char kTenth[] = "every 0.1 s";
inline constexpr char kEveryFrame[] = "every frame";

StoreWriterOptions writer_options(const Coding& coding, std::optional<double> commit_interval);
/// reelstore with the four commit intervals above, and then what else there is to write this format with.
std::vector<Recorder> recorders(const Coding& coding);

/// Records to a path in `folder`, which is removed again.
Run measure(const Recorder& recorder, const Clip& clip, int64_t frames, const std::filesystem::path& folder);

/// Writes the header and pixels of a .npy file as plainly as can be. Throws Error.
void write_npy_plainly(const std::filesystem::path& path, const cv::Mat& image);

}  // namespace reelstore::bench
