#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/error.h"
#include "store/chunk_sidecar.h"
#include "store/extra_data_file.h"
#include "store/frame_index.h"
#include "store/layout.h"
#include "tests/store/store_fixture.h"

namespace reelstore {

/// The frame number of the frame at an index of the stores that these tests write.
inline int64_t number_of(int64_t index) {
    return 1000 + index;
}

/// Adds the frame of this index, with extra data to every other one.
inline void add_promised_frame(StoreWriter& writer, int index) {
    writer.add(make_numbered_image(gray_type(), index), number_of(index), fixture_time(index));
    if (index % 2 == 0) writer.add_extra_data({{"value", index}});
}

/// The first thing that is wrong with a store of frames from add_promised_frame(), of which `committed` were reported
/// durable and `most` were added, and which was reported closed or not; the first
/// `with_extra_data` (-1: as many as committed) must have theirs. Empty when nothing is wrong.
inline std::string violation(const std::filesystem::path& folder, int64_t committed, int64_t most, bool closed,
                             int64_t with_extra_data = -1) {
    try {
        if (committed == 0 && !is_store(folder)) return {};
        StoreReader store(folder);
        const int64_t count = store.frame_count();
        if (count < committed) return fmt::format("{} of {} committed frames are there", count, committed);
        if (count > most) return fmt::format("{} frames of {} are there", count, most);
        if (closed && !store.closed()) return "the store is not closed";
        for (int64_t i = 0; i < count; ++i) {
            const int64_t index = (i * 7 + 3) % count;
            // Only a stride that shares no factor with the count reaches every frame.
            const Frame frame = store.at_index(count % 7 == 0 ? i : index);
            const int64_t expected = frame.index;
            if (read_image_number(frame.image) != expected) return fmt::format("frame {} shows another", expected);
            if (frame.number != number_of(expected)) return fmt::format("frame {} has a wrong number", expected);
            if (frame.time != fixture_time(expected)) return fmt::format("frame {} has a wrong time", expected);
            const std::vector<Json> extra = store.extra_data_of(expected);
            if (expected % 2 == 0 && expected < (with_extra_data < 0 ? committed : with_extra_data) &&
                extra != std::vector<Json>{{{"value", expected}}})
                return fmt::format("frame {} has lost its extra data", expected);
        }
        const StoreLayout layout(folder, store.metadata().kind, store.metadata().extension);
        const auto index = FrameIndex::open(StoreLayout::index(folder), store.metadata().uuid);
        int64_t chunk_closed = 0;
        for (const ChunkRow& chunk : chunk_rows(*index)) {
            if (!chunk.closed) continue;
            ++chunk_closed;
            const auto sidecar = read_chunk_sidecar(layout, chunk.chunk);
            if (!sidecar || static_cast<int64_t>(sidecar->numbers.size()) != chunk.frame_count)
                return fmt::format("chunk {} is closed without its sidecar", chunk.chunk);
            size_t records = 0;
            index->visit_extra_data(chunk.first_index, chunk.first_index + chunk.frame_count,
                                    [&](const ExtraDataRow&) { return ++records > 0; });
            size_t in_files = 0;
            for (const std::filesystem::path& path : layout.extra_data_files(chunk.chunk)) {
                const ExtraDataFile file = read_extra_data_file(path);
                in_files += file.records.size();
                if (!file.warnings.empty())
                    return fmt::format("chunk {} is closed with damaged extra data", chunk.chunk);
            }
            if (in_files != records) return fmt::format("chunk {} is closed without its extra data", chunk.chunk);
            // As other programs see it: without the index.
            const auto reader =
                reading_format(store.metadata())->open(layout.media(chunk.chunk), store.metadata().stored_type);
            if (reader->frame_count() != chunk.frame_count)
                return fmt::format("chunk {} is closed but its container is not complete", chunk.chunk);
        }
        if (closed && chunk_closed != index->chunk_count()) return "a chunk is not closed";
        return {};
    } catch (const Error& error) {
        return error.what();
    }
}

}  // namespace reelstore
