#include "codecs/video/packet_cache.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <numeric>
#include <random>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file_system.h"
#include "base/npy.h"
#include "base/npz.h"
#include "codecs/file_format.h"
#include "tests/codecs/video_kit.h"
#include "tests/forwarding_file_system.h"
#include "tests/temporary_folder.h"
#include "tests/thrown_error.h"

namespace reelstore {
void add_file_formats_video(FileFormatTable& table);
}

using namespace reelstore;

namespace {

constexpr int kFrames = 200;
const ImageType kType = {.height = 48, .width = 64, .channels = 1, .depth = CV_8U};

std::unique_ptr<FrameSource> open_video(const std::filesystem::path& path, const SourceOptions& options = {}) {
    static const FileFormatTable table = [] {
        FileFormatTable formats;
        add_file_formats_video(formats);
        return formats;
    }();
    return table.front()->open(path, options);
}

WrittenVideo write_sample(const std::filesystem::path& path, int count = kFrames) {
    return write_video(*video_formats()[0], path, kType, count, {{"bframes", "3"}, {"preset", "fast"}, {"gop", "20"}});
}

std::filesystem::path make_transport_stream(const std::filesystem::path& from) {
    std::filesystem::path path = from;
    path.replace_extension(".ts");
    const std::string command =
        "ffmpeg -nostdin -v error -y -i '" + from.string() + "' -c copy -f mpegts '" + path.string() + "'";
    REQUIRE(std::system(command.c_str()) == 0);
    return path;
}

void check_frames(RandomAccess& access, int count) {
    std::vector<int> order(static_cast<size_t>(count));
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), std::mt19937(5));
    for (const int index : order) CHECK(read_image_number(access.at_index(index).image) == index);
}

std::vector<std::string> names_in(const std::filesystem::path& folder) {
    return file_system().list(folder);
}

using Members = std::vector<std::pair<std::string, std::vector<uint8_t>>>;

Members members_of(const std::filesystem::path& cache) {
    const NpzReader reader(cache);
    Members members;
    for (const std::string& name : reader.names()) members.emplace_back(name, reader.member(name));
    return members;
}

void write_members(const std::filesystem::path& cache, const Members& members) {
    const std::vector<uint8_t> bytes = make_npz(members);
    write_bytes(cache, {bytes.begin(), bytes.end()});
}

std::vector<uint8_t>& member(Members& members, const std::string& name) {
    const auto found = std::find_if(members.begin(), members.end(), [&](const auto& one) { return one.first == name; });
    REQUIRE(found != members.end());
    return found->second;
}

/// Lets `change` have the values of an array.
void change_values(Members& members, const std::string& name,
                   const std::function<void(std::vector<int64_t>&)>& change) {
    std::vector<int64_t> values = int64_from_npy(member(members, name));
    change(values);
    member(members, name) = npy_from_int64(values);
}

void change_facts(Members& members, const std::function<void(Json&)>& change) {
    const std::vector<int64_t> bytes = int64_from_npy(member(members, "facts"));
    Json facts = Json::parse(std::string(bytes.begin(), bytes.end()));
    change(facts);
    const std::string text = facts.dump();
    std::vector<uint8_t> npy = make_npy_header("|u1", {static_cast<int64_t>(text.size())});
    npy.insert(npy.end(), text.begin(), text.end());
    member(members, "facts") = npy;
}

/// Counts the bytes that are read of it.
class MeteredFile : public ForwardingFile {
public:
    MeteredFile(std::unique_ptr<File> real, uint64_t& bytes) : ForwardingFile(std::move(real)), bytes_(bytes) {}
    size_t read_at(void* buffer, size_t size, uint64_t offset) override {
        const size_t got = ForwardingFile::read_at(buffer, size, offset);
        bytes_ += got;
        return got;
    }

private:
    uint64_t& bytes_;
};

/// Counts the bytes that are read of one file.
class MeteringFileSystem : public ForwardingFileSystem {
public:
    explicit MeteringFileSystem(std::filesystem::path watched) : watched_(std::move(watched)) {}
    std::unique_ptr<File> open(const std::filesystem::path& path, OpenMode mode) override {
        auto file = ForwardingFileSystem::open(path, mode);
        if (path != watched_) return file;
        return std::make_unique<MeteredFile>(std::move(file), bytes);
    }

    uint64_t bytes = 0;

private:
    std::filesystem::path watched_;
};

/// The cache is not used, which is said, and every frame is right all the same.
void check_scanned_anew(const std::filesystem::path& video, const std::string& reason, int count) {
    const auto source = open_video(video);
    CHECK(source->random_access()->counters().demux_scans == 1);
    REQUIRE(source->warnings().size() == 1);
    CHECK(source->warnings().front().find(reason) != std::string::npos);
    CHECK(source->warnings().front().find("`store index " + video.string() + "` renews it") != std::string::npos);
    REQUIRE(source->info().frame_count == count);
    CHECK(read_image_number(source->random_access()->at_index(count / 2).image) == count / 2);
}

}  // namespace

TEST_CASE("a packet cache tells what a scan tells, with a checksum for every packet") {
    for (const auto& format : video_formats()) {
        CAPTURE(format->info().name);
        const TemporaryFolder folder;
        const auto path = folder / ("video" + format->info().extension);
        write_video(*format, path, kType, kFrames);
        int64_t reported = 0;
        const PacketCacheResult result = write_packet_cache(path, [&](int64_t done, int64_t all) {
            CHECK(done >= reported);
            CHECK(all == static_cast<int64_t>(std::filesystem::file_size(path)));
            reported = done;
        });
        CHECK(reported > 0);
        CHECK(result.frame_count == kFrames);
        CHECK(result.path == packet_cache_path(path));

        std::vector<std::string> warnings;
        const std::optional<VideoScan> cached = load_packet_cache(path, warnings);
        REQUIRE(cached);
        CHECK(warnings.empty());
        const VideoScan scan = scan_packets(path);
        CHECK(cached->table.stream == scan.table.stream);
        CHECK(cached->table.container == scan.table.container);
        CHECK(cached->table.contiguous == scan.table.contiguous);
        CHECK(cached->table.in_cells == scan.table.in_cells);
        CHECK(cached->table.display_order == scan.table.display_order);
        CHECK(cached->creation_time == scan.creation_time);
        CHECK(cached->warnings == scan.warnings);
        REQUIRE(cached->table.packets.size() == scan.table.packets.size());
        for (size_t place = 0; place < scan.table.packets.size(); ++place) {
            CHECK(cached->table.packets[place] == scan.table.packets[place]);
            CHECK(cached->table.packets[place].checksum);
        }
    }
}

TEST_CASE("a video with a packet cache opens without a scan and without reading the file") {
    const TemporaryFolder folder;
    const auto path = folder / "video.mp4";
    write_sample(path);
    CHECK(open_video(path)->random_access()->counters().demux_scans == 1);
    CHECK(names_in(folder.path()) == std::vector<std::string>{"video.mp4"});
    write_packet_cache(path);
    const std::vector<std::string> names = {"video.mp4", "video.mp4.packets.npz"};
    CHECK(names_in(folder.path()) == names);

    MeteringFileSystem metering(path);
    const FileSystemOverride override(metering);
    const auto source = open_video(path);
    CHECK(source->warnings().empty());
    CHECK(source->random_access()->counters().demux_scans == 0);
    CHECK(metering.bytes < file_system().status(path).size / 3);
    CHECK(source->info().frame_count == kFrames);
    CHECK(source->info().has_times);
    check_frames(*source->random_access(), kFrames);
    CHECK(source->random_access()->counters().demux_scans == 0);
    CHECK(source->random_access()->stamp(50).time == doctest::Approx(2.0));
    CHECK(names_in(folder.path()) == names);

    const auto scanned = open_video(path, {.use_packet_cache = false});
    CHECK(scanned->random_access()->counters().demux_scans == 1);
    CHECK(scanned->warnings().empty());
    CHECK(scanned->info().image_type == source->info().image_type);
    CHECK(scanned->info().format == source->info().format);
    CHECK(scanned->info().frame_rate == source->info().frame_rate);
}

TEST_CASE("a video of one frame has a packet cache too") {
    const TemporaryFolder folder;
    const auto path = folder / "video.mkv";
    write_video(*video_formats()[1], path, kType, 1);
    write_packet_cache(path);
    const auto source = open_video(path);
    CHECK(source->warnings().empty());
    CHECK(source->random_access()->counters().demux_scans == 0);
    check_frames(*source->random_access(), 1);
}

TEST_CASE("checksums are of the bytes in the file, even where a decoder gets more than those") {
    // Matroska leaves out the beginning of ProRes frames.
    const TemporaryFolder folder;
    write_sample(folder / "video.mp4", 20);
    const auto path = folder / "video.mkv";
    const std::string command = "ffmpeg -nostdin -v error -y -i '" + (folder / "video.mp4").string() +
                                "' -c:v prores_ks '" + path.string() + "'";
    REQUIRE(std::system(command.c_str()) == 0);
    write_packet_cache(path);
    const auto source = open_video(path, {.gray = true});
    CHECK(source->warnings().empty());
    CHECK(source->random_access()->counters().demux_scans == 0);
    check_frames(*source->random_access(), 20);
}

TEST_CASE("packets that lie scattered: the table is kept, and pieces of the file are compared") {
    const TemporaryFolder folder;
    write_sample(folder / "video.mp4");
    const auto path = make_transport_stream(folder / "video.mp4");
    write_packet_cache(path);
    {
        const auto source = open_video(path);
        CHECK(source->warnings().empty());
        CHECK(source->random_access()->counters().demux_scans == 0);
        check_frames(*source->random_access(), kFrames);
    }
    std::vector<char> bytes = bytes_of(path);
    bytes.front() = static_cast<char>(bytes.front() ^ 1);
    write_bytes(path, bytes);
    std::vector<std::string> warnings;
    CHECK_FALSE(load_packet_cache(path, warnings));
    REQUIRE(warnings.size() == 1);
    CHECK(warnings.front().find("has changed since video.ts.packets.npz was made") != std::string::npos);
}

TEST_CASE("a video that has changed since its cache was made is scanned anew") {
    const TemporaryFolder folder;
    const auto path = folder / "video.mp4";
    const WrittenVideo video = write_sample(path);
    write_packet_cache(path);
    const std::vector<char> bytes = bytes_of(path);

    SUBCASE("longer") {
        std::vector<char> longer = bytes;
        longer.insert(longer.end(), {0, 0, 0, 8, 'f', 'r', 'e', 'e'});
        write_bytes(path, longer);
        check_scanned_anew(path, "has changed since video.mp4.packets.npz was made", kFrames);
    }
    SUBCASE("shorter and another video") {
        std::filesystem::remove(path);
        write_sample(path, 30);
        check_scanned_anew(path, "has changed since", 30);
    }
    SUBCASE("the same size and other packets") {
        for (const size_t place : {size_t{0}, video.table->packets.size() - 1}) {
            std::vector<char> changed = bytes;
            const Packet& packet = video.table->packets[place];
            changed[packet.offset + packet.size - 1] ^= 1;
            write_bytes(path, changed);
            std::vector<std::string> warnings;
            CHECK_FALSE(load_packet_cache(path, warnings));
            REQUIRE(warnings.size() == 1);
            CHECK(warnings.front().find("has changed since") != std::string::npos);
        }
    }
    SUBCASE("in its headers only, as by a rotation or an edit list") {
        std::vector<char> altered = bytes_of(path);
        altered.back() ^= 1;  // the container's last header stands behind the packets and ends in a comment
        write_bytes(path, altered);
        check_scanned_anew(path, "has changed since", kFrames);
    }
    SUBCASE("and is renewed") {
        std::filesystem::remove(path);
        write_sample(path, 30);
        write_packet_cache(path);
        const auto source = open_video(path);
        CHECK(source->warnings().empty());
        CHECK(source->random_access()->counters().demux_scans == 0);
        check_frames(*source->random_access(), 30);
    }
}

TEST_CASE("a packet cache whose arrays were exchanged consistently is not used") {
    const TemporaryFolder folder;
    const auto path = folder / "video.mp4";
    write_sample(path, 60);
    const auto cache = write_packet_cache(path).path;
    Members members = members_of(cache);
    change_values(members, "display_order", [](auto& values) { std::swap(values[50], values[51]); });
    write_members(cache, members);
    check_scanned_anew(path, "it was changed", 60);
}

TEST_CASE("damage between the packets that opening compares is an error of the frames it touches") {
    const TemporaryFolder folder;
    const auto path = folder / "video.avi";
    const WrittenVideo video = write_video(*video_formats()[2], path, kType, kFrames);
    write_packet_cache(path);
    std::vector<char> bytes = bytes_of(path);
    // 17 steps from 0 to 199: the places 0, 11, 23... are compared.
    const Packet& packet = video.table->packets[5];
    bytes[packet.offset + packet.size / 2] ^= 0x40;
    write_bytes(path, bytes);
    const auto source = open_video(path);
    CHECK(source->warnings().empty());
    CHECK(source->random_access()->counters().demux_scans == 0);
    const Error error = expected_error([&] { source->random_access()->at_index(5); });
    CHECK(error.code() == ErrorCode::corrupt);
    CHECK(error.place().frame_index == 5);
    CHECK(error.place().path == path.string());
    CHECK(read_image_number(source->random_access()->at_index(4).image) == 4);
    CHECK(read_image_number(source->random_access()->at_index(6).image) == 6);
}

TEST_CASE("hostile packet caches are refused, and the video is scanned") {
    const TemporaryFolder folder;
    const auto path = folder / "video.mp4";
    write_sample(path, 60);
    const auto cache = write_packet_cache(path).path;
    const Members good = members_of(cache);
    const std::function<void(Members&)> changes[] = {
        [](Members& members) {
            member(members, "offset") = npy_from_int64(std::vector<int64_t>{1, 2, 3});
        },
        [](Members& members) { member(members, "offset").resize(20); },
        [](Members& members) { member(members, "display_order") = npy_from_text("none"); },
        [](Members& members) { members.erase(members.begin() + 3); },
        [](Members& members) { members.erase(members.begin()); },
        [](Members& members) { change_values(members, "offset", [](auto& values) { values[7] = -1; }); },
        [](Members& members) { change_values(members, "offset", [](auto& values) { values[7] = INT64_MAX; }); },
        [](Members& members) { change_values(members, "size", [](auto& values) { values[7] = INT32_MAX; }); },
        [](Members& members) { change_values(members, "size", [](auto& values) { values[7] = int64_t{1} << 40; }); },
        [](Members& members) { change_values(members, "size", [](auto& values) { values[7] = 0; }); },
        [](Members& members) { change_values(members, "flags", [](auto& values) { values[7] = 200; }); },
        [](Members& members) { change_values(members, "flags", [](auto& values) { values[0] = 0; }); },
        [](Members& members) { change_values(members, "flags", [](auto& values) { values[9] = 4; }); },
        [](Members& members) { change_values(members, "checksum", [](auto& values) { values.pop_back(); }); },
        [](Members& members) { change_values(members, "pts", [](auto& values) { values.clear(); }); },
        [](Members& members) { change_values(members, "display_order", [](auto& values) { values[3] = values[4]; }); },
        [](Members& members) { change_values(members, "display_order", [](auto& values) { values[3] = 60; }); },
        [](Members& members) { change_values(members, "display_order", [](auto& values) { values[3] = -1; }); },
        [](Members& members) { change_values(members, "display_order", [](auto& values) { values.pop_back(); }); },
        [](Members& members) { change_facts(members, [](Json& facts) { facts["packets"] = int64_t{1} << 60; }); },
        [](Members& members) { change_facts(members, [](Json& facts) { facts["packets"] = 0; }); },
        [](Members& members) { change_facts(members, [](Json& facts) { facts["frames"] = 61; }); },
        [](Members& members) { change_facts(members, [](Json& facts) { facts["frames"] = "many"; }); },
        [](Members& members) { change_facts(members, [](Json& facts) { facts["version"] = 2; }); },
        [](Members& members) { change_facts(members, [](Json& facts) { facts.erase("stream"); }); },
        [](Members& members) { change_facts(members, [](Json& facts) { facts["stream"]["width"] = 100000; }); },
        [](Members& members) { change_facts(members, [](Json& facts) { facts["stream"]["codec"] = "nonsense"; }); },
        [](Members& members) { change_facts(members, [](Json& facts) { facts["container"] = "nonsense"; }); },
        [](Members& members) { change_facts(members, [](Json& facts) { facts["contiguous"] = false; }); },
        [](Members& members) {
            change_facts(members, [](Json& facts) {
                facts["contiguous"] = false;
                facts["blocks"] = Json::array({Json::array({uint64_t{1} << 50, 4096, 0})});
            });
        },
        [](Members& members) {
            change_facts(members, [](Json& facts) {
                facts["contiguous"] = false;
                facts["blocks"] = Json::array({Json::array({0, uint64_t{1} << 50, 0})});
            });
        },
        [](Members& members) { change_facts(members, [](Json& facts) {
                                   facts = Json::array({1, 2});
                               }); },
        [](Members& members) { member(members, "facts") = npy_from_text("{}"); },
        [](Members& members) {
            const std::string text(100000, '[');
            std::vector<uint8_t> npy = make_npy_header("|u1", {static_cast<int64_t>(text.size())});
            npy.insert(npy.end(), text.begin(), text.end());
            member(members, "facts") = npy;
        },
    };
    int number = 0;
    for (const auto& change : changes) {
        CAPTURE(number++);
        Members members = good;
        change(members);
        write_members(cache, members);
        check_scanned_anew(path, "cannot be used", 60);
    }

    const std::string text = "no archive";
    write_bytes(cache, {text.begin(), text.end()});
    check_scanned_anew(path, "cannot be used", 60);
    write_bytes(cache, {});
    check_scanned_anew(path, "cannot be used", 60);
    write_members(cache, good);
    const std::vector<char> whole = bytes_of(cache);
    for (size_t size = 1; size < whole.size(); size += 97) {
        write_bytes(cache, {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)});
        std::vector<std::string> warnings;
        CHECK_FALSE(load_packet_cache(path, warnings));
        CHECK(warnings.size() == 1);
    }
    write_members(cache, good);
    CHECK(open_video(path)->random_access()->counters().demux_scans == 0);
}

TEST_CASE("a packet cache with damaged bytes never gives a wrong frame") {
    const TemporaryFolder folder;
    const auto path = folder / "video.mp4";
    write_sample(path, 40);
    const auto cache = write_packet_cache(path).path;
    const std::vector<char> good = bytes_of(cache);
    std::mt19937 random(11);
    for (int round = 0; round < 200; ++round) {
        std::vector<char> bytes = good;
        for (int i = 0; i < 3; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
        write_bytes(cache, bytes);
        const auto source = open_video(path);
        CHECK(source->info().frame_count == 40);
        const int index = static_cast<int>(random() % 40);
        CHECK(read_image_number(source->random_access()->at_index(index).image) == index);
    }
}

TEST_CASE("files that are no video get no packet cache") {
    const TemporaryFolder folder;
    const std::string text(5000, 'x');
    write_bytes(folder / "text.mp4", {text.begin(), text.end()});
    CHECK(expected_error([&] { write_packet_cache(folder / "text.mp4"); }).code() == ErrorCode::unsupported);
    CHECK(expected_error([&] { write_packet_cache(folder / "gone.mp4"); }).code() == ErrorCode::not_found);
    CHECK(names_in(folder.path()) == std::vector<std::string>{"text.mp4"});
}
