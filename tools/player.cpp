#include "tools/player.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace reelstore {

namespace {

struct KeyBinding {
    int key;
    ViewCommand command;
};

// Arrow codes differ between window systems: Qt and GTK report X key symbols.
constexpr std::array<KeyBinding, 9> kBindings = {{
    {' ', ViewCommand::toggle_pause},
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

}  // namespace

ViewCommand command_of_key(int key) {
    if (key < 0) return ViewCommand::none;
    const int code = key & 0xFFFF;
    const auto found = std::find_if(kBindings.begin(), kBindings.end(),
                                    [&](const KeyBinding& binding) { return binding.key == code; });
    return found == kBindings.end() ? ViewCommand::none : found->command;
}

const char* view_keys_help() {
    return "Space: pause and go on.  Right, Left: one frame on or back (pauses).  q, Esc: quit.";
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

std::optional<double> Player::wait(double now) const {
    if (paused_ || finished_) return std::nullopt;
    if (!started_) return interval();
    return std::max(0.0, shown_at_ + interval() - now);
}

void Player::advance(double now) {
    if (paused_ || finished_) return;
    if (!started_) {
        started_ = true;
        shown_at_ = now;
    }
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
