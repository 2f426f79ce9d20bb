#include "store/store_lock.h"

#include <unistd.h>

#include <array>
#include <chrono>
#include <thread>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "store/layout.h"

namespace reelstore {

namespace {

std::string holder_text() {
    std::array<char, 256> host{};
    gethostname(host.data(), host.size() - 1);
    return Json{{"pid", getpid()}, {"host", host.data()}, {"start", utc_text(now_utc())}}.dump() + "\n";
}

std::string describe_holder(const std::filesystem::path& path) {
    try {
        const Json holder = Json::parse(read_text_file(path, 4096));
        return "process " + std::to_string(holder.at("pid").get<int64_t>()) + " on " +
               holder.at("host").get<std::string>() + " since " + holder.at("start").get<std::string>() + " UTC";
    } catch (const std::exception&) {
        return "another process";
    }
}

/// StoreLock::held() elsewhere has the lock for some microseconds, which is not to keep a writer out.
constexpr int kTries = 5;
constexpr std::chrono::milliseconds kBetweenTries{10};

}  // namespace

StoreLock::StoreLock(const std::filesystem::path& folder) : path_(StoreLayout::lock(folder)) {
    lock_ = file_system().try_lock(path_, holder_text());
    for (int tries = 1; !lock_ && tries < kTries; ++tries) {
        std::this_thread::sleep_for(kBetweenTries);
        lock_ = file_system().try_lock(path_, holder_text());
    }
    if (!lock_) {
        throw Error(ErrorCode::locked, {folder.string(), {}, {}},
                    "the store is being written by " + describe_holder(path_) + "; wait until it has finished");
    }
}

bool StoreLock::held(const std::filesystem::path& folder) {
    return file_system().is_locked(StoreLayout::lock(folder));
}

Error not_begun(const std::filesystem::path& folder) {
    return Error(ErrorCode::not_a_store, {folder.string(), {}, {}},
                 "no store yet: a recording is about to begin here; try again when its first frame has come");
}

StoreLock::~StoreLock() {
    // Removed while the lock is still held: a newcomer either finds this file locked or makes a new one.
    try {
        file_system().remove(path_);
    } catch (const Error&) {
        return;
    }
}

}  // namespace reelstore
