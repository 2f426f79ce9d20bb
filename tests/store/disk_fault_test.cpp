// Every operation on the disk fails in turn, in every way: nothing is lost in silence, and the store opens with
// everything that was reported durable.
#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>

#include <fmt/format.h>
#include <opencv2/core.hpp>

#include "base/file_system.h"
#include "tests/fault_file_system.h"
#include "tests/sanitized.h"
#include "tests/store/promised_store.h"
#include "tests/temporary_folder.h"

using namespace reelstore;

namespace {

constexpr int kFrames = 7;

struct Format {
    std::string name;
    CodecOptions codec = {};
    /// Formats that share a writer share its operations: each lets every so many-th fail, from its own on.
    int64_t every = 1;
    int64_t begin = 0;
};

const std::vector<Format> kFormats = {
    {"npy"},
    {"raw/npy", {}, 2, 0},
    {"zstd/npy", {}, 2, 1},
    {"avc1/mp4", {{"tune", "zerolatency"}, {"threads", "1"}, {"gop", "3"}}},
    {"h264/mkv", {{"tune", "zerolatency"}, {"threads", "1"}, {"gop", "3"}}},
    {"mjpeg/avi"},
};

struct FaultMode {
    std::string name;
    int error_number;
    bool short_write;
    FaultPlan::Repeat repeat;
};

const std::vector<FaultMode> kModes = {
    {"EIO once", EIO, false, FaultPlan::Repeat::once},
    {"EIO for ever", EIO, false, FaultPlan::Repeat::for_ever},
    {"EIO for ever of the kind", EIO, false, FaultPlan::Repeat::for_ever_of_the_kind},
    {"ENOSPC once, half written", ENOSPC, true, FaultPlan::Repeat::once},
    {"ENOSPC for ever of the kind, half written", ENOSPC, true, FaultPlan::Repeat::for_ever_of_the_kind},
    {"read-only file system", EROFS, false, FaultPlan::Repeat::for_ever},
};

StoreWriterOptions options_of(size_t format, bool append) {
    return {.format = kFormats[format].name,
            .chunk_frames = 3,
            .codec = kFormats[format].codec,
            .time_zone = append ? "" : "Etc/UTC",
            .commit_interval = 0,
            .append = append};
}

/// What a recording has told its caller.
struct Told {
    int64_t added = 0;
    int64_t committed = 0;
    bool error = false;
    bool closed = false;
    int64_t silent_calls = 0;  ///< that returned as if nothing were wrong after an operation had failed
};

/// Failures of these are no loss: what was to go is still there, or was complete before it was closed.
bool matters(const FileOperation& operation) {
    return operation.kind != OperationKind::remove && operation.kind != OperationKind::close;
}

Told record(const std::filesystem::path& path, size_t format, FaultFileSystem* faults) {
    Told told;
    int64_t faults_known = 0;
    const auto calm = [&](const WriterStats& stats) {
        const bool failed = faults && faults->failed() > 0;
        faults_known = stats.faults;
        return !failed || faults_known > 0;
    };
    try {
        StoreWriter writer(path, options_of(format, false));
        try {
            for (int i = 0; i < kFrames; ++i) {
                add_promised_frame(writer, i);
                told.added = i + 1;
                told.committed = writer.stats().frames_committed;
                if (!calm(writer.stats())) ++told.silent_calls;
            }
            writer.close();
            told.committed = kFrames;
            told.closed = true;
        } catch (const Error&) {
            told.error = true;
            // What goes on after the error must not make it worse.
            error_of([&] { writer.add(make_numbered_image(gray_type(), 0), 0, 0); });
            error_of([&] { writer.close(); });
        }
    } catch (const Error&) {
        told.error = true;
    }
    return told;
}

int64_t operations_of(size_t format) {
    const TemporaryFolder folder(memory_folder());
    FaultFileSystem faults({.counted = matters});
    const FileSystemOverride in_place(faults);
    record(folder / "s", format, &faults);
    return faults.count();
}

constexpr int kStep = kSanitized ? 5 : 1;

}  // namespace

TEST_SUITE_BEGIN("crash");

TEST_CASE("whatever operation on the disk fails, nothing is lost in silence") {
    int64_t runs = 0;
    for (size_t format = 0; format < kFormats.size(); ++format) {
        const int64_t operations = operations_of(format);
        CHECK(operations > 50);
        for (const FaultMode& mode : kModes) {
            int64_t recovered = 0;
            // Beyond the end: threads do not run alike each time.
            const int64_t begin = 1 + runs % kStep + kFormats[format].begin;
            for (int64_t nth = begin; nth <= operations + 3; nth += kStep * kFormats[format].every) {
                const TemporaryFolder folder(memory_folder());
                FaultFileSystem faults({.nth = nth,
                                        .error_number = mode.error_number,
                                        .short_write = mode.short_write,
                                        .repeat = mode.repeat,
                                        .counted = matters});
                Told told;
                {
                    const FileSystemOverride in_place(faults);
                    told = record(folder / "s", format, &faults);
                }
                ++runs;
                INFO(kFormats[format].name, ", ", mode.name, ", ", faults.describe(nth));
                // The call in which it happened or the one behind it says so.
                CHECK(told.silent_calls <= 1);
                if (faults.failed() == 0) CHECK_FALSE(told.error);
                if (told.closed && faults.failed() > 0) ++recovered;
                CHECK(violation(folder / "s", told.committed, kFrames, told.closed) == "");
                // The disk is well again: the recording goes on.
                int64_t count = 0;
                std::string message;
                const auto resumed = error_of(
                    [&] {
                        StoreWriter writer(folder / "s", options_of(format, true));
                        count = writer.frame_count();
                        add_promised_frame(writer, static_cast<int>(count));
                        writer.close();
                    },
                    &message);
                INFO(message);
                CHECK_FALSE(resumed);
                CHECK(count >= told.committed);
                CHECK(violation(folder / "s", count + 1, count + 1, true, told.committed) == "");
            }
            // One failure alone ends only some recordings; how many depends on how the threads run.
            if (mode.repeat == FaultPlan::Repeat::once && kStep == 1) CHECK(recovered > 0);
        }
    }
    MESSAGE(runs, " recordings with a failing disk");
}

TEST_CASE("on a full disk the chunk is completed and the next add says so") {
    for (size_t format = 0; format < kFormats.size(); ++format) {
        INFO(kFormats[format].name);
        const TemporaryFolder folder(memory_folder());
        FaultFileSystem faults;
        int64_t added = 0;
        std::string message;
        {
            const FileSystemOverride in_place(faults);
            StoreWriterOptions options = options_of(format, false);
            options.chunk_frames = 10000;
            options.commit_interval = 0.01;
            StoreWriter writer(folder / "s", options);
            add_promised_frame(writer, 0);
            faults.set_free_bytes(100000);
            const auto full = error_of(
                [&] {
                    for (added = 1; added < 100000; ++added) add_promised_frame(writer, static_cast<int>(added));
                },
                &message);
            CHECK(full == ErrorCode::no_space);
            INFO(message);
            CHECK(message.find("the disk is full") != std::string::npos);
            CHECK(error_of([&] { writer.close(); }) == ErrorCode::no_space);
        }
        StoreReader store(folder / "s");
        CHECK(store.closed());
        // Every frame that was added is there or counted.
        int64_t lost = 0;
        bool disk_full = false;
        store.visit_events([&](const EventRow& event) {
            if (event.kind == "lost") lost += Json::parse(event.data).at("count").get<int64_t>();
            disk_full = disk_full || event.kind == "disk_full";
            return true;
        });
        CHECK(disk_full);
        // The call that threw may have been the one for the extra data of a frame that was added.
        CHECK(store.frame_count() + lost >= added);
        CHECK(store.frame_count() + lost <= added + 1);
        CHECK(store.frame_count() > 10);
        CHECK(violation(folder / "s", store.frame_count(), added, true) == "");
        // There is room again.
        StoreWriterOptions options = options_of(format, true);
        options.chunk_frames.reset();
        StoreWriter writer(folder / "s", options);
        const int64_t count = writer.frame_count();
        add_promised_frame(writer, static_cast<int>(count));
        writer.close();
        CHECK(violation(folder / "s", count + 1, count + 1, true) == "");
    }
}

TEST_CASE("on a full disk frames that several threads are encoding still get into the chunk") {
    for (const char* format : {"raw/npy", "zstd/npy", "predicted/rpz"}) {
        INFO(format);
        const TemporaryFolder folder(memory_folder());
        // Noise of 2 MiB a frame: more of them are under way than what is held back for a chunk's end.
        cv::Mat image(1024, 2048, CV_8U);
        cv::RNG random(7);
        random.fill(image, cv::RNG::UNIFORM, 0, 256);
        FaultFileSystem faults;
        int64_t added = 0;
        {
            const FileSystemOverride in_place(faults);
            StoreWriterOptions options;
            options.format = format;
            options.chunk_frames = 1000;
            options.commit_interval = 0.05;
            if (std::string(format) != "raw/npy") options.codec = {{"threads", "4"}};
            StoreWriter writer(folder / "s", options);
            writer.add(image, 0, 0);
            writer.commit();
            faults.set_free_bytes(uint64_t{21} << 20);
            const auto full = error_of([&] {
                for (added = 1; added < 100; ++added) writer.add(image, added, static_cast<double>(added));
            });
            CHECK(full == ErrorCode::no_space);
            std::string message;
            CHECK(error_of([&] { writer.close(); }, &message) == ErrorCode::no_space);
            INFO(message);
            CHECK(message.find("what is recorded is complete") != std::string::npos);
        }
        StoreReader store(folder / "s");
        CHECK(store.closed());
        CHECK(store.frame_count() > 8);
        int64_t lost = 0;
        store.visit_events([&](const EventRow& event) {
            CHECK(event.kind != "fault");
            if (event.kind == "lost") lost += Json::parse(event.data).at("count").get<int64_t>();
            return true;
        });
        CHECK(store.frame_count() + lost == added);
        for (const int64_t index : {int64_t{0}, store.frame_count() - 1})
            CHECK(cv::norm(store.at_index(index).image, image, cv::NORM_INF) == 0);
    }
}

TEST_CASE("a folder removed under the writer is an error of the next call") {
    const TemporaryFolder folder;
    StoreWriter writer(folder / "s", options_of(0, false));
    add_promised_frame(writer, 0);
    std::filesystem::remove_all(folder / "s");
    CHECK(error_of([&] {
        for (int i = 1; i < 3; ++i) add_promised_frame(writer, i);
    }));
    CHECK(error_of([&] { writer.close(); }));
    CHECK_FALSE(error_of([&] { writer.close(); }));
}

TEST_CASE("a forked child neither writes to the store nor harms it") {
    const TemporaryFolder folder;
    auto writer = std::make_unique<StoreWriter>(folder / "s", options_of(3, false));
    for (int i = 0; i < 4; ++i) add_promised_frame(*writer, i);
    const pid_t child = fork();
    if (child == 0) {
        const bool refused = error_of([&] { add_promised_frame(*writer, 4); }) == ErrorCode::invalid_argument &&
                             error_of([&] { writer->close(); }) == ErrorCode::invalid_argument;
        writer.reset();
        _exit(refused ? 0 : 1);
    }
    int status = 1;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    for (int i = 4; i < 8; ++i) add_promised_frame(*writer, i);
    writer->close();
    CHECK(violation(folder / "s", 8, 8, true) == "");
}

TEST_SUITE_END();
