#include "tools/frame_json.h"

#include <fmt/compile.h>

#include <cmath>
#include <iterator>

namespace reelstore {

void append_members(fmt::memory_buffer& buffer, const FrameRow& row) {
    fmt::format_to(std::back_inserter(buffer), FMT_COMPILE("\"index\":{},\"number\":{},\"time\":"), row.index,
                   row.number);
    append_number(buffer, row.time);
    fmt::format_to(std::back_inserter(buffer), FMT_COMPILE(",\"chunk\":{},\"position\":{}"), row.chunk, row.position);
}

void append_number(fmt::memory_buffer& buffer, double value) {
    buffer.append(finite_or_null(value).dump());
}

Json finite_or_null(double value) {
    return std::isfinite(value) ? Json(value) : Json();
}

void append_exact(fmt::memory_buffer& buffer, double value) {
    if (std::isfinite(value)) fmt::format_to(std::back_inserter(buffer), FMT_COMPILE("{}"), value);
}

std::string exact_text(double value) {
    return std::isfinite(value) ? fmt::format("{}", value) : "";
}

std::string csv_field(const std::string& text) {
    if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
    std::string quoted = "\"";
    for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
    return quoted + "\"";
}

}  // namespace reelstore
