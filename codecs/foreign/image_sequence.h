#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/frame_source.h"
#include "codecs/file_format.h"

namespace reelstore {

/// An image of a sequence. `owner` keeps the memory behind it alive where cv::Mat does not.
struct SequenceImage {
    cv::Mat image;
    std::shared_ptr<const void> owner = {};
};

/// The frames of a foreign recording, in any order. It does not change once it is opened, and any number of threads may
/// call its members at once. What a format has to provide; sequence_source() makes a source of it.
class ImageSequence {
public:
    virtual ~ImageSequence() = default;
    virtual int64_t frame_count() const = 0;
    /// The image as the file holds it, 0 <= index < frame_count(). Throws Error when it is listed but cannot be read;
    /// path and frame are filled in by the source.
    virtual SequenceImage read(int64_t index) const = 0;
    /// Number and time, in seconds.
    virtual FrameStamp stamp(int64_t index) const { return {.number = index}; }
    virtual std::vector<Json> extra_data_of(int64_t /*index*/) const { return {}; }
    /// The frame where reading must begin to get at `index`; see RandomAccess::entry_of().
    virtual int64_t entry_of(int64_t index) const { return index; }
};

/// What a format has found in a foreign recording.
struct OpenedSequence {
    std::shared_ptr<const ImageSequence> frames;
    /// image_type is that of what read() gives. Where `encoding` is set, the source decodes it. frame_count is filled
    /// in.
    SourceInfo info;
    Json user_metadata = Json::object();
    std::vector<std::string> warnings = {};
};

/// The sequence as a source with random access, which other threads can read by clones. Of the options, raw, demosaic,
/// gray and threads are seen to here. Throws Error(unsupported) when the encoding cannot be decoded from such images.
std::unique_ptr<FrameSource> sequence_source(OpenedSequence opened, const SourceOptions& options);

}  // namespace reelstore
