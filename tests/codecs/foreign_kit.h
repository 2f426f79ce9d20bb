#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <opencv2/core.hpp>

#include "base/error.h"
#include "base/file_system.h"
#include "codecs/file_format.h"
#include "tests/image_equality.h"
#include "tests/sanitized.h"
#include "tests/temporary_folder.h"

namespace reelstore {

/// Builds the bytes of a file, number by number, as its description says.
class BytesMaker {
public:
    explicit BytesMaker(bool big_endian = false) : big_endian_(big_endian) {}

    template <typename Number>
    BytesMaker& add(Number value) {
        uint8_t bytes[sizeof(Number)];
        std::memcpy(bytes, &value, sizeof(Number));
        if (big_endian_) std::reverse(bytes, bytes + sizeof(Number));
        bytes_.insert(bytes_.end(), bytes, bytes + sizeof(Number));
        return *this;
    }
    BytesMaker& text(const std::string& text, size_t size) {
        for (size_t i = 0; i < size; ++i)
            bytes_.push_back(i < text.size() ? static_cast<uint8_t>(text[i]) : uint8_t{0});
        return *this;
    }
    BytesMaker& bytes(std::span<const uint8_t> more) {
        bytes_.insert(bytes_.end(), more.begin(), more.end());
        return *this;
    }
    /// The image row by row, its elements in the order of bytes of the numbers.
    BytesMaker& image(const cv::Mat& image) {
        const size_t item = image.elemSize1();
        for (int row = 0; row < image.rows; ++row) {
            const uint8_t* const pixels = image.ptr(row);
            for (size_t i = 0; i < image.elemSize() * static_cast<size_t>(image.cols); i += item) {
                std::vector<uint8_t> element(pixels + i, pixels + i + item);
                if (big_endian_) std::reverse(element.begin(), element.end());
                bytes_.insert(bytes_.end(), element.begin(), element.end());
            }
        }
        return *this;
    }
    /// Zeros up to this size.
    BytesMaker& pad_to(size_t size) {
        if (bytes_.size() < size) bytes_.resize(size, 0);
        return *this;
    }
    /// Writes a number over what is at `offset`.
    template <typename Number>
    BytesMaker& put(size_t offset, Number value) {
        BytesMaker number(big_endian_);
        number.add(value);
        pad_to(offset + sizeof(Number));
        std::copy(number.bytes_.begin(), number.bytes_.end(), bytes_.begin() + static_cast<ptrdiff_t>(offset));
        return *this;
    }
    size_t size() const { return bytes_.size(); }
    const std::vector<uint8_t>& get() const { return bytes_; }

private:
    bool big_endian_;
    std::vector<uint8_t> bytes_;
};

/// The files of a foreign recording: names (with folders where there are some) and contents.
using ForeignFiles = std::map<std::string, std::vector<uint8_t>>;

inline void write_foreign_files(const std::filesystem::path& folder, const ForeignFiles& files) {
    for (const auto& [name, bytes] : files) {
        std::filesystem::create_directories((folder / name).parent_path());
        write_new_file(folder / name, bytes.data(), bytes.size());
    }
}

/// What a source must give.
struct ExpectedFrames {
    std::vector<cv::Mat> images;
    std::vector<int64_t> numbers = {};  ///< empty: 0, 1, 2...
    std::vector<double> times = {};     ///< seconds; empty: NaN
    double time_tolerance = 1e-6;
};

/// Reads the source forward, in shuffled order and through a clone, each frame compared in all pixels.
inline void check_foreign_source(FrameSource& source, const ExpectedFrames& expected) {
    const auto count = static_cast<int64_t>(expected.images.size());
    REQUIRE(source.info().frame_count == count);
    RandomAccess* const access = source.random_access();
    REQUIRE(access);
    REQUIRE(access->frame_count() == count);
    const auto check = [&](const Frame& frame, int64_t index) {
        CAPTURE(index);
        const auto place = static_cast<size_t>(index);
        CHECK(frame.index == index);
        CHECK(equal_pixels(frame.image, expected.images[place]));
        CHECK(ImageType::of(frame.image) == source.info().image_type);
        CHECK(frame.number == (expected.numbers.empty() ? index : expected.numbers[place]));
        if (expected.times.empty()) {
            CHECK(std::isnan(frame.time));
        } else {
            CHECK(std::abs(frame.time - expected.times[place]) <= expected.time_tolerance);
        }
        const FrameStamp stamp = access->stamp(index);
        CHECK(stamp.number == frame.number);
        CHECK((stamp.time == frame.time || (std::isnan(stamp.time) && std::isnan(frame.time))));
    };
    std::vector<int64_t> order(expected.images.size());
    std::iota(order.begin(), order.end(), 0);
    for (const int64_t index : order) {
        const std::optional<Frame> frame = source.next();
        REQUIRE(frame);
        check(*frame, index);
    }
    CHECK_FALSE(source.next());
    std::shuffle(order.begin(), order.end(), std::mt19937(7));
    for (const int64_t index : order) check(access->at_index(index), index);
    const std::unique_ptr<RandomAccess> clone = access->clone_access();
    REQUIRE(clone);
    for (const int64_t index : order) check(clone->at_index(index), index);
    CHECK_THROWS_AS(access->at_index(count), Error);
    CHECK_THROWS_AS(access->at_index(-1), Error);
}

/// Writes the files to a new folder, opens `main` and checks it.
inline void check_foreign_files(const ForeignFiles& files, const std::string& main, const ExpectedFrames& expected,
                                const SourceOptions& options = {}) {
    const TemporaryFolder folder;
    write_foreign_files(folder.path(), files);
    for (const bool map : {true, false}) {
        CAPTURE(map);
        SourceOptions with_map = options;
        with_map.map = map;
        const auto source = open_file_source(folder / main, with_map);
        check_foreign_source(*source, expected);
    }
}

/// How many frames can be read; nothing when the recording cannot be opened. Every failure must be an Error whose
/// message is not empty.
inline std::optional<int64_t> readable_frames(const std::filesystem::path& path, const SourceOptions& options = {}) {
    try {
        const auto source = open_file_source(path, options);
        int64_t count = 0;
        const int64_t frames = std::min<int64_t>(source->info().frame_count.value_or(0), 200);
        for (int64_t index = 0; index < frames; ++index) {
            try {
                const Frame frame = source->random_access()->at_index(index);
                // Every pixel must be there.
                CHECK(cv::countNonZero(frame.image.reshape(1) != frame.image.reshape(1)) >= 0);
                source->random_access()->extra_data_of(index);
                ++count;
            } catch (const Error& error) {
                CHECK_FALSE(error.message().empty());
            }
        }
        return count;
    } catch (const Error& error) {
        CHECK_FALSE(error.message().empty());
        return std::nullopt;
    }
}

/// Cuts file `cut` off behind each of its first `header_bytes` bytes (every `step`-th) and opens the recording: each
/// time it gives an Error or some of its frames, and never more than `most_frames`.
inline void check_truncated(const ForeignFiles& files, const std::string& main, const std::string& cut,
                            size_t header_bytes, int64_t most_frames, size_t step = 1) {
    for (size_t size = 0; size <= std::min(header_bytes, files.at(cut).size()); size += kSanitized ? step * 3 : step) {
        CAPTURE(size);
        const TemporaryFolder folder(memory_folder());
        ForeignFiles damaged = files;
        damaged.at(cut).resize(size);
        write_foreign_files(folder.path(), damaged);
        CHECK(readable_frames(folder / main).value_or(0) <= most_frames);
    }
}

/// Puts absurd numbers (0, 1, the largest and smallest of 1, 2, 4 and 8 bytes) at every `step`-th place of the first
/// `header_bytes` bytes: each time the recording gives an Error or some frames, in bounded memory.
inline void check_absurd_headers(const ForeignFiles& files, const std::string& main, const std::string& changed,
                                 size_t header_bytes, size_t step = 2) {
    const std::vector<std::vector<uint8_t>> absurd = {{0, 0, 0, 0},
                                                      {1, 0, 0, 0},
                                                      {0xFF, 0xFF},
                                                      {0xFF, 0xFF, 0xFF, 0xFF},
                                                      {0xFF, 0xFF, 0xFF, 0x7F},
                                                      {0, 0, 0, 0x80},
                                                      {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F},
                                                      {0, 0, 0, 0, 0, 0, 0xF0, 0x7F}};
    for (size_t place = 0; place < std::min(header_bytes, files.at(changed).size());
         place += kSanitized ? step * 3 : step) {
        for (const std::vector<uint8_t>& bytes : absurd) {
            CAPTURE(place);
            const TemporaryFolder folder(memory_folder());
            ForeignFiles damaged = files;
            std::vector<uint8_t>& file = damaged.at(changed);
            for (size_t i = 0; i < bytes.size() && place + i < file.size(); ++i) file[place + i] = bytes[i];
            write_foreign_files(folder.path(), damaged);
            readable_frames(folder / main);
        }
    }
}

}  // namespace reelstore
