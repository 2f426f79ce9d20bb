#include "bench/recording/memory.h"

#include <algorithm>
#include <memory>

#include "bench/machine.h"

namespace reelstore::bench {

namespace {

/// Small, so that the buffers are full of frames after some thousands of them.
constexpr size_t kBufferBytes = size_t{8} << 20;
constexpr int kSamples = 200;

MemorySample memory_after(int64_t frames) {
    return {frames, static_cast<double>(resident_bytes()) / 1e6, static_cast<double>(heap_bytes()) / 1e6};
}

MemoryResult measure_one(const Coding& coding, const Clip& clip, int64_t frames, int64_t chunk_frames,
                         const std::filesystem::path& folder) {
    MemoryResult result = {
        .name = coding.name, .chunk_frames = chunk_frames, .before = memory_after(0), .samples = {}, .run = {}};
    const auto record = [&](const Clip& images, int64_t count, const std::filesystem::path& path) {
        StoreWriterOptions options = writer_options(coding, 1.0);
        options.chunk_frames = chunk_frames;
        options.buffer_bytes = kBufferBytes;
        StoreWriter writer(path, options);
        const int64_t step = std::max<int64_t>(1, count / kSamples);
        for (int64_t i = 0; i < count; ++i) {
            writer.add(images.image(i), i, static_cast<double>(i) / 25);
            if ((i + 1) % step == 0) result.samples.push_back(memory_after(i + 1));
        }
        writer.close();
        return std::optional(writer.stats());
    };
    result.run = measure({.name = coding.name, .record = record}, clip, frames, folder);
    return result;
}

}  // namespace

double MemoryResult::most_between(double from, double to, double MemorySample::*figure) const {
    double most = 0;
    for (const MemorySample& sample : samples) {
        const double share = static_cast<double>(sample.frames) / static_cast<double>(run.frames);
        if (share > from && share <= to) most = std::max(most, sample.*figure);
    }
    return most;
}

std::vector<MemoryResult> measure_memory(const MemoryScale& scale, const std::string& only,
                                         const std::filesystem::path& folder) {
    const Clip clip = synthetic_clip({.height = 48, .width = 64}, 64);
    const Coding video = {
        "avc1/mp4, ultrafast, zerolatency", "avc1/mp4", {{"preset", "ultrafast"}, {"tune", "zerolatency"}}};
    const Coding npy = {"npy", "npy"};
    std::vector<MemoryResult> results;
    for (const auto& [coding, frames] : {std::pair{video, scale.video_frames}, std::pair{npy, scale.image_frames}}) {
        if (coding.name.find(only) == std::string::npos) continue;
        results.push_back(measure_one(coding, clip, frames, scale.chunk_frames, folder));
    }
    return results;
}

}  // namespace reelstore::bench
