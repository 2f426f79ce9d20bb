#include "codecs/foreign/mat_file.h"

#include <algorithm>
#include <ctime>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/clock.h"

namespace reelstore {

namespace {

struct MatClass {
    const char* name;
    int depth;
};

/// Logical comes last: images of 8 bits are uint8.
constexpr MatClass kClasses[] = {{"uint8", CV_8U},  {"int8", CV_8S},    {"uint16", CV_16U}, {"int16", CV_16S},
                                 {"int32", CV_32S}, {"single", CV_32F}, {"double", CV_64F}, {"logical", CV_8U}};
constexpr size_t kLongestName = 63;

}  // namespace

int64_t MatVariable::element_count() const {
    int64_t count = 1;
    for (const int64_t size : shape) count *= size;
    return count;
}

std::string MatVariable::text() const {
    return fmt::format("{} ({}, {})", name, class_name, fmt::join(shape, "x"));
}

std::optional<int> depth_of_mat_class(std::string_view class_name) {
    for (const MatClass& each : kClasses) {
        if (each.name == class_name) return each.depth;
    }
    return std::nullopt;
}

std::optional<std::string> mat_class_of_depth(int depth) {
    for (const MatClass& each : kClasses) {
        if (each.depth == depth) return each.name;
    }
    return std::nullopt;
}

const MatVariable* MatFile::find(std::string_view name) const {
    const auto found = std::find_if(variables().begin(), variables().end(),
                                    [&](const MatVariable& variable) { return variable.name == name; });
    return found == variables().end() ? nullptr : &*found;
}

std::vector<uint8_t> make_mat_header(std::string_view what) {
    const auto now = static_cast<std::time_t>(now_utc());
    std::tm date = {};
    gmtime_r(&now, &date);
    char created[32] = {};
    // The C locale's names of days and months are what MATLAB writes; LC_TIME is not set by anybody here.
    std::strftime(created, sizeof(created), "%a %b %d %H:%M:%S %Y", &date);
    std::string text =
        fmt::format("MATLAB {} MAT-file, Platform: GLNXA64, Created by reelstore on: {} UTC", what, created);
    if (what == "7.3") text += " HDF5 schema 1.00 .";
    text.resize(kMatTextBytes, ' ');
    std::vector<uint8_t> header(text.begin(), text.end());
    header.resize(kMatHeaderBytes - 4, what == "7.3" ? 0 : ' ');
    const uint16_t version = what == "7.3" ? kMat73Version : kMat5Version;
    header.push_back(static_cast<uint8_t>(version & 0xFF));
    header.push_back(static_cast<uint8_t>(version >> 8));
    header.push_back('I');
    header.push_back('M');
    return header;
}

bool is_mat_name(std::string_view name) {
    const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
    return !name.empty() && name.size() <= kLongestName && is_letter(name.front()) &&
           std::all_of(name.begin(), name.end(),
                       [&](char c) { return is_letter(c) || (c >= '0' && c <= '9') || c == '_'; });
}

}  // namespace reelstore
