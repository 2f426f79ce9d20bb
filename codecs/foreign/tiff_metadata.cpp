#include "codecs/foreign/tiff_metadata.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <map>

#include <tinyxml2.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"

namespace reelstore {

namespace {

constexpr double kMostFrameRate = 1e7;

/// Null for what is no JSON, or nested so deep that printing it would need too much stack.
Json parse_json(const std::string& text) {
    constexpr int kDeepest = 64;
    Json parsed = Json::parse(
        text,
        [](int depth, Json::parse_event_t, Json&) {
            if (depth > kDeepest) throw Error(ErrorCode::corrupt, "is nested too deep");
            return true;
        },
        false);
    return parsed.is_discarded() ? Json() : parsed;
}

std::optional<double> number_of_text(std::string_view text) {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end == text.data() || !std::isfinite(value)) return std::nullopt;
    return value;
}

std::optional<double> plausible_rate(double rate) {
    return rate > 0 && rate < kMostFrameRate ? std::optional(rate) : std::nullopt;
}

/// Seconds in a unit of time; of an unknown one nothing is concluded.
std::optional<double> seconds_of_unit(std::string_view unit) {
    if (unit.empty() || unit == "s" || unit == "sec" || unit == "second" || unit == "seconds") return 1;
    if (unit == "ms" || unit == "msec") return 1e-3;
    if (unit == "us" || unit == "\xC2\xB5s" || unit == "\xCE\xBCs" || unit == "usec") return 1e-6;
    if (unit == "ns") return 1e-9;
    if (unit == "min") return 60;
    if (unit == "h") return 3600;
    return std::nullopt;
}

/// Lines of the form key=value.
std::map<std::string, std::string> lines_of(const std::string& text) {
    std::map<std::string, std::string> values;
    size_t begin = 0;
    while (begin < text.size()) {
        const size_t end = std::min(text.find_first_of("\r\n", begin), text.size());
        const std::string line = text.substr(begin, end - begin);
        const size_t equals = line.find('=');
        if (equals != std::string::npos && equals > 0) values.emplace(line.substr(0, equals), line.substr(equals + 1));
        begin = end + 1;
    }
    return values;
}

void read_imagej(const std::string& description, TiffMetadata& metadata) {
    const auto values = lines_of(description);
    Json& fields = metadata.user_metadata["imagej"] = Json::object();
    for (const auto& [key, value] : values) fields[key] = value;
    const auto number = [&](const char* key) {
        const auto found = values.find(key);
        return found == values.end() ? std::nullopt : number_of_text(found->second);
    };
    if (const auto images = number("images"); images && *images > 1 && *images < 1e15) {
        metadata.images = static_cast<int64_t>(*images);
    }
    const auto unit = values.find("tunit");
    const auto seconds = seconds_of_unit(unit == values.end() ? "" : lower_case(unit->second));
    if (const auto interval = number("finterval"); interval && *interval > 0 && seconds) {
        metadata.frame_rate = plausible_rate(1 / (*interval * *seconds));
    } else if (const auto rate = number("fps")) {
        metadata.frame_rate = plausible_rate(*rate);
    }
}

/// The element of this name without its namespace, wherever it stands first.
const tinyxml2::XMLElement* find_element(const tinyxml2::XMLElement* element, const char* name) {
    for (; element; element = element->NextSiblingElement()) {
        const char* const colon = std::strchr(element->Name(), ':');
        if (std::strcmp(colon ? colon + 1 : element->Name(), name) == 0) return element;
        if (const auto* found = find_element(element->FirstChildElement(), name)) return found;
    }
    return nullptr;
}

void read_ome(const std::string& description, TiffMetadata& metadata) {
    tinyxml2::XMLDocument document;
    if (document.Parse(description.data(), description.size()) != tinyxml2::XML_SUCCESS) return;
    Json& fields = metadata.user_metadata["ome"] = Json::object();
    if (const auto* date = find_element(document.RootElement(), "AcquisitionDate"); date && date->GetText()) {
        fields["AcquisitionDate"] = date->GetText();
        metadata.creation_time = parse_utc(date->GetText());
    }
    const auto* pixels = find_element(document.RootElement(), "Pixels");
    if (!pixels) return;
    for (const auto* attribute = pixels->FirstAttribute(); attribute; attribute = attribute->Next()) {
        fields[attribute->Name()] = attribute->Value();
    }
    const char* const increment = pixels->Attribute("TimeIncrement");
    const char* const unit = pixels->Attribute("TimeIncrementUnit");
    const auto interval = increment ? number_of_text(increment) : std::nullopt;
    const auto seconds = seconds_of_unit(unit ? unit : "");
    if (interval && seconds && *interval > 0) metadata.frame_rate = plausible_rate(1 / (*interval * *seconds));
}

/// tifffile's own: {"shape": [100, 48, 64], ...}.
void read_shape(const std::string& description, TiffMetadata& metadata) {
    const Json fields = parse_json(description);
    if (!fields.is_object()) return;
    metadata.user_metadata["tifffile"] = fields;
    const auto shape = fields.find("shape");
    const bool is_truncated = fields.value("truncated", Json()) == Json(true);
    if (!is_truncated || shape == fields.end() || !shape->is_array()) return;
    constexpr int64_t kMost = int64_t{1} << 50;
    int64_t count = 1;
    for (const Json& axis : *shape) {
        if (!axis.is_number_integer() || axis.get<int64_t>() < 1 || axis.get<int64_t>() > kMost / count) return;
        count *= axis.get<int64_t>();
    }
    metadata.elements = count;
}

void read_description(const std::string& description, TiffMetadata& metadata) {
    const std::string_view start = std::string_view(description).substr(0, 4096);
    if (start.starts_with("ImageJ=")) {
        read_imagej(description, metadata);
    } else if (start.starts_with("{")) {
        read_shape(description, metadata);
    } else if (start.starts_with("<") && start.find("OME") != std::string_view::npos) {
        read_ome(description, metadata);
    }
}

/// "2024:01:31 12:00:00" with the colons of a date that parse_utc() knows.
std::optional<double> time_of_date(std::string text) {
    if (text.size() < 19 || text[4] != ':' || text[7] != ':') return parse_utc(text);
    text[4] = text[7] = '-';
    return parse_utc(text);
}

}  // namespace

Json micro_manager_metadata(const TiffDirectory& page) {
    const std::string text = page.text(tiff::kMicroManagerMetadata);
    if (text.empty()) return {};
    const Json fields = parse_json(text);
    return fields.is_object() ? fields : Json();
}

std::optional<double> micro_manager_time(const TiffDirectory& page) {
    const Json fields = micro_manager_metadata(page);
    if (!fields.is_object()) return std::nullopt;
    const auto time = fields.find("ElapsedTime-ms");
    if (time == fields.end() || !time->is_number()) return std::nullopt;
    const double seconds = time->get<double>() / 1e3;
    return std::isfinite(seconds) ? std::optional(seconds) : std::nullopt;
}

TiffMetadata read_tiff_metadata(const TiffDirectory& first_page) {
    TiffMetadata metadata;
    Json& fields = metadata.user_metadata;
    const auto guarded = [](const auto& read) {
        try {
            read();
        } catch (const Error& error) {
            if (error.code() != ErrorCode::corrupt) throw;
            // A damaged tag hides itself, not the pixels.
        }
    };
    const auto add_text = [&](const char* key, uint16_t tag) {
        guarded([&] {
            const std::string text = first_page.text(tag);
            if (!text.empty()) fields[key] = text;
        });
    };
    add_text("description", tiff::kImageDescription);
    add_text("software", tiff::kSoftware);
    add_text("date_time", tiff::kDateTime);
    add_text("artist", tiff::kArtist);
    add_text("host_computer", tiff::kHostComputer);
    add_text("camera_make", tiff::kMake);
    add_text("camera_model", tiff::kModel);
    guarded([&] {
        const auto x = first_page.fraction(tiff::kXResolution);
        const auto y = first_page.fraction(tiff::kYResolution);
        const uint64_t unit = first_page.number(tiff::kResolutionUnit, 2);
        if (x) fields["x_resolution"] = *x;
        if (y) fields["y_resolution"] = *y;
        if (x || y) fields["resolution_unit"] = unit == 2 ? "inch" : unit == 3 ? "centimetre" : "none";
    });
    if (fields.contains("date_time")) metadata.creation_time = time_of_date(fields["date_time"].get<std::string>());
    if (fields.contains("description")) read_description(fields["description"].get<std::string>(), metadata);
    if (const uint64_t planes = first_page.count(tiff::kMetaMorphPlanes); planes > 1 && planes < (uint64_t{1} << 40)) {
        metadata.images = static_cast<int64_t>(planes);
    }
    guarded([&] {
        const Json manager = micro_manager_metadata(first_page);
        if (manager.is_object()) fields["micro_manager"] = manager;
    });
    return metadata;
}

}  // namespace reelstore
