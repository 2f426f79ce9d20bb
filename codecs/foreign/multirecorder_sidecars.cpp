#include "codecs/foreign/multirecorder_sidecars.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>
#include <tinyxml2.h>

#include "base/error.h"
#include "base/file_name.h"
#include "base/file_system.h"
#include "base/text.h"
#include "codecs/foreign/folder_files.h"
#include "codecs/foreign/header_bytes.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

constexpr uint64_t kMostSidecarBytes = uint64_t{1} << 20;
/// .omni files of one folder that are looked into.
constexpr size_t kMostOmniFiles = 64;
/// Deeper JSON is no recorder's, and writing it out again would take that much stack.
constexpr int kDeepestJson = 16;
/// Members of an object are found by looking at each, so that many would cost time without end.
constexpr int kMostJsonMembers = 5000;

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts;
    size_t begin = 0;
    for (size_t end = 0; end != std::string::npos; begin = end + 1) {
        end = text.find(separator, begin);
        parts.push_back(text.substr(begin, end == std::string::npos ? end : end - begin));
    }
    return parts;
}

std::optional<double> number_of(const std::string& text) {
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || !std::isfinite(number)) return std::nullopt;
    return number;
}

/// The number where the text is one, else the text.
Json value_of(const std::string& text) {
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc() && end == text.data() + text.size() && std::isfinite(number)) return number;
    return utf8_of_foreign_text(text);
}

// tinyxml2 gives null for what is not there.
std::string text_of(const char* text) {
    return text ? utf8_of_foreign_text(text) : std::string();
}

std::string text_of(const tinyxml2::XMLElement* element) {
    return element ? text_of(element->GetText()) : std::string();
}

const tinyxml2::XMLElement* child_of(const tinyxml2::XMLNode* parent, const char* name) {
    return parent ? parent->FirstChildElement(name) : nullptr;
}

/// Of several cameras the one whose model is what follows the three parts of the recording's name.
const tinyxml2::XMLElement* find_camera(const tinyxml2::XMLElement* cameras, const std::string& model) {
    const tinyxml2::XMLElement* const first = child_of(cameras, "Camera");
    for (const auto* camera = first; camera; camera = camera->NextSiblingElement("Camera")) {
        if (text_of(camera->Attribute("model")) == model) return camera;
    }
    const bool is_only_one = first && !first->NextSiblingElement("Camera");
    return is_only_one ? first : nullptr;
}

void read_camera(const tinyxml2::XMLElement* camera, MultirecorderSidecars& sidecars) {
    sidecars.metadata["camera"] = text_of(camera->Attribute("model"));
    Json profile = Json::object();
    for (const auto* value = child_of(child_of(camera, "Profile"), "value"); value;
         value = value->NextSiblingElement("value")) {
        const std::string name = text_of(value->Attribute("name"));
        const std::string text = text_of(value->Attribute("value"));
        if (name.empty()) continue;
        profile[name] = value_of(text);
        const std::optional<double> number = number_of(text);
        if (!number) continue;
        if (name == "Framerate" && *number > 0) sidecars.frame_rate = *number;
        if (name == "Gain") sidecars.metadata["gain"] = *number;
        if (name == "Exposure") sidecars.metadata["exposure_microseconds"] = *number * 1000;
    }
    if (!profile.empty()) sidecars.metadata["profile"] = std::move(profile);
}

void read_xml(const fs::path& path, const std::string& camera_model, MultirecorderSidecars& sidecars) {
    const std::string text = read_text_file(path, kMostSidecarBytes);
    tinyxml2::XMLDocument document;
    if (document.Parse(text.data(), text.size()) != tinyxml2::XML_SUCCESS) {
        throw Error(ErrorCode::corrupt, fmt::format("it is no XML ({})", utf8_of_foreign_text(document.ErrorStr())));
    }
    const tinyxml2::XMLElement* const root = child_of(&document, "recordingMetaData");
    if (!root) throw Error(ErrorCode::corrupt, "it has no <recordingMetaData>");
    const tinyxml2::XMLElement* const general = child_of(root, "general");
    const std::string comment = text_of(child_of(general, "comment"));
    if (!comment.empty()) sidecars.metadata["comment"] = comment;
    const tinyxml2::XMLElement* const duration = child_of(general, "recordingTime");
    if (duration && text_of(duration->Attribute("unit")) == "ms") {
        if (const auto milliseconds = number_of(text_of(duration)))
            sidecars.metadata["duration_seconds"] = *milliseconds / 1000;
    }
    if (const tinyxml2::XMLElement* const camera = find_camera(child_of(root, "Cameras"), camera_model)) {
        read_camera(camera, sidecars);
    }
}

Json read_json(const fs::path& path) {
    const std::string text = read_text_file(path, kMostSidecarBytes);
    bool too_much = false;
    int members = 0;
    Json json = Json::parse(
        text,
        [&](int depth, Json::parse_event_t event, Json&) {
            if (event == Json::parse_event_t::key) ++members;
            too_much = too_much || depth > kDeepestJson || members > kMostJsonMembers;
            return !too_much;
        },
        false);
    if (too_much || !json.is_object())
        throw Error(ErrorCode::corrupt, "it is no JSON object as OmniRecorder writes it");
    return json;
}

/// The member where it is of the kind that is asked for.
const Json* member(const Json& json, const char* name) {
    const auto found = json.is_object() ? json.find(name) : json.end();
    return json.is_object() && found != json.end() ? &*found : nullptr;
}

std::optional<double> number_member(const Json* json, const char* name) {
    const Json* const value = json ? member(*json, name) : nullptr;
    if (!value || !value->is_number()) return std::nullopt;
    return value->get<double>();
}

std::string text_member(const Json* json, const char* name) {
    const Json* const value = json ? member(*json, name) : nullptr;
    return value && value->is_string() ? value->get<std::string>() : std::string();
}

/// The name of a camera's file; empty when it is none, or not in the folder itself.
std::string file_of_camera(const Json& camera) {
    const std::string name = text_member(&camera, "file");
    const fs::path path = name;
    return !name.empty() && name != ".." && name != "." && path == path.filename() ? name : std::string();
}

void read_omni(const fs::path& path, const fs::path& recording, const Json& omni, const Json& camera,
               MultirecorderSidecars& sidecars) {
    Json& metadata = sidecars.metadata;
    const std::string comment = text_member(member(omni, "meta"), "comment");
    if (!comment.empty()) metadata["comment"] = comment;
    const Json* const settings = member(omni, "settings");
    if (const auto rate = number_member(settings, "fps"); rate && *rate > 0) sidecars.frame_rate = *rate;
    if (const auto gain = number_member(settings, "gain")) metadata["gain"] = *gain;
    if (const auto exposure = number_member(settings, "exposure_us")) metadata["exposure_microseconds"] = *exposure;
    const std::string model = text_member(&camera, "model");
    if (!model.empty()) metadata["camera"] = model;
    if (const auto rotation = number_member(&camera, "rotation_deg")) metadata["rotation_degrees"] = *rotation;
    metadata["omni"] = omni;
    const Json* const size = member(camera, "file_size_bytes");
    const uint64_t real_size = file_system().status(recording).size;
    if (size && size->is_number_unsigned() && size->get<uint64_t>() != real_size) {
        sidecars.warnings.push_back(fmt::format("{} had {} bytes when {} was written, now it has {}",
                                                recording.filename().string(), size->get<uint64_t>(),
                                                path.filename().string(), real_size));
    }
}

/// Whether the file's name says that it belongs to the recording.
bool is_named_like(const std::string& omni, const fs::path& recording) {
    const std::string stem = fs::path(omni).stem().string();
    return !stem.empty() && recording.stem().string().starts_with(stem);
}

void find_omni(const fs::path& recording, MultirecorderSidecars& sidecars) {
    const fs::path folder = recording.has_parent_path() ? recording.parent_path() : fs::path(".");
    std::vector<std::string> names = FolderFiles(recording).names();
    std::erase_if(names, [](const std::string& name) { return lower_case_extension(name) != ".omni"; });
    std::stable_partition(names.begin(), names.end(),
                          [&](const std::string& name) { return is_named_like(name, recording); });
    if (names.size() > kMostOmniFiles) names.resize(kMostOmniFiles);
    for (const std::string& name : names) {
        try {
            const Json omni = read_json(folder / name);
            const Json* const cameras = member(omni, "cameras");
            if (!cameras || !cameras->is_array()) throw Error(ErrorCode::corrupt, "it lists no cameras");
            const auto camera = std::find_if(cameras->begin(), cameras->end(), [&](const Json& one) {
                return file_of_camera(one) == recording.filename().string();
            });
            if (camera == cameras->end()) continue;
            read_omni(folder / name, recording, omni, *camera, sidecars);
            return;
        } catch (const Error& error) {
            // Another recording's is no concern of this one.
            if (!is_named_like(name, recording)) continue;
            sidecars.warnings.push_back(
                fmt::format("{} cannot be used: {}", (folder / name).string(), error.message()));
        }
    }
}

void find_xml(const fs::path& recording, MultirecorderSidecars& sidecars) {
    constexpr size_t kNameParts = 3;
    const std::vector<std::string> parts = split(recording.stem().string(), '_');
    if (parts.size() < kNameParts) return;
    const fs::path path = recording.parent_path() / fmt::format("{}_{}_{}.xml", parts[0], parts[1], parts[2]);
    if (!is_file(path)) return;
    std::string model;
    for (size_t i = kNameParts; i < parts.size(); ++i) model += (model.empty() ? "" : " ") + parts[i];
    try {
        read_xml(path, model, sidecars);
    } catch (const Error& error) {
        sidecars.warnings.push_back(fmt::format("{} cannot be used: {}", path.string(), error.message()));
    }
}

}  // namespace

MultirecorderSidecars read_multirecorder_sidecars(const fs::path& recording) {
    MultirecorderSidecars sidecars;
    find_xml(recording, sidecars);
    find_omni(recording, sidecars);
    return sidecars;
}

std::vector<fs::path> recordings_of_omni(const fs::path& omni) {
    const Json json = read_json(omni);
    const Json* const cameras = member(json, "cameras");
    std::vector<fs::path> recordings;
    if (cameras && cameras->is_array()) {
        for (const Json& camera : *cameras) {
            const std::string name = file_of_camera(camera);
            if (!name.empty()) recordings.push_back(omni.parent_path() / name);
        }
    }
    if (recordings.empty()) throw Error(ErrorCode::corrupt, "it lists no recordings in its folder");
    return recordings;
}

}  // namespace reelstore
