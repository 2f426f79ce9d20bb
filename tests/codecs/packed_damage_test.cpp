#include <doctest/doctest.h>

#include <zstd.h>

#include "base/npy.h"
#include "codecs/media_file.h"
#include "codecs/packed/npy_stack.h"
#include "codecs/packed/seek_table.h"
#include "codecs/packed/zstd_frame.h"
#include "tests/codecs/packed_kit.h"
#include "tests/sanitized.h"
#include "tests/temporary_folder.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

constexpr ImageType kType{12, 20, 1, CV_8U};
constexpr int kFrames = 5;

/// The frames that can be read are the right ones, and there are so many; the others are errors that say where.
void check_readable(const std::string& name, const std::filesystem::path& path, const ChunkReadOptions& options,
                    int expected) {
    const auto reader = packed_format(name).open(path, kType, options);
    for (int position = kFrames - 1; position >= 0; --position) {
        CAPTURE(position);
        cv::Mat image;
        const std::optional<Error> error = thrown_by([&] { image = reader->read(position); });
        CHECK(error.has_value() == (position >= expected));
        if (!error) {
            CHECK(same_bytes(image, packed_test_image(kType, position, position % 2 == 0)));
            continue;
        }
        CHECK((error->code() == ErrorCode::corrupt || error->code() == ErrorCode::not_found));
        CHECK(std::string(error->what()).find(path.string()) != std::string::npos);
        CHECK(std::string(error->what()).find("position " + std::to_string(position)) != std::string::npos);
    }
}

}  // namespace

TEST_SUITE_BEGIN("crash");

TEST_CASE("packed: of a file that is cut off, the frames before the cut are served and found") {
    const TemporaryFolder folder(memory_folder());
    for (const std::string& name : kPackedFormats) {
        const std::string extension = packed_format(name).info().extension;
        for (const bool finished : {true, false}) {
            CAPTURE(name);
            CAPTURE(finished);
            const auto whole = folder / (std::string(finished ? "whole" : "open") + extension);
            const std::vector<StoredFrame> stored = write_packed(name, whole, kType, kFrames, {}, finished);
            const std::vector<uint8_t> bytes = file_bytes(whole);
            const auto table = packed_table(name, kType, stored);
            ChunkReadOptions with_index;
            with_index.packets = [&](std::optional<int64_t>) { return table; };
            std::vector<uint64_t> cuts;
            for (const StoredFrame& frame : stored) {
                for (const int64_t by : {-1, 0, 1, 3, 30})
                    cuts.push_back(static_cast<uint64_t>(static_cast<int64_t>(frame.packet->offset) + by));
            }
            for (uint64_t cut = stored.back().packet->offset + stored.back().packet->size - 1; cut < bytes.size();
                 ++cut)
                cuts.push_back(cut);
            const auto path = folder / ("cut" + extension);
            for (const uint64_t cut : cuts) {
                if (cut < stored[0].packet->offset || cut >= bytes.size()) continue;
                CAPTURE(cut);
                write_bytes(path, {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(cut)});
                const auto there =
                    static_cast<int>(std::count_if(stored.begin(), stored.end(), [&](const StoredFrame& frame) {
                        return frame.packet->offset + frame.packet->size <= cut;
                    }));
                check_readable(name, path, {}, there);
                check_readable(name, path, with_index, there);
                const SalvagedVideo found = salvage_media(path);
                REQUIRE(found.table.frame_count() == there);
                // A raw array that says it has no frames, and has none, is whole.
                CHECK(found.complete == (cut == stored[0].packet->offset && name == "raw/npy" && !finished));
                for (int i = 0; i < there; ++i) {
                    CHECK(found.table.packets[static_cast<size_t>(i)] == table->packets[static_cast<size_t>(i)]);
                    CHECK(found.table.packets[static_cast<size_t>(i)].checksum ==
                          table->packets[static_cast<size_t>(i)].checksum);
                }
            }
        }
    }
}

TEST_CASE("packed: a changed bit is an error or changes nothing, with and without the index") {
    const TemporaryFolder folder(memory_folder());
    for (const std::string name : {"zstd/npy", "predicted/rpz"}) {
        CAPTURE(name);
        const auto path = folder / ("a" + packed_format(name).info().extension);
        const std::vector<StoredFrame> stored = write_packed(name, path, kType, kFrames);
        const std::vector<uint8_t> bytes = file_bytes(path);
        const auto table = packed_table(name, kType, stored);
        ChunkReadOptions with_index;
        with_index.packets = [&](std::optional<int64_t>) { return table; };
        std::mt19937 random(3);
        int errors = 0;
        for (int turn = 0; turn < (kSanitized ? 150 : 600); ++turn) {
            std::vector<uint8_t> damaged = bytes;
            const size_t at = random() % bytes.size();
            damaged[at] ^= static_cast<uint8_t>(1U << random() % 8);
            CAPTURE(at);
            write_bytes(path, damaged);
            for (const bool index : {false, true}) {
                const auto problem = thrown_by([&] {
                    const auto reader = packed_format(name).open(path, kType, index ? with_index : ChunkReadOptions{});
                    for (int position = 0; position < kFrames; ++position) {
                        const StoredFrame& frame = stored[static_cast<size_t>(position)];
                        const bool hit = at >= frame.packet->offset && at < frame.packet->offset + frame.packet->size;
                        cv::Mat image;
                        const auto error = thrown_by([&] { image = reader->read(position); });
                        if (!error) CHECK(same_bytes(image, packed_test_image(kType, position, position % 2 == 0)));
                        if (index) CHECK(error.has_value() == hit);
                        if (error) {
                            CHECK((error->code() == ErrorCode::corrupt || error->code() == ErrorCode::not_found));
                            ++errors;
                        }
                    }
                });
                // The header is looked at when the file is opened.
                if (problem) CHECK(at < stored[0].packet->offset);
            }
            CHECK_NOTHROW(static_cast<void>(error_of([&] { salvage_media(path); })));
        }
        CHECK(errors > 100);
    }
}

TEST_CASE("packed: hostile headers and frames are refused, and take no memory") {
    const TemporaryFolder folder(memory_folder());
    const auto refused = [&](const std::string& format, const std::vector<uint8_t>& bytes) {
        const auto path = folder / ("hostile" + packed_format(format).info().extension);
        write_bytes(path, bytes);
        std::string message;
        const auto code = error_of([&] { packed_format(format).open(path, kType)->read(0); }, &message);
        CHECK(message.find("hostile") != std::string::npos);
        const auto salvage = error_of([&] { salvage_media(path); });
        CHECK((!salvage || salvage == ErrorCode::corrupt || salvage == ErrorCode::unsupported));
        CHECK_FALSE(media_complete(*file_system().open(path, OpenMode::read), container_of(path)));
        return code;
    };
    const std::vector<std::vector<int64_t>> shapes = {
        {INT64_MAX, 12, 20},
        {1, INT64_MAX, INT64_MAX},
        {1, 70000, 20},
        {4, 12},
        {1, 2, 3, 4, 5},
        {1, 0, 20},
        {1, 12, 20, 0},
        {1, 12, 20, 100000},
        {1, 60000, 60000, 512},
        {int64_t{1} << 62, 1, 1},
        {1, 20, 12},
    };
    for (const auto& shape : shapes) {
        const std::vector<uint8_t> header = make_npy_header("|u1", shape);
        CAPTURE(shape[0]);
        CAPTURE(shape[1]);
        CHECK(refused("raw/npy", header));
        if (header.size() < 256) CHECK(refused("zstd/npy", stored_zstd_frame(header)));
        std::vector<uint8_t> skippable = {0x56, 0x2a, 0x4d, 0x18, static_cast<uint8_t>(header.size()), 0, 0, 0};
        skippable.insert(skippable.end(), header.begin(), header.end());
        CHECK(refused("predicted/rpz", skippable));
    }
    for (const char* descr : {"|O", "<c8", "<U4", "<f16", "<i8"})
        CHECK(refused("raw/npy", make_npy_header(descr, {1, 12, 20})));
    for (const std::string& format : kPackedFormats) {
        CHECK(refused(format, {}) == ErrorCode::corrupt);
        CHECK(refused(format, {'n', 'o', 't', ' ', 'i', 't'}) == ErrorCode::corrupt);
        CHECK(refused(format, std::vector<uint8_t>(100000, 0)) == ErrorCode::corrupt);
    }
    // The header of zeros that a frame of a gigabyte holds.
    std::vector<uint8_t> bomb(ZSTD_compressBound(size_t{64} << 20));
    {
        const std::vector<uint8_t> zeros(size_t{64} << 20);
        ZSTD_CCtx* const context = ZSTD_createCCtx();
        ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
        bomb.resize(ZSTD_compress2(context, bomb.data(), bomb.size(), zeros.data(), zeros.size()));
        ZSTD_freeCCtx(context);
    }
    CHECK(refused("zstd/npy", bomb) == ErrorCode::unsupported);
    // The same in the place of an image.
    std::vector<uint8_t> file = zstd_npy_container().begin(kType, 1);
    file.insert(file.end(), bomb.begin(), bomb.end());
    CHECK(refused("zstd/npy", file) == ErrorCode::not_found);
    // Sparse files, in which every byte is a block's header, and which would hold more frames than there is memory for.
    const auto sparse = folder / "sparse.npy.zst";
    write_bytes(sparse, {0x28, 0xB5, 0x2F, 0xFD, 0x24, 0x80});
    std::filesystem::resize_file(sparse, uint64_t{1} << 40);
    CHECK(error_of([&] { packed_format("zstd/npy").open(sparse, kType); }) == ErrorCode::corrupt);
    const auto many = folder / "many.npy";
    const ImageType pixel{1, 1, 1, CV_8U};
    write_bytes(many, npy_container().begin(pixel, 0));
    std::filesystem::resize_file(many, uint64_t{1} << 40);
    CHECK(error_of([&] { npy_container().find_frames(many); }) == ErrorCode::corrupt);
    // Another program's frame of zstd without a checksum.
    std::vector<uint8_t> unchecked = zstd_npy_container().begin(kType, 1);
    unchecked[4] &= static_cast<uint8_t>(~0x04);
    CHECK(refused("zstd/npy", unchecked) == ErrorCode::corrupt);
    // A seek table that speaks of frames larger than any, of too many, and of bytes that are not there.
    const std::vector<uint8_t> header = zstd_npy_container().begin(kType, 1);
    const auto header_bytes = static_cast<uint32_t>(header.size());
    for (const uint32_t size : {uint32_t{240}, UINT32_MAX}) {
        file = header;
        file.insert(file.end(), 50, 1);
        const std::vector<SeekEntry> entries = {{header_bytes, 128, 0}, {50, size, 0}};
        const std::vector<uint8_t> table = make_seek_table(entries);
        file.insert(file.end(), table.begin(), table.end());
        CAPTURE(size);
        const auto path = folder / "table.npy.zst";
        write_bytes(path, file);
        CHECK(error_of([&] { packed_format("zstd/npy").open(path, kType)->read(0); }));
        file[file.size() - 9 + 3] = 0x7f;
        write_bytes(path, file);
        CHECK_FALSE(read_seek_table(*file_system().open(path, OpenMode::read)));
    }
}

TEST_CASE("packed: a stream description is only taken as it is written") {
    const PackedContainer& container = npy_container();
    for (const int depth : {CV_8U, CV_8S, CV_16U, CV_16S, CV_32S, CV_32F, CV_64F, CV_16F}) {
        for (const int channels : {1, 2, 3, 512}) {
            const ImageType type{3, 4, channels, depth};
            const VideoStream stream = packed_stream(container, type);
            CHECK(packed_type(stream) == type);
            CHECK(VideoStream::from_json(stream.to_json()) == stream);
        }
    }
    VideoStream stream = packed_stream(container, {3, 4, 3, CV_8U});
    for (const char* text : {"", "x", "|u1x", "|u1x1", "|u1x0", "|u1x-3", "|u1x3x", "|u1x513", ">u2", "<u1", "|b1",
                             "yuv420p", "<f4x99999999999"}) {
        CAPTURE(text);
        stream.pixel_format = text;
        CHECK(error_of([&] { packed_type(stream); }) == ErrorCode::corrupt);
    }
}

TEST_SUITE_END();

}  // namespace reelstore
