// The tree of groups by which chunks are found.

#include "store/frame_index_parts.h"

namespace reelstore {

std::optional<FrameIndex::Group> FrameIndex::summarize_group(int level, int64_t place) const {
    GroupSum sum;
    const int64_t first = place << kGroupBits;
    const int64_t last = first + (int64_t{1} << kGroupBits);
    Statement& select =
        level == 1
            ? prepared(statements_->group_of_chunks, *database_,
                       [&] {
                           return fmt::format("SELECT {} FROM chunks WHERE chunk >= ?1 AND chunk < ?2 ORDER BY chunk",
                                              kChunkColumns);
                       })
            : prepared(statements_->group_of_groups, *database_, [&] {
                  return fmt::format(
                      "SELECT {} FROM chunk_groups WHERE place >= ?1 AND place < ?2 AND level = ?3 ORDER BY "
                      "place",
                      kGroupColumns);
              });
    const AtRest at_rest(select);
    select.bind(1, first).bind(2, last);
    if (level > 1) select.bind(3, level - 1);
    while (select.step()) {
        if (level > 1) {
            if (const auto group = group_row(select, level - 1)) sum.add(select.column_int64(0), *group);
        } else if (const auto chunk = chunk_row(select); chunk && chunk->frame_count > 0) {
            sum.add(*chunk, chunk->first_index + base_);
        }
    }
    return sum.finish(level, place);
}

void FrameIndex::check_group(int level, int64_t place) const {
    if (checked_groups_.contains({level, place})) return;
    // Chunks that have been removed since are in the groups of the opening, but no longer in the table.
    if (first_index() > 0) return;
    std::optional<Group> said;
    if (const auto kept = tail_groups_->find({level, place}); kept != tail_groups_->end()) {
        said = kept->second;
    } else {
        Statement& select = prepared(statements_->one_group, *database_, [&] {
            return fmt::format("SELECT {} FROM chunk_groups WHERE level = ?1 AND place = ?2", kGroupColumns);
        });
        const AtRest at_rest(select);
        select.bind(1, level).bind(2, place);
        if (select.step()) said = group_row(select, level);
    }
    const std::optional<Group> found = summarize_group(level, place);
    if (!said || !found || said->sum != found->sum) contradiction(std::nullopt);
    if (checked_groups_.size() >= kCheckedGroups) checked_groups_.clear();
    checked_groups_.emplace(level, place);
}

void FrameIndex::update_groups(int64_t chunk) {
    for (int level = 1; level <= kTopLevel; ++level) {
        const int64_t place = chunk >> (kGroupBits * level);
        const std::optional<Group> group = summarize_group(level, place);
        if (!group) {
            database_->prepare("DELETE FROM chunk_groups WHERE level = ?1 AND place = ?2")
                .bind(1, level)
                .bind(2, place)
                .run();
            if (const auto kept = tail_groups_->find({level, place}); kept != tail_groups_->end()) kept->second.reset();
            continue;
        }
        Statement& save = prepared(
            statements_->save_group, *database_,
            "INSERT OR REPLACE INTO chunk_groups (level, place, number_min, number_max, numbers_ascending, time_min, "
            "time_max, times_ascending, parts, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)");
        save.bind(1, level).bind(2, place).bind(3, group->number_min).bind(4, group->number_max);
        save.bind(5, int64_t{group->numbers_ascending});
        if (group->time_min) save.bind(6, *group->time_min);
        if (group->time_max) save.bind(7, *group->time_max);
        save.bind(8, int64_t{group->times_ascending}).bind(9, int64_t{group->parts}).bind(10, int64_t{group->sum});
        save.run();
        if (const auto kept = tail_groups_->find({level, place}); kept != tail_groups_->end()) kept->second = *group;
    }
    checked_groups_.clear();
    numbers_->forget();
    times_->forget();
}

void FrameIndex::make_groups(bool temporary) {
    if (temporary) {
        database_->execute("DROP TABLE IF EXISTS temp.chunk_groups");
        const std::string create = "CREATE ";
        database_->execute(create + "TEMP " + schema_of("chunk_groups").substr(create.size()));
    }
    // Once for each group of chunks: of those that lie in it, the last has the final say over all levels.
    Statement select =
        database_->prepare(fmt::format("SELECT MAX(chunk) FROM chunks GROUP BY chunk >> {} ORDER BY 1", kGroupBits));
    std::vector<int64_t> chunks;
    while (select.step()) chunks.push_back(select.column_int64(0));
    select.reset();
    for (const int64_t chunk : chunks) update_groups(chunk);
    forget();
}

}  // namespace reelstore
