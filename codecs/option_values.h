#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "codecs/chunk_format.h"

namespace reelstore {

/// Throws Error(invalid_argument) for an option that is none of `known`, saying that `who` ("GIF") has no such option
/// and which it knows.
void check_option_names(const std::string& who, const std::vector<CodecOptionInfo>& known, const CodecOptions& options);

/// The whole number given for option `name`, or `fallback` when it is not given. Throws Error(invalid_argument) when
/// the text is no number in smallest..largest.
int integer_option(const CodecOptions& options, const std::string& name, int fallback, int smallest, int largest);

/// The number given for option `name`, or `fallback`. Throws Error(invalid_argument) when the text is no number in
/// smallest..largest.
double number_option(const CodecOptions& options, const std::string& name, double fallback, double smallest,
                     double largest);

/// A frame rate in frames per second: "25", "23.976" or a fraction such as "24000/1001". Nothing for other texts.
std::optional<double> frame_rate_from_text(std::string_view text);

/// The frame rate given for option `name`, or `fallback`. Throws Error(invalid_argument) as number_option() does.
double rate_option(const CodecOptions& options, const std::string& name, double fallback, double smallest,
                   double largest);

/// The word given for option `name`, or `fallback`. Throws Error(invalid_argument) when it is none of `choices`.
std::string choice_option(const CodecOptions& options, const std::string& name, const std::string& fallback,
                          const std::vector<std::string>& choices);

}  // namespace reelstore
