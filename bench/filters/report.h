#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "bench/filters/work.h"

namespace reelstore::bench {

struct Circumstances {
    std::string processor;
    int cores = 0;
    double load_before = 0;
    double load_after = 0;
    double others = 0;  ///< processors that others kept busy meanwhile
    std::vector<std::string> versions;
    int repetitions = 0;
    bool quick = false;
};

struct Report {
    Circumstances circumstances;
    std::vector<Part> parts;
};

std::string markdown_report(const Report& report);
Json json_report(const Report& report);
/// What is not as it must be on any machine, wrong pixels above all, in words.
std::vector<std::string> wrong_findings(const Report& report);

}  // namespace reelstore::bench
