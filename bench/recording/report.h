#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "bench/recording/add_latency.h"
#include "bench/recording/memory.h"
#include "bench/recording/throughput.h"

namespace reelstore::bench {

/// Everything that was measured, and what it depends on.
struct RecordingReport {
    std::string processor;
    int processors = 0;
    double load_before = 0;
    double load_after = 0;
    std::string file_system;  ///< "ext4"
    std::vector<std::string> versions;
    bool quick = false;
    std::optional<DiskResult> disk = {};
    std::vector<ThroughputResult> throughput = {};
    std::vector<AddResult> add = {};
    std::vector<MemoryResult> memory = {};
};

std::string markdown_report(const RecordingReport& report);
Json json_report(const RecordingReport& report);

/// Counters that are not as they must be, in words: every frame committed, none dropped, no fault, commits made.
std::vector<std::string> wrong_counters(const RecordingReport& report, const AddScale& add);

}  // namespace reelstore::bench
