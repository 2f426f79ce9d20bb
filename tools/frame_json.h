#pragma once

#include <fmt/format.h>

#include <string>

#include "base/json.h"
#include "store/frame_row.h"

namespace reelstore {

/// Appends index, number, time, chunk and position of a frame as members of a JSON object, without the brackets, as
/// `store frames --json` prints them.
void append_members(fmt::memory_buffer& buffer, const FrameRow& row);
/// Appends a JSON number, or null for NaN.
void append_number(fmt::memory_buffer& buffer, double value);
/// A JSON number, or null for NaN.
Json finite_or_null(double value);
/// Appends the shortest decimal text that reads back as exactly this value; nothing for NaN.
void append_exact(fmt::memory_buffer& buffer, double value);
/// The same as a text of its own.
std::string exact_text(double value);
/// A CSV field, quoted where needed.
std::string csv_field(const std::string& text);

}  // namespace reelstore
