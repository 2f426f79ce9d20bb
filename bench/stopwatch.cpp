#include "bench/stopwatch.h"

#include <sys/resource.h>

#include "base/clock.h"

namespace reelstore::bench {

namespace {

double cpu_now() {
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
    };
    double sum = 0;
    for (const int whose : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
        rusage usage = {};
        ::getrusage(whose, &usage);
        sum += seconds(usage.ru_utime) + seconds(usage.ru_stime);
    }
    return sum;
}

}  // namespace

Stopwatch::Stopwatch() : start_(now_monotonic()), cpu_start_(cpu_now()) {}

double Stopwatch::seconds() const {
    return now_monotonic() - start_;
}

double Stopwatch::cpu_seconds() const {
    return cpu_now() - cpu_start_;
}

}  // namespace reelstore::bench
