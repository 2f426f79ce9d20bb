#include <doctest/doctest.h>

#include <chrono>
#include <thread>

#include "base/clock.h"
#include "base/numbered_frames.h"
#include "store/store_reader.h"
#include "store/store_writer.h"
#include "tests/fault_file_system.h"
#include "tests/temporary_folder.h"

using namespace reelstore;

namespace {

constexpr ImageType kType{24, 32, 1, CV_16U};

void check_frames(const std::filesystem::path& folder, int count) {
    StoreReader store(folder);
    REQUIRE(store.frame_count() == count);
    for (int i = count - 1; i >= 0; --i) {
        const Frame frame = store.at_index(i);
        CHECK(frame.number == i);
        CHECK(read_image_number(frame.image) == i);
    }
}

}  // namespace

TEST_SUITE_BEGIN("threads");

TEST_CASE("packed recording: a commit takes along what threads were still encoding") {
    const TemporaryFolder folder(memory_folder());
    for (const char* format : {"raw/npy", "zstd/npy", "predicted/rpz"}) {
        for (const std::optional<double> interval : {std::optional(100.0), std::optional(0.0)}) {
            CAPTURE(format);
            CAPTURE(interval.value_or(-1));
            const auto path = folder / (std::string(format).substr(0, 3) + (*interval > 0 ? "late" : "at_once"));
            StoreWriterOptions options;
            options.format = format;
            options.chunk_frames = 25;
            options.commit_interval = interval;
            if (options.format != "raw/npy") options.codec = {{"threads", "3"}};
            StoreWriter writer(path, options);
            for (int i = 0; i < 60; ++i) {
                writer.add(make_numbered_image(kType, i), i, i * 0.1);
                if (*interval > 0 && i % 7 != 6) continue;
                writer.commit();
                if (i % 20 == 13) check_frames(path, i + 1);
            }
            writer.close();
            check_frames(path, 60);
        }
    }
}

TEST_CASE("packed recording: frames are committed in time when no more come") {
    const TemporaryFolder folder(memory_folder());
    StoreWriterOptions options;
    options.format = "predicted/rpz";
    options.commit_interval = 0.05;
    options.codec = {{"threads", "2"}};
    StoreWriter writer(folder / "store", options);
    for (int i = 0; i < 3; ++i) writer.add(make_numbered_image(kType, i), i, i * 0.1);
    const double begin = now_monotonic();
    while (writer.stats().frames_committed < 3 && now_monotonic() - begin < 30)
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    CHECK(writer.stats().frames_committed == 3);
    check_frames(folder / "store", 3);
}

TEST_CASE("packed recording: a failed write on a thread costs no frame") {
    const TemporaryFolder folder(memory_folder());
    for (const char* format : {"raw/npy", "zstd/npy"}) {
        CAPTURE(format);
        const auto path = folder / std::string(format).substr(0, 3);
        FaultPlan plan;
        plan.nth = 12;
        plan.counted = [](const FileOperation& operation) {
            return operation.kind == OperationKind::write &&
                   operation.path.filename().string().find(".npy") != std::string::npos;
        };
        FaultFileSystem faults(plan);
        const FileSystemOverride override(faults);
        StoreWriterOptions options;
        options.format = format;
        if (options.format != "raw/npy") options.codec = {{"threads", "3"}};
        StoreWriter writer(path, options);
        for (int i = 0; i < 40; ++i) writer.add(make_numbered_image(kType, i), i, i * 0.1);
        writer.close();
        CHECK(faults.failed() == 1);
        check_frames(path, 40);
    }
}

TEST_SUITE_END();
