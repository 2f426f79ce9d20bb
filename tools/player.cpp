#include "tools/player.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace reelstore {

namespace {

struct KeyBinding {
    int key;
    ViewCommand command;
};

// Arrow codes differ between window systems: Qt and GTK report X key symbols.
constexpr std::array<KeyBinding, 11> kBindings = {{
    {' ', ViewCommand::toggle_pause},
    {'f', ViewCommand::toggle_follow},
    {'F', ViewCommand::toggle_follow},
    {'q', ViewCommand::quit},
    {'Q', ViewCommand::quit},
    {27, ViewCommand::quit},
    {65363, ViewCommand::step_forward},
    {65361, ViewCommand::step_back},
    {83, ViewCommand::step_forward},
    {81, ViewCommand::step_back},
    {65307, ViewCommand::quit},
}};

/// A hole in the recording is not sat through.
constexpr double kLongestInterval = 2.0;
/// Farther behind the newest frame, a player that follows jumps to it. More than the second that a commit interval
/// usually lasts, so that what comes in pieces can be played evenly.
constexpr double kLongestLag = 3.0;

}  // namespace

ViewCommand command_of_key(int key) {
    if (key < 0) return ViewCommand::none;
    const int code = key & 0xFFFF;
    const auto found = std::find_if(kBindings.begin(), kBindings.end(),
                                    [&](const KeyBinding& binding) { return binding.key == code; });
    return found == kBindings.end() ? ViewCommand::none : found->command;
}

const char* view_keys_help() {
    return "Space: pause and go on.  Right, Left: one frame on or back (pauses).  f: follow a recording or stop "
           "following. "
           " q, Esc: quit.";
}

Player::Player(int64_t frame_count, std::function<double(int64_t)> time_of, std::optional<double> frames_per_second)
    : frame_count_(frame_count),
      time_of_(std::move(time_of)),
      frames_per_second_(frames_per_second),
      finished_(frame_count == 0) {}

void Player::command(ViewCommand command, double now) {
    switch (command) {
        case ViewCommand::none:
            return;
        case ViewCommand::toggle_pause:
            paused_ = !paused_;
            break;
        case ViewCommand::step_forward:
            paused_ = true;
            position_ = std::min(position_ + 1, frame_count_ - 1);
            break;
        case ViewCommand::step_back:
            paused_ = true;
            position_ = std::max<int64_t>(position_ - 1, 0);
            break;
        case ViewCommand::toggle_follow:
            following_ = !following_;
            if (following_ && live_) jump_to_newest(now);
            return;
        case ViewCommand::quit:
            finished_ = true;
            break;
    }
    shown_at_ = now;
}

double Player::interval() const {
    if (frames_per_second_) return *frames_per_second_ > 0 ? 1 / *frames_per_second_ : 0;
    if (position_ + 1 >= frame_count_) return 0;
    const double seconds = time_of_(position_ + 1) - time_of_(position_);
    return std::isfinite(seconds) ? std::clamp(seconds, 0.0, kLongestInterval) : 0;
}

double Player::lag() const {
    if (frames_per_second_) {
        if (*frames_per_second_ <= 0) return 0;
        return static_cast<double>(frame_count_ - 1 - position_) / *frames_per_second_;
    }
    const double seconds = time_of_(frame_count_ - 1) - time_of_(position_);
    // Where times tell nothing, the newest frame is the right one.
    return seconds >= 0 ? seconds : kLongestLag + 1;
}

void Player::jump_to_newest(double now) {
    paused_ = false;
    started_ = true;
    position_ = std::max<int64_t>(frame_count_ - 1, 0);
    shown_at_ = now;
}

void Player::grow(int64_t frame_count, bool live, double now) {
    frame_count_ = frame_count;
    live_ = live;
    if (following() && lag() > kLongestLag) jump_to_newest(now);
}

std::optional<double> Player::wait(double now) const {
    if (paused_ || finished_ || (live_ && position_ + 1 >= frame_count_)) return std::nullopt;
    if (!started_) return interval();
    return std::max(0.0, shown_at_ + interval() - now);
}

void Player::advance(double now) {
    if (paused_ || finished_) return;
    if (!started_) {
        started_ = true;
        shown_at_ = now;
    }
    if (live_ && position_ + 1 >= frame_count_) {
        starved_ = true;
        return;
    }
    if (std::exchange(starved_, false)) shown_at_ = std::max(shown_at_, now - interval());
    const double due = shown_at_ + interval();
    if (now < due) return;
    if (position_ + 1 >= frame_count_) {
        finished_ = true;
        return;
    }
    ++position_;
    // Counting from when the frame was due keeps the pace; after a stall the clock starts anew.
    shown_at_ = now - due < kLongestInterval ? due : now;
}

}  // namespace reelstore
