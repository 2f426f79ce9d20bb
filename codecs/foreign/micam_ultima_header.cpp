#include "codecs/foreign/micam_ultima_header.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file_system.h"
#include "base/pixel_type.h"
#include "base/text.h"
#include "codecs/foreign/folder_files.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kMostBlockFrames = 1000000;
constexpr uint64_t kLongestDescription = uint64_t{16} << 20;
constexpr size_t kMostFiles = 200000;

/// Whether a line holds several "key=value", as the second and the third one do.
bool is_line_of_several(std::string_view line, size_t number) {
    const auto first = split_entry(line, "=");
    if (!first || line.find('/') == line.npos) return false;
    static const std::vector<std::string> kKeys = {"x",    "y",    "dataxsize", "dataysize", "lskp",
                                                   "rskp", "tskp", "bskp",      "blk"};
    const std::string key = metadata_key(first->first);
    if (std::find(kKeys.begin(), kKeys.end(), key) != kKeys.end()) return true;
    if ((number != 1 && number != 2) || key == "cmnt") return false;
    while (!line.empty()) {
        const size_t slash = std::min(line.find('/'), line.size());
        const std::string_view part = trimmed(line.substr(0, slash));
        // Dates hold slashes too.
        if (!part.empty() && part.find('=') == part.npos) return false;
        line.remove_prefix(std::min(slash + 1, line.size()));
    }
    return true;
}

void add_several(std::string_view line, HeaderEntries& entries) {
    while (!line.empty()) {
        const size_t slash = std::min(line.find('/'), line.size());
        if (const auto entry = split_entry(line.substr(0, slash), "=")) entries.add(entry->first, entry->second);
        line.remove_prefix(std::min(slash + 1, line.size()));
    }
}

/// Whether a file is of a kind by its extension, in any letters.
bool has_extension(std::string_view name, const char* extension) {
    return lower_case_extension(fs::path(last_part(name))) == extension;
}

void add_file_name(std::string_view line, UltimaDescription& description) {
    const std::string name(trimmed(line));
    if (has_extension(name, ".rsm") && description.background_file.empty()) description.background_file = name;
    if (has_extension(name, ".rsd") && description.frame_files.size() < kMostFiles)
        description.frame_files.push_back(name);
}

int size_entry(const HeaderEntries& entries, const std::vector<std::string>& keys, int smallest, int largest,
               std::optional<int> fallback) {
    const std::optional<int64_t> value = entries.integer(keys);
    if (!value && fallback) return *fallback;
    if (!value || *value < smallest || *value > largest) {
        throw Error(ErrorCode::corrupt, fmt::format("{}= is {}; it should be a number from {} to {}", keys.front(),
                                                    value ? fmt::format("{}", *value) : "missing", smallest, largest));
    }
    return static_cast<int>(*value);
}

}  // namespace

UltimaDescription parse_ultima_description(std::string_view text) {
    UltimaDescription description;
    bool in_list = false;
    size_t number = 0;
    for (const std::string_view line : header_lines(text)) {
        const auto entry = split_entry(line, "=");
        if (number == 0) description.title = line;
        if (in_list) {
            add_file_name(line, description);
        } else if (lower_case(trimmed(line)).starts_with("data-file-list")) {
            in_list = true;
        } else if (is_line_of_several(line, number)) {
            add_several(line, description.entries);
        } else if (entry && number > 0) {
            description.entries.add(entry->first, entry->second);
        }
        ++number;
    }
    return description;
}

UltimaDescription read_ultima_description(const fs::path& path, std::vector<std::string>& warnings) {
    UltimaDescription description = parse_ultima_description(read_text_file(path, kLongestDescription));
    const HeaderEntries& entries = description.entries;
    description.columns = size_entry(entries, {"x", "dataxsize", "data_x_size"}, 1, kMaxImageSide, std::nullopt);
    description.rows = size_entry(entries, {"y", "dataysize", "data_y_size"}, 1, kMaxImageSide, std::nullopt);
    if (!plausible({description.rows, description.columns, 1, CV_16U})) {
        throw Error(ErrorCode::corrupt, fmt::format("images of {} columns and {} rows are not plausible",
                                                    description.columns, description.rows));
    }
    description.left_skip = size_entry(entries, {"lskp"}, 0, description.columns - 1, 0);
    description.right_skip = size_entry(entries, {"rskp"}, 0, description.columns - description.left_skip - 1, 0);
    description.block_frames = entries.integer({"blk"});
    if (description.block_frames && (*description.block_frames <= 0 || *description.block_frames > kMostBlockFrames)) {
        warnings.push_back(fmt::format("blk={} makes no sense", *description.block_frames));
        description.block_frames.reset();
    }
    description.frames = entries.integer({"page_frames", "frame_number", "number_of_frames"});
    if (description.frames && *description.frames <= 0) description.frames.reset();
    description.dual_camera = entries.integer({"dual_cam"}).value_or(0) != 0;
    return description;
}

std::string ultima_recording_stem(const fs::path& path) {
    std::string stem = path.stem().string();
    const size_t opening = stem.rfind('(');
    if (opening != std::string::npos && opening > 0 && stem.back() == ')' && stem.size() - opening > 2 &&
        std::all_of(stem.begin() + static_cast<ptrdiff_t>(opening) + 1, stem.end() - 1, is_digit)) {
        stem.resize(opening);
    }
    return stem;
}

std::optional<int64_t> ultima_file_number(std::string_view name) {
    const std::string full = fs::path(last_part(name)).stem().string();
    const std::string stem = ultima_recording_stem(last_part(name));
    if (stem.size() == full.size()) return std::nullopt;
    int64_t number = 0;
    const auto [end, error] = std::from_chars(full.data() + stem.size() + 1, full.data() + full.size() - 1, number);
    return error == std::errc{} && number <= INT32_MAX ? std::optional(number) : std::nullopt;
}

}  // namespace reelstore
