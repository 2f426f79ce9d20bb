#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "store/frame_index.h"
#include "store/selected_frames.h"
#include "store/store_reader.h"
#include "store/store_writer.h"

namespace reelstore {

/// What is to be copied of one store.
struct CopySource {
    StoreReader* store = nullptr;  ///< its owner keeps it alive
    FrameSelection frames;         ///< step 1
};

/// Options for the writer of a store that takes over what is not a matter of the format: user metadata of the first
/// source with `changes` put in, time zone, time of creation, chunk size. Of keys that later sources have otherwise or
/// in addition a sentence is added to `notes`.
StoreWriterOptions options_of_copy(const std::vector<CopySource>& sources, const Json& changes,
                                   std::vector<std::string>& notes);

/// Events of a store that belong to the frames first..last-1, with positions in this run as frame_index; those behind
/// the last frame of the store belong to it. `events` as sorted_events() gives them.
std::vector<EventRow> events_of_run(const std::vector<EventRow>& events, const StoreReader& store, IndexRun run);
/// Events that belong to a frame, by index of the frame.
std::vector<EventRow> sorted_events(const StoreReader& store);
/// The event that says where the frames of a copy come from; `first_index` is where they begin in the copy, `filters`,
/// if any, what they went through.
EventRow copied_event(const StoreReader& store, const FrameRow& first, const FrameRow& last, int64_t frames,
                      int64_t first_index, const std::string& filters = {});

}  // namespace reelstore
