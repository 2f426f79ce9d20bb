#include "store/copy_records.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/clock.h"
#include "base/yaml.h"
#include "store/store_contents.h"

namespace reelstore {

StoreWriterOptions options_of_copy(const std::vector<CopySource>& sources, const Json& changes,
                                   std::vector<std::string>& notes) {
    const StoreMetadata& first = sources.front().store->metadata();
    StoreWriterOptions options;
    options.chunk_frames = first.chunk_frames;
    for (const CopySource& source : sources) {
        const StoreMetadata& other = source.store->metadata();
        options.chunk_frames = std::max(*options.chunk_frames, other.chunk_frames);
        std::vector<std::string> different;
        for (const auto& [key, value] : other.user.items()) {
            if (!changes.contains(key) && first.user.value(key, Json()) != value) different.push_back(key);
        }
        if (!different.empty()) {
            notes.push_back(fmt::format("{}: the copy does not have its {} (metadata are those of {})",
                                        source.store->folder().string(), fmt::join(different, ", "),
                                        sources.front().store->folder().string()));
        }
    }
    Json user = first.user;
    user.update(changes);
    if (!user.empty()) options.metadata = to_yaml(user);
    if (is_time_zone(first.time_zone)) {
        options.time_zone = first.time_zone;
    } else if (!first.time_zone.empty()) {
        notes.push_back(
            fmt::format("the time zone \"{}\" is not known here; the copy has that of this machine", first.time_zone));
    }
    options.created = first.created;
    return options;
}

std::vector<EventRow> sorted_events(const StoreReader& store) {
    std::vector<EventRow> events;
    store.visit_events([&](const EventRow& event) {
        if (event.frame_index) events.push_back(event);
        return true;
    });
    std::stable_sort(events.begin(), events.end(),
                     [](const EventRow& a, const EventRow& b) { return *a.frame_index < *b.frame_index; });
    return events;
}

std::vector<EventRow> events_of_run(const std::vector<EventRow>& events, const StoreReader& store, IndexRun run) {
    const int64_t count = store.frame_count();
    std::vector<EventRow> found;
    auto event = std::lower_bound(events.begin(), events.end(), run.first,
                                  [](const EventRow& row, int64_t index) { return *row.frame_index < index; });
    for (; event != events.end() && (*event->frame_index < run.last || run.last == count); ++event) {
        found.push_back(*event);
        *found.back().frame_index -= run.first;
        // Chunks have other numbers in the copy.
        Json data = Json::parse(event->data, nullptr, false);
        if (!data.is_object() || !data.contains("chunk") || synthetic_chunk_of(*event)) continue;
        data["source_chunk"] = data["chunk"];
        data.erase("chunk");
        found.back().data = data.dump();
    }
    return found;
}

EventRow copied_event(const StoreReader& store, const FrameRow& first, const FrameRow& last, int64_t frames,
                      int64_t first_index, const std::string& filters) {
    Json data = {{"uuid", store.metadata().uuid}, {"frames", frames},
                       {"first_index", first.index},    {"last_index", last.index},
                       {"first_number", first.number},  {"last_number", last.number}};
    if (!filters.empty()) data["filters"] = filters;
    return {now_utc(), "copied", first_index, data.dump(-1, ' ', false, Json::error_handler_t::replace)};
}

}  // namespace reelstore
