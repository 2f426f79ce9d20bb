#include "codecs/foreign/norpix_frames.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/pixel_type.h"
#include "codecs/foreign/frame_rate.h"
#include "codecs/foreign/header_bytes.h"

namespace reelstore {

namespace {

constexpr size_t kLengthBytes = 4;
constexpr size_t kRecordHeadBytes = 8;
/// From the end of an image to the next record: StreamPix has the stamp there, the MATLAB toolbox 8 zeros more.
constexpr std::array<uint64_t, 2> kGaps{8, 16};

bool is_zero(std::span<const uint8_t> bytes) {
    return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; });
}

uint32_t record_length(std::span<const uint8_t> bytes) {
    return HeaderBytes(bytes).at<uint32_t>(0);
}

/// Whether an image was never written: neither a stamp nor anything at both ends of its pixels.
bool is_unused(const FileBytes& file, const NorpixFrames& frames, int64_t place) {
    constexpr uint64_t kEdge = 4096;
    const uint64_t edge = std::min(kEdge, frames.image_bytes);
    const std::optional<NorpixStamp> stamp = read_norpix_stamp(file, frames, place);
    if (!stamp || *stamp != NorpixStamp{}) return false;
    return is_zero(file.read(frames.offset(place), edge)) &&
           is_zero(file.read(frames.stamp_offset(place) - edge, edge));
}

}  // namespace

bool begins_norpix_record(std::span<const uint8_t> bytes) {
    constexpr std::array<uint8_t, 3> kJpeg{0xFF, 0xD8, 0xFF};
    constexpr std::array<uint8_t, 4> kPng{0x89, 'P', 'N', 'G'};
    if (bytes.size() < kRecordHeadBytes) return false;
    const uint32_t length = record_length(bytes);
    if (length <= kRecordHeadBytes || length > kMaxImageBytes) return false;
    const auto image = bytes.subspan(kLengthBytes);
    return std::equal(kJpeg.begin(), kJpeg.end(), image.begin()) || std::equal(kPng.begin(), kPng.end(), image.begin());
}

NorpixFrames find_compressed_frames(const std::filesystem::path& path, uint64_t start, size_t stamp_bytes,
                                    std::vector<std::string>& warnings) {
    // Read and not mapped: a page fault here and there would read far more of the file than these bytes.
    const FileBytes file(path, false);
    NorpixFrames frames;
    frames.start = start;
    frames.stamp_bytes = stamp_bytes;
    uint64_t gap = kGaps.front();
    uint64_t position = start;
    std::vector<uint8_t> head = file.read(position, kRecordHeadBytes);
    while (begins_norpix_record(head)) {
        const uint32_t length = record_length(head);
        if (length > file.size() - position) {
            warnings.push_back("the last image is cut off and left out");
            position = file.size();
            break;
        }
        frames.offsets.push_back(position + kLengthBytes);
        frames.sizes.push_back(length - static_cast<uint32_t>(kLengthBytes));
        const uint64_t end = position + length;
        const std::vector<uint8_t> behind = file.read(end, kGaps.back() + kRecordHeadBytes);
        const auto record_at = [&](uint64_t distance) {
            return std::span(behind).subspan(std::min<size_t>(distance, behind.size()));
        };
        if (!begins_norpix_record(record_at(gap))) {
            for (const uint64_t other : kGaps) {
                if (begins_norpix_record(record_at(other))) gap = other;
            }
        }
        const auto next = record_at(gap).first(std::min(record_at(gap).size(), kRecordHeadBytes));
        head.assign(next.begin(), next.end());
        position = end + gap;
    }
    frames.count = static_cast<int64_t>(frames.offsets.size());
    // Without a record behind it, the gap of the last one may be the longer one.
    const uint64_t clean_end = frames.count == 0 ? start : position - gap + kGaps.back();
    if (file.size() > clean_end) {
        warnings.push_back(fmt::format("the bytes from {} on are no image; {} bytes are left unread", position,
                                       file.size() - position));
    }
    return frames;
}

NorpixFrames find_raw_frames(const FileBytes& file, uint64_t start, uint64_t image_bytes, uint64_t stride,
                             size_t stamp_bytes, std::vector<std::string>& warnings) {
    NorpixFrames frames;
    frames.start = start;
    frames.image_bytes = image_bytes;
    frames.stride = stride;
    frames.stamp_bytes = stride - image_bytes >= stamp_bytes ? stamp_bytes : 0;
    frames.count = frames_in_file(file.size(), start, image_bytes, stride);
    const uint64_t behind = start + static_cast<uint64_t>(frames.count) * stride;
    if (file.size() > behind) warnings.push_back("the last image is cut off and left out");
    const int64_t in_file = frames.count;
    // Of a recording without times, black images must not be taken for unused ones.
    const std::optional<NorpixStamp> first =
        frames.count > 0 ? read_norpix_stamp(file, frames, 0) : std::optional<NorpixStamp>();
    const bool has_times = first && *first != NorpixStamp{};
    while (has_times && is_unused(file, frames, frames.count - 1)) --frames.count;
    if (frames.count < in_file) {
        warnings.push_back(fmt::format("the last {} images were never written (zeros without a time) and are left out",
                                       in_file - frames.count));
    }
    return frames;
}

std::optional<NorpixStamp> read_norpix_stamp(const FileBytes& file, const NorpixFrames& frames, int64_t place) {
    if (frames.stamp_bytes == 0) return std::nullopt;
    const std::vector<uint8_t> bytes = file.read(frames.stamp_offset(place), frames.stamp_bytes);
    if (bytes.size() < frames.stamp_bytes) return std::nullopt;
    return parse_norpix_stamp(bytes);
}

std::optional<uint64_t> find_norpix_true_size(const FileBytes& file, uint64_t start, uint64_t image_bytes,
                                              size_t stamp_bytes) {
    constexpr int64_t kFramesToCheck = 8;
    constexpr double kLongestGap = 86400;
    const auto rounded = [&](uint64_t block) { return (image_bytes + stamp_bytes + block - 1) / block * block; };
    for (const uint64_t stride : {norpix_true_size(image_bytes, stamp_bytes), rounded(512), rounded(1024),
                                  rounded(4096), rounded(8192), image_bytes + stamp_bytes}) {
        NorpixFrames frames;
        frames.start = start;
        frames.image_bytes = image_bytes;
        frames.stride = stride;
        frames.stamp_bytes = stamp_bytes;
        frames.count = frames_in_file(file.size(), start, image_bytes + stamp_bytes, stride);
        double last = 0;
        bool plausible = frames.count > 0;
        for (int64_t place = 0; plausible && place < std::min(frames.count, kFramesToCheck); ++place) {
            const std::optional<NorpixStamp> stamp = read_norpix_stamp(file, frames, place);
            plausible = stamp && stamp->milliseconds < 1000 && stamp->microseconds < 1000 &&
                        stamp->time() >= kFirstAbsoluteTime && stamp->time() >= last &&
                        (place == 0 || stamp->time() - last < kLongestGap);
            if (stamp) last = stamp->time();
        }
        if (plausible) return stride;
    }
    return std::nullopt;
}

}  // namespace reelstore
