#include <doctest/doctest.h>

#include <fstream>

#include "base/clock.h"
#include "base/yaml.h"
#include "store/layout.h"
#include "store/metadata.h"
#include "tests/store/store_fixture.h"
#include "tests/temporary_folder.h"

using namespace reelstore;

namespace {

/// `__store` of a good store as imgstore writes it.
Json good() {
    return {{"chunksize", 4},
            {"class", "DirectoryImgStore"},
            {"created_utc", "2026-11-20T09:21:30.796708"},
            {"encoding", nullptr},
            {"format", "npy"},
            {"imgdtype", "uint8"},
            {"imgshape", {48, 64}},
            {"timezone_local", "Etc/UTC"},
            {"uuid", "3fd193abcb7d4556804408a176f120d5"},
            {"version", 2}};
}

Json good_video() {
    Json store = good();
    store["class"] = "VideoImgStore";
    store["format"] = "avc1/mp4";
    store["extension"] = ".mp4";
    return store;
}

class MetadataFile {
public:
    explicit MetadataFile(const std::string& name = "store") : path_(folder_ / name) {
        std::filesystem::create_directory(path_);
    }

    StoreMetadata read(const Json& store, const Json& user = Json::object()) const {
        Json root = user;
        root["__store"] = store;
        return read_text(to_yaml(root));
    }
    StoreMetadata read_text(const std::string& text) const {
        std::ofstream(path_ / "metadata.yaml") << text;
        return read_metadata(path_);
    }
    /// Code of the error, whose message must name the file and `word`.
    std::optional<ErrorCode> error(const Json& store, const std::string& word) const {
        std::string message;
        const auto code = error_of([&] { read(store); }, &message);
        CHECK(message.find("metadata.yaml") != std::string::npos);
        CAPTURE(message);
        const bool named = message.find(word) != std::string::npos;
        CHECK(named);
        return code;
    }
    const std::filesystem::path& path() const { return path_; }

private:
    TemporaryFolder folder_;
    std::filesystem::path path_;
};

Json with(Json store, const std::string& key, const Json& value) {
    store[key] = value;
    return store;
}

Json without(Json store, const std::string& key) {
    store.erase(key);
    return store;
}

}  // namespace

TEST_CASE("good metadata are read as they are") {
    const MetadataFile file;
    const StoreMetadata metadata = file.read(good(), {{"rig", 3}, {"nested", {{"a", {1, 2}}}}});
    CHECK(metadata.format == "npy");
    CHECK(metadata.recorded_type == ImageType{48, 64, 1, CV_8U});
    CHECK(metadata.chunk_frames == 4);
    CHECK(utc_text(metadata.created) == "2026-11-20T09:21:30.796708");
    CHECK(metadata.user == Json{{"rig", 3}, {"nested", {{"a", {1, 2}}}}});
    CHECK(metadata.warnings.empty());
}

TEST_CASE("metadata that are not those of a store are refused by name") {
    const MetadataFile file;
    const auto code = [&](const std::string& text) { return error_of([&] { file.read_text(text); }); };
    CHECK(code("") == ErrorCode::corrupt);
    CHECK(code("just text") == ErrorCode::corrupt);
    CHECK(code("a: [1, 2") == ErrorCode::corrupt);
    CHECK(code("rig: 3\n") == ErrorCode::corrupt);
    CHECK(code("__store: 3\n") == ErrorCode::corrupt);
    CHECK(code("__store: [1]\n") == ErrorCode::corrupt);
    CHECK(code(std::string("\x00\x01\xff\xfe binary", 11)) == ErrorCode::corrupt);
    CHECK(file.error(with(good(), "version", 3), "version") == ErrorCode::unsupported);
    CHECK(file.error(with(good(), "version", 1), "version") == ErrorCode::unsupported);
    CHECK(file.error(with(good(), "version", "two"), "version") == ErrorCode::corrupt);
    CHECK(file.error(with(good(), "class", "FilmImgStore"), "FilmImgStore") == ErrorCode::unsupported);
    CHECK(file.error(with(good(), "encoding", "cv_nonsense"), "cv_nonsense") == ErrorCode::unsupported);
    CHECK(file.error(with(good(), "encoding", 5), "encoding") == ErrorCode::corrupt);
    CHECK(file.error(with(good(), "format", "webp"), "webp") == ErrorCode::unsupported);
    CHECK(file.error(with(good_video(), "format", "npy"), "npy") == ErrorCode::unsupported);
    CHECK(file.error(with(good(), "format", "avc1/mp4"), "avc1/mp4") == ErrorCode::unsupported);
    CHECK(file.error(with(good(), "imgdtype", "complex64"), "complex64") == ErrorCode::unsupported);
    CHECK(file.error(with(good(), "imgdtype", 8), "imgdtype") == ErrorCode::corrupt);
    CHECK(file.error(with(good(), "imgshape", {48}), "imgshape") == ErrorCode::corrupt);
    CHECK(file.error(with(good(), "imgshape", {48, 64, 3, 1}), "imgshape") == ErrorCode::corrupt);
    CHECK(file.error(with(good(), "imgshape", {-48, 64}), "imgshape") == ErrorCode::corrupt);
    CHECK(file.error(with(good(), "imgshape", {48, 1000000}), "imgshape") == ErrorCode::corrupt);
    CHECK(file.error(with(good(), "imgshape", {65535, 65535, 512}), "imgshape") == ErrorCode::corrupt);
    CHECK(file.error(with(good(), "imgshape", {48, 64, 0}), "imgshape") == ErrorCode::corrupt);
    CHECK(file.error(with(good(), "imgshape", {48, 64, 100000}), "imgshape") == ErrorCode::corrupt);
    CHECK(file.error(with(good(), "imgshape", {1e300, 64}), "imgshape") == ErrorCode::corrupt);
    CHECK(file.error(with(good(), "chunksize", 0), "chunksize") == ErrorCode::corrupt);
    CHECK(file.error(with(good(), "chunksize", uint64_t{1} << 63), "chunksize") == ErrorCode::corrupt);
    CHECK(file.error(with(good(), "created_utc", "yesterday"), "created_utc") == ErrorCode::corrupt);
    CHECK(file.error(with(good_video(), "extension", ".exe"), ".exe") == ErrorCode::unsupported);
    CHECK(file.error(with(good_video(), "extension", "/../../../etc/passwd"), "extension") == ErrorCode::unsupported);
    for (const char* key : {"class", "format", "imgdtype", "imgshape", "chunksize", "version"})
        CHECK(file.error(without(good(), key), key) == ErrorCode::corrupt);
}

TEST_CASE("stores of packed images name a format and its extension") {
    const MetadataFile file;
    Json packed = with(with(good(), "class", "PackedImgStore"), "format", "zstd/npy");
    packed["extension"] = ".npy.zst";
    const StoreMetadata metadata = file.read(packed);
    CHECK(metadata.kind == ChunkKind::file);
    CHECK(metadata.extension == ".npy.zst");
    CHECK(metadata.stored_type == metadata.recorded_type);
    CHECK(metadata.warnings.empty());
    CHECK(reading_format(metadata)->info().name == "zstd/npy");
    // Odd sizes stay as they are: nothing is padded.
    CHECK(file.read(with(packed, "imgshape", {47, 63})).stored_type == ImageType{47, 63, 1, CV_8U});
    CHECK(file.read(without(packed, "extension")).extension == ".npy.zst");
    CHECK(file.read(without(packed, "extension")).warnings.size() == 1);
    CHECK(file.error(with(packed, "extension", ".npy"), ".npy.zst") == ErrorCode::corrupt);
    CHECK(file.error(with(packed, "extension", "/../x.npy.zst"), "extension") == ErrorCode::corrupt);
    CHECK(file.error(with(packed, "extension", 3), "extension") == ErrorCode::corrupt);
    for (const char* format : {"npy", "avc1/mp4", "packed"})
        CHECK(file.error(with(packed, "format", format), "format") == ErrorCode::unsupported);
    CHECK(file.error(with(packed, "class", "DirectoryImgStore"), "zstd/npy") == ErrorCode::unsupported);
    CHECK(file.error(with(packed, "class", "VideoImgStore"), "extension") == ErrorCode::unsupported);
    for (const char* known : {"DirectoryImgStore", "VideoImgStore", "PackedImgStore"})
        CHECK(file.error(with(packed, "class", "FilmImgStore"), known) == ErrorCode::unsupported);
}

TEST_CASE("names of a chunk's files are taken apart behind its number") {
    const auto split = [](const char* name) {
        const auto found = split_chunk_file_name(name);
        return found ? std::pair(found->chunk, found->rest) : std::pair<int64_t, std::string>(-1, "");
    };
    CHECK(split("000042") == std::pair<int64_t, std::string>(42, ""));
    CHECK(split("000042.npy.zst") == std::pair<int64_t, std::string>(42, ".npy.zst"));
    CHECK(split("1000000.npy.uncommitted.2") == std::pair<int64_t, std::string>(1000000, ".npy.uncommitted.2"));
    for (const char* none :
         {"", "00042.npy", "0000042.npy", "000042x.npy", "x000042", "9999999999999999", "metadata.yaml"})
        CHECK(split(none).first == -1);

    const MetadataFile file;
    for (const char* name : {"000000.npy", "000000.npz", "000001.npy.zst", "000001.npz", "000002.npy.zst.tmp",
                             "000003.npy.zst.uncommitted", "000004.extra.json", "000005.yaml"})
        std::ofstream(file.path() / name) << "x";
    const auto chunks = [&](const char* extension) {
        std::vector<std::string> found;
        for (const StoreLayout::Chunk& chunk : StoreLayout(file.path(), ChunkKind::file, extension).chunks())
            found.push_back(std::to_string(chunk.number) + (chunk.has_media ? "m" : "") +
                            (chunk.has_sidecar ? "s" : ""));
        return found;
    };
    CHECK(chunks(".npy") == std::vector<std::string>{"0ms", "1s", "5s"});
    CHECK(chunks(".npy.zst") == std::vector<std::string>{"0s", "1ms", "5s"});
}

TEST_CASE("errors in metadata name the line") {
    const MetadataFile file;
    std::string message;
    error_of([&] { file.read_text("rig: 3\n__store:\n  class: DirectoryImgStore\n  version: 7\n"); }, &message);
    CHECK(message.find("line 4") != std::string::npos);
}

TEST_CASE("what old stores lack is filled in and said") {
    const MetadataFile plain;
    const StoreMetadata video = plain.read(
        without(without(without(with(good_video(), "format", "mjpeg"), "extension"), "created_utc"), "uuid"));
    CHECK(video.extension == ".avi");
    CHECK(video.uuid.empty());
    CHECK(video.warnings.size() == 2);
    CHECK(video.created > 1.5e9);
    CHECK(plain.read(without(good_video(), "extension")).extension == ".mp4");

    const MetadataFile named("rig3_20200131_142501");
    const StoreMetadata zone = named.read(without(good(), "created_utc"), {{"timezone", "Europe/Vienna"}});
    CHECK(utc_text(zone.created) == "2020-01-31T13:25:01.000000");
    CHECK(zone.time_zone == "Europe/Vienna");
}

TEST_CASE("creation times are read with and without fraction and zone") {
    const MetadataFile file;
    const auto created = [&](const std::string& text) {
        return utc_text(file.read(with(good(), "created_utc", text)).created);
    };
    CHECK(created("2026-11-20T09:21:30") == "2026-11-20T09:21:30.000000");
    CHECK(created("2026-11-20 09:21:30.5") == "2026-11-20T09:21:30.500000");
    CHECK(created("2026-11-20T09:21:30+02:00") == "2026-11-20T07:21:30.000000");
    CHECK(created("2026-11-20T09:21:30.25Z") == "2026-11-20T09:21:30.250000");
    // An unquoted date is text to us, whatever YAML 1.1 would make of it.
    std::string text = "__store:\n  created_utc: 2026-11-20T09:21:30\n";
    Json rest = without(good(), "created_utc");
    for (const auto& [key, value] : rest.items()) text += "  " + key + ": " + value.dump() + "\n";
    CHECK(utc_text(file.read_text(text).created) == "2026-11-20T09:21:30.000000");
}

TEST_CASE("the class and formats of older recording programs are read as video") {
    const MetadataFile file;
    for (const char* format : {"nvenc-h264/mkv", "libx264/mkv", "x264/mp4", "nvenc-hevc/mkv"}) {
        Json store = with(with(good_video(), "class", "VideoImgStoreFFMPEG"), "format", format);
        store["extension"] = std::string(format).ends_with("mkv") ? ".mkv" : ".mp4";
        const StoreMetadata metadata = file.read(store);
        CHECK(metadata.class_name == "VideoImgStore");
        CHECK(reading_format(metadata) != nullptr);
        CHECK(reading_format(metadata)->info().extension == metadata.extension);
    }
}

TEST_CASE("odd sizes of old video stores are corrected and said") {
    const MetadataFile file;
    const StoreMetadata metadata = file.read(with(good_video(), "imgshape", {47, 63, 3}));
    CHECK(metadata.stored_type == ImageType{46, 62, 3, CV_8U});
    CHECK(metadata.warnings.size() == 1);
    Json ours = with(good_video(), "imgshape", {48, 64});
    ours["image_shape"] = {47, 63};
    CHECK(file.read(ours).stored_type == ImageType{47, 63, 1, CV_8U});
    CHECK(file.read(ours).warnings.empty());
    CHECK(file.error(with(ours, "image_shape", {49, 63}), "image_shape") == ErrorCode::corrupt);
}

TEST_CASE("Motif's frame rates are taken in their order") {
    Json user = {{"acquisitionframerate", 10}, {"acquisitionframerateenable", true}};
    CHECK(motif_frame_rate(user) == 10);
    CHECK_FALSE(motif_frame_rate(user, true));
    user["acquisitionframerateenable"] = false;
    CHECK_FALSE(motif_frame_rate(user));
    user["motifptpframerate"] = 20.5;
    CHECK(motif_frame_rate(user) == 20.5);
    user["hwframerate"] = "30";
    CHECK(motif_frame_rate(user, true) == 30);
    user["hwframerate"] = nullptr;
    CHECK(motif_frame_rate(user) == 20.5);
    CHECK_FALSE(motif_frame_rate(Json::object()));
}

TEST_CASE("the recording's zone is the user's if that is one, else the store's") {
    const MetadataFile file;
    CHECK(recording_time_zone(file.read(good(), {{"timezone", "Europe/Vienna"}})) == "Europe/Vienna");
    CHECK(recording_time_zone(file.read(good(), {{"timezone", "Middle-earth"}})) == "Etc/UTC");
    CHECK(recording_time_zone(file.read(with(good(), "timezone_local", "Asia/Tokyo"))) == "Asia/Tokyo");
}

TEST_CASE("user metadata are given as YAML or JSON") {
    CHECK(parse_user_metadata("a: 1\nb: [x, y]") == Json{{"a", 1}, {"b", {"x", "y"}}});
    CHECK(parse_user_metadata(R"({"a": 1e5, "b": "yes"})") == Json{{"a", 1e5}, {"b", "yes"}});
    CHECK(parse_user_metadata("").empty());
    for (const char* text : {"[1]", "text", "__store: 1", "a: b: c", "3"})
        CHECK(error_of([&] { parse_user_metadata(text); }) == ErrorCode::invalid_argument);
}

TEST_CASE("a path to a store is its folder or its metadata.yaml") {
    const MetadataFile file("with space");
    file.read(good());
    CHECK(store_folder(file.path()) == file.path());
    CHECK(store_folder(file.path() / "") == file.path());
    CHECK(store_folder(file.path() / "metadata.yaml") == file.path());
    CHECK(store_folder(file.path() / "." / ".." / "with space") == file.path());
    CHECK(error_of([&] { store_folder(file.path() / "missing"); }) == ErrorCode::not_found);
    std::ofstream(file.path() / "other.yaml") << "a: 1";
    CHECK(error_of([&] { store_folder(file.path() / "other.yaml"); }) == ErrorCode::not_a_store);
    CHECK(error_of([&] { store_folder(file.path().parent_path()); }) == ErrorCode::not_a_store);
    CHECK(is_store(file.path()));
    CHECK_FALSE(is_store(file.path().parent_path()));
}
