#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "tests/fuzz/fuzz_target.h"

namespace reelstore {

namespace {

/// A name of printable ASCII within the folder of the recording: names are not what is fuzzed, and messages have them.
std::string safe_name(std::string_view name) {
    std::string safe;
    for (const char c : name.substr(0, 200)) safe += c > ' ' && c <= '~' ? c : '_';
    safe = std::filesystem::path(safe).lexically_normal().relative_path().string();
    if (safe.empty() || safe == "." || safe.find("..") != std::string::npos) return "main";
    if (safe.back() == '/') safe.pop_back();
    return safe;
}

std::vector<std::string> lines_of(std::string_view text) {
    std::vector<std::string> lines;
    while (!text.empty()) {
        const size_t end = std::min(text.find('\n'), text.size());
        if (end > 0) lines.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return lines;
}

}  // namespace

FuzzInput unpack(std::span<const uint8_t> bytes) {
    FuzzInput input;
    std::string_view rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    std::string name = "main";
    bool named = false;
    while (true) {
        const size_t end = std::min(rest.find(kPartMark), rest.size());
        const std::string_view content = rest.substr(0, end);
        if (name == kOptionsPart) {
            input.options = lines_of(content);
        } else if (named || !content.empty() || end == rest.size()) {
            input.files.emplace_back(name, std::vector<uint8_t>(content.begin(), content.end()));
        }
        if (end == rest.size()) break;
        rest.remove_prefix(end + kPartMark.size());
        const size_t line_end = std::min(rest.find('\n'), rest.size());
        name = safe_name(rest.substr(0, line_end));
        named = true;
        rest.remove_prefix(std::min(line_end + 1, rest.size()));
    }
    if (input.files.empty()) input.files.emplace_back("main", std::vector<uint8_t>());
    return input;
}

void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "it does not hold that %s\n", what);
    std::abort();
}

void touch_pixels(const cv::Mat& image) {
    uint32_t sum = 0;
    for (int row = 0; row < image.rows; ++row) {
        const uint8_t* const bytes = image.ptr(row);
        const size_t count = image.elemSize() * static_cast<size_t>(image.cols);
        for (size_t i = 0; i < count; ++i) sum += bytes[i];
    }
    // Or the compiler would leave the reading out.
    asm volatile("" : : "r"(sum));
}

}  // namespace reelstore
