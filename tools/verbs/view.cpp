#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <cstdlib>
#include <opencv2/highgui.hpp>
#include <opencv2/imgproc.hpp>

#include "base/clock.h"
#include "base/error.h"
#include "filters/image_values.h"
#include "store/open_source.h"
#include "tools/console.h"
#include "tools/follow.h"
#include "tools/player.h"
#include "tools/screen.h"
#include "tools/source_options.h"
#include "tools/time_text.h"
#include "tools/verb.h"

namespace reelstore {

namespace {

constexpr const char* kWindow = "reelstore";
constexpr double kScreenShare = 0.75;
constexpr int kStatusHeight = 24;
constexpr int kMinimumWidth = 320;
/// Frames a second of a recording that has no times.
constexpr double kAssumedFrameRate = 25;
/// Taken for the screen when the window system does not tell.
constexpr std::pair<int, int> kUsualScreen = {1920, 1080};

/// Qt ends the whole process when it finds no display, so look first.
void require_display() {
    const auto value = [](const char* name) {
        const char* text = std::getenv(name);
        return std::string(text ? text : "");
    };
    const std::string platform = value("QT_QPA_PLATFORM");
    if (platform == "offscreen" || platform == "minimal") return;
    if (!platform.empty() && platform != "xcb" && !platform.starts_with("wayland")) {
        throw Error(ErrorCode::unsupported,
                    fmt::format("QT_QPA_PLATFORM is \"{}\", which is no known window system", platform));
    }
    if (platform != "xcb" && !value("WAYLAND_DISPLAY").empty()) return;
    if (!value("DISPLAY").empty() && screen_size()) return;
    throw Error(ErrorCode::unsupported,
                "there is no display to open a window on; use `store extract` to look at frames as files");
}

/// 8-bit pixels for the screen: 16-bit and float images are stretched from their darkest to their brightest pixel,
/// which neither NaN nor infinity is.
cv::Mat displayable(const cv::Mat& image) {
    cv::Mat shown = image;
    if (image.depth() != CV_8U) {
        const ValueRange range = finite_range(image.reshape(1)).value_or(ValueRange{});
        const double scale = range.high > range.low ? 255 / (range.high - range.low) : 1;
        image.convertTo(shown, CV_8U, scale, -range.low * scale);
    }
    if (shown.channels() == 1) {
        cv::cvtColor(shown, shown, cv::COLOR_GRAY2BGR);
    } else if (shown.channels() == 4) {
        cv::cvtColor(shown, shown, cv::COLOR_BGRA2BGR);
    } else if (shown.channels() == 2) {
        cv::extractChannel(shown, shown, 0);
        cv::cvtColor(shown, shown, cv::COLOR_GRAY2BGR);
    }
    return shown;
}

class ViewVerb : public Verb {
public:
    std::string name() const override { return "view"; }
    std::string summary() const override { return "play a recording in a window"; }
    std::string examples() const override {
        return std::string(
                   "  store view mystore\n  store view mystore --fps 5\n  store view video.avi\n"
                   "  store view mystore --follow      (while it is recorded)\n"
                   "  store view mystore --filter 8bit,clahe,colormap=inferno\n\n") +
               view_keys_help() + "\n";
    }
    void declare(CLI::App& app) override {
        app.add_option("RECORDING", recording_, kRecordingHelp)->required();
        app.add_option("--fps", frames_per_second_,
                       "frames a second; 0 = as fast as possible (default: by the recorded times, without any 25)")
            ->check(CLI::NonNegativeNumber);
        app.add_flag("--follow", follow_, "begin at the newest frame of a store that is being recorded and keep to it");
        source_.declare_images(app);
        source_.declare_filter(app);
        app.add_flag("--hide-statusbar", hide_status_, "no line with frame number and time under the image");
    }
    int run() override {
        const InterruptGuard interrupt;
        std::unique_ptr<Recording> recording;
        if (follow_) {
            std::unique_ptr<StoreReader> store = open_followed(recording_, interrupt, source_);
            followed_ = store.get();
            recording = std::move(store);
            if (!recording || !wait_for_first_frame(interrupt)) return kExitInterrupted;
            recording = source_.filtered(std::move(recording));
        } else {
            recording = source_.open_filtered(recording_);
        }
        const SourceNotes notes(*recording);
        if (const auto rate = recording->info().frame_rate)
            fmt::print(stderr, "{} frames, {:.6g} a second\n", recording->frame_count(), *rate);
        if (recording->frame_count() == 0) return kExitDone;
        require_display();
        screen_ = screen_size().value_or(kUsualScreen);
        try {
            return play(*recording, interrupt);
        } catch (const cv::Exception& error) {
            throw Error(ErrorCode::unsupported, fmt::format("cannot show a window: {}", error.what()));
        }
    }

private:
    /// False when that was interrupted.
    bool wait_for_first_frame(const InterruptGuard& interrupt) {
        while (followed_->frame_count() == 0 && look_for_more(*followed_) == FollowState::recording) {
            if (interrupt.wait(kFollowInterval)) return false;
        }
        return true;
    }

    /// Tells the player of new frames, ten times a second.
    void look_for_frames(Player& player) {
        const double now = now_monotonic();
        if (!followed_ || now < next_look_) return;
        next_look_ = now + std::chrono::duration<double>(kFollowInterval).count();
        const FollowState state = look_for_more(*followed_);
        player.grow(followed_->frame_count(), state == FollowState::recording, now);
        if (state == FollowState::recording) return;
        if (state == FollowState::abandoned) print_abandoned(*followed_);
        followed_ = nullptr;
    }

    int play(Recording& recording, const InterruptGuard& interrupt) {
        std::optional<double> rate;
        if (frames_per_second_ >= 0) {
            rate = frames_per_second_;
        } else if (!recording.info().has_times) {
            rate = recording.info().frame_rate.value_or(kAssumedFrameRate);
        }
        Player player(
            recording.frame_count(), [&](int64_t index) { return recording.row(index)->time; }, rate);
        cv::namedWindow(kWindow, cv::WINDOW_NORMAL | cv::WINDOW_KEEPRATIO | cv::WINDOW_GUI_NORMAL);
        int64_t shown = -1;
        bool shown_live = false;
        int64_t damaged = 0;
        look_for_frames(player);
        if (follow_) player.command(ViewCommand::toggle_follow, now_monotonic());
        while (!player.finished() && !interrupt.interrupted()) {
            look_for_frames(player);
            if (player.position() != shown || player.following() != shown_live) {
                const bool new_frame = player.position() != shown;
                shown = player.position();
                shown_live = player.following();
                if (!show(recording, shown, shown_live) && new_frame) ++damaged;
            }
            const std::optional<double> wait = player.wait(now_monotonic());
            const int milliseconds = wait ? std::max(1, static_cast<int>(std::min(*wait, 0.05) * 1000)) : 50;
            player.command(command_of_key(cv::waitKeyEx(milliseconds)), now_monotonic());
            player.advance(now_monotonic());
            if (cv::getWindowProperty(kWindow, cv::WND_PROP_VISIBLE) == 0) break;
        }
        cv::destroyWindow(kWindow);
        if (interrupt.interrupted()) return kExitInterrupted;
        return damaged > 0 ? kExitDataLost : kExitDone;
    }

    /// False when the frame could not be read; the viewer then says so and goes on.
    bool show(Recording& recording, int64_t index, bool live) {
        Frame frame;
        cv::Mat canvas;
        bool readable = true;
        try {
            frame = recording.at_index(index);
            canvas = displayable(frame.image);
        } catch (const Error& error) {
            // Filters that take no such images take none of them.
            if (!source_.filter.empty() && error.code() == ErrorCode::wrong_type) throw;
            readable = false;
            print_note(error.what());
            const ImageType& type = recording.info().image_type;
            canvas = cv::Mat::zeros(std::max(1, type.height), std::max(1, type.width), CV_8UC3);
            cv::putText(canvas, "this frame cannot be read", {8, canvas.rows / 2}, cv::FONT_HERSHEY_SIMPLEX, 0.6,
                        {255, 255, 255}, 1, cv::LINE_AA);
        }
        const int status = hide_status_ ? 0 : kStatusHeight;
        const double share = std::min(
            {1.0, kScreenShare * screen_.first / canvas.cols, (kScreenShare * screen_.second - status) / canvas.rows});
        if (share < 1) cv::resize(canvas, canvas, {}, share, share, cv::INTER_AREA);
        if (!hide_status_) add_status(canvas, recording, *recording.row(index), live);
        if (!sized_) cv::resizeWindow(kWindow, canvas.cols, canvas.rows);
        sized_ = true;
        cv::imshow(kWindow, canvas);
        return readable;
    }

    /// Frame number on the left; on the right the time of day in the recording's zone, or since the beginning of a
    /// file.
    static void add_status(cv::Mat& canvas, const Recording& recording, const FrameRow& row, bool live) {
        cv::copyMakeBorder(canvas, canvas, 0, kStatusHeight, 0, std::max(0, kMinimumWidth - canvas.cols),
                           cv::BORDER_CONSTANT, {0, 0, 0});
        const std::string time = time_text(recording, row.time);
        const int baseline = canvas.rows - 7;
        const double size = 0.42;
        const cv::Scalar white(255, 255, 255);
        cv::putText(canvas, std::to_string(row.number) + (live ? "  LIVE" : ""), {6, baseline},
                    cv::FONT_HERSHEY_SIMPLEX, size, white, 1, cv::LINE_AA);
        const int width = cv::getTextSize(time, cv::FONT_HERSHEY_SIMPLEX, size, 1, nullptr).width;
        cv::putText(canvas, time, {canvas.cols - width - 6, baseline}, cv::FONT_HERSHEY_SIMPLEX, size, white, 1,
                    cv::LINE_AA);
    }

    std::string recording_;
    double frames_per_second_ = -1;
    SourceOptionGroup source_;
    bool hide_status_ = false;
    bool follow_ = false;
    StoreReader* followed_ = nullptr;  ///< while more may come
    double next_look_ = 0;
    bool sized_ = false;
    std::pair<int, int> screen_ = kUsualScreen;
};

}  // namespace

void add_verbs_view(VerbTable& table) {
    table.push_back(std::make_unique<ViewVerb>());
}

}  // namespace reelstore
