#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/numbered_frames.h"
#include "store/store_reader.h"
#include "store/store_writer.h"
#include "tests/thrown_error.h"

namespace reelstore {

inline constexpr double kFixtureTime = 1577836800;
inline constexpr double kFixtureInterval = 0.0403;

inline double fixture_time(int64_t index) {
    return kFixtureTime + static_cast<double>(index) * kFixtureInterval;
}

/// Writes `count` numbered frames (number = first_number + index) and closes the store.
inline void write_numbered_store(const std::filesystem::path& path, const StoreWriterOptions& options,
                                 const ImageType& type, int count, int64_t first_number = 0) {
    StoreWriter writer(path, options);
    for (int i = 0; i < count; ++i) writer.add(make_numbered_image(type, i), first_number + i, fixture_time(i));
    writer.close();
}

/// Every chunk of a frame table.
inline std::vector<ChunkRow> chunk_rows(const FrameTable& table) {
    std::vector<ChunkRow> chunks;
    table.visit_chunks([&](const ChunkRow& chunk) {
        chunks.push_back(chunk);
        return true;
    });
    return chunks;
}

/// Size of the small images of most tests.
inline constexpr int kFixtureHeight = 48;
inline constexpr int kFixtureWidth = 64;
inline ImageType gray_type() {
    return {kFixtureHeight, kFixtureWidth, 1, CV_8U};
}
inline ImageType color_type() {
    return {kFixtureHeight, kFixtureWidth, 3, CV_8U};
}

}  // namespace reelstore
