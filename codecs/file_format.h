#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <opencv2/core/types.hpp>

#include "base/byte_writer.h"
#include "base/frame_source.h"
#include "codecs/chunk_format.h"
#include "base/encoding.h"

namespace reelstore {

class AudioTrack;

/// How a foreign file is to be read.
///
/// `start`, `frames` and `step` choose frames first: the source then consists of frames start, start + step, ... whose
/// indices begin at 0 and whose numbers, times and extra data are their own. Images are decoded from their raw layout,
/// made gray and cropped, in this order.
struct SourceOptions {
    int64_t start = 0;                   ///< frames left out at the beginning
    std::optional<int64_t> frames = {};  ///< frames to give at most, after start and step
    int64_t step = 1;                    ///< every step-th frame
    std::optional<cv::Rect> crop = {};   ///< the part of every image that is given; must lie within it
    bool gray = false;                   ///< one channel where the file has colour
    /// 16-bit images of videos with 9 to 16 bits a sample, values as deep as the video's (0..1023 of 10 bits); without
    /// it colour comes with 8 bits. Gray videos of such depths and image files keep their depth anyway.
    bool deep = false;
    bool raw = false;                       ///< images in a raw camera layout (Bayer...) are given as they are stored
    std::optional<Demosaic> demosaic = {};  ///< how Bayer mosaics are decoded; none: bilinear
    bool map = true;                        ///< false: where pixels could be shown in the mapped file, they are copies
    int threads = 0;                        ///< that decode at once when video is read in order; 0: one per core
    bool use_packet_cache = true;           ///< false: a video is scanned even if a packet cache lies beside it
    /// Of the format alone, by name (FileFormatInfo::source_options). A format that does not know all of them does not
    /// open the file.
    CodecOptions format = {};
};

/// How a foreign file is to be written.
struct SinkOptions {
    std::optional<double> frame_rate = {};  ///< of a video; none: taken from the frames' times
    CodecOptions codec = {};                ///< as for chunk formats
    /// How many frames will come, where that is known: an output whose layout depends on its size is laid out for them.
    std::optional<int64_t> expected_frames = {};
    /// Each frame at its own time, relative to the first, instead of at a constant rate; for formats with
    /// FileFormatInfo::true_times.
    bool true_times = false;
    std::shared_ptr<AudioTrack> audio = {};  ///< goes beside the frames; for formats with FileFormatInfo::sound
    /// Takes the bytes instead of a file, for formats with FileFormatInfo::streams; the path then is only a name. What
    /// it throws ends the output.
    ByteWriter stream = {};
    std::string kind = {};  ///< extension (".mp4") that counts instead of the path's own; empty: the path's
};

/// Facts about a file format; what `store formats` prints.
struct FileFormatInfo {
    std::string name = {};                ///< "video", "image folder", "npy"
    std::vector<std::string> extensions;  ///< with the dot, lower case
    bool reads = false;
    bool writes = false;
    bool lossless = false;
    std::string types = {};        ///< what it can hold, in words
    std::string tested = {};       ///< with what reading is tested: "files of tifffile", "made from its description"
    std::string unavailable = {};  ///< why it cannot be used on this machine; empty when it can
    std::vector<CodecOptionInfo> options;         ///< of writing
    std::vector<CodecOptionInfo> source_options;  ///< of reading: SourceOptions::format
    bool streams = false;                         ///< can be written to SinkOptions::stream
    bool true_times = false;                      ///< can be written with SinkOptions::true_times
    bool sound = false;                           ///< can be written with SinkOptions::audio
};

/// One kind of foreign file as a source, a sink or both. Objects live for ever in the table, usable from any thread.
class FileFormat {
public:
    virtual ~FileFormat() = default;
    virtual const FileFormatInfo& info() const = 0;
    /// Whether the content looks like this format. `head` holds the first bytes of a file (up to 4096), or nothing for
    /// a folder.
    virtual bool recognises(const std::filesystem::path& path, std::span<const uint8_t> head) const = 0;
    /// Whether `path` names an output of this format: by extension, or a pattern such as "out/frame_{:06d}.png".
    virtual bool writes_to(const std::filesystem::path& path) const = 0;
    /// Of `options` only gray, deep, raw, demosaic, map, threads, use_packet_cache and format are for the format; the
    /// others are seen to by open_file_source().
    virtual std::unique_ptr<FrameSource> open(const std::filesystem::path& path,
                                              const SourceOptions& options) const = 0;
    /// Whether create() with these options adds to a file that exists, instead of making a new one.
    virtual bool adds_to_file(const SinkOptions& /*options*/) const { return false; }
    /// The output must not exist, unless it is added to. Nothing is left behind under the final name if the sink is
    /// destroyed unclosed and without frames.
    virtual std::unique_ptr<FrameSink> create(const std::filesystem::path& path, const SinkOptions& options) const = 0;
};

using FileFormatTable = std::vector<std::unique_ptr<FileFormat>>;

/// Every file format of this build. Generated from codecs/file: NAME.cpp defines
/// `void add_file_formats_NAME(FileFormatTable& table)`.
const FileFormatTable& file_formats();

/// Opens a file or folder as a source: the content decides, the extension only orders the attempts. Throws one
/// Error(unsupported) that says what every format answered when none fits.
std::unique_ptr<FrameSource> open_file_source(const std::filesystem::path& path, const SourceOptions& options = {});
/// Creates an output by the extension or pattern of `path`, or by options.kind. Throws Error(unsupported) naming the
/// known ones, and when the format cannot be written as the options ask.
std::unique_ptr<FrameSink> create_file_sink(const std::filesystem::path& path, const SinkOptions& options = {});
/// Whether create_file_sink() with these options adds to a file that exists, which must not be removed then.
bool adds_to_file(const std::filesystem::path& path, const SinkOptions& options);

}  // namespace reelstore
