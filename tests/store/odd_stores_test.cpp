// Stores that are old, incomplete, littered or damaged: what is there is served, what is not is an error with a name.

#include <doctest/doctest.h>

#include <fstream>

#include "base/file_system.h"
#include "base/npy.h"
#include "base/npz.h"
#include "base/sqlite.h"
#include "base/yaml.h"
#include "store/frame_index.h"
#include "store/layout.h"
#include "tests/store/store_fixture.h"
#include "tests/temporary_folder.h"
#include "tests/test_data.h"

using namespace reelstore;

namespace {

const std::filesystem::path kGolden = test_data() / "golden" / "imgstore-0.4.0";

const std::vector<std::pair<std::string, std::string>> kGoldenVideos = {
    {"avc1_mp4-gray", "mp4"}, {"h264_mkv-gray", "mkv"}, {"mjpeg_avi-gray", "avi"}};

/// A copy of a golden store, to be damaged.
std::filesystem::path copy_golden(const TemporaryFolder& folder, const std::string& name) {
    std::filesystem::copy(kGolden / name, folder / name, std::filesystem::copy_options::recursive);
    return folder / name;
}

void write_text(const std::filesystem::path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
}

void write_bytes(const std::filesystem::path& path, const std::vector<uint8_t>& bytes) {
    std::filesystem::remove(path);
    write_new_file(path, bytes.data(), bytes.size());
}

void check_frames(StoreReader& store, const std::vector<int>& shown) {
    REQUIRE(store.frame_count() == static_cast<int64_t>(shown.size()));
    for (size_t i = shown.size(); i-- > 0;)
        CHECK(read_image_number(store.at_index(static_cast<int64_t>(i)).image) == shown[i]);
}

std::vector<int> range(int first, int last) {
    std::vector<int> values;
    for (int i = first; i < last; ++i) values.push_back(i);
    return values;
}

/// Changes the index of a store as no program of ours would.
void change_index(const std::filesystem::path& store, const std::string& sql) {
    Database(store / "index.sqlite", Database::Mode::read_write).execute(sql);
}

int64_t asked_of_index(const std::filesystem::path& store, const std::string& query) {
    return Database(store / "index.sqlite", Database::Mode::read_only).query_int64(query).value();
}

/// Changes bits of one byte.
void flip(const std::filesystem::path& path, int64_t offset, int bits) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(offset);
    const int byte = file.get();
    file.seekp(offset);
    file.put(static_cast<char>(byte ^ bits));
}

/// True when some warning holds all the words.
bool warned(const StoreReader& store, const std::vector<std::string>& words) {
    for (const std::string& warning : store.warnings()) {
        bool all = true;
        for (const std::string& word : words) all &= warning.find(word) != std::string::npos;
        if (all) return true;
    }
    return false;
}

}  // namespace

TEST_CASE("chunk 0 or a middle chunk may be missing") {
    const TemporaryFolder folder;
    // npy-gray: 23 frames in chunks of 10.
    const std::filesystem::path path = copy_golden(folder, "npy-gray");
    std::filesystem::remove_all(path / "000000");
    StoreReader first(path);
    check_frames(first, range(10, 23));
    CHECK(first.chunks() == std::vector<int64_t>{1, 2});
    CHECK(first.at_number(10)->index == 0);
    CHECK_FALSE(first.at_number(3));

    const std::filesystem::path video = copy_golden(folder, "mjpeg_avi-gray");
    std::filesystem::remove(video / "000001.avi");
    std::filesystem::remove(video / "000001.npz");
    StoreReader middle(video);
    std::vector<int> shown = range(0, 10);
    for (const int i : range(20, 23)) shown.push_back(i);
    check_frames(middle, shown);
    for (size_t i = 0; i < shown.size(); ++i) CHECK(middle.next()->number == shown[i]);
}

TEST_CASE("a chunk without numbers and times is passed over and said") {
    const TemporaryFolder folder;
    const std::filesystem::path path = copy_golden(folder, "npy-gray");
    std::filesystem::remove(path / "000001" / "index.npz");
    StoreReader store(path);
    CHECK(store.frame_count() == 13);
    CHECK(warned(store, {"chunk 1", "index.npz"}));
    const std::filesystem::path video = copy_golden(folder, "avc1_mp4-gray");
    std::filesystem::remove(video / "000000.npz");
    StoreReader second(video);
    CHECK(second.frame_count() == 13);
    CHECK(warned(second, {"chunk 0", "000000.npz"}));
}

TEST_CASE("numbers and times without their media are errors, chunk by chunk") {
    const TemporaryFolder folder;
    const std::filesystem::path path = copy_golden(folder, "avc1_mp4-gray");
    std::filesystem::remove(path / "000001.mp4");
    StoreReader store(path);
    CHECK(store.frame_count() == 23);
    CHECK(warned(store, {"000001.mp4", "missing"}));
    std::string message;
    CHECK(error_of([&] { store.at_index(12); }, &message) == ErrorCode::not_found);
    CHECK(message.find("000001.mp4") != std::string::npos);
    CHECK(message.find("frame index 12") != std::string::npos);
    CHECK(read_image_number(store.at_index(9).image) == 9);
    CHECK(read_image_number(store.at_index(20).image) == 20);
    // next() goes on behind each of them.
    int readable = 0;
    for (int i = 0; i < 23; ++i) readable += error_of([&] { store.next().value(); }) ? 0 : 1;
    CHECK(readable == 13);
    CHECK_FALSE(store.next());

    const std::filesystem::path images = copy_golden(folder, "png-gray");
    std::filesystem::remove(images / "000000" / "000002.png");
    StoreReader pictures(images);
    CHECK(error_of([&] { pictures.at_index(2); }, &message) == ErrorCode::not_found);
    CHECK(message.find("000002.png") != std::string::npos);
    CHECK(read_image_number(pictures.at_index(3).image) == 3);
}

TEST_CASE("stray files and folders are passed over") {
    const TemporaryFolder folder;
    for (const char* name : {"npy-gray", "avc1_mp4-gray"}) {
        const std::filesystem::path path = copy_golden(folder, name);
        std::filesystem::create_directory(path / "notes");
        std::filesystem::create_directory(path / "7");
        std::filesystem::create_directory(path / "0000001");
        write_text(path / "film.mp4", "not a chunk");
        write_text(path / "1.mp4", "not a chunk");
        write_text(path / ".lock", "");
        write_text(path / "thumbs.db", "x");
        write_text(path / ".index.sqlite", "somebody else's");
        if (std::filesystem::exists(path / "000000")) {
            std::filesystem::create_directory(path / "000000" / "sub");
            write_text(path / "000000" / "000099.txt", "x");
        }
        StoreReader store(path);
        check_frames(store, range(0, 23));
        CHECK_FALSE(store.closed());  // the lock file says so
    }
}

TEST_CASE("a folder with spaces, a trailing slash, the yaml, and a change of the working directory") {
    const TemporaryFolder folder;
    const std::filesystem::path path = folder / "my store, \u00fc";
    std::filesystem::copy(kGolden / "npy-gray", path, std::filesystem::copy_options::recursive);
    for (const std::filesystem::path& name : {path, path / "", path / "metadata.yaml"}) {
        StoreReader store(name);
        check_frames(store, range(0, 23));
    }
    const std::filesystem::path before = std::filesystem::current_path();
    std::filesystem::current_path(folder.path());
    StoreReader relative("my store, \u00fc");
    StoreWriter writer("written", {.format = "npy"});
    writer.add(make_numbered_image(gray_type(), 0), 0, 0.0);
    std::filesystem::current_path("/");
    writer.add(make_numbered_image(gray_type(), 1), 1, 1.0);
    writer.close();
    check_frames(relative, range(0, 23));
    std::filesystem::current_path(before);
    StoreReader written(folder / "written");
    check_frames(written, {0, 1});
}

TEST_CASE("a .yaml sidecar takes the place of an .npz") {
    const TemporaryFolder folder;
    const std::filesystem::path path = copy_golden(folder, "npy-gray");
    const auto yaml_of = [](int first, int last) {
        std::string numbers = "frame_number:\n";
        std::string times = "frame_time:\n";
        for (int i = first; i < last; ++i) {
            numbers += "- " + std::to_string(i) + "\n";
            times += "- " + std::to_string(1000 + i) + ".5\n";
        }
        return numbers + times;
    };
    std::filesystem::remove(path / "000001" / "index.npz");
    write_text(path / "000001" / "index.yaml", yaml_of(10, 20));
    StoreReader store(path);
    check_frames(store, range(0, 23));
    CHECK(store.row(12)->time == 1012.5);
    // A damaged .npz gives way to it, too.
    write_text(path / "000002" / "index.npz", "PK nonsense");
    write_text(path / "000002" / "index.yaml", yaml_of(20, 23));
    StoreReader again(path);
    check_frames(again, range(0, 23));
    CHECK(again.row(22)->time == 1022.5);
}

TEST_CASE("numbers of other types and pickled members") {
    const TemporaryFolder folder;
    const std::filesystem::path path = copy_golden(folder, "npy-gray");
    const std::vector<double> times = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    const auto with_numbers = [&](const std::vector<uint8_t>& numbers) {
        // A pickled member that would be dangerous to load stands first.
        write_bytes(
            path / "000001" / "index.npz",
            make_npz({{"encoding", npy_none()}, {"frame_number", numbers}, {"frame_time", npy_from_double(times)}}));
        return StoreReader(path).frame_count() == 23 ? StoreReader(path).row(12)->number : -1;
    };
    std::vector<uint8_t> int32 = make_npy_header("<i4", {10});
    for (int32_t i = 0; i < 10; ++i) {
        const int32_t number = 500 + i;
        const auto* bytes = reinterpret_cast<const uint8_t*>(&number);
        int32.insert(int32.end(), bytes, bytes + 4);
    }
    CHECK(with_numbers(int32) == 502);
    CHECK(with_numbers(npy_from_double(std::vector<double>{600, 601, 602, 603, 604, 605, 606, 607, 608, 609})) == 602);
    CHECK(with_numbers(npy_from_double(std::vector<double>{600, 601, 602.5, 603, 604, 605, 606, 607, 608, 609})) == -1);
}

TEST_CASE("a damaged sidecar costs its chunk and nothing else") {
    const TemporaryFolder folder;
    const std::filesystem::path path = copy_golden(folder, "npy-gray");
    const std::filesystem::path sidecar = path / "000001" / "index.npz";
    const std::vector<uint8_t> whole = read_file(sidecar, 1 << 20);
    const auto check = [&](const std::vector<uint8_t>& bytes) {
        write_bytes(sidecar, bytes);
        StoreReader store(path);
        CHECK((store.frame_count() == 13 || store.frame_count() == 23));
        if (store.frame_count() == 13) CHECK(warned(store, {"chunk 1", "index.npz"}));
        CHECK(read_image_number(store.at_index(0).image) == 0);
        CHECK(read_image_number(store.at_index(store.frame_count() - 1).image) == 22);
    };
    for (size_t size = 0; size < whole.size(); size += 37)
        check({whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size)});
    // An honest ZIP around a header that promises 2^40 frames.
    std::vector<uint8_t> huge = make_npy_header("<i8", {int64_t{1} << 40});
    huge.resize(huge.size() + 80);
    check(make_npz({{"frame_number", huge}, {"frame_time", npy_from_double(std::vector<double>(10))}}));
    huge = make_npy_header("<i8", {int64_t{1} << 62});
    check(make_npz({{"frame_number", huge}, {"frame_time", huge}}));
    // Lists of different length, and a member that is missing.
    check(make_npz({{"frame_number", npy_from_int64(std::vector<int64_t>(9))},
                    {"frame_time", npy_from_double(std::vector<double>(10))}}));
    check(make_npz({{"frame_number", npy_from_int64(std::vector<int64_t>(10))}}));
    check(make_npz({{"frame_number", npy_none()}, {"frame_time", npy_none()}}));
}

TEST_CASE("a video shorter than its table serves what it has") {
    const TemporaryFolder folder;
    for (const auto& [name, extension] : kGoldenVideos) {
        CAPTURE(name);
        const std::filesystem::path path = copy_golden(folder, name);
        // Chunk 2 has three frames; now its file stands for chunk 0, whose table has ten.
        std::filesystem::copy_file(path / ("000002." + extension), path / ("000000." + extension),
                                   std::filesystem::copy_options::overwrite_existing);
        StoreReader store(path);
        CHECK(store.frame_count() == 23);
        for (int i = 0; i < 3; ++i) CHECK(read_image_number(store.at_index(i).image) == 20 + i);
        for (int i = 3; i < 10; ++i) {
            std::string message;
            CHECK(error_of([&] { store.at_index(i); }, &message) == ErrorCode::not_found);
            CHECK(message.find("chunk 0") != std::string::npos);
            CHECK(message.find("frame index " + std::to_string(i)) != std::string::npos);
            CHECK(message.find("3 frames") != std::string::npos);
        }
        CHECK(read_image_number(store.at_index(10).image) == 10);
    }
}

TEST_CASE("a video longer than its table gives the frames of the table") {
    const TemporaryFolder folder;
    const std::filesystem::path path = copy_golden(folder, "avc1_mp4-gray");
    std::filesystem::copy_file(path / "000000.mp4", path / "000002.mp4",
                               std::filesystem::copy_options::overwrite_existing);
    StoreReader store(path);
    CHECK(store.frame_count() == 23);
    for (int i = 20; i < 23; ++i) CHECK(read_image_number(store.at_index(i).image) == i - 20);
}

TEST_CASE("a chunk that is really a playlist or script opens no other file") {
    const TemporaryFolder folder;
    const std::filesystem::path secret = folder / "secret.mp4";
    std::filesystem::copy_file(kGolden / "avc1_mp4-gray" / "000000.mp4", secret);
    const std::vector<std::string> scripts = {
        "ffconcat version 1.0\nfile '" + secret.string() + "'\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n" + secret.string() + "\n#EXT-X-ENDLIST\n",
        "#!/bin/sh\ntouch " + (folder / "executed").string() + "\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 5004 RTP/AVP 96\n",
        "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\"></MPD>",
    };
    for (const auto& [name, extension] : kGoldenVideos) {
        for (const std::string& script : scripts) {
            const std::filesystem::path path = copy_golden(folder, name);
            write_text(path / ("000001." + extension), script);
            StoreReader store(path);
            std::string message;
            CHECK(error_of([&] { store.at_index(10); }, &message) == ErrorCode::corrupt);
            CHECK(message.find("000001." + extension) != std::string::npos);
            CHECK(read_image_number(store.at_index(9).image) == 9);
            std::filesystem::remove_all(path);
        }
    }
    CHECK_FALSE(std::filesystem::exists(folder / "executed"));
}

TEST_CASE("an image of another size than the store's is refused before it is decoded") {
    const TemporaryFolder folder;
    const std::filesystem::path path = copy_golden(folder, "png-gray");
    std::vector<uint8_t> bytes = read_file(path / "000000" / "000001.png", 1 << 20);
    // Width and height of the IHDR chunk: 60000 x 60000, nearly four gigabytes if it were decoded.
    for (const size_t at : {16, 20}) {
        bytes[at] = 0;
        bytes[at + 1] = 0;
        bytes[at + 2] = 0xea;
        bytes[at + 3] = 0x60;
    }
    write_bytes(path / "000000" / "000001.png", bytes);
    StoreReader store(path);
    std::string message;
    CHECK(error_of([&] { store.at_index(1); }, &message) == ErrorCode::corrupt);
    CHECK(message.find("60000") != std::string::npos);
    CHECK(message.find("000001.png") != std::string::npos);
    CHECK(read_image_number(store.at_index(2).image) == 2);
}

TEST_CASE("a damaged, foreign or newer index gives way to the chunks") {
    const TemporaryFolder folder;
    const auto path = folder / "s";
    write_numbered_store(path, {.format = "avc1/mp4", .chunk_frames = 7}, gray_type(), 20);
    const std::filesystem::path index = path / "index.sqlite";
    const std::vector<uint8_t> whole = read_file(index, 1 << 24);
    const auto check = [&] {
        StoreReader store(path);
        CHECK(warned(store, {"index.sqlite"}));
        check_frames(store, range(0, 20));
    };
    write_text(index, "this is no database");
    check();
    write_bytes(index, {whole.begin(), whole.begin() + 5000});
    check();
    write_bytes(index, whole);
    change_index(path, "PRAGMA user_version = 2");
    check();
    write_bytes(index, whole);
    change_index(path, "UPDATE store SET value = 'another' WHERE key = 'uuid'");
    check();
    write_bytes(index, whole);
    change_index(path, "DROP TABLE frames");
    check();
}

TEST_CASE("paths in an index are never followed") {
    const TemporaryFolder folder;
    const auto path = folder / "s";
    write_numbered_store(path, {.format = "avc1/mp4", .chunk_frames = 7}, gray_type(), 7);
    const Database database(path / "index.sqlite", Database::Mode::read_write);
    database.execute("ALTER TABLE chunks ADD COLUMN chunk_path TEXT DEFAULT '/etc/passwd'");
    database.execute("UPDATE chunks SET chunk_path = '../../other/000000'");
    StoreReader store(path);
    check_frames(store, range(0, 7));
}

TEST_CASE("a packet table that lies gives way to the file's own") {
    const TemporaryFolder folder;
    const auto path = folder / "s";
    write_numbered_store(path, {.format = "avc1/mp4", .chunk_frames = 30}, gray_type(), 30);
    change_index(path, "UPDATE frames SET byte_offset = byte_offset + 3, checksum = NULL");
    StoreReader store(path);
    check_frames(store, range(0, 30));
    change_index(path, "UPDATE frames SET byte_offset = 9000000000000");
    StoreReader far(path);
    check_frames(far, range(0, 30));
}

TEST_CASE("bytes of a chunk that changed behind its back are an error, never another picture") {
    const TemporaryFolder folder;
    const auto path = folder / "s";
    write_numbered_store(path, {.format = "avc1/mp4", .chunk_frames = 30}, gray_type(), 30);
    const int64_t offset =
        asked_of_index(path, "SELECT byte_offset + byte_size / 2 FROM frames WHERE frame_index = 20");
    flip(path / "000000.mp4", offset, 1);
    StoreReader store(path);
    for (int i = 0; i < 30; ++i) {
        if (i < 20) {
            CHECK(read_image_number(store.at_index(i).image) == i);
        } else {
            CHECK(error_of([&] { store.at_index(i); }) == ErrorCode::corrupt);
        }
    }
}

TEST_CASE("changed bytes are an error also where they change what a scan of the file would say") {
    const TemporaryFolder folder;
    const auto path = folder / "s";
    write_numbered_store(path, {.format = "avc1/mp4", .chunk_frames = 30}, gray_type(), 30);
    const int64_t offset = asked_of_index(path, "SELECT byte_offset FROM frames WHERE frame_index = 20");
    // nal_ref_idc behind the length of the NAL unit: to a scan, the frame becomes one that no other needs.
    flip(path / "000000.mp4", offset + 4, 0x60);
    StoreReader store(path);
    for (int i = 20; i < 30; ++i) CHECK(error_of([&] { store.at_index(i); }) == ErrorCode::corrupt);
    CHECK(read_image_number(store.at_index(19).image) == 19);
}

TEST_CASE("an index that claims more frames than there are costs no memory for them") {
    const TemporaryFolder folder;
    for (const char* last : {"4000000000000", "9223372036854775807"}) {
        CAPTURE(last);
        const auto path = folder / last;
        write_numbered_store(path, {.format = "avc1/mp4"}, gray_type(), 10);
        change_index(path, std::string("INSERT INTO frames (frame_index, frame_number, frame_time, chunk) VALUES (") +
                               last + ", 10, 0, 0); UPDATE chunks SET frame_count = " + last);
        // The chunks' own files tell what is there.
        StoreReader store(path);
        CHECK_FALSE(store.warnings().empty());
        check_frames(store, range(0, 10));
    }
    // As many as there is room for, in rows that are not there.
    const auto path = folder / "room";
    write_numbered_store(path, {.format = "avc1/mp4"}, gray_type(), 10);
    change_index(path,
                 "INSERT INTO frames (frame_index, frame_number, frame_time, chunk) VALUES (99, 10, 0, 0); "
                 "UPDATE chunks SET frame_count = 100");
    const auto index = FrameIndex::open(path / "index.sqlite", StoreReader(path).metadata().uuid);
    CHECK(index->frame_count() == 100);
    CHECK_FALSE(index->packet_table(0));
}
