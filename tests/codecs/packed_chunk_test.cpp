#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <numeric>

#include "base/npy.h"
#include "codecs/checksum.h"
#include "tests/codecs/packed_kit.h"
#include "tests/fault_file_system.h"
#include "tests/sanitized.h"
#include "tests/temporary_folder.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

std::vector<ImageType> packed_types() {
    std::vector<ImageType> types;
    for (const int depth : {CV_8U, CV_8S, CV_16U, CV_16S, CV_32S, CV_32F, CV_64F, CV_16F}) {
        for (const auto& [height, width] : {std::pair{1, 1}, {7, 13}, {1, 4096}, {33, 64}}) {
            for (const int channels : {1, 3}) types.push_back({height, width, channels, depth});
        }
    }
    types.push_back({5, 6, 2, CV_16U});
    types.push_back({9, 17, 4, CV_8U});
    return types;
}

std::vector<int> shuffled(int count) {
    std::vector<int> order(static_cast<size_t>(count));
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), std::mt19937(5));
    return order;
}

}  // namespace

TEST_CASE("packed: every type and shape comes back bit for bit, in any order") {
    const TemporaryFolder folder(memory_folder());
    constexpr int kFrames = 6;
    int file = 0;
    for (const std::string& name : kPackedFormats) {
        const ChunkFormat& format = packed_format(name);
        for (const ImageType& type : packed_types()) {
            CAPTURE(name);
            CAPTURE(type.text());
            REQUIRE_FALSE(format.refuses(type));
            const auto path = folder / (std::to_string(file++) + format.info().extension);
            CodecOptions codec;
            if (name != "raw/npy") codec["threads"] = file % 2 == 0 ? "1" : "3";
            if (name == "predicted/rpz" && file % 3 == 0) codec["effort"] = "small";
            const std::vector<StoredFrame> stored = write_packed(name, path, type, kFrames, codec);
            REQUIRE(stored.size() == kFrames);
            for (const bool with_index : {false, true}) {
                ChunkReadOptions options;
                const auto table = packed_table(name, type, stored);
                if (with_index) options.packets = [&](std::optional<int64_t>) { return table; };
                const auto reader = format.open(path, type, options);
                for (const int position : shuffled(kFrames)) {
                    CHECK(same_bytes(reader->read(position), packed_test_image(type, position, position % 2 == 0)));
                }
                CHECK(reader->frame_count() == kFrames);
                CHECK(error_of([&] { reader->read(kFrames); }) == ErrorCode::not_found);
                CHECK(error_of([&] { reader->read(-1); }) == ErrorCode::invalid_argument);
            }
        }
    }
}

TEST_CASE("packed: what is stored says where the bytes are, in order, however many threads encode") {
    const TemporaryFolder folder(memory_folder());
    const ImageType type{48, 64, 1, CV_8U};
    for (const std::string& name : kPackedFormats) {
        CAPTURE(name);
        const ChunkFormat& format = packed_format(name);
        std::vector<std::vector<uint8_t>> files;
        for (const char* threads : {"1", "2", "5"}) {
            if (name == "raw/npy" && !files.empty()) break;
            CodecOptions codec;
            if (name != "raw/npy") codec["threads"] = threads;
            const auto path = folder / (name.substr(0, 3) + threads + format.info().extension);
            const auto writer = format.create(path, type, codec);
            cv::Mat image;
            std::vector<StoredFrame> stored;
            for (int i = 0; i < 40; ++i) {
                // The same memory each time: write() must not need it after it has returned.
                packed_test_image(type, i, i % 2 == 0).copyTo(image);
                writer->write(image);
                image.setTo(0);
                for (const StoredFrame& frame : writer->take_stored()) stored.push_back(frame);
                if (i == 20) {
                    writer->drain();
                    for (const StoredFrame& frame : writer->take_stored()) stored.push_back(frame);
                    CHECK(stored.size() == 21);
                }
                writer->sync();
            }
            writer->finish();
            for (const StoredFrame& frame : writer->take_stored()) stored.push_back(frame);
            CHECK(error_of([&] { writer->write(packed_test_image(type, 0)); }) == ErrorCode::invalid_argument);
            REQUIRE(stored.size() == 40);
            const std::vector<uint8_t> bytes = file_bytes(path);
            CHECK(writer->bytes_written() == bytes.size());
            uint64_t next = stored[0].packet->offset;
            for (int64_t i = 0; i < 40; ++i) {
                const StoredFrame& frame = stored[static_cast<size_t>(i)];
                CHECK(frame.position == i);
                CHECK(frame.decode_position == i);
                REQUIRE(frame.packet);
                CHECK(frame.packet->offset == next);
                CHECK(frame.packet->key);
                CHECK(frame.packet->disposable);
                CHECK(frame.packet->pts == i);
                next += frame.packet->size;
                REQUIRE(next <= bytes.size());
                CHECK(frame.packet->checksum ==
                      frame_checksum(std::span(bytes).subspan(frame.packet->offset, frame.packet->size)));
            }
            files.push_back(bytes);
            REQUIRE(writer->stream());
            CHECK(packed_type(*writer->stream()) == type);
        }
        for (const auto& bytes : files) CHECK(bytes == files[0]);
    }
}

TEST_CASE("packed: rows with gaps between them are written without the gaps") {
    const TemporaryFolder folder(memory_folder());
    const cv::Mat whole = packed_test_image({40, 60, 3, CV_16U}, 1);
    const cv::Mat part = whole(cv::Rect(7, 5, 31, 22));
    REQUIRE_FALSE(part.isContinuous());
    for (const std::string& name : kPackedFormats) {
        for (const char* threads : {"1", "2"}) {
            CAPTURE(name);
            const ChunkFormat& format = packed_format(name);
            const auto path = folder / (name.substr(0, 3) + threads + format.info().extension);
            const CodecOptions codec = name == "raw/npy" ? CodecOptions{} : CodecOptions{{"threads", threads}};
            const auto writer = format.create(path, ImageType::of(part), codec);
            writer->write(part);
            writer->finish();
            CHECK(same_bytes(format.open(path, ImageType::of(part))->read(0), part));
        }
    }
}

TEST_CASE("packed: a reader sees frames as they are written") {
    const TemporaryFolder folder(memory_folder());
    const ImageType type{20, 30, 1, CV_16U};
    for (const std::string& name : kPackedFormats) {
        CAPTURE(name);
        const ChunkFormat& format = packed_format(name);
        const auto path = folder / ("growing" + format.info().extension);
        const auto writer = format.create(path, type, {});
        const auto without_index = format.open(path, type);
        CHECK(without_index->frame_count() == 0);
        std::vector<StoredFrame> stored;
        int whole_tables = 0;
        ChunkReadOptions options;
        options.packets = [&](std::optional<int64_t> position) {
            whole_tables += !position;
            auto table = packed_table(name, type, stored);
            if (position && *position < static_cast<int64_t>(stored.size())) {
                table->packets = {table->packets[static_cast<size_t>(*position)]};
                table->first_position = *position;
                table->sort_display_order();
            }
            return table;
        };
        const auto with_index = format.open(path, type, options);
        cv::Mat first;
        std::shared_ptr<const void> first_owner;
        for (int i = 0; i < 50; ++i) {
            writer->write(packed_test_image(type, i));
            writer->drain();
            for (const StoredFrame& frame : writer->take_stored()) stored.push_back(frame);
            CHECK(same_bytes(with_index->read(i), packed_test_image(type, i)));
            CHECK(same_bytes(without_index->read(i), packed_test_image(type, i)));
            CHECK(error_of([&] { without_index->read(i + 1); }) == ErrorCode::not_found);
            CHECK(same_bytes(without_index->read(i / 2), packed_test_image(type, i / 2)));
            CHECK(without_index->frame_count() == i + 1);
            if (i == 0) {
                first = without_index->read(0);
                first_owner = without_index->owner();
            }
        }
        CHECK(whole_tables <= 1);
        writer->finish();
        CHECK(without_index->frame_count() == 50);
        CHECK(same_bytes(without_index->read(49), packed_test_image(type, 49)));
        CHECK(same_bytes(first, packed_test_image(type, 0)));
    }
}

TEST_CASE("packed: a frame that cannot be written is an error of the next call, and nothing is written after it") {
    const TemporaryFolder folder(memory_folder());
    const ImageType type{32, 32, 1, CV_8U};
    for (const std::string& name : kPackedFormats) {
        for (const char* threads : {"1", "3"}) {
            CAPTURE(name);
            CAPTURE(threads);
            FaultFileSystem faults;
            const FileSystemOverride override(faults);
            const ChunkFormat& format = packed_format(name);
            const auto path = folder / (std::string("broken") + threads + format.info().extension);
            const CodecOptions codec = name == "raw/npy" ? CodecOptions{} : CodecOptions{{"threads", threads}};
            const auto writer = format.create(path, type, codec);
            FaultPlan plan;
            plan.nth = 4;
            plan.short_write = true;
            plan.counted = [](const FileOperation& operation) { return operation.kind == OperationKind::write; };
            faults.set_plan(plan);
            std::string message;
            const auto code = error_of(
                [&] {
                    for (int i = 0; i < 100; ++i) writer->write(packed_test_image(type, i));
                    writer->finish();
                },
                &message);
            CHECK(code == ErrorCode::io);
            CHECK(message.find("broken") != std::string::npos);
            CHECK(writer->take_stored().size() == 3);
            CHECK(error_of([&] { writer->write(packed_test_image(type, 0)); }) == ErrorCode::io);
            CHECK(error_of([&] { writer->drain(); }).has_value() == true);
            CHECK(error_of([&] { writer->finish(); }) == ErrorCode::io);
            CHECK(faults.count() == 4);
            // What was stored before is readable.
            const auto reader = format.open(path, type);
            for (int i = 0; i < 3; ++i) CHECK(same_bytes(reader->read(i), packed_test_image(type, i)));
        }
    }
}

TEST_CASE("packed: room is made on a full disk, and a chunk that cannot begin leaves nothing") {
    const TemporaryFolder folder(memory_folder());
    const ImageType type{64, 64, 1, CV_8U};
    for (const std::string& name : kPackedFormats) {
        CAPTURE(name);
        FaultFileSystem faults;
        const FileSystemOverride override(faults);
        const ChunkFormat& format = packed_format(name);
        const auto path = folder / ("full" + format.info().extension);
        faults.set_free_bytes(20);
        CHECK(error_of([&] { format.create(path, type, {}); }) == ErrorCode::no_space);
        CHECK(file_system().status(path).kind == FileKind::missing);
        faults.set_free_bytes(10000);
        std::atomic<int> calls = 0;
        ChunkWriteOptions options;
        options.make_room = [&] {
            faults.set_free_bytes(100000);
            return ++calls == 1;
        };
        const auto writer = format.create(path, type, {}, options);
        for (int i = 0; i < 10; ++i) writer->write(packed_test_image(type, i));
        writer->finish();
        CHECK(calls == 1);
        const auto reader = format.open(path, type);
        for (int i = 9; i >= 0; --i) CHECK(same_bytes(reader->read(i), packed_test_image(type, i)));
    }
}

TEST_CASE("raw/npy: frames are looked at where they lie, for as long as their owner lives") {
    const TemporaryFolder folder(memory_folder());
    const ImageType type{48, 64, 1, CV_8U};
    const auto path = folder / "a.npy";
    write_packed("raw/npy", path, type, 20);
    auto reader = packed_format("raw/npy").open(path, type);
    const cv::Mat third = reader->read(3);
    const std::shared_ptr<const void> owner = reader->owner();
    REQUIRE(owner);
    const cv::Mat fourth = reader->read(4);
    CHECK(fourth.data - third.data == static_cast<std::ptrdiff_t>(type.bytes()));
    CHECK(reader->counters().bytes_read == 0);
    reader.reset();
    CHECK(same_bytes(third, packed_test_image(type, 3, false)));

    // A file that cannot be mapped is read.
    class Unmappable : public ForwardingFileSystem {
        std::unique_ptr<File> open(const std::filesystem::path& name, OpenMode mode) override {
            class Plain : public ForwardingFile {
            public:
                using ForwardingFile::ForwardingFile;
                std::shared_ptr<const uint8_t> map(uint64_t) override { return nullptr; }
            };
            return std::make_unique<Plain>(ForwardingFileSystem::open(name, mode));
        }
    } unmappable;
    const FileSystemOverride override(unmappable);
    reader = packed_format("raw/npy").open(path, type);
    for (const int position : shuffled(20))
        CHECK(same_bytes(reader->read(position), packed_test_image(type, position, position % 2 == 0)));
    CHECK(reader->owner() == nullptr);
}

TEST_CASE("raw/npy: the file is one array with room for its number of frames") {
    const TemporaryFolder folder(memory_folder());
    const ImageType type{3, 4, 3, CV_16U};
    const auto path = folder / "a.npy";
    write_packed("raw/npy", path, type, 5, {}, false);
    const std::vector<uint8_t> open = file_bytes(path);
    CHECK(parse_npy_header(open).shape == std::vector<int64_t>{0, 3, 4, 3});
    const auto other = folder / "b.npy";
    write_packed("raw/npy", other, type, 5);
    const std::vector<uint8_t> closed = file_bytes(other);
    const NpyHeader header = parse_npy_header(closed);
    CHECK(header.shape == std::vector<int64_t>{5, 3, 4, 3});
    CHECK(header.descr == "<u2");
    CHECK(header.data_offset == 128);
    CHECK(closed.size() == 128 + header.data_bytes());
    CHECK(open.size() == closed.size());
    CHECK(std::equal(open.begin() + 128, open.end(), closed.begin() + 128));
    // The longest header there can be.
    const std::vector<uint8_t> longest = npy_container().begin({65535, 65535, 512, CV_64F}, INT64_MAX);
    CHECK(longest.size() == 128);
    CHECK(longest.back() == '\n');
    CHECK(std::string(longest.begin(), longest.end()).find("9223372036854775807, 65535, 65535, 512), }") !=
          std::string::npos);
}

TEST_CASE("raw/npy: foreign stacks in Fortran order, big endian or of bools are read right") {
    const TemporaryFolder folder(memory_folder());
    const ImageType type{5, 7, 3, CV_16U};
    constexpr int kFrames = 4;
    const auto element = [](int frame, int row, int column, int channel) {
        return static_cast<uint16_t>(frame * 10007 + row * 997 + column * 31 + channel * 257);
    };
    for (const bool fortran : {false, true}) {
        for (const bool big : {false, true}) {
            CAPTURE(fortran);
            CAPTURE(big);
            std::string text = std::string("{'descr': '") + (big ? ">" : "<") +
                               "u2', 'fortran_order': " + (fortran ? "True" : "False") + ", 'shape': (4, 5, 7, 3), }";
            text.resize(117, ' ');
            text = std::string("\x93NUMPY\x01\x00\x76\x00", 10) + text + '\n';
            std::vector<uint8_t> bytes(text.begin(), text.end());
            const auto append = [&](int frame, int row, int column, int channel) {
                const uint16_t value = element(frame, row, column, channel);
                const auto low = static_cast<uint8_t>(value);
                const auto high = static_cast<uint8_t>(value >> 8);
                bytes.push_back(big ? high : low);
                bytes.push_back(big ? low : high);
            };
            for (int i = 0; i < kFrames * 5 * 7 * 3; ++i) {
                if (fortran) {
                    append(i % 4, i / 4 % 5, i / 20 % 7, i / 140);
                } else {
                    append(i / 105, i / 21 % 5, i / 3 % 7, i % 3);
                }
            }
            const auto path = folder / "foreign.npy";
            write_bytes(path, bytes);
            const auto reader = packed_format("raw/npy").open(path, type);
            CHECK(reader->frame_count() == kFrames);
            for (const int frame : shuffled(kFrames)) {
                const cv::Mat image = reader->read(frame);
                CHECK((reader->owner() != nullptr) == (!fortran && !big));
                for (int row = 0; row < 5; ++row) {
                    for (int column = 0; column < 7; ++column) {
                        for (int channel = 0; channel < 3; ++channel) {
                            CHECK(image.at<cv::Vec<uint16_t, 3>>(row, column)[channel] ==
                                  element(frame, row, column, channel));
                        }
                    }
                }
            }
            if (fortran) {
                // One element less: no frame is whole.
                bytes.resize(bytes.size() - 2);
                write_bytes(path, bytes);
                CHECK(error_of([&] { packed_format("raw/npy").open(path, type)->read(0); }) == ErrorCode::corrupt);
            }
            if (fortran || big) {
                CHECK(error_of([&] { npy_container().find_frames(path); }) == ErrorCode::unsupported);
            }
        }
    }
    std::vector<uint8_t> bytes = make_npy_header("|b1", {2, 1, 3});
    for (const uint8_t value : {0, 1, 255, 2, 0, 0}) bytes.push_back(value);
    write_bytes(folder / "bools.npy", bytes);
    const cv::Mat image = packed_format("raw/npy").open(folder / "bools.npy", {1, 3, 1, CV_8U})->read(0);
    CHECK(image.at<uint8_t>(0) == 0);
    CHECK(image.at<uint8_t>(1) == 1);
    CHECK(image.at<uint8_t>(2) == 1);
}

TEST_CASE("zstd/npy: the program zstd gives the ordinary array; predicted/rpz passes its test") {
    const TemporaryFolder folder(memory_folder());
    const ImageType type{31, 45, 3, CV_8U};
    write_packed("raw/npy", folder / "raw.npy", type, 9);
    write_packed("zstd/npy", folder / "a.npy.zst", type, 9);
    write_packed("predicted/rpz", folder / "a.rpz", type, 9);
    const auto run = [&](const std::string& command) {
        return std::system(("cd '" + folder.path().string() + "' && " + command + " >/dev/null 2>&1").c_str());
    };
    CHECK(run("zstd -d a.npy.zst -o unpacked.npy") == 0);
    CHECK(file_bytes(folder / "unpacked.npy") == file_bytes(folder / "raw.npy"));
    CHECK(run("zstd -t < a.rpz") == 0);
    // An open file, too, but for the number in its header.
    write_packed("zstd/npy", folder / "open.npy.zst", type, 9, {}, false);
    CHECK(run("zstd -d open.npy.zst -o open.npy") == 0);
    const std::vector<uint8_t> open = file_bytes(folder / "open.npy");
    CHECK(std::equal(open.begin() + 128, open.end(), file_bytes(folder / "raw.npy").begin() + 128));
}

TEST_CASE("packed: options are checked, and frames of another type refused") {
    const TemporaryFolder folder(memory_folder());
    const ImageType type{8, 8, 1, CV_8U};
    CHECK(error_of([&] { packed_format("raw/npy").check_options({{"level", "1"}}); }) == ErrorCode::invalid_argument);
    CHECK(error_of([&] { packed_format("zstd/npy").check_options({{"level", "20"}}); }) == ErrorCode::invalid_argument);
    CHECK(error_of([&] {
              packed_format("zstd/npy").check_options({{"threads", "-1"}});
          }) == ErrorCode::invalid_argument);
    CHECK(error_of([&] {
              packed_format("predicted/rpz").check_options({{"effort", "huge"}});
          }) == ErrorCode::invalid_argument);
    for (const std::string& name : kPackedFormats) {
        CAPTURE(name);
        const ChunkFormat& format = packed_format(name);
        CHECK(format.refuses({0, 8, 1, CV_8U}));
        CHECK(format.info().kind == ChunkKind::file);
        CHECK(format.info().lossless);
        CHECK_FALSE(format.info().video);
        const auto path = folder / ("a" + format.info().extension);
        CHECK(error_of([&] { format.create(path, {8, 70000, 1, CV_8U}, {}); }) == ErrorCode::wrong_type);
        CHECK(error_of([&] { format.create(path, type, {{"nonsense", "1"}}); }) == ErrorCode::invalid_argument);
        CHECK(file_system().status(path).kind == FileKind::missing);
        const auto writer = format.create(path, type, {});
        CHECK(error_of([&] { format.create(path, type, {}); }) == ErrorCode::already_exists);
        CHECK(error_of([&] { writer->write(cv::Mat(8, 9, CV_8U, cv::Scalar(0))); }) == ErrorCode::wrong_type);
        CHECK(error_of([&] { writer->write(cv::Mat(8, 8, CV_16U, cv::Scalar(0))); }) == ErrorCode::wrong_type);
        writer->finish();
        CHECK(format.open(path, type)->frame_count() == 0);
        CHECK(error_of([&] { format.open(path, {8, 9, 1, CV_8U}); }) == ErrorCode::corrupt);
        CHECK(error_of([&] { format.open(path, {8, 8, 1, CV_8S}); }) == ErrorCode::corrupt);
        CHECK(error_of([&] { format.open(folder / "missing", type); }) == ErrorCode::not_found);
    }
}

TEST_CASE("packed: raw pixels are compared with their checksums when that is wanted, mapped or read") {
    const TemporaryFolder folder(memory_folder());
    const ImageType type{12, 20, 1, CV_16U};
    const auto path = folder / "a.npy";
    const auto table = packed_table("raw/npy", type, write_packed("raw/npy", path, type, 4));
    std::vector<uint8_t> bytes = file_bytes(path);
    bytes[table->packets[2].offset + 17] ^= 1;
    write_bytes(path, bytes);
    for (const bool map : {true, false}) {
        ChunkReadOptions options;
        options.packets = [&](std::optional<int64_t>) { return table; };
        options.map = map;
        CHECK_NOTHROW(packed_format("raw/npy").open(path, type, options)->read(2));
        options.check_bytes = true;
        const auto reader = packed_format("raw/npy").open(path, type, options);
        CHECK((reader->read(1), reader->owner() != nullptr) == map);
        std::string message;
        CHECK(error_of([&] { reader->read(2); }, &message) == ErrorCode::corrupt);
        CHECK(message.find("position 2") != std::string::npos);
        CHECK(same_bytes(reader->read(3), packed_test_image(type, 3, false)));
    }
}

TEST_CASE("packed: bytes behind the array of a foreign .npy are none of its frames") {
    const TemporaryFolder folder(memory_folder());
    const ImageType type{4, 5, 1, CV_8U};
    const auto path = folder / "a.npy";
    write_packed("raw/npy", path, type, 3);
    std::vector<uint8_t> bytes = file_bytes(path);
    bytes.insert(bytes.end(), 40, 7);
    write_bytes(path, bytes);
    const auto reader = packed_format("raw/npy").open(path, type);
    CHECK(reader->frame_count() == 3);
    CHECK(error_of([&] { reader->read(3); }) == ErrorCode::not_found);
    CHECK(same_bytes(reader->read(2), packed_test_image(type, 2, true)));
}

}  // namespace reelstore
