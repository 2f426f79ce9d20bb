#include "tools/console.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdio>
#include <memory>
#include <mutex>
#include <thread>

#include "base/error.h"
#include "base/frame_source.h"

namespace reelstore {

namespace {

constexpr std::chrono::milliseconds kShowAfter{1000};
constexpr std::chrono::milliseconds kRedraw{100};
constexpr int kBarWidth = 30;

int signal_pipe[2] = {-1, -1};

extern "C" void on_signal(int signal_number) {
    const char byte = 1;
    // The handler is reset by SA_RESETHAND: a second signal ends the process.
    if (write(signal_pipe[1], &byte, 1) != 1) _exit(128 + signal_number);
}

}  // namespace

ProgressBar::ProgressBar(std::string label)
    : label_(std::move(label)),
      terminal_(isatty(STDERR_FILENO)),
      start_(std::chrono::steady_clock::now()),
      last_(start_) {}

ProgressBar::~ProgressBar() {
    if (drawn_) fmt::print(stderr, "\r\033[K");
}

void ProgressBar::update(int64_t done, std::optional<int64_t> all) {
    if (!terminal_) return;
    const auto now = std::chrono::steady_clock::now();
    if (now - start_ < kShowAfter || now - last_ < kRedraw) return;
    last_ = now;
    drawn_ = true;
    const double seconds = std::chrono::duration<double>(now - start_).count();
    const double rate = static_cast<double>(done) / seconds;
    if (!all || *all <= 0) {
        fmt::print(stderr, "\r\033[K{} {} ({:.0f}/s)", label_, done, rate);
    } else {
        const double part = std::min(1.0, static_cast<double>(done) / static_cast<double>(*all));
        const int full = static_cast<int>(part * kBarWidth);
        const double left = rate > 0 ? static_cast<double>(*all - done) / rate : 0;
        fmt::print(stderr, "\r\033[K{} [{:#<{}}{:.<{}}] {:3.0f} %  {}/{}  {:.0f}/s  {:.0f} s left", label_, "", full,
                   "", kBarWidth - full, part * 100, done, *all, rate, left);
    }
    std::fflush(stderr);
}

/// Waits for the handler's byte on a thread of its own, because a handler may not do more than write one.
struct InterruptGuard::Watcher {
    std::thread thread;
    struct sigaction old_interrupt {};
    struct sigaction old_terminate {};
    struct sigaction old_hangup {};
};

InterruptGuard::InterruptGuard() : watcher_(std::make_unique<Watcher>()) {
    if (pipe(signal_pipe) != 0) throw system_error(errno, "", "make a pipe for signals");
    watcher_->thread = std::thread([this, end = signal_pipe[0]] {
        char byte = 0;
        if (read(end, &byte, 1) == 1 && byte == 1) {
            fmt::print(stderr, "\nstopping; press Ctrl-C again to end at once\n");
            source_.request_stop();
        }
    });
    struct sigaction action {};
    action.sa_handler = on_signal;
    action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
    sigaction(SIGINT, &action, &watcher_->old_interrupt);
    sigaction(SIGTERM, &action, &watcher_->old_terminate);
    sigaction(SIGHUP, nullptr, &watcher_->old_hangup);
    if (watcher_->old_hangup.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, nullptr);  // ignored: nohup
}

InterruptGuard::~InterruptGuard() {
    sigaction(SIGINT, &watcher_->old_interrupt, nullptr);
    sigaction(SIGTERM, &watcher_->old_terminate, nullptr);
    sigaction(SIGHUP, &watcher_->old_hangup, nullptr);
    ::close(signal_pipe[1]);
    watcher_->thread.join();
    ::close(signal_pipe[0]);
}

bool InterruptGuard::wait(std::chrono::milliseconds duration) const {
    std::mutex mutex;
    std::condition_variable_any never;
    std::unique_lock lock(mutex);
    never.wait_for(lock, source_.get_token(), duration, [] { return false; });
    return interrupted();
}

void print_note(const std::string& text) {
    fmt::print(stderr, "note: {}\n", text);
}

void print_notes(const std::vector<std::string>& texts) {
    for (const std::string& text : texts) print_note(text);
}

SourceNotes::SourceNotes(const FrameSource& source) : source_(source) {
    print();
}

SourceNotes::~SourceNotes() {
    print();
}

void SourceNotes::print() {
    const std::vector<std::string>& warnings = source_.warnings();
    for (; printed_ < warnings.size(); ++printed_) print_note(warnings[printed_]);
}

std::string human_bytes(uint64_t bytes) {
    if (bytes < 1000) return fmt::format("{} B", bytes);
    double value = static_cast<double>(bytes);
    for (const char* unit : {"kB", "MB", "GB"}) {
        value /= 1000;
        if (value < 1000) return fmt::format("{:.1f} {}", value, unit);
    }
    return fmt::format("{:.1f} TB", value / 1000);
}

}  // namespace reelstore
