#pragma once

#include <cstdint>
#include <functional>
#include <optional>

namespace reelstore {

/// What a key press asks of the viewer.
enum class ViewCommand { none, toggle_pause, step_forward, step_back, toggle_follow, quit };

/// Keys of the viewer in one table that also makes its help; codes as highgui's waitKeyEx gives them.
ViewCommand command_of_key(int key);
const char* view_keys_help();

/// Decides which frame a viewer shows when: plays by the recorded times, at a fixed rate or as fast as possible, pauses
/// and steps. Can follow a recording that grows: then it keeps near the newest frame, playing what comes in pieces at
/// its own pace, and leaves frames out only when it has fallen behind. Knows nothing of windows, so that it can be
/// tested.
class Player {
public:
    /// `time_of` gives a frame's recorded time. `frames_per_second`: none = by recorded times, 0 = as fast as possible.
    Player(int64_t frame_count, std::function<double(int64_t)> time_of, std::optional<double> frames_per_second);

    int64_t position() const { return position_; }
    bool paused() const { return paused_; }
    bool finished() const { return finished_; }
    /// True while it keeps near the newest frame of a recording that grows.
    bool following() const { return live_ && following_ && !paused_; }
    /// Says how many frames there are by now, and whether more may come; while they may, the last one is waited at.
    void grow(int64_t frame_count, bool live, double now);
    /// Applies a command at `now` (seconds of a steady clock).
    void command(ViewCommand command, double now);
    /// Seconds until the next frame is due; at least 0. Nothing while paused or at the end.
    std::optional<double> wait(double now) const;
    /// Moves on to the next frame if it is due, or finishes behind the last one. A viewer that is late shows every
    /// frame late rather than leaving any out.
    void advance(double now);

private:
    /// Seconds the current frame stays on the screen.
    double interval() const;
    /// Seconds of recording between the current frame and the newest.
    double lag() const;
    void jump_to_newest(double now);

    int64_t frame_count_;
    std::function<double(int64_t)> time_of_;
    std::optional<double> frames_per_second_;
    int64_t position_ = 0;
    bool paused_ = false;
    bool finished_ = false;
    double shown_at_ = 0;
    bool started_ = false;
    bool live_ = false;
    bool following_ = false;
    bool starved_ = false;  ///< was at the last frame while more were to come
};

}  // namespace reelstore
