#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include <opencv2/core.hpp>

#include "base/numbered_frames.h"
#include "codecs/chunk_format.h"
#include "codecs/packet_table.h"

namespace reelstore {

void add_chunk_formats_avc1_mp4(ChunkFormatTable& table);
void add_chunk_formats_h264_mkv(ChunkFormatTable& table);
void add_chunk_formats_mjpeg_avi(ChunkFormatTable& table);

/// avc1/mp4, h264/mkv, mjpeg/avi.
inline const ChunkFormatTable& video_formats() {
    static const ChunkFormatTable table = [] {
        ChunkFormatTable formats;
        add_chunk_formats_avc1_mp4(formats);
        add_chunk_formats_h264_mkv(formats);
        add_chunk_formats_mjpeg_avi(formats);
        return formats;
    }();
    return table;
}

inline ImageType image_type(int height, int width, int channels) {
    return {.height = height, .width = width, .channels = channels, .depth = CV_8U};
}

/// A video of numbered frames and what its writer said about it.
struct WrittenVideo {
    std::filesystem::path path;
    std::vector<StoredFrame> frames;
    std::shared_ptr<PacketTable> table;  ///< made of `frames`
};

inline std::shared_ptr<PacketTable> table_of(const VideoStream& stream, const std::vector<StoredFrame>& frames) {
    auto table = std::make_shared<PacketTable>();
    table->stream = stream;
    table->packets.resize(frames.size());
    for (const StoredFrame& frame : frames)
        table->packets.at(static_cast<size_t>(frame.decode_position)) = *frame.packet;
    table->sort_display_order();
    return table;
}

inline WrittenVideo write_video(const ChunkFormat& format, const std::filesystem::path& path, const ImageType& type,
                                int count, const CodecOptions& options = {}) {
    WrittenVideo video{.path = path, .frames = {}, .table = {}};
    const auto writer = format.create(path, type, options);
    const auto take = [&] {
        for (StoredFrame& frame : writer->take_stored()) video.frames.push_back(std::move(frame));
    };
    for (int number = 0; number < count; ++number) {
        writer->write(make_numbered_image(type, number));
        take();
    }
    writer->finish();
    take();
    video.table = table_of(*writer->stream(), video.frames);
    return video;
}

inline std::vector<char> bytes_of(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_bytes(const std::filesystem::path& path, const std::vector<char>& bytes) {
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

}  // namespace reelstore
