#include "bench/formats/targets.h"

#include <fmt/format.h>

#include "bench/formats/coder.h"
#include "bench/formats/frame_access.h"

namespace reelstore::bench {

namespace {

/// Collects rows about two contenders of one comparison; those of which one was not measured give none.
class Rows {
public:
    explicit Rows(std::vector<TargetRow>& rows) : rows_(rows) {}

    void faster(const Comparison& comparison, const std::string& action, const std::string& name,
                const std::string& other, double bound) {
        const Series* one = comparison.find(name);
        const Series* against = comparison.find(other);
        if (!one || !against) return;
        add(comparison.clip, fmt::format("{}: {}", action, name),
            fmt::format("at least {}x as fast as {}", bound, other), times_as_fast(*one, *against), bound,
            times_as_fast_by_cpu(*one, *against));
    }

    void smaller(const Comparison& comparison, const std::string& name, const std::string& other, double bound) {
        const Series* one = comparison.find(name);
        const Series* against = comparison.find(other);
        if (!one || !against) return;
        add(comparison.clip, fmt::format("ratio: {}", name), fmt::format("at least {}x that of {}", bound, other),
            against->frame_bytes / one->frame_bytes, bound);
    }

    void within(const Comparison& comparison, const std::string& action, const std::string& name, double bound_us) {
        const Series* one = comparison.find(name);
        if (!one) return;
        const double seen = 1e3 * one->median_milliseconds();
        rows_.push_back({.clip = comparison.clip,
                         .what = fmt::format("{}: {}", action, name),
                         .aim = fmt::format("at most {} us", bound_us),
                         .seen = seen,
                         .reached = seen <= bound_us});
    }

private:
    void add(const std::string& clip, const std::string& what, const std::string& aim, double seen, double bound,
             std::optional<double> by_cpu = {}) {
        rows_.push_back(
            {.clip = clip, .what = what, .aim = aim, .seen = seen, .seen_by_cpu = by_cpu, .reached = seen >= bound});
    }

    std::vector<TargetRow>& rows_;
};

void coding_targets(const CodingResult& result, Rows& rows) {
    const bool deep = result.encode.find(kFfv1Deep) != nullptr;
    for (const char* ffv1 : {kFfv1Rice, kFfv1Ours, kFfv1Deep, kFfv1Deep16}) {
        rows.faster(result.encode, "encode", kPredictedFast, ffv1, 10);
        if (deep) continue;
        rows.smaller(result.encode, kPredictedFast, ffv1, 0.84);
        rows.faster(result.encode, "encode", kPredictedSmall, ffv1, 10);
        rows.smaller(result.encode, kPredictedSmall, ffv1, 0.92);
    }
    rows.faster(result.encode, "encode", kPredictedFast, kBloscLeast, deep ? 1.5 : 1.8);
    rows.smaller(result.encode, kPredictedFast, kBloscLeast, deep ? 1.1 : 1.25);
    if (!deep) rows.faster(result.decode, "decode", kPredictedFast, kBareZstd, 0.8);
}

void reading_targets(const ReadingResult& result, Rows& rows) {
    const Comparison& single = result.single;
    rows.within(result.views, "random view", chunk_reader_name(kRaw), 3);
    if (single.clip.find("gray8") == std::string::npos) return;
    const std::string chunk_reader = chunk_reader_name(kPredictedFast);
    const std::string store_reader = store_reader_name(kPredictedFast);
    rows.faster(single, "random frame", chunk_reader, chunk_reader_name(kFfv1), 25);
    rows.faster(single, "random frame", store_reader, store_reader_name(kFfv1), 25);
    for (const std::string& reader : {chunk_reader, store_reader}) {
        rows.faster(single, "random frame", reader, kOpenCv, 25);
        rows.faster(single, "random frame", reader, kPyAv, 25);
        rows.faster(single, "random frame", reader, kH5py, 5);
        rows.faster(single, "random frame", reader, kZarr, 1.4);
    }
}

}  // namespace

std::vector<TargetRow> target_rows(const Report& report) {
    std::vector<TargetRow> all;
    Rows rows(all);
    for (const CodingResult& result : report.coding) coding_targets(result, rows);
    for (const ReadingResult& result : report.reading) reading_targets(result, rows);
    for (const Comparison& result : report.recording) {
        rows.faster(result, "record", store_recorder_name("raw/npy"), kDd, 0.9);
        rows.faster(result, "record", store_recorder_name("raw/npy"), store_recorder_name("npy"), 2);
    }
    return all;
}

}  // namespace reelstore::bench
