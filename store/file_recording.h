#pragma once

#include <filesystem>
#include <memory>

#include "store/recording.h"

namespace reelstore {

/// A plain file, or a folder of images, as a recording: every source that has random access. Its table is one chunk
/// (chunk 0, position = index); numbers and times are those of RandomAccess::stamp(). The first lookup by number or
/// time passes over the whole table once; nothing is written.
class FileRecording : public Recording {
public:
    /// `path` is where `source` comes from; `threads` decode at once for next() and batches, 0: one per core. Throws
    /// Error(unsupported) when the source can only be read forward.
    FileRecording(const std::filesystem::path& path, std::unique_ptr<FrameSource> source, int threads = 0);
    ~FileRecording() override;

    std::optional<Frame> next() override;
    Frame at_index(int64_t index) override;
    std::vector<Frame> at_indices(std::span<const int64_t> indices) override;

    int64_t frame_count() const override;
    std::optional<FrameRow> row(int64_t index) const override;
    std::optional<FrameRow> find_number(int64_t number, Match match = Match::exact) const override;
    std::optional<FrameRow> find_time(double time, Match match = Match::nearest) const override;
    void visit_rows(int64_t first, int64_t last, const std::function<bool(const FrameRow&)>& visit) const override;
    std::optional<std::pair<int64_t, int64_t>> number_range() const override;
    std::optional<std::pair<double, double>> time_range() const override;
    bool numbers_ascend() const override;
    std::vector<IndexRun> runs_of_numbers(int64_t low, int64_t high) const override;
    std::vector<IndexRun> runs_of_times(double low, double high) const override;

    bool has_extra_data() const override;
    void visit_extra_data(int64_t first, int64_t last,
                          const std::function<bool(const ExtraRecord&)>& visit) const override;
    std::vector<Json> extra_data() override;

    const std::filesystem::path& path() const override;
    bool closed() const override { return true; }
    /// Size of the file, or of all files where the recording is several; of a folder the sum of its image files.
    uint64_t media_bytes() const override;
    bool incomplete() const override { return false; }
    const std::vector<std::string>& warnings() const override;
    const SourceInfo& info() const override;
    const Json& user_metadata() const override;

    int64_t entry_of(int64_t index) override;
    void will_read(std::span<const int64_t> indices) override;
    std::unique_ptr<RandomAccess> clone_access() override;
    int threads() const override;
    DecodeCounters counters() const override;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace reelstore
