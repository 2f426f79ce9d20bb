#include "store/store_lock.h"

#include <unistd.h>

#include <array>

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

}  // namespace

StoreLock::StoreLock(const std::filesystem::path& folder) : path_(StoreLayout::lock(folder)) {
    lock_ = file_system().try_lock(path_, holder_text());
    if (!lock_) {
        throw Error(ErrorCode::locked, {folder.string(), {}, {}},
                    "the store is being written by " + describe_holder(path_) + "; wait until it has finished");
    }
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
