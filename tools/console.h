#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace reelstore {

/// A progress bar on stderr for work over a second, when stderr is a terminal; silent otherwise.
class ProgressBar {
public:
    explicit ProgressBar(std::string label);
    /// Clears the line.
    ~ProgressBar();
    ProgressBar(const ProgressBar&) = delete;
    ProgressBar& operator=(const ProgressBar&) = delete;

    void update(int64_t done, std::optional<int64_t> all);

private:
    std::string label_;
    bool terminal_;
    bool drawn_ = false;
    std::chrono::steady_clock::time_point start_;
    std::chrono::steady_clock::time_point last_;
};

/// Turns Ctrl-C, SIGTERM and the end of the terminal (SIGHUP, unless the program was started to outlive it) into a stop
/// request while it lives; a second one ends the process at once. One at a time.
class InterruptGuard {
public:
    InterruptGuard();
    ~InterruptGuard();
    InterruptGuard(const InterruptGuard&) = delete;
    InterruptGuard& operator=(const InterruptGuard&) = delete;

    std::stop_token token() const { return source_.get_token(); }
    bool interrupted() const { return source_.stop_requested(); }
    /// Waits, but no longer than until an interruption; true when there is or was one.
    bool wait(std::chrono::milliseconds duration) const;

private:
    struct Watcher;
    std::stop_source source_;
    std::unique_ptr<Watcher> watcher_;
};

/// Talk, on stderr: "note: ...".
void print_note(const std::string& text);
void print_notes(const std::vector<std::string>& texts);

class FrameSource;

/// Prints the warnings of a source: those there are at once, and those that come while it is read at the end.
class SourceNotes {
public:
    explicit SourceNotes(const FrameSource& source);
    ~SourceNotes();
    SourceNotes(const SourceNotes&) = delete;
    SourceNotes& operator=(const SourceNotes&) = delete;

private:
    void print();

    const FrameSource& source_;
    size_t printed_ = 0;
};

/// "1.4 GB"
std::string human_bytes(uint64_t bytes);

}  // namespace reelstore
