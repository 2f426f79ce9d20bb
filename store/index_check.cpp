#include "store/index_check.h"

#include <limits>

#include <fmt/format.h>

#include "base/error.h"

namespace reelstore {

namespace {

/// The summary that the rows of a chunk give.
ChunkRow summary_of_rows(const FrameIndex& index, const ChunkRow& chunk) {
    ChunkRow found;
    found.chunk = chunk.chunk;
    ChunkSummary summary(found);
    index.visit_rows(chunk.first_index, chunk.end_index(), [&](const FrameRow& row) {
        summary.add(row.number, row.time);
        return true;
    });
    return found;
}

/// What the summary of a chunk says wrong; empty when it is right.
std::string difference(const ChunkRow& said, const ChunkRow& found) {
    if (said.number_min != found.number_min || said.number_max != found.number_max) {
        return fmt::format("the index gives it the numbers {} to {}, its frames have {} to {}", said.number_min,
                           said.number_max, found.number_min, found.number_max);
    }
    if (said.time_min != found.time_min || said.time_max != found.time_max)
        return "the index gives it other first and last times than its frames have";
    // The contrary only makes lookups slow.
    if (said.numbers_ascending && !found.numbers_ascending) return "its numbers do not ascend, as the index says";
    if (said.times_ascending && !found.times_ascending) return "its times do not ascend, as the index says";
    return "";
}

}  // namespace

void check_chunk_tree(const FrameIndex& index) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    using Limits = std::numeric_limits<int64_t>;
    // Over every group and chunk there is.
    const std::vector<IndexRun> runs = index.runs_of_numbers(Limits::min(), Limits::max());
    index.runs_of_times(-kInfinity, kInfinity);
    int64_t reached = 0;
    for (const IndexRun& run : runs) reached += run.last - run.first;
    if (reached != index.frame_count() && index.first_index() == 0) {
        throw Error(ErrorCode::corrupt, {index.database().path(), {}, {}},
                    fmt::format("only {} of its {} frames are found by their numbers; run `store index` to rebuild it",
                                reached, index.frame_count()));
    }
}

std::vector<WrongSummary> find_wrong_summaries(const FrameIndex& index,
                                               const std::function<void(int64_t, int64_t)>& progress) {
    check_chunk_tree(index);
    std::vector<WrongSummary> wrong;
    int64_t done = 0;
    const int64_t all = index.chunk_count();
    index.visit_chunks([&](const ChunkRow& chunk) {
        if (progress) progress(done++, all);
        if (chunk.frame_count == 0) return true;
        const std::string message = difference(chunk, summary_of_rows(index, chunk));
        if (!message.empty()) wrong.push_back({chunk.chunk, chunk.first_index, chunk.frame_count, message});
        return true;
    });
    return wrong;
}

}  // namespace reelstore
