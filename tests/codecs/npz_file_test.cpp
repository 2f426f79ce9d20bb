#include <doctest/doctest.h>
#include <zlib.h>

#include "base/npy.h"
#include "base/npz.h"
#include "base/numbered_frames.h"
#include "tests/codecs/foreign_kit.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

constexpr int kFrames = 4;
const ImageType kType{6, 20, 1, CV_16U};
const std::vector<int64_t> kNumbers = {7, 9, 8, 100};
const std::vector<double> kTimes = {1700000000.25, 1700000000.5, 1700000001, 1700000002};

using Bytes = std::vector<uint8_t>;

std::vector<cv::Mat> images_of(const ImageType& type, int first = 300) {
    std::vector<cv::Mat> images;
    for (int i = 0; i < kFrames; ++i) images.push_back(make_numbered_image(type, first + i));
    return images;
}

Bytes npy_of(const std::vector<cv::Mat>& images) {
    const ImageType type = ImageType::of(images.front());
    std::vector<int64_t> shape = type.shape();
    shape.insert(shape.begin(), int64_t(images.size()));
    BytesMaker maker;
    maker.bytes(make_npy_header(npy_descr(type.depth), shape));
    for (const cv::Mat& image : images) maker.image(image);
    return maker.get();
}

struct Member {
    std::string name;
    Bytes npy;
    bool deflated = true;
    bool zip64 = false;
    std::optional<uint64_t> announced = {};  ///< unpacked size, where it is a lie
};

Bytes deflate_raw(const Bytes& bytes) {
    z_stream stream = {};
    REQUIRE(deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    Bytes packed(deflateBound(&stream, bytes.size()));
    stream.next_in = const_cast<Bytef*>(bytes.data());
    stream.avail_in = uInt(bytes.size());
    stream.next_out = packed.data();
    stream.avail_out = uInt(packed.size());
    REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    packed.resize(stream.total_out);
    deflateEnd(&stream);
    return packed;
}

/// A ZIP made byte by byte.
Bytes zip_of(const std::vector<Member>& members) {
    BytesMaker zip;
    BytesMaker directory;
    for (const Member& member : members) {
        const std::string name = member.name + ".npy";
        const Bytes data = member.deflated ? deflate_raw(member.npy) : member.npy;
        const auto crc = uint32_t(crc32(0, member.npy.data(), uInt(member.npy.size())));
        const uint64_t size = member.announced.value_or(member.npy.size());
        const uint64_t offset = zip.size();
        const auto narrow = [&](uint64_t value) { return member.zip64 ? 0xFFFFFFFF : uint32_t(value); };
        const auto sizes = [&](BytesMaker& maker) { maker.add(crc).add(narrow(data.size())).add(narrow(size)); };
        const auto extra = [&](BytesMaker& maker, bool with_offset) {
            if (!member.zip64) return;
            maker.add(uint16_t{1}).add(uint16_t(with_offset ? 24 : 16)).add(size).add(uint64_t{data.size()});
            if (with_offset) maker.add(offset);
        };
        const uint16_t method = member.deflated ? 8 : 0;
        zip.add(uint32_t{0x04034b50}).add(uint16_t{20}).add(uint16_t{0}).add(method).add(uint32_t{33 << 16});
        sizes(zip);
        zip.add(uint16_t(name.size())).add(uint16_t(member.zip64 ? 20 : 0)).text(name, name.size());
        extra(zip, false);
        zip.bytes(data);
        directory.add(uint32_t{0x02014b50}).add(uint16_t{20}).add(uint16_t{20}).add(uint16_t{0}).add(method);
        directory.add(uint32_t{33 << 16});
        sizes(directory);
        directory.add(uint16_t(name.size())).add(uint16_t(member.zip64 ? 28 : 0)).add(uint16_t{0});
        directory.add(uint16_t{0}).add(uint16_t{0}).add(uint32_t{0}).add(narrow(offset)).text(name, name.size());
        extra(directory, true);
    }
    const auto start = uint32_t(zip.size());
    zip.bytes(directory.get());
    zip.add(uint32_t{0x06054b50}).add(uint32_t{0}).add(uint16_t(members.size())).add(uint16_t(members.size()));
    zip.add(uint32_t(directory.size())).add(start).add(uint16_t{0});
    return zip.get();
}

std::unique_ptr<FrameSource> open_bytes(const TemporaryFolder& folder, const Bytes& bytes,
                                        const CodecOptions& options = {}) {
    std::filesystem::remove(folder / "a.npz");
    write_foreign_files(folder.path(), {{"a.npz", bytes}});
    return open_file_source(folder / "a.npz", {.format = options});
}

}  // namespace

TEST_CASE("npz file: the largest array is the images, stored or deflated; others tell numbers and times") {
    const std::vector<cv::Mat> images = images_of(kType);
    const ExpectedFrames expected{images, kNumbers, kTimes};
    for (const bool deflated : {false, true}) {
        for (const bool zip64 : {false, true}) {
            for (const char* times : {"frame_time", "times", "timestamps"}) {
                CAPTURE(deflated);
                CAPTURE(zip64);
                const auto member = [&](const std::string& name, const Bytes& npy) {
                    return Member{name, npy, deflated, zip64};
                };
                const Bytes zip =
                    zip_of({member("frame_number", npy_from_int64(kNumbers)),
                            member("small", npy_of(images_of({2, 16, 1, CV_8U}))), member("stack", npy_of(images)),
                            member("none", npy_none()), member(times, npy_from_double(kTimes))});
                check_foreign_files({{"a.npz", zip}}, "a.npz", expected);
            }
        }
    }
}

TEST_CASE("npz file: fields by name, metadata, views of stored arrays") {
    const TemporaryFolder folder;
    const std::vector<cv::Mat> small = images_of({2, 16, 3, CV_8U}, 20);
    const Bytes zip = make_npz({{"stack", npy_of(images_of(kType))}, {"small", npy_of(small)}});
    const auto source = open_bytes(folder, zip, {{"field", "small"}});
    check_foreign_source(*source, {small});
    CHECK(source->user_metadata()["field"] == "small");
    CHECK(source->user_metadata()["other_arrays"] == Json{"stack"});
    CHECK(source->random_access()->at_index(0).owner);
    CHECK(source->info().format == "npz");
    CHECK_FALSE(source->info().has_numbers);
    std::string message;
    CHECK(error_of([&] { open_bytes(folder, zip, {{"field", "video"}}); }, &message) == ErrorCode::not_found);
    CHECK(message.find("stack") != std::string::npos);
}

TEST_CASE("npz file: stamps of another length are not used, times since 1973 are dates") {
    const TemporaryFolder folder;
    const Bytes stack = npy_of(images_of(kType));
    auto source = open_bytes(folder, make_npz({{"stack", stack}, {"times", npy_from_double(std::vector(3, 1.0))}}));
    CHECK_FALSE(source->info().has_times);
    source = open_bytes(folder, make_npz({{"stack", stack}, {"times", npy_from_double(std::vector(4, 1.5))}}));
    CHECK(source->info().has_times);
    CHECK_FALSE(source->info().times_are_absolute);
    source = open_bytes(folder, make_npz({{"stack", stack}, {"times", npy_from_double(kTimes)}}));
    CHECK(source->info().times_are_absolute);
    CHECK(source->info().creation_time == kTimes[0]);
}

TEST_CASE("npz file: a store's sidecar, objects and other archives are refused") {
    const TemporaryFolder folder;
    std::string message;
    CHECK(error_of(
              [&] {
                  open_bytes(folder, make_npz({{"frame_number", npy_from_int64(kNumbers)},
                                               {"frame_time", npy_from_double(kTimes)}}));
              },
              &message) == ErrorCode::unsupported);
    CHECK(message.find("store's folder") != std::string::npos);
    CHECK(error_of([&] { open_bytes(folder, make_npz({{"none", npy_none()}})); }) == ErrorCode::unsupported);
}

TEST_CASE("npz file: what announces more than it holds costs no memory") {
    const TemporaryFolder folder;
    // Its header announces 1.5 GB, a handful of bytes follow.
    BytesMaker lie;
    lie.bytes(make_npy_header("|u1", {1500, 1000, 1000})).pad_to(300);
    CHECK(error_of([&] {
              open_bytes(folder, zip_of({{"stack", lie.get(), true, false, uint64_t{1500128000}}}));
          }) == ErrorCode::corrupt);
    BytesMaker beyond;
    beyond.bytes(make_npy_header("|u1", {5000, 1000, 1000})).pad_to(300);
    std::string message;
    CHECK(error_of([&] { open_bytes(folder, zip_of({{"stack", beyond.get()}})); }, &message) == ErrorCode::unsupported);
    CHECK(message.find("2 GiB") != std::string::npos);
    // More unpacked bytes than the array has are never unpacked.
    BytesMaker bomb;
    bomb.bytes(npy_of(images_of(kType))).pad_to(size_t{20} << 20);
    check_foreign_source(*open_bytes(folder, zip_of({{"stack", bomb.get()}})), {images_of(kType)});
}

TEST_CASE("npz file: changed pixels of a deflated array are noticed") {
    const TemporaryFolder folder;
    Bytes zip = zip_of({{"stack", npy_of(images_of(kType))}});
    const std::vector<uint8_t> signature = {0x50, 0x4b, 0x01, 0x02};
    const auto entry = std::search(zip.begin(), zip.end(), signature.begin(), signature.end());
    *(entry + 16) ^= 1;
    CHECK(error_of([&] { open_bytes(folder, zip); }) == ErrorCode::corrupt);
}

TEST_CASE("npz file: cut off and absurd bytes") {
    for (const bool deflated : {false, true}) {
        const Bytes zip = zip_of({{"stack", npy_of(images_of({2, 16, 1, CV_8U})), deflated}});
        check_truncated({{"a.npz", zip}}, "a.npz", "a.npz", zip.size(), kFrames, 7);
        check_absurd_headers({{"a.npz", zip}}, "a.npz", "a.npz", zip.size(), deflated ? 3 : 11);
    }
}

}  // namespace reelstore
