#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "bench/formats/measure.h"

namespace reelstore::bench {

struct Circumstances {
    std::string processor;
    int cores = 0;
    double load_before = 0;
    double load_after = 0;
    double others = 0;  ///< processors that other programs kept busy meanwhile, on average
    std::string file_system;
    std::vector<std::string> versions;
    int repetitions = 0;
    bool quick = false;
};

/// Everything that was measured; parts that were not are empty.
struct Report {
    Circumstances circumstances;
    std::vector<CodingResult> coding = {};
    std::vector<ReadingResult> reading = {};
    std::vector<Comparison> recording = {};
    std::vector<FormatsResult> formats = {};
};

std::string markdown_report(const Report& report);
Json json_report(const Report& report);
/// In words, whose pixels came back other than they were: those of reelstore and of every peer that is lossless.
std::vector<std::string> wrong_pixels(const Report& report);

}  // namespace reelstore::bench
