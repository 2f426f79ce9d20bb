#include "tools/frame_json.h"

#include <fmt/format.h>

#include <cmath>

namespace reelstore {

Json finite_or_null(double value) {
    return std::isfinite(value) ? Json(value) : Json();
}

Json to_json(const FrameRow& row) {
    return {{"index", row.index},
            {"number", row.number},
            {"time", finite_or_null(row.time)},
            {"chunk", row.chunk},
            {"position", row.position}};
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
