#include "codecs/image_chunk_format.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <numeric>
#include <random>

#include <doctest/doctest.h>
#include <opencv2/core.hpp>

#include "base/error.h"
#include "base/file_system.h"
#include "base/numbered_frames.h"
#include "tests/image_equality.h"
#include "tests/fault_file_system.h"
#include "tests/temporary_folder.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

constexpr int kFrames = 30;

std::vector<const ChunkFormat*> folder_formats() {
    std::vector<const ChunkFormat*> formats;
    for (const auto& format : chunk_formats()) {
        if (dynamic_cast<const ImageFolderFormat*>(format.get())) formats.push_back(format.get());
    }
    return formats;
}

std::vector<ImageType> all_types(int height, int width) {
    std::vector<ImageType> types;
    for (int depth : {CV_8U, CV_8S, CV_16U, CV_16S, CV_32S, CV_32F, CV_64F, CV_16F}) {
        for (int channels : {1, 2, 3, 4, 5}) types.push_back({height, width, channels, depth});
    }
    return types;
}

void write_chunk(const ChunkFormat& format, const std::filesystem::path& path, const ImageType& type, int frames,
                 const CodecOptions& options = {}) {
    auto writer = format.create(path, type, options);
    uint64_t bytes = 0;
    for (int i = 0; i < frames; ++i) {
        writer->write(make_numbered_image(type, i * 1000));
        const auto stored = writer->take_stored();
        REQUIRE(stored.size() == 1);
        CHECK(stored[0].position == i);
        CHECK(stored[0].decode_position == i);
        CHECK_FALSE(stored[0].packet);
        bytes += stored[0].bytes;
    }
    writer->finish();
    CHECK(writer->bytes_written() == bytes);
    CHECK(writer->take_stored().empty());
}

void check_chunk(const ChunkFormat& format, const ImageType& type, const CodecOptions& options = {}) {
    const TemporaryFolder folder;
    write_chunk(format, folder / "000000", type, kFrames, options);

    std::vector<std::string> expected_names;
    for (int i = 0; i < kFrames; ++i) expected_names.push_back(image_file_name(i, format.info().extension));
    CHECK(file_system().list(folder / "000000") == expected_names);

    const auto reader = format.open(folder / "000000", type);
    CHECK(reader->frame_count() == kFrames);
    std::vector<int> order(kFrames);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), std::mt19937(1));
    for (int position : order) {
        CAPTURE(position);
        const cv::Mat original = make_numbered_image(type, position * 1000);
        const cv::Mat image = reader->read(position);
        if (format.info().lossless) {
            CHECK(equal_pixels(image, original));
        } else {
            REQUIRE(ImageType::of(image) == type);
            CHECK(cv::PSNR(image, original) > 30);
        }
        CHECK(read_image_number(image) == position * 1000);
    }
    CHECK(reader->counters().frames_decoded == kFrames);
}

}  // namespace

TEST_CASE("image_folder: every format keeps every type it accepts") {
    int accepted = 0;
    for (const ChunkFormat* format : folder_formats()) {
        for (const ImageType& type : all_types(37, 53)) {
            if (format->refuses(type)) continue;
            CAPTURE(format->info().name);
            CAPTURE(type.text());
            check_chunk(*format, type);
            ++accepted;
        }
    }
    // npy and bpk 40, png and tif with their +color forms 6 and 13 each, jpg and bmp likewise 2, ppm 4, pgm 2
    CHECK(accepted == 2 * 40 + 2 * 6 + 2 * 13 + 2 * 2 + 2 * 2 + 4 + 2);
}

TEST_CASE("image_folder: every value of 16 bit gray survives a ppm") {
    cv::Mat image(256, 256, CV_16U);
    for (int i = 0; i < 65536; ++i) image.ptr<uint16_t>(i / 256)[i % 256] = static_cast<uint16_t>(i);
    for (int depth : {CV_8U, CV_16U}) {
        cv::Mat values;
        image.convertTo(values, depth, depth == CV_8U ? 1.0 / 256 : 1);
        const TemporaryFolder folder;
        const ChunkFormat* ppm = find_chunk_format("ppm");
        auto writer = ppm->create(folder / "0", ImageType::of(values), {});
        writer->write(values);
        CHECK(equal_pixels(ppm->open(folder / "0", ImageType::of(values))->read(0), values));
    }
}

TEST_CASE("image_folder: float values that are no numbers survive") {
    cv::Mat image(8, 8, CV_32FC3, cv::Scalar(1e30, -0.0, 3));
    image.ptr<float>()[0] = std::numeric_limits<float>::quiet_NaN();
    image.ptr<float>()[4] = -std::numeric_limits<float>::infinity();
    for (const char* name : {"tif", "npy"}) {
        const TemporaryFolder folder;
        const ChunkFormat* format = find_chunk_format(name);
        auto writer = format->create(folder / "0", ImageType::of(image), {});
        writer->write(image);
        CHECK(equal_pixels(format->open(folder / "0", ImageType::of(image))->read(0), image));
    }
}

TEST_CASE("image_folder: options") {
    const ImageType type{37, 53, 3, CV_8U};
    for (const char* level : {"fast", "0", "1", "6", "9"})
        check_chunk(*find_chunk_format("png"), type, {{"compression", level}});
    for (const char* word : {"none", "lzw", "deflate"}) {
        check_chunk(*find_chunk_format("tif"), type, {{"compression", word}});
        check_chunk(*find_chunk_format("tif"), {37, 53, 3, CV_32F}, {{"compression", word}});
    }
    check_chunk(*find_chunk_format("jpg"), type, {{"quality", "80"}});

    const auto rejects = [](const char* format, const CodecOptions& options) {
        return error_of([&] { find_chunk_format(format)->check_options(options); }) == ErrorCode::invalid_argument;
    };
    for (const char* bad : {"", "10", "-1", "1.5", "six", "1 ", "99999999999999999999"}) {
        CHECK(rejects("png", {{"compression", bad}}));
    }
    CHECK(rejects("jpg", {{"quality", "101"}}));
    CHECK(rejects("tif", {{"compression", "zip"}}));
    CHECK(rejects("npy", {{"compression", "1"}}));
    CHECK(rejects("png", {{"quality", "1"}}));
    for (const ChunkFormat* format : folder_formats()) {
        CodecOptions defaults;
        for (const CodecOptionInfo& option : format->info().options) defaults[option.name] = option.default_value;
        format->check_options(defaults);
    }
}

TEST_CASE("image_folder: quality of jpg") {
    const ImageType type{48, 64, 3, CV_8U};
    const cv::Mat image = make_numbered_image(type, 0x5A5A);
    const auto bytes_at = [&](const CodecOptions& options) {
        const TemporaryFolder folder;
        auto writer = find_chunk_format("jpg")->create(folder / "0", type, options);
        writer->write(image);
        return writer->bytes_written();
    };
    CHECK(bytes_at({{"quality", "50"}}) < bytes_at({}));
    CHECK(bytes_at({}) < bytes_at({{"quality", "100"}}));
    CHECK(bytes_at({}) == bytes_at({{"quality", "95"}}));
}

TEST_CASE("image_folder: refusals say what can hold the frames") {
    const auto reason = find_chunk_format("pgm")->refuses({48, 64, 3, CV_8U});
    REQUIRE(reason);
    CHECK(reason->find("pgm holds uint8 or uint16 with 1 channel, not 48x64x3 uint8; use ") == 0);
    for (const char* name : {"png", "tif", "npy", "ppm", "bmp"}) CHECK(reason->find(name) != std::string::npos);
    CHECK(find_chunk_format("png")->refuses({48, 64, 1, CV_16F})->find("or npy") != std::string::npos);
    CHECK(find_chunk_format("npy")->refuses({0, 64, 1, CV_8U}));
    CHECK(find_chunk_format("png")->refuses({48, 70000, 1, CV_8U}));
    CHECK(find_chunk_format("jpg")->refuses({48, 65501, 1, CV_8U}));
    const TemporaryFolder folder;
    CHECK(error_of([&] {
              find_chunk_format("pgm")->create(folder / "0", {48, 64, 3, CV_8U}, {});
          }) == ErrorCode::wrong_type);
    CHECK(file_system().status(folder / "0").kind == FileKind::missing);
}

TEST_CASE("image_folder: the writer overwrites nothing and takes one type only") {
    const ImageType type{37, 53, 1, CV_8U};
    const TemporaryFolder folder;
    const ChunkFormat* png = find_chunk_format("png");
    auto writer = png->create(folder / "0", type, {});
    CHECK(error_of([&] { png->create(folder / "0", type, {}); }) == ErrorCode::already_exists);
    CHECK(error_of([&] { writer->write(make_numbered_image({37, 54, 1, CV_8U}, 0)); }) == ErrorCode::wrong_type);
    write_new_file(folder / "0" / "000000.png", "x", 1);
    CHECK(error_of([&] { writer->write(make_numbered_image(type, 0)); }) == ErrorCode::already_exists);
    CHECK(writer->take_stored().empty());
}

TEST_CASE("image_folder: writers together hold few files open, also after others have failed or ended unsynced") {
    constexpr int64_t kMostOpen = 256;
    constexpr int kWriters = 8;
    const ImageType type{16, 16, 1, CV_8U};
    const ChunkFormat* pgm = find_chunk_format("pgm");
    const auto open_files = [] {
        namespace fs = std::filesystem;
        return static_cast<int64_t>(std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()));
    };
    const TemporaryFolder folder;
    FaultFileSystem faults;
    const FileSystemOverride override(faults);
    for (const std::string end : {"unsynced", "synced", "failed", "unsynced again"}) {
        CAPTURE(end);
        faults.set_plan({});
        const int64_t before = open_files();
        std::vector<std::unique_ptr<ChunkWriter>> writers;
        for (int i = 0; i < kWriters; ++i) writers.push_back(pgm->create(folder / (end + std::to_string(i)), type, {}));
        int64_t most = 0;
        for (int frame = 0; frame < 100; ++frame) {
            for (const auto& writer : writers) {
                writer->write(make_numbered_image(type, frame));
                most = std::max(most, open_files() - before);
            }
        }
        CHECK(most == kMostOpen);
        FaultPlan plan;
        plan.nth = 1;
        plan.repeat = FaultPlan::Repeat::for_ever;
        plan.counted = [](const FileOperation& operation) { return operation.kind == OperationKind::sync; };
        if (end == "failed") faults.set_plan(plan);
        int failed = 0;
        for (const auto& writer : writers) {
            if (end == "synced") writer->sync();
            if (end == "failed") failed += error_of([&] { writer->sync(); }) == ErrorCode::io;
        }
        // One of them has just synced because of the others.
        CHECK(failed == (end == "failed" ? kWriters - 1 : 0));
        if (!end.starts_with("unsynced")) CHECK(open_files() == before);
        writers.clear();
        CHECK(open_files() == before);
    }
    // None of them counts any more: files wait for a sync of up to 128.
    const int64_t before = open_files();
    faults.set_plan({});
    const auto writer = pgm->create(folder / "last", type, {});
    for (int frame = 0; frame < 127; ++frame) writer->write(make_numbered_image(type, frame));
    CHECK(open_files() == before + 127);
}

TEST_CASE("image_folder: missing, oversized and damaged files leave the others readable") {
    const ImageType type{37, 53, 3, CV_16U};
    for (const char* name : {"png", "npy", "tif", "ppm"}) {
        const TemporaryFolder folder;
        const ChunkFormat* format = find_chunk_format(name);
        write_chunk(*format, folder / "0", type, 6);
        const auto file = [&](int64_t position) {
            return folder / "0" / image_file_name(position, format->info().extension);
        };
        file_system().remove(file(4));
        std::filesystem::resize_file(file(2), std::filesystem::file_size(file(2)) / 2);
        std::filesystem::resize_file(file(3), 8 << 20);
        const auto reader = format->open(folder / "0", type);
        CHECK(reader->frame_count() == 4);
        try {
            reader->read(4);
            FAIL("no error");
        } catch (const Error& error) {
            CHECK(error.code() == ErrorCode::not_found);
            CHECK(error.place().path == file(4).string());
            CHECK(std::string(error.what()).find("position 4") != std::string::npos);
        }
        CHECK(error_of([&] { reader->read(2); }) == ErrorCode::corrupt);
        CHECK(error_of([&] { reader->read(3); }) == ErrorCode::corrupt);
        CHECK(error_of([&] { reader->read(-1); }) == ErrorCode::invalid_argument);
        for (int position : {5, 0, 1}) CHECK(read_image_number(reader->read(position)) == position * 1000);
        CHECK(error_of([&] { format->open(folder / "1", type); }) == ErrorCode::not_found);
    }
}

TEST_CASE("image_folder: a npy file must be exactly the store's array") {
    const TemporaryFolder folder;
    const ChunkFormat* npy = find_chunk_format("npy");
    const ImageType type{37, 53, 1, CV_8U};
    write_chunk(*npy, folder / "0", type, 2);
    for (const ImageType& other :
         {ImageType{53, 37, 1, CV_8U}, ImageType{37, 53, 1, CV_8S}, ImageType{37, 53, 3, CV_8U}}) {
        CHECK(error_of([&] { npy->open(folder / "0", other)->read(0); }) == ErrorCode::corrupt);
    }
    const auto file = folder / "0" / "000001.npy";
    std::filesystem::resize_file(file, std::filesystem::file_size(file) + 1);
    CHECK(error_of([&] { npy->open(folder / "0", type)->read(1); }) == ErrorCode::corrupt);
}

TEST_CASE("chunk_format: names, aliases and counters") {
    for (const char* name :
         {"npy", "png", "jpg", "tif", "bmp", "ppm", "pgm", "png+color", "tif+color", "jpg+color", "bmp+color"}) {
        const ChunkFormat* format = find_chunk_format(name);
        REQUIRE(format);
        CHECK(format->info().kind == ChunkKind::folder);
        CHECK(format->info().default_chunk_frames == 200);
        CHECK_FALSE(format->info().video);
        CHECK(format->info().decodes_at_write == std::string_view(name).ends_with("+color"));
        CHECK(format->info().lossless == !std::string_view(name).starts_with("jpg"));
    }
    CHECK(find_chunk_format("png+color")->info().extension == ".png");
    CHECK_FALSE(find_chunk_format("nothing"));
    CHECK(find_image_format(".JPEG") == find_chunk_format("jpg"));
    CHECK(find_image_format(".tiff") == find_chunk_format("tif"));
    CHECK_FALSE(find_image_format(""));

    DecodeCounters sum{1, 2, 3, 4, 5, 6, 7};
    sum += DecodeCounters{10, 20, 30, 40, 50, 60, 70};
    CHECK(sum.packets_sent == 11);
    CHECK(sum.frames_decoded == 22);
    CHECK(sum.seeks == 33);
    CHECK(sum.decoder_opens == 44);
    CHECK(sum.bytes_read == 55);
    CHECK(sum.demux_scans == 66);
    CHECK(sum.cache_hits == 77);
}

}  // namespace reelstore
