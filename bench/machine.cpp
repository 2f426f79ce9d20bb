#include "bench/machine.h"

#include <malloc.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <thread>

#include <fmt/format.h>
#include <linux/magic.h>

namespace reelstore::bench {

std::string processor_name() {
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
    }
    return "unknown processor";
}

int processor_count() {
    return static_cast<int>(std::thread::hardware_concurrency());
}

double load_average() {
    double load = 0;
    ::getloadavg(&load, 1);
    return load;
}

ProcessorTimes processor_times() {
    std::ifstream file("/proc/stat");
    std::string name;
    file >> name;
    // user nice system idle iowait irq softirq steal
    std::array<double, 8> ticks = {};
    for (double& tick : ticks) file >> tick;
    const double a_second = static_cast<double>(::sysconf(_SC_CLK_TCK));
    ProcessorTimes times;
    for (const double tick : ticks) times.all += tick / a_second;
    times.busy = times.all - (ticks[3] + ticks[4]) / a_second;
    return times;
}

std::string file_system_name(const std::filesystem::path& folder) {
    struct statfs status = {};
    if (::statfs(folder.c_str(), &status) != 0) return "an unknown file system";
    switch (static_cast<unsigned long>(status.f_type)) {
        case EXT4_SUPER_MAGIC:
            return "ext4";
        case XFS_SUPER_MAGIC:
            return "xfs";
        case BTRFS_SUPER_MAGIC:
            return "btrfs";
        case TMPFS_MAGIC:
            return "tmpfs, **where a sync does nothing** (--folder chooses a disk)";
        case OVERLAYFS_SUPER_MAGIC:
            return "overlayfs";
        default:
            return fmt::format("a file system of type {:#x}", static_cast<unsigned long>(status.f_type));
    }
}

size_t resident_bytes() {
    std::ifstream file("/proc/self/statm");
    size_t size = 0;
    size_t resident = 0;
    size_t shared = 0;
    file >> size >> resident >> shared;
    return (resident - shared) * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

size_t heap_bytes() {
    const struct mallinfo2 info = ::mallinfo2();
    return info.uordblks + info.hblkhd;
}

}  // namespace reelstore::bench
