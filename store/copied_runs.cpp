#include "store/copied_runs.h"

#include <utility>

#include "store/store_contents.h"

namespace reelstore {

CopiedRecords::CopiedRecords(std::vector<CopySource> sources)
    : sources_(std::move(sources)), events_(sources_.size()), synthetic_(sources_.size()), copied_(sources_.size()) {}

void CopiedRecords::begin_store() {
    copied_.assign(sources_.size(), std::nullopt);
}

bool CopiedRecords::is_synthetic(size_t source, int64_t chunk) {
    load_events(source);
    return synthetic_[source].contains(chunk);
}

void CopiedRecords::load_events(size_t source) {
    if (events_[source]) return;
    events_[source] = sorted_events(store(source));
    for (const EventRow& event : *events_[source]) {
        if (const auto chunk = synthetic_chunk_of(event)) synthetic_[source].insert(*chunk);
    }
}

void CopiedRecords::visit_extra_data(
    std::span<const CopiedRun> runs,
    const std::function<void(int64_t position, const std::string& record)>& add_record) const {
    for (const CopiedRun& run : runs) {
        store(run.source).visit_extra_data(run.index, run.index + run.count, [&](const ExtraRecord& record) {
            add_record(run.position + record.frame_index - run.index, record.data.dump());
            return true;
        });
    }
}

std::vector<EventRow> CopiedRecords::events_of(std::span<const CopiedRun> runs, int64_t chunk) {
    std::vector<EventRow> found;
    int64_t guesses = 0;
    int64_t end = 0;
    for (const CopiedRun& run : runs) {
        load_events(run.source);
        for (EventRow& event :
             events_of_run(*events_[run.source], store(run.source), {run.index, run.index + run.count})) {
            if (synthetic_chunk_of(event)) continue;
            *event.frame_index += run.position;
            found.push_back(std::move(event));
        }
        end = run.position + run.count;
        if (is_synthetic(run.source, store(run.source).row(run.index).value().chunk)) guesses += run.count;
    }
    if (guesses > 0) found.push_back(synthetic_event(chunk, guesses, end));
    return found;
}

void CopiedRecords::note_copied(std::span<const CopiedRun> runs, int64_t first_index) {
    for (const CopiedRun& run : runs) {
        std::optional<Copied>& noted = copied_[run.source];
        const StoreReader& from = store(run.source);
        if (!noted) noted = Copied{from.row(run.index).value(), {}, 0, first_index + run.position};
        noted->last = from.row(run.index + run.count - 1).value();
        noted->frames += run.count;
    }
}

void CopiedRecords::add_copied_events(StoreWriter& writer, const std::string& filters) const {
    for (size_t source = 0; source < sources_.size(); ++source) {
        const std::optional<Copied>& part = copied_[source];
        if (!part) continue;
        writer.add_event(
            copied_event(store(source), part->first, part->last, part->frames, part->first_index, filters));
    }
}

}  // namespace reelstore
