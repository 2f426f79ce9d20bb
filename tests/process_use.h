#pragma once

#include <malloc.h>

#include <cstdint>
#include <fstream>
#include <string>

#include <doctest/doctest.h>

#include "tests/sanitized.h"

namespace reelstore {

/// What this process has read from files so far, in bytes.
inline int64_t bytes_read() {
    std::ifstream file("/proc/self/io");
    std::string name;
    int64_t count = 0;
    file >> name >> count;
    REQUIRE(name == "rchar:");
    return count;
}

/// How far memory has grown at most since it was made.
class MemoryGrowth {
public:
    MemoryGrowth() {
        ::malloc_trim(0);
        std::ofstream("/proc/self/clear_refs") << "5";  // the peak is now what is in use
        before_ = status_bytes("VmRSS");
    }
    int64_t most() const { return status_bytes("VmHWM") - before_; }

private:
    /// A line of /proc/self/status, in bytes.
    static int64_t status_bytes(const std::string& name) {
        std::ifstream file("/proc/self/status");
        for (std::string line; std::getline(file, line);) {
            if (line.starts_with(name + ":")) return std::stoll(line.substr(name.size() + 1)) * 1024;
        }
        FAIL("no ", name);
        return 0;
    }

    int64_t before_;
};

/// Sanitizers keep what is freed.
inline void check_growth(const MemoryGrowth& growth, int64_t megabytes) {
    if (kSanitized) return;
    const int64_t most = growth.most() / (int64_t{1} << 20);
    CHECK(most <= megabytes);
}

}  // namespace reelstore
