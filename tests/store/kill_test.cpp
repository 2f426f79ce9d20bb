// A recording process is killed at random moments, again and again on the same store: every committed frame is there,
// with its pixels, number, time and extra data, and the loss is bounded.
//
// REELSTORE_TEST_KILLS=N makes the run longer or shorter. A store on which something went wrong is kept.

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <numeric>
#include <random>
#include <stdexcept>
#include <thread>

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "base/clock.h"
#include "base/error.h"
#include "codecs/chunk_format.h"
#include "codecs/media_file.h"
#include "store/chunk_sidecar.h"
#include "store/frame_index.h"
#include "store/layout.h"
#include "store/verify.h"
#include "tests/sanitized.h"
#include "tests/store/crash_formats.h"
#include "tests/store/store_fixture.h"
#include "tests/temporary_folder.h"

extern char** environ;

using namespace reelstore;

namespace fs = std::filesystem;

namespace {

constexpr int kKills = kSanitized ? 50 : 220;
constexpr int kKillsOfOneStore = kSanitized ? 4 : 6;
constexpr size_t kStoresAtOnce = kSanitized ? 3 : 6;
constexpr double kFrameInterval = 0.01;
constexpr int kExtraDataEvery = 3;
constexpr int64_t kNumbersOfOneRun = 1000;
constexpr int64_t kMostFramesOfOneRun = 600;
/// Beside the commit interval and what syncs take: for threads that do not get their turn.
constexpr double kSchedulingSlack = kSanitized ? 2.0 : 0.5;
/// From a frame's being added to its row there can be the sync of the media and all those that complete the chunk
/// before.
constexpr double kSyncsOfRollover = 8;
constexpr double kPatienceSeconds = 120;

// ---- the recording process

enum Stage { kStarting, kOpening, kOpened, kRecording, kClosing, kClosed };

/// What the recording process says of itself, in memory that outlives it.
struct Progress {
    std::atomic<int> stage = kStarting;
    std::atomic<int64_t> first_index = -1;                  ///< frames in the store when it was opened
    std::atomic<int64_t> begun = 0;                         ///< frames given to add()
    std::atomic<int64_t> added = 0;                         ///< frames for which add() has returned
    std::atomic<int64_t> committed = 0;                     ///< of them, known to be committed
    std::atomic<int64_t> with_extra_data = 0;               ///< of them, whose extra data are known to be committed
    std::atomic<int64_t> held_by_encoder = 0;               ///< the most that were not committed after commit()
    std::atomic<double> longest_commit = 0;                 ///< seconds, syncs included
    std::array<double, kMostFramesOfOneRun> added_at = {};  ///< when add() was called, by now_monotonic()
    std::array<char, 1000> error = {};
};

/// What the recording process is told.
struct Assignment {
    fs::path store;
    std::string format;
    CodecOptions codec;
    int64_t chunk_frames = 0;
    double commit_interval = 0;
    int64_t run = 0;                  ///< how often this store was opened for recording before
    int64_t frames = 0;               ///< to be recorded before it closes the store
    int64_t microseconds_before = 0;  ///< to wait between opening and the first frame
    uint32_t seed = 0;

    Json to_json() const {
        return {{"store", store.string()},
                {"format", format},
                {"codec", codec},
                {"chunk_frames", chunk_frames},
                {"commit_interval", commit_interval},
                {"run", run},
                {"frames", frames},
                {"microseconds_before", microseconds_before},
                {"seed", seed}};
    }
    static Assignment from_json(const Json& json) {
        return {json.at("store").get<std::string>(),
                json.at("format"),
                json.at("codec"),
                json.at("chunk_frames"),
                json.at("commit_interval"),
                json.at("run"),
                json.at("frames"),
                json.at("microseconds_before"),
                json.at("seed")};
    }
};

constexpr const char* kRecorderCase = "the recording process of the kill test";
constexpr const char* kAssignmentVariable = "REELSTORE_TEST_KILL_ASSIGNMENT";
constexpr const char* kProgressVariable = "REELSTORE_TEST_KILL_PROGRESS";

struct ExpectedFrame {
    int64_t number = 0;
    double time = 0;
    bool extra_data = false;
};

ExpectedFrame frame_of_run(int64_t run, int64_t i) {
    return {run * kNumbersOfOneRun + i,
            fixture_time(0) + static_cast<double>(run * kNumbersOfOneRun + i) * kFrameInterval,
            i % kExtraDataEvery == 0};
}

Json extra_data_of(int64_t number) {
    return {{"value", number}, {"text", "sample \xc3\xa4 of " + std::to_string(number)}};
}

/// The number in the pixels is the frame's, so that no two frames of a store look the same.
cv::Mat image_of(const ImageType& type, int64_t number) {
    return make_numbered_image(type, static_cast<int>(number % 65536));
}

ImageType type_for(const ChunkFormat& format) {
    return format.refuses(gray_type()) ? color_type() : gray_type();
}

Progress* map_progress(const fs::path& path) {
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT, 0600);
    if (file < 0) throw std::runtime_error("cannot open " + path.string());
    const bool sized = ::ftruncate(file, sizeof(Progress)) == 0;
    void* memory = sized ? ::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) : MAP_FAILED;
    ::close(file);
    if (memory == MAP_FAILED) throw std::runtime_error("cannot map " + path.string());
    return static_cast<Progress*>(memory);
}

class Recorder {
public:
    Recorder(const Assignment& assignment, Progress& progress) : assignment_(assignment), progress_(progress) {}

    void run() {
        StoreWriterOptions options;
        options.append = true;
        options.format = assignment_.format;
        options.codec = assignment_.codec;
        options.chunk_frames = assignment_.chunk_frames;
        options.commit_interval = assignment_.commit_interval;
        const ImageType type = type_for(*find_chunk_format(assignment_.format));
        std::mt19937 random(assignment_.seed);
        progress_.stage = kOpening;
        StoreWriter writer(assignment_.store, options);
        progress_.first_index = writer.frame_count();
        progress_.stage = kOpened;
        std::this_thread::sleep_for(std::chrono::microseconds(assignment_.microseconds_before));
        const double begin = now_monotonic();
        for (int64_t i = 0; i < assignment_.frames; ++i) {
            const double wait = begin + static_cast<double>(i) * kFrameInterval - now_monotonic();
            if (wait > 0) std::this_thread::sleep_for(std::chrono::duration<double>(wait));
            const ExpectedFrame frame = frame_of_run(assignment_.run, i);
            const cv::Mat image = image_of(type, frame.number);
            look(writer, false);
            progress_.added_at[static_cast<size_t>(i)] = now_monotonic();
            progress_.begun = i + 1;
            writer.add(image, frame.number, frame.time);
            progress_.added = i + 1;
            progress_.stage = kRecording;
            if (frame.extra_data) writer.add_extra_data(extra_data_of(frame.number));
            look(writer, false);
            if (random() % 40 == 0) {
                writer.commit();
                look(writer, true);
            }
        }
        progress_.stage = kClosing;
        writer.close();
        progress_.committed = assignment_.frames;
        progress_.with_extra_data = assignment_.frames;
        progress_.stage = kClosed;
    }

private:
    void look(const StoreWriter& writer, bool after_commit) {
        const WriterStats stats = writer.stats();
        const double spent = stats.sync_seconds + stats.commit_seconds;
        progress_.longest_commit = std::max(progress_.longest_commit.load(), spent - spent_);
        spent_ = spent;
        progress_.committed = stats.frames_committed;
        // Extra data come after their frame, so only a commit with a later frame is certain to have them.
        const int64_t certain = after_commit ? stats.frames_committed : stats.frames_committed - 1;
        progress_.with_extra_data = std::max(progress_.with_extra_data.load(), certain);
        if (after_commit) {
            const int64_t held = progress_.added - stats.frames_committed;
            progress_.held_by_encoder = std::max(progress_.held_by_encoder.load(), held);
        }
    }

    const Assignment& assignment_;
    Progress& progress_;
    double spent_ = 0;
};

void run_recorder() {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    Progress& progress = *map_progress(std::getenv(kProgressVariable));
    try {
        const Assignment assignment = Assignment::from_json(Json::parse(std::getenv(kAssignmentVariable)));
        Recorder(assignment, progress).run();
    } catch (const std::exception& error) {
        std::strncpy(progress.error.data(), error.what(), progress.error.size() - 1);
        ::_exit(1);
    }
}

// ---- the one who kills

/// One way of recording that is killed.
struct Lane {
    std::string name;
    const ChunkFormat* format = nullptr;
    CodecOptions codec;
    int64_t most_held = 0;  ///< frames that its encoder may hold back
};

std::vector<Lane> lanes() {
    std::vector<Lane> lanes;
    const auto processors = static_cast<int64_t>(std::thread::hardware_concurrency());
    for (const auto& format : chunk_formats()) {
        const ChunkFormatInfo& info = format->info();
        if (!crash_tested(info)) continue;
        Lane lane{info.name, format.get(), {}, 0};
        for (const CodecOptionInfo& option : info.options) {
            // Lookahead is at most a group of pictures; libx264 takes one and a half threads a processor.
            if (option.name == "gop") lane.most_held = std::stoll(option.default_value) + 2 * processors;
        }
        lanes.push_back(lane);
        if (info.name == "avc1/mp4") {
            lanes.push_back({"avc1/mp4 with B-frames",
                             format.get(),
                             {{"bframes", "3"}, {"gop", "12"}, {"threads", "2"}},
                             12 + 3 + 1});
        } else if (info.name == "h264/mkv") {
            lanes.push_back(
                {"h264/mkv without delay", format.get(), {{"tune", "zerolatency"}, {"threads", "1"}, {"gop", "7"}}, 0});
        }
    }
    return lanes;
}

/// When a run is killed.
enum class Moment {
    opening,    ///< in the first milliseconds, when the store is made, or taken over from a killed process
    recording,  ///< some time after the first frame
    closing,    ///< in the milliseconds after the last frame
    never,
};

/// Sums over all stores.
struct Summary {
    std::mutex mutex;
    int64_t kills = 0;
    int64_t killed_before_birth = 0;
    int64_t killed_in_opening = 0;
    int64_t killed_in_closing = 0;
    int64_t frames_kept = 0;
    int64_t frames_read = 0;
    int64_t frames_lost = 0;
    std::vector<std::string> late = {};  ///< kills that cost more seconds than are allowed
    int64_t most_lost = 0;
    int64_t most_held = 0;
    double longest_commit = 0;
    double largest_age = 0;  ///< of the oldest lost frame that no encoder held, without what is allowed for syncs
    std::vector<std::string> faults;
};

std::runtime_error wrong(const std::string& what) {
    return std::runtime_error(what);
}

bool same_pixels(const cv::Mat& a, const cv::Mat& b) {
    return a.size() == b.size() && a.type() == b.type() && a.isContinuous() && b.isContinuous() &&
           std::memcmp(a.data, b.data, a.total() * a.elemSize()) == 0;
}

/// Seconds that a sync takes in this folder now.
double sync_seconds(const fs::path& folder) {
    const fs::path path = folder / "probe";
    const double begin = now_monotonic();
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0 || ::write(file, "probe", 5) != 5 || ::fsync(file) != 0) throw wrong("cannot sync a file");
    ::close(file);
    return now_monotonic() - begin;
}

/// Records into one store with processes that are killed, and knows what the store must hold.
class KilledStore {
public:
    KilledStore(const Lane& lane, uint32_t seed, const fs::path& folder, Summary& summary)
        : lane_(lane), seed_(seed), random_(seed), folder_(folder), summary_(summary) {
        assignment_.store = folder / "store";
        assignment_.format = lane.format->info().name;
        assignment_.codec = lane.codec;
        assignment_.chunk_frames = between(20, 40);
        assignment_.commit_interval = static_cast<double>(between(50, 200)) / 1000;
        progress_path_ = folder / "progress";
    }
    ~KilledStore() { unmap(); }
    KilledStore(const KilledStore&) = delete;
    KilledStore& operator=(const KilledStore&) = delete;

    /// Throws what is wrong.
    void run(int kills) {
        int killed = 0;
        while (killed < kills) killed += run_once(random_moment());
        run_once(Moment::never);
        check_closed();
    }

    std::string state() const {
        return fmt::format("{}, seed {}, run {} ({}), chunks of {}, commits every {} s", lane_.name, seed_,
                           assignment_.run - 1, described_, assignment_.chunk_frames, assignment_.commit_interval);
    }

private:
    int64_t between(int64_t least, int64_t most) {
        return std::uniform_int_distribution<int64_t>(least, most)(random_);
    }

    Moment random_moment() {
        const int64_t dice = assignment_.run == 0 ? between(0, 50) : between(0, 99);
        if (dice < 25) return Moment::opening;
        return dice < 80 ? Moment::recording : Moment::closing;
    }

    /// True when the process was killed, not too late.
    bool run_once(Moment moment) {
        assignment_.frames =
            moment == Moment::closing || moment == Moment::never ? between(1, 60) : kMostFramesOfOneRun;
        assignment_.microseconds_before = moment == Moment::opening ? between(0, 20000) : 0;
        assignment_.seed = static_cast<uint32_t>(random_());
        unmap();
        fs::remove(progress_path_);
        progress_ = new (map_progress(progress_path_)) Progress;
        std::chrono::microseconds delay{0};
        Stage stage = kClosed;
        if (moment == Moment::opening) {
            stage = kOpening;
            delay = std::chrono::microseconds(between(0, 40000));
        } else if (moment == Moment::recording) {
            stage = kRecording;
            delay = std::chrono::milliseconds(between(0, 9) == 0 ? between(700, 1500) : between(20, 700));
        } else if (moment == Moment::closing) {
            stage = kClosing;
            delay = std::chrono::microseconds(between(0, 25000));
        }
        described_ = fmt::format("stage {}, {} us later", static_cast<int>(stage), delay.count());
        const pid_t child = spawn();
        ++assignment_.run;
        wait_for(stage, child);
        std::this_thread::sleep_for(delay);
        if (moment != Moment::never) ::kill(child, SIGKILL);
        const double killed_at = now_monotonic();
        int status = 0;
        while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
        }
        const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        if (!killed && !(WIFEXITED(status) && WEXITSTATUS(status) == 0 && progress_->stage == kClosed))
            throw wrong(fmt::format("the recording process failed: {}", progress_->error.data()));
        check(killed_at);
        if (killed) count(stage);
        return killed;
    }

    void count(Stage stage) {
        const std::lock_guard lock(summary_.mutex);
        ++summary_.kills;
        if (stage == kOpening) ++summary_.killed_in_opening;
        if (stage == kClosing) ++summary_.killed_in_closing;
    }

    pid_t spawn() {
        const std::string assignment = std::string(kAssignmentVariable) + "=" + assignment_.to_json().dump();
        const std::string progress = std::string(kProgressVariable) + "=" + progress_path_.string();
        std::vector<char*> environment;
        for (char** variable = environ; *variable; ++variable) environment.push_back(*variable);
        environment.push_back(const_cast<char*>(assignment.c_str()));
        environment.push_back(const_cast<char*>(progress.c_str()));
        environment.push_back(nullptr);
        const std::string test_case = std::string("--test-case=") + kRecorderCase;
        std::array<const char*, 4> arguments = {"recorder", test_case.c_str(), "--no-skip", nullptr};
        const std::string log = (folder_ / "log").string();
        posix_spawn_file_actions_t files;
        posix_spawn_file_actions_init(&files);
        posix_spawn_file_actions_addopen(&files, 1, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        posix_spawn_file_actions_adddup2(&files, 1, 2);
        pid_t child = 0;
        const int error = ::posix_spawn(&child, "/proc/self/exe", &files, nullptr,
                                        const_cast<char* const*>(arguments.data()), environment.data());
        posix_spawn_file_actions_destroy(&files);
        if (error != 0) throw wrong("cannot start the recording process");
        return child;
    }

    void wait_for(Stage stage, pid_t child) const {
        const double give_up = now_monotonic() + kPatienceSeconds;
        while (progress_->stage < stage && progress_->error[0] == 0) {
            siginfo_t ended = {};
            if (::waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
                ended.si_pid == child)
                return;
            if (now_monotonic() > give_up) {
                ::kill(child, SIGKILL);
                ::waitpid(child, nullptr, 0);
                throw wrong("the recording process hangs");
            }
            std::this_thread::sleep_for(std::chrono::microseconds(200));
        }
    }

    void unmap() {
        if (progress_) ::munmap(progress_, sizeof(Progress));
        progress_ = nullptr;
    }

    // ---- what the store must hold

    void check(double killed_at) {
        const auto known = static_cast<int64_t>(frames_.size());
        const int64_t first_index = progress_->first_index;
        if (first_index >= 0 && first_index != known)
            throw wrong(fmt::format("the recording went on behind {} frames where there were {}", first_index, known));
        if (!fs::exists(StoreLayout::metadata(assignment_.store))) {
            if (known > 0) throw wrong("metadata.yaml has gone");
            check_count(0, killed_at);
            const std::lock_guard lock(summary_.mutex);
            ++summary_.killed_before_birth;
            return;
        }
        StoreReader store(assignment_.store);
        const int64_t count = store.frame_count();
        if (count < known) throw wrong(fmt::format("{} frames, where there were {} before this run", count, known));
        check_count(count - known, killed_at);
        for (int64_t i = 0; i < count - known; ++i) frames_.push_back(frame_of_run(assignment_.run - 1, i));
        check_rows(store);
        check_extra_data(store, known);
        check_pixels(store, known);
        if (!store.warnings().empty()) throw wrong("warning: " + store.warnings().front());
    }

    /// `count` frames of the last run are there.
    void check_count(int64_t count, double killed_at) {
        const int64_t added = progress_->added;
        const int64_t held = progress_->held_by_encoder;
        if (count > progress_->begun) throw wrong(fmt::format("{} frames, but {} were added", count, added));
        if (count < progress_->committed)
            throw wrong(fmt::format("{} frames, but {} were committed", count, progress_->committed.load()));
        if (held > lane_.most_held)
            throw wrong(fmt::format("{} frames were not committed by commit(), at most {} may be with the encoder",
                                    held, lane_.most_held));
        const double sync = std::max(progress_->longest_commit.load(), sync_seconds(folder_));
        const double allowed = assignment_.commit_interval + kSyncsOfRollover * sync + kSchedulingSlack;
        // The frames that the encoder held are the last ones.
        const int64_t ended = std::max<int64_t>(0, added - lane_.most_held);
        const double age = count < ended ? killed_at - progress_->added_at[static_cast<size_t>(count)] : 0;
        const std::lock_guard lock(summary_.mutex);
        // How long a sync takes that was under way when the kill came, nobody knows.
        if (age > allowed) {
            summary_.late.push_back(
                fmt::format("{}: frame {} of the run was lost {} s after it was added; {} s are allowed", state(),
                            count, age, allowed));
        }
        summary_.frames_kept += count;
        summary_.frames_lost += added - std::min(added, count);
        summary_.most_lost = std::max(summary_.most_lost, added - count);
        summary_.most_held = std::max(summary_.most_held, held);
        summary_.longest_commit = std::max(summary_.longest_commit, progress_->longest_commit.load());
        summary_.largest_age = std::max(summary_.largest_age, age - assignment_.commit_interval);
    }

    void check_rows(const StoreReader& store) const {
        int64_t expected = 0;
        int64_t chunk = -1;
        int64_t position = 0;
        store.visit_rows(0, store.frame_count(), [&](const FrameRow& row) {
            const ExpectedFrame& frame = frames_.at(static_cast<size_t>(expected));
            if (row.index != expected || row.number != frame.number || row.time != frame.time)
                throw wrong(fmt::format("frame {} is listed as frame {} with number {} and time {}", expected,
                                        row.index, row.number, row.time));
            position = row.chunk == chunk ? position + 1 : 0;
            if (row.chunk < chunk || row.position != position)
                throw wrong(fmt::format("frame {} is at {} of chunk {}", expected, row.position, row.chunk));
            chunk = row.chunk;
            ++expected;
            return true;
        });
        if (expected != static_cast<int64_t>(frames_.size())) throw wrong("rows are missing");
    }

    /// Of the frames from `first_new` on those that are certain to be committed must have their extra data; what is
    /// there is taken down.
    void check_extra_data(const StoreReader& store, int64_t first_new) {
        std::vector<bool> seen(frames_.size(), false);
        store.visit_extra_data(0, store.frame_count(), [&](const ExtraRecord& record) {
            const auto index = static_cast<size_t>(record.frame_index);
            if (index >= frames_.size() || !frames_[index].extra_data || seen[index])
                throw wrong(fmt::format("frame {} has a record that it should not have", index));
            const ExpectedFrame& frame = frames_[index];
            if (record.data != extra_data_of(frame.number))
                throw wrong(fmt::format("frame {} has the record {}", index, record.data.dump()));
            seen[index] = true;
            return true;
        });
        for (size_t i = 0; i < frames_.size(); ++i) {
            if (!frames_[i].extra_data || seen[i]) continue;
            if (static_cast<int64_t>(i) < first_new + progress_->with_extra_data)
                throw wrong(fmt::format("the extra data of frame {} are lost", i));
            frames_[i].extra_data = false;
        }
    }

    /// All new frames and some of the others, in shuffled order, one by one and in a batch.
    void check_pixels(StoreReader& store, int64_t first_new) {
        std::vector<int64_t> order(static_cast<size_t>(first_new));
        std::iota(order.begin(), order.end(), int64_t{0});
        std::shuffle(order.begin(), order.end(), random_);
        order.resize(std::min<size_t>(order.size(), 40));
        for (int64_t i = first_new; i < store.frame_count(); ++i) order.push_back(i);
        std::shuffle(order.begin(), order.end(), random_);
        for (const int64_t index : order) check_frame(store.at_index(index), index);
        order.resize(std::min<size_t>(order.size(), 30));
        const std::vector<Frame> batch = store.at_indices(order);
        for (size_t i = 0; i < order.size(); ++i) check_frame(batch.at(i), order[i]);
    }

    void check_frame(const Frame& frame, int64_t index) {
        const ExpectedFrame& expected = frames_.at(static_cast<size_t>(index));
        if (frame.index != index || frame.number != expected.number || frame.time != expected.time)
            throw wrong(fmt::format("frame {} came as frame {} with number {}", index, frame.index, frame.number));
        const std::optional<int> shown = read_image_number(frame.image);
        if (shown != static_cast<int>(expected.number % 65536))
            throw wrong(fmt::format("frame {} shows {} instead of {}", index, shown.value_or(-1), expected.number));
        if (lane_.format->info().lossless &&
            !same_pixels(frame.image, image_of(type_for(*lane_.format), expected.number)))
            throw wrong(fmt::format("frame {} has other pixels than were recorded", index));
        const std::lock_guard lock(summary_.mutex);
        ++summary_.frames_read;
    }

    // ---- after the last run, which has closed the store

    void check_closed() {
        const fs::path& path = assignment_.store;
        StoreReader store(path);
        if (!store.closed()) throw wrong("the store is not closed");
        check_in_order(store);
        {
            const auto index = FrameIndex::open(StoreLayout::index(path), store.metadata().uuid);
            const StoreLayout layout(path, store.metadata().kind, store.metadata().extension);
            for (const ChunkRow& chunk : chunk_rows(*index)) check_chunk(layout, chunk);
        }
        for (const char* name : {"index.sqlite-wal", "index.sqlite-shm", ".lock", ".reserve"}) {
            if (fs::exists(path / name)) throw wrong(fmt::format("{} is left over", name));
        }
        for (const VerifyLevel level : {VerifyLevel::frames, VerifyLevel::hash}) {
            for (const Finding& finding : verify(path, level, {.threads = 1}).findings) {
                if (finding.severity == Severity::error)
                    throw wrong(fmt::format("verify: {}: {}", finding.path.string(), finding.message));
            }
        }
        // As imgstore sees it, which knows nothing of the index.
        fs::remove(StoreLayout::index(path));
        StoreReader from_sidecars(path);
        check_rows(from_sidecars);
        check_extra_data(from_sidecars, 0);
        check_pixels(from_sidecars, 0);
        check_in_order(from_sidecars);
        if (!from_sidecars.warnings().empty()) throw wrong("without the index: " + from_sidecars.warnings().front());
    }

    void check_in_order(StoreReader& store) {
        int64_t index = 0;
        while (const std::optional<Frame> frame = store.next()) check_frame(*frame, index++);
        if (index != static_cast<int64_t>(frames_.size())) throw wrong("read in order, the store ends early");
    }

    void check_chunk(const StoreLayout& layout, const ChunkRow& chunk) const {
        if (!chunk.closed) throw wrong(fmt::format("chunk {} is open", chunk.chunk));
        const std::optional<ChunkSidecar> sidecar = read_chunk_sidecar(layout, chunk.chunk);
        if (!sidecar) throw wrong(fmt::format("chunk {} has no .npz", chunk.chunk));
        if (static_cast<int64_t>(sidecar->numbers.size()) != chunk.frame_count || sidecar->synthetic)
            throw wrong(fmt::format("the .npz of chunk {} has {} frames, the index {}", chunk.chunk,
                                    sidecar->numbers.size(), chunk.frame_count));
        for (size_t i = 0; i < sidecar->numbers.size(); ++i) {
            const ExpectedFrame& frame = frames_.at(static_cast<size_t>(chunk.first_index) + i);
            if (sidecar->numbers[i] != frame.number || sidecar->times[i] != frame.time)
                throw wrong(fmt::format("the .npz of chunk {} is wrong at {}", chunk.chunk, i));
        }
        int64_t in_media = 0;
        if (layout.kind() == ChunkKind::file) {
            in_media = scan_media(layout.media(chunk.chunk)).table.frame_count();
        } else {
            for (const auto& entry : fs::directory_iterator(layout.media(chunk.chunk)))
                in_media += entry.path().extension() == lane_.format->info().extension;
        }
        if (in_media != chunk.frame_count)
            throw wrong(fmt::format("the media of chunk {} hold {} frames, the index {}", chunk.chunk, in_media,
                                    chunk.frame_count));
    }

    const Lane& lane_;
    const uint32_t seed_;
    std::mt19937 random_;
    const fs::path folder_;
    Summary& summary_;
    Assignment assignment_;
    fs::path progress_path_;
    Progress* progress_ = nullptr;
    std::vector<ExpectedFrame> frames_;  ///< what the store has, in order
    std::string described_;
};

int wanted_kills() {
    const char* text = std::getenv("REELSTORE_TEST_KILLS");
    return text ? std::max(1, std::atoi(text)) : kKills;
}

}  // namespace

TEST_SUITE_BEGIN("crash");

TEST_CASE("the recording process of the kill test" * doctest::skip()) {
    REQUIRE(std::getenv(kAssignmentVariable));
    run_recorder();
}

TEST_CASE("kill -9 of a recording process costs no committed frame, and what it costs is bounded") {
    const int kills = wanted_kills();
    const std::vector<Lane> all_lanes = lanes();
    const int stores = (kills + kKillsOfOneStore - 1) / kKillsOfOneStore;
    Summary summary;
    std::atomic<int> next_store = 0;
    const double begin = now_monotonic();
    const auto work = [&] {
        for (int number = next_store++; number < stores; number = next_store++) {
            const Lane& lane = all_lanes[static_cast<size_t>(number) % all_lanes.size()];
            const auto seed = static_cast<uint32_t>(1000 + number);
            const TemporaryFolder folder;
            KilledStore store(lane, seed, folder.path(), summary);
            try {
                store.run(std::min(kKillsOfOneStore, kills - number * kKillsOfOneStore));
            } catch (const std::exception& error) {
                const fs::path kept =
                    fs::temp_directory_path() / fmt::format("reelstore-killed-{}-{}", ::getpid(), seed);
                fs::copy(folder.path(), kept, fs::copy_options::recursive);
                const std::lock_guard lock(summary.mutex);
                summary.faults.push_back(
                    fmt::format("{}: {} (kept in {})", store.state(), error.what(), kept.string()));
            }
        }
    };
    std::vector<std::thread> workers;
    for (size_t i = 0; i < kStoresAtOnce; ++i) workers.emplace_back(work);
    for (std::thread& worker : workers) worker.join();

    fmt::print(
        "kill: {} kills on {} stores in {:.0f} s ({} before the store was born, {} while opening, {} while "
        "closing); {} "
        "frames kept, {} reads, {} lost, at most {} at once; at most {} held by an encoder; longest commit {:.3f} "
        "s; "
        "loss at most {:.3f} s beyond the commit interval\n",
        summary.kills, stores, now_monotonic() - begin, summary.killed_before_birth, summary.killed_in_opening,
        summary.killed_in_closing, summary.frames_kept, summary.frames_read, summary.frames_lost, summary.most_lost,
        summary.most_held, summary.longest_commit, summary.largest_age);
    for (const std::string& fault : summary.faults) FAIL_CHECK(fault);
    for (const std::string& late : summary.late) MESSAGE(late);
    CHECK(static_cast<int>(summary.late.size()) <= 1 + kills / 50);
    CHECK(summary.kills >= kills);
    if (kills >= 50) {
        CHECK(summary.killed_before_birth > 0);
        CHECK(summary.killed_in_opening > 0);
        CHECK(summary.killed_in_closing > 0);
    }
}

TEST_CASE("media of which no frame was committed are put aside when the recording goes on") {
    for (const std::string format : {"avc1/mp4", "png", "raw/npy", "zstd/npy"}) {
        CAPTURE(format);
        const TemporaryFolder folder;
        const fs::path path = folder / "store";
        const ChunkFormatInfo& info = find_chunk_format(format)->info();
        const bool one_file = info.kind == ChunkKind::file;
        const std::string begun = one_file ? "000001" + info.extension : "000001/000000.png";
        {
            StoreWriterOptions options;
            options.format = format;
            options.chunk_frames = 5;
            options.commit_interval = std::nullopt;
            StoreWriter writer(folder / "live", options);
            const auto wait_until = [](const auto& condition) {
                while (!condition()) std::this_thread::sleep_for(std::chrono::milliseconds(2));
            };
            for (int i = 0; i < 5; ++i) writer.add(image_of(gray_type(), i), i, fixture_time(i));
            wait_until([&] { return writer.stats().chunks_completed == 1; });
            for (int i = 5; i < 8; ++i) writer.add(image_of(gray_type(), i), i, fixture_time(i));
            wait_until([&] { return fs::exists(folder / "live" / (one_file ? begun : "000001/000002.png")); });
            // As a killed writer leaves it.
            fs::copy(folder / "live", path, fs::copy_options::recursive);
        }
        const fs::path unlisted = path / begun;
        REQUIRE(fs::exists(unlisted));
        for (int run = 0; run < 2; ++run) {
            StoreWriter writer(path, {.append = true});
            CHECK(writer.frame_count() == 5 + run);
            CHECK_FALSE(fs::exists(unlisted));
            writer.add(image_of(gray_type(), 50 + run), 50 + run, fixture_time(50 + run));
            writer.close();
        }
        CHECK(fs::exists(path / (begun + ".uncommitted")));
        StoreReader store(path);
        CHECK(store.warnings().empty());
        CHECK(store.chunks() == std::vector<int64_t>{0, 2, 3});
        for (const bool indexed : {true, false}) {
            if (!indexed) fs::remove(StoreLayout::index(path));
            StoreReader again(path);
            CHECK(again.warnings().empty());
            REQUIRE(again.frame_count() == 7);
            CHECK(read_image_number(again.at_index(4).image) == 4);
            CHECK(read_image_number(again.at_index(6).image) == 51);
        }
    }
}
TEST_SUITE_END();
