#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/pixel_type.h"
#include "codecs/chunk_format.h"

namespace reelstore::bench {

/// What the images of a clip show.
enum class Content { synthetic, real };

/// How the images of a clip are kept.
struct Coding {
    std::string name;  ///< also the folder's
    std::string format = "avc1/mp4";
    CodecOptions options = {};
    int gop = 15;  ///< frames from one key frame to the next
    int64_t frames = 0;
    int64_t chunk_frames = 0;
};

/// One recording to be read: a store, whose chunks are ordinary video files that the peers read. Frame i carries the
/// number i in its pixels, and its time stamp is i / kFrameRate after the beginning of its file.
struct Clip {
    std::string name;  ///< "gray 1280x1024, real"
    ImageType type;
    Coding coding;
    std::filesystem::path store;
    std::vector<std::filesystem::path> files = {};  ///< one a chunk, in order

    static constexpr int kFrameRate = 25;

    bool gray() const { return type.gray(); }
    int64_t frame_count() const { return coding.frames; }
    size_t file_of(int64_t index) const { return static_cast<size_t>(index / coding.chunk_frames); }
    int64_t position_in_file(int64_t index) const { return index % coding.chunk_frames; }
};

/// Encodes clips with reelstore's writer when they are first asked for.
class ClipFactory {
public:
    /// `folder` must exist; `video` is the real footage.
    ClipFactory(std::filesystem::path folder, std::filesystem::path video);

    const Clip& make(Content content, const ImageType& type, const Coding& coding);

private:
    std::filesystem::path folder_;
    std::filesystem::path video_;
    std::map<std::string, Clip> clips_;  ///< by folder
};

}  // namespace reelstore::bench
