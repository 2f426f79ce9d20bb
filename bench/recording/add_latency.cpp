#include "bench/recording/add_latency.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <thread>

#include <fmt/format.h>
#include <opencv2/videoio.hpp>

#include "base/clock.h"
#include "base/error.h"
#include "bench/machine.h"
#include "bench/stopwatch.h"

namespace reelstore::bench {

namespace {

namespace fs = std::filesystem;

rusage thread_usage() {
    rusage usage = {};
    ::getrusage(RUSAGE_THREAD, &usage);
    return usage;
}

/// Times calls, and sees what long ones were long for.
class CallTimer {
public:
    explicit CallTimer(AddRun& run) : run_(run) {}

    /// Runs a part of the call; more of it may follow.
    template <typename Part>
    void time(Part part) {
        const rusage before = thread_usage();
        const double begin = now_monotonic();
        part();
        seconds_ += now_monotonic() - begin;
        const rusage after = thread_usage();
        waits_ += after.ru_nvcsw - before.ru_nvcsw;
        preemptions_ += after.ru_nivcsw - before.ru_nivcsw;
        faults_ += after.ru_minflt - before.ru_minflt;
    }

    void end_call() {
        run_.call_seconds.push_back(seconds_);
        if (seconds_ > kLongCall) {
            run_.waited += waits_ > 0;
            run_.preempted += preemptions_ > 0;
            run_.faulted += faults_ > 0;
        }
        *this = CallTimer(run_);
    }

    CallTimer(const CallTimer&) = default;
    CallTimer& operator=(const CallTimer& other) {
        seconds_ = other.seconds_;
        waits_ = other.waits_;
        preemptions_ = other.preemptions_;
        faults_ = other.faults_;
        return *this;
    }

private:
    AddRun& run_;
    double seconds_ = 0;
    long waits_ = 0;
    long preemptions_ = 0;
    long faults_ = 0;
};

/// Calls `add` with 0, 1, ... at the pace of a camera; what cannot keep up is called less often in the same time.
void at_pace(int64_t frames, const std::function<void(int64_t)>& add) {
    using Clock = std::chrono::steady_clock;
    const auto duration = [](int64_t count) {
        return std::chrono::duration_cast<Clock::duration>(
            std::chrono::duration<double>(static_cast<double>(count) / kAddFrameRate));
    };
    const Clock::time_point begin = Clock::now();
    const Clock::time_point end = begin + duration(frames) + std::chrono::seconds(1);
    for (int64_t i = 0; i < frames && Clock::now() < end; ++i) {
        std::this_thread::sleep_until(begin + duration(i));
        add(i);
    }
}

using AddWay = std::function<void(const Clip&, const AddScale&, const fs::path&, AddRun&)>;

AddWay reelstore(const Coding& coding, bool acquire) {
    return [=](const Clip& clip, const AddScale& scale, const fs::path& path, AddRun& run) {
        StoreWriterOptions options = writer_options(coding, 1.0);
        options.chunk_frames = scale.chunk_frames;
        StoreWriter writer(path, options);
        CallTimer timer(run);
        at_pace(scale.frames, [&](int64_t i) {
            run.most_lag = std::max(run.most_lag, writer.stats().durable_lag);
            const double time = static_cast<double>(i) / kAddFrameRate;
            if (acquire) {
                PooledImage image;
                timer.time([&] { image = writer.acquire(clip.type); });
                clip.image(i).copyTo(image.image());
                timer.time([&] { writer.add(std::move(image), i, time); });
            } else {
                timer.time([&] { writer.add(clip.image(i), i, time); });
            }
            timer.end_call();
        });
        writer.close();
        run.stats = writer.stats();
    };
}

AddWay opencv() {
    return [](const Clip& clip, const AddScale& scale, const fs::path& path, AddRun& run) {
        fs::create_directory(path);
        CallTimer timer(run);
        cv::VideoWriter writer;
        at_pace(scale.frames, [&](int64_t i) {
            // imgstore, too, begins a chunk on the caller's time.
            timer.time([&] {
                if (i % scale.chunk_frames == 0) {
                    const std::string file = (path / fmt::format("{:06}.mp4", i / scale.chunk_frames)).string();
                    const bool open = writer.open(file, cv::CAP_FFMPEG, cv::VideoWriter::fourcc('a', 'v', 'c', '1'), 25,
                                                  cv::Size(clip.type.width, clip.type.height), !clip.type.gray());
                    if (!open) throw Error(ErrorCode::io, {file, {}, {}}, "OpenCV cannot write it");
                }
                writer.write(clip.image(i));
            });
            timer.end_call();
        });
    };
}

AddWay plain_npy() {
    return [](const Clip& clip, const AddScale& scale, const fs::path& path, AddRun& run) {
        CallTimer timer(run);
        at_pace(scale.frames, [&](int64_t i) {
            timer.time([&] {
                const fs::path chunk = path / fmt::format("{:06}", i / scale.chunk_frames);
                if (i % scale.chunk_frames == 0) fs::create_directories(chunk);
                write_npy_plainly(chunk / fmt::format("{:06}.npy", i % scale.chunk_frames), clip.image(i));
            });
            timer.end_call();
        });
    };
}

/// What no add() that copies can be below, on this machine with what else it has to do.
AddWay copy_alone() {
    return [](const Clip& clip, const AddScale& scale, const fs::path& path, AddRun& run) {
        fs::create_directory(path);
        constexpr size_t kImages = 8;
        std::vector<cv::Mat> images;
        for (size_t i = 0; i < kImages; ++i) images.push_back(clip.image(0).clone());
        CallTimer timer(run);
        at_pace(scale.frames, [&](int64_t i) {
            timer.time([&] { clip.image(i).copyTo(images[static_cast<size_t>(i) % kImages]); });
            timer.end_call();
        });
    };
}

}  // namespace

int64_t AddRun::long_calls() const {
    return call_seconds.end() - std::upper_bound(call_seconds.begin(), call_seconds.end(), kLongCall);
}

double AddRun::milliseconds(double share) const {
    const auto calls = static_cast<double>(call_seconds.size());
    const auto place = static_cast<size_t>(std::max(0.0, std::ceil(share * calls) - 1));
    return 1e3 * call_seconds[place];
}

std::vector<AddResult> measure_add(const Clip& clip, const AddScale& scale, const std::string& only,
                                   const fs::path& folder) {
    const Coding video = {"avc1/mp4, ultrafast", "avc1/mp4", {{"preset", "ultrafast"}}};
    const Coding npy = {"npy", "npy"};
    std::vector<std::pair<std::string, AddWay>> ways = {
        {"reelstore, avc1/mp4 ultrafast: add(image)", reelstore(video, false)},
        {"reelstore, avc1/mp4 ultrafast: acquire() and add()", reelstore(video, true)},
        {"reelstore, npy: add(image)", reelstore(npy, false)},
        {"reelstore, npy: acquire() and add()", reelstore(npy, true)},
        {"OpenCV VideoWriter, avc1/mp4", opencv()},
        {"write() of npy", plain_npy()},
        {"copy of the image alone", copy_alone()}};
    std::erase_if(ways, [&](const auto& way) { return way.first.find(only) == std::string::npos; });
    std::vector<AddResult> results;
    for (const auto& [name, way] : ways) results.push_back({name, name.starts_with("reelstore"), {}});
    for (int repetition = 0; repetition < scale.repetitions; ++repetition) {
        for (size_t i = 0; i < ways.size(); ++i) {
            const fs::path path = folder / "recording";
            ::sync();
            AddRun run;
            const ProcessorTimes before = processor_times();
            const Stopwatch watch;
            ways[i].second(clip, scale, path, run);
            run.others = (processor_times().busy - before.busy - watch.cpu_seconds()) / watch.seconds();
            std::sort(run.call_seconds.begin(), run.call_seconds.end());
            results[i].runs.push_back(std::move(run));
            fs::remove_all(path);
        }
    }
    return results;
}

}  // namespace reelstore::bench
