#pragma once

#include <string>

#include "base/byte_writer.h"

namespace reelstore {

/// The extension that --to KIND means: ".mp4" for "mp4" and ".mp4". Throws UsageError naming the kinds there are,
/// among them only those that can be written to a stream where `stream` asks for one.
std::string extension_of_kind(const std::string& kind, bool stream);

/// Standard output as a target. Throws UsageError when it is a terminal.
ByteWriter standard_output();

}  // namespace reelstore
