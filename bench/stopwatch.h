#pragma once

namespace reelstore::bench {

/// Time since it was made.
class Stopwatch {
public:
    Stopwatch();
    double seconds() const;
    /// Processor time of this process, and of child processes that have ended.
    double cpu_seconds() const;

private:
    double start_;
    double cpu_start_;
};

}  // namespace reelstore::bench
