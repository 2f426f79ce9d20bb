#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/json.h"
#include "store/copy_records.h"
#include "store/store_writer.h"

namespace reelstore {

struct CopyOptions {
    /// Frames in a chunk of the copy; none: chunks begin where those of the sources do. In containers that cannot hide
    /// packets (mkv, avi) a chunk goes on to the next place where a cut costs nothing.
    std::optional<int64_t> chunk_frames = {};
    Json metadata = Json::object();  ///< keys of the user's own, beside those of the first store and before them
    bool skip_damaged = false;       ///< leave out frames that cannot be read, and count them
    /// Told the frames that are done, those left out included.
    std::function<void(int64_t frames)> progress = {};
    std::stop_token stop = {};  ///< ends the work behind a chunk
};

/// Where a copy ends though there is more to be copied; the first of the two that is reached.
struct CopyLimit {
    std::optional<int64_t> frames = {};
    /// The first frame whose time is that much or more above that of the copy's first frame is left for the next.
    std::optional<double> seconds = {};
};

struct CopyResult {
    int64_t frames = 0;
    int64_t chunks = 0;
    int64_t chunks_as_files = 0;    ///< of those: copied as they are
    int64_t frames_damaged = 0;     ///< left out because they cannot be read
    std::string first_damage = {};  ///< message of the first of them
    bool cancelled = false;         ///< a stop was requested before the end
};

/// Copies frames of stores to new stores without decoding them (spec/format.md, Copies).
///
/// Numbers, times, extra data, encoded bytes and their checksums stay what they were; events go with the frame they
/// belong to. Of several stores the frames follow each other in the order given. Holds the table of a few chunks at a
/// time, and one file's bytes or packet. Used by one thread at a time.
class StoreCopier {
public:
    /// Throws Error(invalid_argument) naming both when stores do not fit together, and for a selection with a step;
    /// Error(unsupported) when video would have to be cut where its container cannot hide packets and the copy cannot
    /// be mp4 either.
    StoreCopier(std::vector<CopySource> sources, CopyOptions options);
    ~StoreCopier();
    StoreCopier(const StoreCopier&) = delete;
    StoreCopier& operator=(const StoreCopier&) = delete;

    /// For the writer of a copy: format, metadata, time zone and everything else that stays.
    StoreWriterOptions writer_options() const;
    /// What a user should know, one sentence each: metadata that differ, another container.
    const std::vector<std::string>& notes() const;
    /// No frame is left to be copied.
    bool done();
    /// Appends the next frames to a store made with writer_options(), which the caller closes, also after an Error or a
    /// stop: what was copied up to then is in it. Throws Error naming file, chunk and frame for a frame that cannot be
    /// read, unless such frames are skipped, and what StoreWriter::add_chunk() throws.
    CopyResult copy_to(StoreWriter& writer, const CopyLimit& limit = {});

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace reelstore
