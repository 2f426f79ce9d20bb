#include "store/filed_extra_data.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/error.h"
#include "store/extra_data_file.h"
#include "store/store_contents.h"

namespace reelstore {

void FiledExtraData::look_through(const FrameTable& table, std::vector<std::string>& warnings) {
    removed_frames_ = table.removed_frames();
    const auto note = [&](const ChunkRow& own, int64_t frame) {
        if (frame >= own.first_index && frame < own.end_index()) return;
        other_files_[table.chunk_at(frame).value().chunk].insert(own.chunk);
    };
    table.visit_chunks([&](const ChunkRow& chunk) {
        for (const std::filesystem::path& path : layout_.extra_data_files(chunk.chunk)) {
            int64_t homeless = 0;
            bool asking = false;
            try {
                const ExtraDataFacts facts = visit_extra_data_file(path, [&](Json& record) {
                    asking = true;
                    if (const std::optional<int64_t> frame = frame_of_record(table, record, removed_frames_)) {
                        note(chunk, *frame);
                    } else {
                        ++homeless;
                    }
                    asking = false;
                });
                warnings.insert(warnings.end(), facts.warnings.begin(), facts.warnings.end());
            } catch (const Error& error) {
                if (asking) throw;  // it is the frame table that failed
                unreadable_.insert(path);
                warnings.push_back(fmt::format("{}; these extra data are left out",
                                               error.at({path.string(), chunk.chunk, {}}).what()));
                continue;
            }
            if (homeless > 0) {
                warnings.push_back(
                    fmt::format("{}: chunk {}: {} records belong to no frame of the store and are left out",
                                path.string(), chunk.chunk, homeless));
            }
        }
        return true;
    });
    looked_through_ = true;
}

void FiledExtraData::add_records(const FrameTable& table, int64_t file_chunk, const ChunkRow& chunk,
                                 std::vector<ExtraRecord>& records) {
    for (const std::filesystem::path& path : layout_.extra_data_files(file_chunk)) {
        if (unreadable_.contains(path)) continue;
        visit_extra_data_file(path, [&](Json& record) {
            const std::optional<int64_t> frame = frame_of_record(table, record, removed_frames_);
            if (!frame || *frame < chunk.first_index || *frame >= chunk.end_index()) return;
            for (const char* key : {"frame_index", "frame_number", "frame_time"}) record.erase(key);
            records.push_back({*frame, std::move(record)});
        });
    }
}

std::shared_ptr<const std::vector<ExtraRecord>> FiledExtraData::of_chunk(const FrameTable& table, const ChunkRow& chunk,
                                                                         std::vector<std::string>& warnings) {
    if (kept_chunk_ == chunk.chunk) return kept_;
    if (!looked_through_) look_through(table, warnings);
    std::set<int64_t> files = {chunk.chunk};
    if (const auto others = other_files_.find(chunk.chunk); others != other_files_.end())
        files.insert(others->second.begin(), others->second.end());
    auto records = std::make_shared<std::vector<ExtraRecord>>();
    for (const int64_t file : files) add_records(table, file, chunk, *records);
    std::stable_sort(records->begin(), records->end(),
                     [](const ExtraRecord& a, const ExtraRecord& b) { return a.frame_index < b.frame_index; });
    kept_ = std::move(records);
    kept_chunk_ = chunk.chunk;
    return kept_;
}

}  // namespace reelstore
