#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/formats/report.h"

namespace reelstore::bench {

/// What is aimed at and what was seen; nothing fails on it.
struct TargetRow {
    std::string clip;
    std::string what;
    std::string aim;
    double seen = 0;
    std::optional<double> seen_by_cpu = {};
    bool reached = false;
};

std::vector<TargetRow> target_rows(const Report& report);

}  // namespace reelstore::bench
