#pragma once

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <opencv2/core.hpp>

#include "base/file_system.h"
#include "codecs/chunk_format.h"
#include "codecs/packed/packed_container.h"

namespace reelstore {

inline const std::vector<std::string> kPackedFormats = {"raw/npy", "zstd/npy", "predicted/rpz"};

/// Every bit pattern that the type has may occur, NaN and infinities among them; the number is in the first bytes.
inline cv::Mat packed_test_image(const ImageType& type, int number, bool noisy = true) {
    cv::Mat image(type.height, type.width, type.cv_type());
    std::mt19937 random(static_cast<unsigned>(number) + 1);
    const size_t size = image.total() * image.elemSize();
    for (size_t i = 0; i < size; ++i) image.data[i] = static_cast<uint8_t>(noisy ? random() : i / 16 + random() % 4);
    const auto mark = static_cast<uint32_t>(number);
    std::memcpy(image.data, &mark, std::min(size, sizeof mark));
    if (type.depth == CV_32F && image.total() > 4) {
        image.ptr<float>()[1] = std::numeric_limits<float>::quiet_NaN();
        image.ptr<float>()[2] = -std::numeric_limits<float>::infinity();
        image.ptr<float>()[3] = -0.0F;
    }
    if (type.depth == CV_64F && image.total() > 4) {
        image.ptr<double>()[1] = std::numeric_limits<double>::quiet_NaN();
        image.ptr<double>()[2] = std::numeric_limits<double>::infinity();
    }
    return image;
}

inline bool same_bytes(const cv::Mat& a, const cv::Mat& b) {
    if (a.type() != b.type() || a.size() != b.size()) return false;
    for (int row = 0; row < a.rows; ++row)
        if (std::memcmp(a.ptr(row), b.ptr(row), static_cast<size_t>(a.cols) * a.elemSize()) != 0) return false;
    return true;
}

inline const ChunkFormat& packed_format(const std::string& name) {
    const ChunkFormat* format = find_chunk_format(name);
    REQUIRE(format != nullptr);
    return *format;
}

/// A chunk of the frames first, first + 1, ...; gives what the writer stored.
inline std::vector<StoredFrame> write_packed(const std::string& format, const std::filesystem::path& path,
                                             const ImageType& type, int frames, const CodecOptions& codec = {},
                                             bool finish = true, int first = 0) {
    const auto writer = packed_format(format).create(path, type, codec);
    for (int i = 0; i < frames; ++i) writer->write(packed_test_image(type, first + i, (first + i) % 2 == 0));
    if (finish) {
        writer->finish();
    } else {
        writer->drain();
    }
    writer->sync();
    return writer->take_stored();
}

/// As the index has it of a chunk.
inline std::shared_ptr<PacketTable> packed_table(const std::string& format, const ImageType& type,
                                                 const std::vector<StoredFrame>& stored) {
    auto table = std::make_shared<PacketTable>();
    const PackedContainer* container = packed_container_of("x" + packed_format(format).info().extension);
    table->stream = packed_stream(*container, type);
    table->container = container->name();
    for (const StoredFrame& frame : stored) table->packets.push_back(*frame.packet);
    table->sort_display_order();
    return table;
}

inline std::vector<uint8_t> file_bytes(const std::filesystem::path& path) {
    return read_file(path, uint64_t{1} << 30);
}

inline void write_bytes(const std::filesystem::path& path, const std::vector<uint8_t>& bytes) {
    std::filesystem::remove(path);
    write_new_file(path, bytes.data(), bytes.size());
}

}  // namespace reelstore
