#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/json.h"
#include "codecs/chunk_format.h"
#include "store/copy_records.h"
#include "store/store_writer.h"

namespace reelstore {

struct ConvertOptions {
    std::string format = {};  ///< of the new store; empty: that of the first store
    CodecOptions codec = {};
    /// The filters that the selected frames go through, as make_filters() takes them; they may change the number of
    /// frames. Empty: none.
    std::string filters = {};
    /// Frames in a chunk of the new store; none: those of the first store's where both formats have chunks of the same
    /// size by default, else the new format's default.
    std::optional<int64_t> chunk_frames = {};
    Json metadata = Json::object();  ///< keys of the user's own, beside those of the first store and before them
    bool skip_damaged = false;       ///< leave out frames that are damaged or missing, and count them
    int threads = 0;                 ///< that decode and encode at once, beside those of the encoders; 0: one per core
    size_t ahead_bytes = size_t{256} << 20;  ///< pixels of frames that were read and wait to be encoded, at most
    /// Told the frames that are done, those left out included, by the thread of convert_to().
    std::function<void(int64_t frames)> progress = {};
    /// The same for frames that are looked at before, where filters need a first pass.
    std::function<void(int64_t frames)> first_pass_progress = {};
    std::stop_token stop = {};  ///< ends the work behind the frames that are encoded by then
};

struct ConvertResult {
    int64_t frames = 0;
    int64_t chunks = 0;
    int64_t frames_damaged = 0;            ///< left out because they cannot be read
    std::vector<std::string> damage = {};  ///< what reading them threw: of the first kMostDamageNamed of them
    bool cancelled = false;                ///< a stop was requested before the end
    /// Of the frames that are in the new store, the last, as its source has it.
    std::optional<FrameRow> last = {};
    int64_t frames_decoded = 0;  ///< by the readers, those on the way to another frame included
};

inline constexpr size_t kMostDamageNamed = 100;

/// Whether a new store of this format, written with these (valid) options, takes over the encoding of these stores, so
/// that their frames should be read raw (StoreReaderOptions::decode): they have one and the same encoding, the format
/// changes no pixel and holds the raw type.
bool keeps_encoding(const std::vector<const StoreReader*>& stores, const ChunkFormat& format,
                    const CodecOptions& codec = {});

/// Decodes frames of stores and encodes them anew into a new store of any format (spec/format.md, Copies).
///
/// Numbers, times (bit for bit), extra data, events, user metadata, time zone and time of creation stay what they were.
/// Several chunks of the new store are encoded at once, each on a thread with readers of its own, in a folder
/// NAME.converting beside the new store, out of which they are taken in order when they are complete. So a process that
/// is killed costs the chunks under way; a stop or an error keeps the frames up to there. Holds the tables of a few
/// chunks, `ahead_bytes` of pixels, and per thread what an encoder and a decoder need. Used by one thread at a time.
///
/// Filters that change each frame by itself work on those threads. Where there are others, the frames of the store,
/// which then must be the only one, go through a pipeline (base/pipeline.h) and one encoder; events stand at the first
/// frame that comes behind theirs, and numbers that are guesses of a repair are not marked as such. Frames are filtered
/// as the stores give them, and have no encoding any more.
class StoreConverter {
public:
    /// The stores must outlive it and are used by convert_to() on its thread; frames come as they give them, raw ones
    /// keep their encoding. Throws Error(invalid_argument) when their types differ, for an unknown format or option,
    /// Error(wrong_type) when this format cannot hold the type, naming others, or would ruin raw images, and what
    /// make_filters() and the first frame's way through filters throw that change each frame by itself. The type that
    /// others make is known, and refused, when their first frame is written.
    StoreConverter(std::vector<CopySource> sources, ConvertOptions options);
    ~StoreConverter();
    StoreConverter(const StoreConverter&) = delete;
    StoreConverter& operator=(const StoreConverter&) = delete;

    /// For the writer of the new store: format, metadata, time zone and everything else that stays.
    StoreWriterOptions writer_options() const;
    /// What a user should know, one sentence each.
    const std::vector<std::string>& notes() const;
    /// Frames to be converted, as they come to the filters; nothing where that takes a look at the rows.
    std::optional<int64_t> frame_count() const;
    /// Fills a store made with writer_options(), which the caller closes, also after an Error or a stop: the frames
    /// before it are in it. Throws Error naming chunk and frame for a frame that cannot be read, unless it is damage
    /// that is skipped, and for one that the encoder cannot hold (wrong_type); what else an encoder throws; and what
    /// StoreWriter::add_chunk() throws. To be called once.
    ConvertResult convert_to(StoreWriter& writer);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

struct ConversionCheck {
    int64_t frames = 0;                 ///< compared
    int64_t different = 0;              ///< of those: not as they should be
    std::string first_difference = {};  ///< of the first of them, what
    bool exact = false;                 ///< pixels were compared
    bool cancelled = false;

    void add_difference(int64_t index, const std::string& what);
};

struct ConversionCheckOptions {
    std::string filters = {};  ///< those of the conversion: the sources' frames go through them again
    std::function<void(int64_t frames)> progress = {};
    std::stop_token stop = {};
};

/// Reads a converted store back beside its sources: numbers, times and extra data of every frame, and the pixels bit by
/// bit where the format is lossless; of other formats the frames have to be readable. Frames of the sources that are
/// damaged are passed over; throws Error when something else is in the way of reading them.
ConversionCheck check_conversion(const std::vector<CopySource>& sources, const std::filesystem::path& converted,
                                 const ConversionCheckOptions& options = {});

}  // namespace reelstore
