#pragma once

#include <string>

namespace reelstore {

/// Why an encoder of FFmpeg cannot be used on this machine: it was not built in, or the device it runs on is not there.
/// Empty when it can, as far as can be told without opening it.
std::string encoder_unavailable(const std::string& encoder);

}  // namespace reelstore
