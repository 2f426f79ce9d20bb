#include "bench/contender.h"

#include <sys/resource.h>

#include <chrono>

#include "bench/footage.h"

namespace reelstore::bench {

namespace {

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

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

Stopwatch::Stopwatch() : start_(now()), cpu_start_(cpu_now()) {}

double Stopwatch::seconds() const {
    return now() - start_;
}

double Stopwatch::cpu_seconds() const {
    return cpu_now() - cpu_start_;
}

void Stopwatch::stop(Pass& pass) const {
    pass.seconds = seconds();
    pass.cpu_seconds = cpu_seconds();
}

Pass read_each(std::span<const int64_t> indices, const std::function<cv::Mat(int64_t)>& read) {
    Pass pass{.frames = static_cast<int64_t>(indices.size())};
    int64_t wrong = 0;
    const Stopwatch watch;
    for (const int64_t index : indices) {
        if (!shows_number(read(index), index)) ++wrong;
    }
    watch.stop(pass);
    pass.wrong_frames = wrong;
    return pass;
}

}  // namespace reelstore::bench
