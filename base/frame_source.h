#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/decode_counters.h"
#include "base/frame.h"
#include "base/json.h"
#include "base/pixel_type.h"

namespace reelstore {

/// What is known about a source before its first frame is read.
struct SourceInfo {
    std::string name = {};                     ///< path or device, for messages
    std::string format = {};                   ///< "avc1/mp4", "h264 in mov,mp4", "image folder", "camera"
    ImageType image_type;                      ///< empty() when only the first frame will tell
    std::optional<int64_t> frame_count = {};   ///< none: unknown or endless (camera)
    std::optional<double> frame_rate = {};     ///< nominal frames per second
    bool has_numbers = false;                  ///< frames carry numbers of their own, not just 0, 1, 2...
    bool has_times = false;                    ///< frames carry times of their own
    bool times_are_absolute = false;           ///< those times count from the Unix epoch
    std::string time_zone = {};                ///< IANA name of the zone it was recorded in; empty when unknown
    std::optional<double> creation_time = {};  ///< of the recording, seconds since the Unix epoch
    std::string encoding = {};                 ///< raw camera layout of the stored images ("cv_bayerbg"); empty: none
    std::string pixel_format = {};             ///< FFmpeg's name of how a video keeps its pixels; empty for others
    int rotation = 0;  ///< degrees clockwise by which a video's frames are turned, as it asks of players
    std::optional<uint64_t> media_bytes = {};  ///< of all its files; none: those of the one it is named after
    bool mirrored = false;                     ///< a video's frames are mirrored left to right before they are turned
};

/// One record of extra data: a JSON object tied to a frame of its source.
struct ExtraRecord {
    int64_t frame_index = 0;  ///< -1: before the first frame
    Json data;                ///< the user's keys only
};

/// What identifies a frame besides its index.
struct FrameStamp {
    int64_t number = 0;
    double time = std::numeric_limits<double>::quiet_NaN();  ///< seconds; NaN when the source has no times
};

/// Access to any frame in any order, for sources that can. Used by one thread at a time; clones are independent.
class RandomAccess {
public:
    virtual ~RandomAccess() = default;
    virtual int64_t frame_count() const = 0;
    /// The frame at `index`, 0 <= index < frame_count(). Throws Error(invalid_argument) outside that range and
    /// Error(corrupt or not_found) when the frame is listed but cannot be read; other frames stay readable.
    virtual Frame at_index(int64_t index) = 0;
    /// Number and time of the frame at `index`, without reading its pixels. The index must exist.
    virtual FrameStamp stamp(int64_t index) { return {.number = index}; }
    /// The extra data tied to the frame at `index`.
    virtual std::vector<Json> extra_data_of(int64_t /*index*/) { return {}; }
    /// The frame where reading must begin to get at `index`: itself where frames are independent, the key frame of its
    /// group of pictures in video. Frames with the same entry are best read in order by the same reader.
    virtual int64_t entry_of(int64_t index) { return index; }
    /// Says that exactly these frames will be read next, in this (ascending) order; all have the same entry. What lies
    /// between them is then not decoded where that can be avoided. Any other request ends it.
    virtual void will_read(std::span<const int64_t> /*indices*/) {}
    /// Another reader of the same frames for use by another thread. Cheap: it shares what was learned at opening, and
    /// need not outlive or be outlived by this one. Null when there cannot be one.
    virtual std::unique_ptr<RandomAccess> clone_access() { return nullptr; }
    /// Threads that whoever reads ahead may use; 0: one per core.
    virtual int threads() const { return 0; }
    /// Work done so far.
    virtual DecodeCounters counters() const { return {}; }
};

/// Anything frames come from: a store, a video file, a folder of images, a camera.
///
/// A source is used by one thread at a time; different sources are independent.
class FrameSource {
public:
    virtual ~FrameSource() = default;
    virtual const SourceInfo& info() const = 0;
    /// The next frame, or nothing at the end. Throws Error when the frame exists but cannot be read; calling
    /// again then continues behind it.
    virtual std::optional<Frame> next() = 0;
    /// Begins anew: the frame that was the first comes next. False where it cannot, and nothing has changed then.
    virtual bool rewind() { return false; }
    /// Null when the source can only be read forward. The object belongs to the source and shares its thread rule;
    /// its use does not move next().
    virtual RandomAccess* random_access() { return nullptr; }
    /// The extra data tied to the frame that was read last, by next() or through random_access().
    virtual std::vector<Json> extra_data() { return {}; }
    /// User metadata of the recording; a JSON object, empty for sources without.
    virtual const Json& user_metadata() const;
    /// What was missing, damaged or corrected so far, one sentence each.
    virtual const std::vector<std::string>& warnings() const;
};

/// Anything frames go to: a store's writer, a video file, a folder of images.
///
/// A sink is used by one thread at a time.
class FrameSink {
public:
    /// Closes what close() has not closed; errors are lost then, so call close().
    virtual ~FrameSink() = default;
    /// Takes one frame. The pixels are not used after write() returns unless the sink keeps a Frame copy.
    /// Throws Error(wrong_type) when the frame does not fit what was written before.
    virtual void write(const Frame& frame) = 0;
    /// A record tied to the frame written last. Sinks that cannot keep extra data ignore it.
    virtual void write_extra_data(const Json& record);
    /// Completes the output; calling it again does nothing. A sink without any frame closes without error.
    virtual void close() = 0;
    /// What one has to know about what was written, one sentence each; complete after close().
    virtual const std::vector<std::string>& notes() const;
};

}  // namespace reelstore
