#include "store/store_lock.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <optional>
#include <thread>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "store/layout.h"

namespace reelstore {

namespace {

std::string host_name() {
    std::array<char, 256> host{};
    gethostname(host.data(), host.size() - 1);
    return host.data();
}

std::string holder_text() {
    return Json{{"pid", getpid()}, {"host", host_name()}, {"start", utc_text(now_utc())}}.dump() + "\n";
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

/// Nothing when there is no such file.
std::optional<std::string> text_of(const std::filesystem::path& path) {
    try {
        return read_text_file(path, 4096);
    } catch (const Error& error) {
        if (error.code() != ErrorCode::not_found) throw;
        return std::nullopt;
    }
}

/// For file systems that know no locks: whether the text of the lock file speaks of a writer that may be at work. One
/// on another machine cannot be asked.
bool holder_may_live(const std::string& text) {
    const Json holder = Json::parse(text, nullptr, false);
    if (!holder.is_object() || !holder.value("pid", Json()).is_number_integer()) return false;
    if (holder.value("host", Json()) != host_name()) return true;
    const auto pid = holder["pid"].get<int64_t>();
    return pid > 0 && (kill(static_cast<pid_t>(pid), 0) == 0 || errno == EPERM);
}

/// StoreLock::held() elsewhere has the lock for some microseconds, which is not to keep a writer out.
constexpr double kPatienceSeconds = 5;
/// A recording that begins while old chunks are being removed waits rather than fails.
constexpr double kMaintenancePatienceSeconds = 60;
constexpr std::chrono::milliseconds kBetweenTries{5};
/// Longer than it takes to look at a lock file and remove it.
constexpr std::chrono::milliseconds kSettling{50};

}  // namespace

LockFile::LockFile(std::filesystem::path path, std::string activity, const std::filesystem::path& patient_while)
    : path_(std::move(path)), activity_(std::move(activity)), owner_(getpid()) {
    try {
        lock_ = file_system().try_lock(path_, holder_text());
        const double begin = now_monotonic();
        const auto may_pass = [&] {
            const double waited = now_monotonic() - begin;
            if (!held_file(path_)) return waited < kPatienceSeconds;
            return !patient_while.empty() && waited < kMaintenancePatienceSeconds && held_file(patient_while);
        };
        while (!lock_ && may_pass()) {
            std::this_thread::sleep_for(kBetweenTries);
            lock_ = file_system().try_lock(path_, holder_text());
        }
    } catch (const Error& error) {
        if (error.code() != ErrorCode::unsupported) throw;
        lock_by_text();
        return;
    }
    if (!lock_) throw locked("wait until it has finished");
}

Error LockFile::locked(const std::string& advice) const {
    return Error(ErrorCode::locked, {path_.parent_path().string(), {}, {}},
                 "the store is being " + activity_ + " by " + describe_holder(path_) + "; " + advice);
}

void LockFile::lock_by_text() {
    const auto fail = [&] {
        throw locked("this file system knows no locks, so if that one has ended, remove " + path_.filename().string());
    };
    // One without text may be about to get it.
    if (text_of(path_) == "") std::this_thread::sleep_for(kSettling);
    const std::optional<std::string> stale = text_of(path_);
    if (stale) {
        if (holder_may_live(*stale) || text_of(path_) != stale) fail();
        try {
            file_system().remove(path_);
        } catch (const Error& error) {
            if (error.code() != ErrorCode::not_found) throw;
        }
    }
    const std::string text = holder_text();
    try {
        write_new_file(path_, text.data(), text.size());
    } catch (const Error& error) {
        if (error.code() != ErrorCode::already_exists) throw;
        fail();
    }
    // Somebody who took the stale file for stale at the same moment may have removed ours instead.
    std::this_thread::sleep_for(kSettling);
    if (text_of(path_) != text) fail();
    text_ = text;
}

bool LockFile::held_file(const std::filesystem::path& path) {
    try {
        return file_system().is_locked(path);
    } catch (const Error& error) {
        if (error.code() != ErrorCode::unsupported) throw;
        const std::optional<std::string> text = text_of(path);
        return text && holder_may_live(*text);
    }
}

Error not_begun(const std::filesystem::path& folder) {
    return Error(ErrorCode::not_a_store, {folder.string(), {}, {}},
                 "no store yet: a recording is about to begin here; try again when its first frame has come");
}

LockFile::~LockFile() {
    // A forked child has a copy of the object, not the lock.
    if (owner_ != getpid()) return;
    // Removed while the lock is still held: a newcomer either finds this file locked or makes a new one.
    try {
        if (lock_ || text_of(path_) == text_) file_system().remove(path_);
    } catch (const Error&) {
        return;
    }
}

StoreLock::StoreLock(const std::filesystem::path& folder, bool patient)
    : LockFile(StoreLayout::lock(folder), "written",
               patient ? StoreLayout::trim_lock(folder) : std::filesystem::path()) {}

bool StoreLock::held(const std::filesystem::path& folder) {
    return held_file(StoreLayout::lock(folder));
}

TrimLock::TrimLock(const std::filesystem::path& folder)
    : LockFile(StoreLayout::trim_lock(folder), "trimmed, indexed or repaired") {}

}  // namespace reelstore
