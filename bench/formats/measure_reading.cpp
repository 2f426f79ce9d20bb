#include <algorithm>
#include <numeric>
#include <random>

#include "bench/formats/coder.h"
#include "bench/formats/frame_access.h"
#include "bench/formats/measure.h"

namespace reelstore::bench {

namespace {

/// It decodes the sixteen frames before the wanted one too.
constexpr size_t kOpenCvRequests = 3;

std::vector<int64_t> shuffled(size_t count, std::mt19937& random) {
    // The first frame was read at opening.
    std::vector<int64_t> indices(count - 1);
    std::iota(indices.begin(), indices.end(), int64_t{1});
    std::shuffle(indices.begin(), indices.end(), random);
    return indices;
}

Series series_of(const AccessEntry& entry) {
    return {.name = entry.name, .frame_bytes = entry.frame_bytes};
}

}  // namespace

ReadingResult measure_reading(const Clip& clip, const Scale& scale, const std::filesystem::path& folder) {
    const ClipStore fast(clip, kPredictedFast, "predicted/rpz", {}, folder / "fast");
    const ClipStore small(clip, kPredictedSmall, "predicted/rpz", {{"effort", "small"}}, folder / "small");
    const ClipStore zstd(clip, "zstd/npy", "zstd/npy", {}, folder / "zstd");
    const ClipStore raw(clip, kRaw, "raw/npy", {}, folder / "raw");
    const ClipStore ffv1(clip, kFfv1, "ffv1/mkv", {}, folder / "ffv1");

    std::vector<AccessEntry> entries;
    for (const ClipStore* store : {&fast, &small, &zstd}) {
        entries.push_back(store->chunk_reader());
        entries.push_back(store->store_reader());
    }
    entries.push_back(raw.chunk_reader(true));
    entries.push_back(raw.store_reader(true));
    for (AccessEntry slow : {ffv1.chunk_reader(), ffv1.store_reader(), opencv_access(clip, ffv1.chunk())}) {
        // OpenCV gives 8 bits of whatever it reads.
        if (slow.name == kOpenCv && clip.deep()) continue;
        slow.most_requests = slow.name == kOpenCv ? kOpenCvRequests : scale.slow_requests;
        entries.push_back(std::move(slow));
    }
    for (AccessEntry& entry : python_access(clip, ffv1.chunk(), folder)) {
        if (entry.name == kPyAv) entry.most_requests = scale.slow_requests;
        entries.push_back(std::move(entry));
    }
    const std::vector<AccessEntry> views = {raw.chunk_reader(), raw.store_reader()};

    const auto image_bytes = static_cast<double>(clip.type.bytes());
    ReadingResult result = {{clip.name, image_bytes}, {clip.name, image_bytes}};
    for (const AccessEntry& entry : entries) result.single.series.push_back(series_of(entry));
    for (const AccessEntry& entry : views) result.views.series.push_back(series_of(entry));
    for (int repetition = 0; repetition < scale.repetitions; ++repetition) {
        std::mt19937 random(static_cast<unsigned>(repetition) + 1);
        const std::vector<int64_t> indices = shuffled(clip.images.size(), random);
        for (size_t i = 0; i < entries.size(); ++i) {
            const std::span<const int64_t> asked(indices.data(), std::min(indices.size(), entries[i].most_requests));
            result.single.series[i].passes.push_back(entries[i].make()->run(asked));
        }
        std::vector<int64_t> rounds;
        for (int round = 0; round < scale.view_rounds; ++round) {
            const std::vector<int64_t> more = shuffled(clip.images.size(), random);
            rounds.insert(rounds.end(), more.begin(), more.end());
        }
        for (size_t i = 0; i < views.size(); ++i) {
            result.views.series[i].passes.push_back(views[i].make()->run(rounds));
        }
    }
    return result;
}

}  // namespace reelstore::bench
