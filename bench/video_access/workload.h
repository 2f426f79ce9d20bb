#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "bench/video_access/clip.h"
#include "bench/video_access/contender.h"

namespace reelstore::bench {

/// How long a run takes.
struct Scale {
    bool quick = false;  ///< small pictures and few requests: shows that everything works, measures nothing
    int repetitions = 5;
};

/// One contender in a workload.
struct Entry {
    std::string name;
    std::string threads;  ///< "1", "2"
    ContenderFactory make;
    size_t most_requests = SIZE_MAX;  ///< slow ones are asked for the first so many only
};

enum class Measure {
    times_slower,    ///< time of the subject over time of the other, at most the bound
    times_faster,    ///< time of the other over time of the subject, at least the bound
    longer_by_ms,    ///< a request takes longer than the same of the other, the median over all, at most the bound
    longer_fewer,    ///< the same compared with two others: their difference over the subject's, at least the bound
    packet_ratio,    ///< packets sent by the subject over those sent by the other, at most the bound
    decodes_a_frame  ///< frames decoded by the subject for one frame delivered, at most the bound
};

/// What is aimed at; data for the report, nothing fails on it.
struct Target {
    std::string subject;
    Measure measure = Measure::times_faster;
    double bound = 0;
    std::string against = {};
    std::string other_subject = {};  ///< of longer_fewer: the two others
    std::string other_against = {};
};

struct Workload {
    std::string name;
    std::string about;  ///< one or two sentences for the report
    Coding coding;
    std::function<std::vector<int64_t>(const Clip&, std::mt19937&)> requests;  ///< for one repetition
    std::function<std::vector<Entry>(const Clip&)> entries;  ///< the first is what others are set against
    std::string limit = {};                                  ///< name of the entry that nothing can beat
    std::vector<Target> targets = {};
};

std::vector<Workload> workloads(const Scale& scale);

}  // namespace reelstore::bench
