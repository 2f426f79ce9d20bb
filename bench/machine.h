#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

namespace reelstore::bench {

/// "Intel(R) Xeon(R) Processor"
std::string processor_name();
int processor_count();
/// Of the minute before now: programs that wanted a processor, this one included.
double load_average();

/// What all processors have done since the system was started, in seconds.
struct ProcessorTimes {
    double busy = 0;  ///< whoever kept them busy, other virtual machines of the same host included
    double all = 0;
};
ProcessorTimes processor_times();

/// "ext4", "tmpfs, ..." with what is to be said of it.
std::string file_system_name(const std::filesystem::path& folder);

/// Memory of this process that is in use now, in bytes: its resident set without the pages of mapped files.
size_t resident_bytes();
/// What of it was allocated and not freed; the rest is what the allocator keeps for later.
size_t heap_bytes();

}  // namespace reelstore::bench
