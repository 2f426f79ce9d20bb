#pragma once

#include <string>
#include <vector>

#include "bench/series.h"

namespace reelstore::bench {

inline constexpr char kReelstore[] = "reelstore";

/// What one contender must reach beside another.
struct Target {
    std::string contender;
    std::string against;
    double at_least = 1;
};

/// One thing done by several contenders in turn.
struct Work {
    std::string name;
    Comparison comparison;
    std::vector<Target> targets = {};
};

/// What was measured of one question.
struct Part {
    std::string title;
    std::string explanation = {};
    std::vector<Work> works = {};
    std::vector<std::string> remarks = {};  ///< figures that are no times, one sentence each
    std::vector<std::string> wrong = {};    ///< what is not as it must be on any machine
};

/// How large and how often.
struct Scale {
    bool quick = false;
    int repetitions = 5;
};

}  // namespace reelstore::bench
