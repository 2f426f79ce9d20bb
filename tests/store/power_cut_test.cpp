// What is left of a store when the power fails, for every format and at every barrier: nothing that was reported
// durable is missing or wrong. And every single kind of sync is needed for that: without it, the test fails.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "tests/crash_simulation.h"
#include "tests/sanitized.h"
#include "tests/store/promised_store.h"
#include "tests/temporary_folder.h"

using namespace reelstore;

namespace {

constexpr int kChunkFrames = 4;

struct Format {
    std::string name;
    CodecOptions codec = {};
};

/// One format of every way of writing: image files, packed arrays, video containers.
const std::vector<Format> kFormats = {
    {"npy"},
    {"raw/npy"},
    {"zstd/npy"},
    {"mjpeg/avi"},
    {"h264/mkv", {{"tune", "zerolatency"}, {"threads", "1"}, {"gop", "3"}}},
    {"avc1/mp4", {{"tune", "zerolatency"}, {"threads", "1"}, {"gop", "3"}}},
    {"avc1/mp4", {{"bframes", "2"}, {"threads", "1"}, {"gop", "4"}}},
};

StoreWriterOptions options_of(const Format& format, bool append) {
    return {.format = format.name,
            .chunk_frames = kChunkFrames,
            .codec = format.codec,
            .time_zone = append ? "" : "Etc/UTC",
            .commit_interval = 1e5,  // commits come when the scenario says
            .append = append};
}

void commit(StoreWriter& writer, CrashSimulation& simulation, int64_t before = 0) {
    writer.commit();
    simulation.mark(fmt::format("{}", before + writer.stats().frames_committed));
}

/// Records frames first..last-1 with commits in uneven steps and closes.
void record(const std::filesystem::path& store, const Format& format, int first, int last, bool append,
            CrashSimulation& simulation) {
    StoreWriter writer(store, options_of(format, append));
    for (int i = first; i < last; ++i) {
        add_promised_frame(writer, i);
        if (i % 3 == 1) commit(writer, simulation, first);
    }
    writer.close();
    simulation.mark(fmt::format("{}", last));
    simulation.mark("closed");
}

/// The store goes on after the cut with a frame more.
std::string violation_after_resuming(const std::filesystem::path& folder, const Format& format) {
    try {
        int64_t count = 0;
        {
            StoreWriter writer(folder, options_of(format, true));
            count = writer.frame_count();
            add_promised_frame(writer, static_cast<int>(count));
            writer.close();
        }
        return violation(folder, count + 1, count + 1, true);
    } catch (const Error& error) {
        return fmt::format("when resumed: {}", error.what());
    }
}

struct Outcome {
    int64_t states = 0;
    int64_t violations = 0;
    std::string first;
};

Outcome check(const CrashTrace& trace, const CrashPlan& plan, const Format& format, int64_t committed_before,
              int64_t most, int resume_every, bool stop_at_first = false) {
    Outcome outcome;
    outcome.states = trace.visit(plan, [&](const CrashState& state) {
        int64_t committed = committed_before;
        bool closed = false;
        for (const std::string& mark : state.marks) {
            if (mark == "closed") {
                closed = true;
            } else {
                committed = std::max<int64_t>(committed, std::stoll(mark));
            }
        }
        std::string wrong = violation(state.folder / "s", committed, most, closed);
        if (wrong.empty() && resume_every > 0 && outcome.states++ % resume_every == 0) {
            wrong = violation_after_resuming(state.folder / "s", format);
        }
        if (!wrong.empty()) {
            ++outcome.violations;
            if (outcome.first.empty()) outcome.first = fmt::format("{}: {}", state.description, wrong);
        }
        return !(stop_at_first && outcome.violations > 0);
    });
    return outcome;
}

/// The trace of a recording from its first moment to its end.
CrashTrace trace_of_new_store(const TemporaryFolder& folder, const Format& format, int frames) {
    CrashSimulation simulation(folder.path());
    const FileSystemOverride in_place(simulation);
    record(folder / "s", format, 0, frames, false, simulation);
    const CrashTrace trace = simulation.trace();
    CHECK(trace.differences_from(folder.path()).empty());
    return trace;
}

/// The trace of going on with a store that a killed writer left; how many frames it has goes to `left`.
CrashTrace trace_of_resumed_store(const TemporaryFolder& folder, const Format& format, int frames, int64_t& left) {
    {
        const TemporaryFolder killed;
        StoreWriter writer(killed / "s", options_of(format, false));
        for (int i = 0; i < frames; ++i) add_promised_frame(writer, i);
        writer.commit();
        left = writer.stats().frames_committed;
        // As a kill would leave it: the copy has no writer.
        std::filesystem::copy(killed / "s", folder / "s", std::filesystem::copy_options::recursive);
    }
    CrashSimulation simulation(folder.path());
    const FileSystemOverride in_place(simulation);
    record(folder / "s", format, static_cast<int>(left), frames + 3, true, simulation);
    const CrashTrace trace = simulation.trace();
    CHECK(trace.differences_from(folder.path()).empty());
    return trace;
}

std::string title(const Format& format) {
    return format.codec.contains("bframes") ? format.name + " with B-frames" : format.name;
}

constexpr int kThoroughness = kSanitized ? 1 : 16;

}  // namespace

TEST_SUITE_BEGIN("crash");

TEST_CASE("power cuts while a new store is written leave every committed frame") {
    int64_t states = 0;
    for (const Format& format : kFormats) {
        const TemporaryFolder folder;
        const CrashTrace trace = trace_of_new_store(folder, format, 10);
        const CrashPlan plan{.seed = 1, .states_per_barrier = 2 * kThoroughness, .random_cuts = 60 * kThoroughness};
        const Outcome outcome = check(trace, plan, format, 0, 10, 25);
        states += outcome.states;
        INFO(title(format), ": ", outcome.states, " states of ", trace.size(), " operations; first: ", outcome.first);
        CHECK(outcome.violations == 0);
    }
    MESSAGE(states, " states of new stores");
}

TEST_CASE("power cuts while a killed store is resumed leave every committed frame") {
    int64_t states = 0;
    for (const Format& format : kFormats) {
        const TemporaryFolder folder;
        int64_t left = 0;
        const CrashTrace trace = trace_of_resumed_store(folder, format, 7, left);
        const CrashPlan plan{.seed = 2, .states_per_barrier = 2 * kThoroughness, .random_cuts = 60 * kThoroughness};
        const Outcome outcome = check(trace, plan, format, left, 10, 25);
        states += outcome.states;
        INFO(title(format), ": ", outcome.states, " states of ", trace.size(), " operations; first: ", outcome.first);
        CHECK(outcome.violations == 0);
    }
    MESSAGE(states, " states of resumed stores");
}

TEST_CASE("names that come to the disk in any order do no harm") {
    const Format& format = kFormats.front();
    const TemporaryFolder folder;
    const CrashTrace trace = trace_of_new_store(folder, format, 6);
    const CrashPlan plan{.seed = 3, .states_per_barrier = 2 * kThoroughness, .names_in_any_order = true};
    const Outcome outcome = check(trace, plan, format, 0, 6, 25);
    INFO(outcome.first);
    CHECK(outcome.violations == 0);
}

TEST_CASE("without any one kind of sync, power cuts do harm") {
    std::map<std::string, bool> noticed;
    for (const Format& format : kFormats) {
        for (const bool resumed : {false, true}) {
            const TemporaryFolder folder;
            int64_t left = 0;
            const CrashTrace trace =
                resumed ? trace_of_resumed_store(folder, format, 7, left) : trace_of_new_store(folder, format, 10);
            for (const std::string& sync_class : trace.sync_classes()) {
                bool& known = noticed[sync_class];
                if (known) continue;
                const CrashTrace mutant =
                    trace.without_sync([&](const std::string& candidate) { return candidate == sync_class; });
                const CrashPlan plan{.seed = 4, .states_per_barrier = 6, .random_cuts = 100};
                known = check(mutant, plan, format, left, 10, 0, true).violations > 0;
            }
        }
    }
    CHECK(noticed.size() >= 12);
    for (const auto& [sync_class, harm] : noticed) {
        INFO(sync_class);
        // SQLite's own journal for the switch out of write-ahead mode, a change within one sector.
        if (sync_class != "s/index.sqlite-journal") CHECK(harm);
    }
}

TEST_SUITE_END();
