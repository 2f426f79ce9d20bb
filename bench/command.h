#pragma once

#include <string>
#include <vector>

namespace reelstore::bench {

/// Runs a program, found in PATH unless it has a slash, with nothing on its standard input, and gives what it writes to
/// its standard output. Throws Error when it cannot be started or does not exit with 0.
std::string run_command(const std::vector<std::string>& arguments);

}  // namespace reelstore::bench
