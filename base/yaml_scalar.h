#pragma once

#include <optional>
#include <string_view>

#include "base/json.h"

namespace reelstore {

/// What a scalar without quotes and tag means in YAML 1.1, by the rules of PyYAML's safe loader: null, boolean,
/// integer, float, or else text. Dates and integers beyond 64 bits stay text.
Json resolve_plain_scalar(std::string_view text);

/// The single rules, for scalars with a tag. Empty when the text has another form.
bool is_yaml_null(std::string_view text);
std::optional<bool> yaml_bool(std::string_view text);
std::optional<Json> yaml_integer(std::string_view text);
std::optional<double> yaml_float(std::string_view text);
/// A decimal number in any usual spelling ("3", "1e5"), without anything around it; too large ones become infinite.
std::optional<double> decimal_number(std::string_view text);

}  // namespace reelstore
