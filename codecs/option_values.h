#pragma once

#include <string>
#include <vector>

#include "codecs/chunk_format.h"

namespace reelstore {

/// The whole number given for option `name`, or `fallback` when it is not given. Throws Error(invalid_argument) when
/// the text is no number in smallest..largest.
int integer_option(const CodecOptions& options, const std::string& name, int fallback, int smallest, int largest);

/// The number given for option `name`, or `fallback`. Throws Error(invalid_argument) when the text is no number in
/// smallest..largest.
double number_option(const CodecOptions& options, const std::string& name, double fallback, double smallest,
                     double largest);

/// The word given for option `name`, or `fallback`. Throws Error(invalid_argument) when it is none of `choices`.
std::string choice_option(const CodecOptions& options, const std::string& name, const std::string& fallback,
                          const std::vector<std::string>& choices);

}  // namespace reelstore
