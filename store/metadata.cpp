#include "store/metadata.h"

#include <algorithm>
#include <regex>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file_system.h"
#include "base/yaml.h"
#include "base/encoding.h"
#include "store/layout.h"

namespace reelstore {

namespace {

constexpr int kStoreVersion = 2;
constexpr const char* kWriter = "reelstore";
constexpr const char* kStoreKey = "__store";
constexpr const char* kFolderClass = "DirectoryImgStore";
constexpr const char* kVideoClass = "VideoImgStore";
constexpr const char* kPackedClass = "PackedImgStore";
constexpr const char* kOldVideoClass = "VideoImgStoreFFMPEG";

/// Reads members of `__store` with errors that name file, key and line.
class StoreKeys {
public:
    StoreKeys(const YamlDocument& document, std::string path) : document_(document), path_(std::move(path)) {
        const Json& root = document.value;
        if (!root.is_object() || !root.contains(kStoreKey)) {
            throw Error(ErrorCode::corrupt, {path_, {}, {}},
                        "not the metadata of a store: there is no `__store` in it");
        }
        if (!root[kStoreKey].is_object()) fail("", "is not a mapping");
    }

    const Json* find(const std::string& key) const {
        const Json& store = document_.value[kStoreKey];
        const auto found = store.find(key);
        return found == store.end() || found->is_null() ? nullptr : &*found;
    }

    std::string text(const std::string& key) const {
        const Json& value = required(key);
        if (!value.is_string()) fail(key, "is not text");
        return value.get<std::string>();
    }

    int64_t integer(const std::string& key, int64_t minimum, int64_t maximum) const {
        const Json& value = required(key);
        return integer_of(value, key, minimum, maximum);
    }

    /// {h, w} or {h, w, channels}
    std::vector<int64_t> shape(const std::string& key, int64_t minimum) const {
        const Json& value = required(key);
        if (!value.is_array() || value.size() < 2 || value.size() > 3)
            fail(key, "is not [height, width] or [height, width, channels]");
        std::vector<int64_t> sizes;
        for (const Json& size : value) sizes.push_back(integer_of(size, key, minimum, kMaxImageSide));
        if (sizes.size() == 3 && (sizes[2] < 1 || sizes[2] > CV_CN_MAX))
            fail(key, "has an impossible number of channels");
        return sizes;
    }

    [[noreturn]] void fail(const std::string& key, const std::string& problem,
                           ErrorCode code = ErrorCode::corrupt) const {
        const std::string name = key.empty() ? kStoreKey : std::string(kStoreKey) + "." + key;
        const auto line = document_.lines.find(name);
        const std::string where = line == document_.lines.end() ? "" : fmt::format(" (line {})", line->second);
        throw Error(code, {path_, {}, {}}, fmt::format("the key {}{} {}", name, where, problem));
    }

private:
    const Json& required(const std::string& key) const {
        const Json* value = find(key);
        if (!value) fail(key, "is missing");
        return *value;
    }

    int64_t integer_of(const Json& value, const std::string& key, int64_t minimum, int64_t maximum) const {
        if (!value.is_number_integer()) fail(key, "is not an integer");
        const bool too_large = value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(maximum);
        if (too_large || value.get<int64_t>() < minimum || value.get<int64_t>() > maximum) {
            fail(key, fmt::format("is not between {} and {}", minimum, maximum));
        }
        return value.get<int64_t>();
    }

    const YamlDocument& document_;
    std::string path_;
};

ImageType image_type_of(const std::vector<int64_t>& shape, int depth) {
    return {static_cast<int>(shape[0]), static_cast<int>(shape[1]), shape.size() == 3 ? static_cast<int>(shape[2]) : 1,
            depth};
}

/// A name such as "rig3_20200131_142501" holds the local time of the recording's start.
std::optional<double> time_in_name(const std::string& name, const std::string& zone) {
    static const std::regex pattern(R"(^.*(20\d{2})(\d{2})(\d{2})_(\d{2})(\d{2})(\d{2}))");
    std::smatch match;
    if (!std::regex_search(name, match, pattern)) return std::nullopt;
    const auto part = [&](size_t i) { return std::stoi(match[i].str()); };
    return local_time_to_utc(part(1), part(2), part(3), part(4), part(5), part(6), zone);
}

std::optional<std::string> user_time_zone(const Json& user) {
    const auto zone = user.find("timezone");
    if (zone == user.end() || !zone->is_string() || !is_time_zone(zone->get<std::string>())) return std::nullopt;
    return zone->get<std::string>();
}

void read_creation(const StoreKeys& keys, const std::filesystem::path& folder, StoreMetadata& metadata) {
    if (keys.find("created_utc")) {
        const std::optional<double> created = parse_utc(keys.text("created_utc"));
        if (!created) keys.fail("created_utc", "is not a date and time (such as 2026-11-20T09:21:30.796708)");
        metadata.created = *created;
        metadata.time_zone = keys.find("timezone_local") ? keys.text("timezone_local") : "Etc/UTC";
        if (!is_time_zone(metadata.time_zone)) {
            metadata.warnings.push_back(fmt::format(
                "the time zone \"{}\" is not known here; local times are shown in UTC", metadata.time_zone));
            metadata.time_zone = "Etc/UTC";
        }
        return;
    }
    metadata.time_zone = user_time_zone(metadata.user).value_or(local_time_zone());
    if (const auto created = time_in_name(folder.filename().string(), metadata.time_zone)) {
        metadata.created = *created;
        metadata.warnings.push_back("the store does not say when it was made; taken from the folder's name");
    } else {
        metadata.created = file_system().status(StoreLayout::metadata(folder)).modified;
        metadata.warnings.push_back("the store does not say when it was made; taken from the time of metadata.yaml");
    }
}

/// Old recording programs named their formats after the encoder; all of them are video files that FFmpeg reads.
bool is_old_video_format(const std::string& format) {
    return format.find("264") != std::string::npos || format.starts_with("nvenc-");
}

void check_extension(const StoreKeys& keys, StoreMetadata& metadata, const ChunkFormatInfo& format) {
    metadata.extension = format.extension;
    if (!keys.find("extension")) {
        metadata.warnings.push_back(
            fmt::format("the store does not name its files' extension; taken to be {}", metadata.extension));
    } else if (keys.text("extension") != format.extension) {
        keys.fail("extension", fmt::format("is \"{}\", but chunks of the format {} have {}", keys.text("extension"),
                                           format.name, format.extension));
    }
}

void read_format(const StoreKeys& keys, StoreMetadata& metadata) {
    metadata.class_name = keys.text("class");
    const bool old_video = metadata.class_name == kOldVideoClass;
    if (old_video) metadata.class_name = kVideoClass;
    const bool video = metadata.class_name == kVideoClass;
    const bool packed = metadata.class_name == kPackedClass;
    if (!video && !packed && metadata.class_name != kFolderClass) {
        keys.fail("class",
                  fmt::format("is \"{}\"; this version reads {}, {} and {}", metadata.class_name, kFolderClass,
                              kVideoClass, kPackedClass),
                  ErrorCode::unsupported);
    }
    metadata.format = keys.text("format");
    metadata.kind = video || packed ? ChunkKind::file : ChunkKind::folder;
    const ChunkFormat* format = find_chunk_format(metadata.format);
    if (video) {
        if (keys.find("extension")) {
            metadata.extension = keys.text("extension");
        } else {
            metadata.extension = metadata.format == "mjpeg" ? ".avi" : ".mp4";
            metadata.warnings.push_back(
                fmt::format("the store does not name its files' extension; taken to be {}", metadata.extension));
        }
        if (!any_video_format(metadata.extension)) {
            keys.fail("extension",
                      fmt::format("is \"{}\", which no video format of this version has", metadata.extension),
                      ErrorCode::unsupported);
        }
        const bool known = (format && format->info().video) || is_old_video_format(metadata.format);
        if (!known)
            keys.fail("format", fmt::format("is \"{}\", which is no video format of this version", metadata.format),
                      ErrorCode::unsupported);
    } else if (packed) {
        if (!format || store_class(format->info()) != metadata.class_name) {
            keys.fail("format",
                      fmt::format("is \"{}\", which is no format of packed images of this version (see `store "
                                  "formats`)",
                                  metadata.format),
                      ErrorCode::unsupported);
        }
        check_extension(keys, metadata, format->info());
    } else {
        if (!format || format->info().kind != ChunkKind::folder) {
            keys.fail("format",
                      fmt::format("is \"{}\", which is no image format of this version (see `store formats`)",
                                  metadata.format),
                      ErrorCode::unsupported);
        }
        metadata.extension = format->info().extension;
    }
}

void read_types(const StoreKeys& keys, StoreMetadata& metadata) {
    const std::optional<int> depth = depth_of_dtype(keys.text("imgdtype"));
    if (!depth)
        keys.fail("imgdtype", fmt::format("is \"{}\", which is no pixel type of this version", keys.text("imgdtype")),
                  ErrorCode::unsupported);
    metadata.recorded_type = image_type_of(keys.shape("imgshape", 0), *depth);
    const bool video = metadata.class_name == kVideoClass;
    // A store closed before its first frame has no size yet.
    if (!metadata.recorded_type.empty() && !plausible(metadata.recorded_type))
        keys.fail("imgshape", "is larger than any image this version reads");
    metadata.stored_type = metadata.recorded_type;
    if (keys.find("image_shape")) {
        metadata.stored_type = image_type_of(keys.shape("image_shape", 0), *depth);
        const ImageType& stored = metadata.stored_type;
        const ImageType& recorded = metadata.recorded_type;
        if (stored.height > recorded.height || stored.width > recorded.width || stored.channels != recorded.channels) {
            keys.fail("image_shape", "does not fit into imgshape");
        }
    } else if (video && (metadata.recorded_type.height % 2 || metadata.recorded_type.width % 2)) {
        // imgstore's video files always have even sizes, whatever an early version wrote here.
        metadata.stored_type.height &= ~1;
        metadata.stored_type.width &= ~1;
        metadata.warnings.push_back(fmt::format("imgshape says {} but video of this kind has even sizes; read as {}",
                                                metadata.recorded_type.text(), metadata.stored_type.text()));
    }
}

}  // namespace

const char* store_class(const ChunkFormatInfo& format) {
    if (format.kind == ChunkKind::folder) return kFolderClass;
    return format.video ? kVideoClass : kPackedClass;
}

const ChunkFormat* any_video_format(const std::string& extension) {
    const ChunkFormat* found = nullptr;
    for (const auto& format : chunk_formats()) {
        const ChunkFormatInfo& info = format->info();
        if (!info.video || info.extension != extension) continue;
        // That is what programs wrote whose names for it are not known here.
        const bool is_h264 = info.name.find("264") != std::string::npos || info.name.starts_with("avc1");
        if (is_h264 && !info.lossless) return format.get();
        if (!found) found = format.get();
    }
    return found;
}

StoreMetadata read_metadata(const std::filesystem::path& folder) {
    const std::filesystem::path path = StoreLayout::metadata(folder);
    const YamlDocument document = parse_yaml(read_text_file(path, YamlLimits{}.bytes), path.string());
    const StoreKeys keys(document, path.string());
    const int64_t version = keys.integer("version", 0, 1'000'000);
    if (version != kStoreVersion) {
        keys.fail("version", fmt::format("is {}; this version of reelstore reads version {}", version, kStoreVersion),
                  ErrorCode::unsupported);
    }
    StoreMetadata metadata;
    metadata.user = document.value;
    metadata.user.erase(kStoreKey);
    read_format(keys, metadata);
    read_types(keys, metadata);
    metadata.chunk_frames = keys.integer("chunksize", 1, kMaxChunkFrames);
    if (keys.find("encoding")) {
        metadata.encoding = keys.text("encoding");
        const Encoding* encoding = find_encoding(metadata.encoding);
        if (!encoding)
            keys.fail("encoding", fmt::format("is \"{}\", which is no encoding of this version", metadata.encoding),
                      ErrorCode::unsupported);
        if (!metadata.stored_type.empty() && !decoded_type(*encoding, metadata.stored_type)) {
            keys.fail("encoding", fmt::format("{} cannot be decoded from {} images", metadata.encoding,
                                              metadata.stored_type.text()));
        }
    }
    if (keys.find("uuid")) metadata.uuid = keys.text("uuid");
    if (keys.find("writer")) metadata.writer = keys.text("writer");
    read_creation(keys, folder, metadata);
    return metadata;
}

std::string metadata_text(const StoreMetadata& metadata) {
    Json store = Json::object();
    store["imgshape"] = metadata.recorded_type.shape();
    // imgstore only knows the even sizes of the file; always written for video, so that no reader has to guess.
    if (metadata.class_name == kVideoClass) store["image_shape"] = metadata.stored_type.shape();
    store["imgdtype"] = dtype_name(metadata.recorded_type.depth);
    store["chunksize"] = metadata.chunk_frames;
    store["format"] = metadata.format;
    store["class"] = metadata.class_name;
    if (metadata.kind == ChunkKind::file) store["extension"] = metadata.extension;
    store["version"] = kStoreVersion;
    store["encoding"] = metadata.encoding.empty() ? Json() : Json(metadata.encoding);
    store["created_utc"] = utc_text(metadata.created);
    store["timezone_local"] = metadata.time_zone;
    store["uuid"] = metadata.uuid;
    store["writer"] = kWriter;
    Json document = Json::object();
    document[kStoreKey] = std::move(store);
    for (const auto& [key, value] : metadata.user.items()) document[key] = value;
    return to_yaml(document);
}

Json parse_user_metadata(const std::string& text) {
    // JSON is tried first: to YAML 1.1, numbers such as 1e5 are text.
    Json user = Json::parse(text, nullptr, false);
    if (user.is_discarded()) {
        try {
            user = parse_yaml(text, "user metadata").value;
        } catch (const Error& error) {
            throw Error(ErrorCode::invalid_argument, error.what());
        }
    }
    if (user.is_null()) return Json::object();
    try {
        // A store whose metadata cannot be read back would be lost: too deep, too large, not UTF-8.
        parse_yaml(to_yaml(Json{{kStoreKey, user}}), "user metadata");
    } catch (const Error& error) {
        throw Error(ErrorCode::invalid_argument, error.what());
    }
    if (!user.is_object())
        throw Error(ErrorCode::invalid_argument, "user metadata must be a mapping of keys to values");
    if (user.contains(kStoreKey))
        throw Error(ErrorCode::invalid_argument,
                    "user metadata may not use the key `__store`, which holds the store's own facts");
    return user;
}

const ChunkFormat* reading_format(const StoreMetadata& metadata) {
    const ChunkFormat* format = find_chunk_format(metadata.format);
    if (format && format->info().extension == metadata.extension) return format;
    return metadata.kind == ChunkKind::file ? any_video_format(metadata.extension) : format;
}

std::optional<double> motif_frame_rate(const Json& user_metadata, bool hardware_only) {
    const auto number = [&](const char* key) -> std::optional<double> {
        const auto found = user_metadata.find(key);
        if (found == user_metadata.end()) return std::nullopt;
        double value = 0;
        if (found->is_number()) {
            value = found->get<double>();
        } else if (found->is_string()) {
            value = std::strtod(found->get_ref<const std::string&>().c_str(), nullptr);
        }
        return value > 0 ? std::optional(value) : std::nullopt;
    };
    if (const auto rate = number("hwframerate")) return rate;
    if (const auto rate = number("motifptpframerate")) return rate;
    if (hardware_only) return std::nullopt;
    const auto enabled = user_metadata.find("acquisitionframerateenable");
    const bool on = enabled != user_metadata.end() && ((enabled->is_boolean() && enabled->get<bool>()) ||
                                                       (enabled->is_number() && enabled->get<double>() != 0));
    return on ? number("acquisitionframerate") : std::nullopt;
}

std::string recording_time_zone(const StoreMetadata& metadata) {
    return user_time_zone(metadata.user).value_or(metadata.time_zone);
}

}  // namespace reelstore
