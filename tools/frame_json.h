#pragma once

#include <string>

#include "base/json.h"
#include "store/frame_index.h"

namespace reelstore {

/// index, number, time, chunk and position of a frame, as `store frames --json` prints it.
Json to_json(const FrameRow& row);
/// A JSON number, or null for NaN.
Json finite_or_null(double value);
/// The shortest decimal text that reads back as exactly this value; "" for NaN.
std::string exact_text(double value);
/// A CSV field, quoted where needed.
std::string csv_field(const std::string& text);

}  // namespace reelstore
