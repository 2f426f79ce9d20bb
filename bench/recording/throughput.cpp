#include "bench/recording/throughput.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "base/clock.h"
#include "base/error.h"
#include "base/median.h"

namespace reelstore::bench {

namespace {

/// Frames that take about as long as a run should.
int64_t frames_for(const Recorder& recorder, const Clip& clip, const ThroughputScale& scale,
                   const std::filesystem::path& folder) {
    const double enough = scale.seconds / 8;
    for (int64_t frames = 30;; frames *= 3) {
        if (frames >= scale.most_frames) return scale.most_frames;
        const Run run = measure(recorder, clip, frames, folder);
        if (run.seconds < enough) continue;
        return std::clamp<int64_t>(static_cast<int64_t>(run.rate() * scale.seconds), 30, scale.most_frames);
    }
}

/// A new file that is gone at the end.
class ScratchFile {
public:
    explicit ScratchFile(std::filesystem::path path) : path_(std::move(path)) {
        file_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        check(file_ >= 0);
    }
    ~ScratchFile() {
        ::close(file_);
        ::unlink(path_.c_str());
    }
    ScratchFile(const ScratchFile&) = delete;
    ScratchFile& operator=(const ScratchFile&) = delete;

    void write(const std::vector<uint8_t>& piece) {
        check(::write(file_, piece.data(), piece.size()) == static_cast<ssize_t>(piece.size()));
    }
    void sync() { check(::fdatasync(file_) == 0); }

private:
    void check(bool fine) const {
        if (!fine) throw Error(ErrorCode::io, {path_.string(), {}, {}}, "cannot write it");
    }

    std::filesystem::path path_;
    int file_ = -1;
};

}  // namespace

std::vector<double> RecorderRuns::rates() const {
    std::vector<double> rates;
    for (const Run& run : runs) rates.push_back(run.rate());
    return rates;
}

double RecorderRuns::speed_against(const RecorderRuns& other) const {
    std::vector<double> ratios = rates();
    for (size_t i = 0; i < ratios.size(); ++i) ratios[i] /= other.runs.at(i).rate();
    return median(std::move(ratios));
}

const RecorderRuns& ThroughputResult::find(const std::string& name) const {
    return *std::find_if(recorders.begin(), recorders.end(), [&](const RecorderRuns& one) { return one.name == name; });
}

ThroughputResult measure_throughput(const Clip& clip, const Coding& coding, const ThroughputScale& scale,
                                    const std::filesystem::path& folder) {
    const std::vector<Recorder> all = recorders(coding);
    ThroughputResult result = {.clip = clip.name, .coding = coding, .recorders = {}};
    std::vector<int64_t> frames;
    const int64_t common = frames_for(all.front(), clip, scale, folder);
    for (const Recorder& recorder : all) {
        result.recorders.push_back({recorder.name, {}});
        frames.push_back(recorder.own_length ? frames_for(recorder, clip, scale, folder) : common);
    }
    for (int repetition = 0; repetition < scale.repetitions; ++repetition) {
        for (size_t turn = 0; turn < all.size(); ++turn) {
            const size_t i = repetition % 2 == 0 ? turn : all.size() - 1 - turn;
            result.recorders[i].runs.push_back(measure(all[i], clip, frames[i], folder));
        }
    }
    return result;
}

DiskResult measure_disk(const std::filesystem::path& folder, int64_t pieces) {
    constexpr size_t kPieceBytes = size_t{1280} * 1024;
    constexpr int kAppends = 200;
    const std::vector<uint8_t> piece(kPieceBytes, 0x5A);
    const double megabytes = static_cast<double>(pieces) * kPieceBytes / 1e6;
    DiskResult result;
    ::sync();
    {
        ScratchFile file(folder / "disk");
        const double begin = now_monotonic();
        for (int64_t i = 0; i < pieces; ++i) file.write(piece);
        result.written_mb_per_second = megabytes / (now_monotonic() - begin);
        file.sync();
        result.synced_mb_per_second = megabytes / (now_monotonic() - begin);
    }
    ScratchFile file(folder / "disk");
    const std::vector<uint8_t> little(4096, 0x5A);
    std::vector<double> times;
    for (int i = 0; i < kAppends; ++i) {
        const double begin = now_monotonic();
        file.write(little);
        file.sync();
        times.push_back(1e3 * (now_monotonic() - begin));
    }
    result.largest_append_and_sync_ms = *std::max_element(times.begin(), times.end());
    result.append_and_sync_ms = median(std::move(times));
    return result;
}

}  // namespace reelstore::bench
