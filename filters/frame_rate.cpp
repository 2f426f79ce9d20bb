#include <cmath>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "base/error.h"
#include "filters/temporal.h"

namespace reelstore {

namespace {

class FrameRateChange : public Filter {
public:
    FrameRateChange(double rate, FrameChoice choice, std::optional<double> known_rate)
        : rate_(rate), choice_(choice), known_rate_(known_rate) {}

    void begin(SourceInfo& info) override {
        known_rate_ = info.frame_rate;
        if (!info.has_times && !known_rate_) {
            throw Error(ErrorCode::invalid_argument,
                        "rate: this recording has neither frame times nor a frame rate to go by");
        }
        info.frame_rate = rate_;
        info.frame_count.reset();
    }
    std::unique_ptr<Filter> fresh() const override {
        return std::make_unique<FrameRateChange>(rate_, choice_, known_rate_);
    }

    void push(Frame frame, const Receiver& receiver) override {
        const double time = time_of(frame);
        if (taken_++ == 0) {
            first_time_ = time;
        } else {
            const double limit = choice_ == FrameChoice::previous ? time - slack() : (time_ + time) / 2 + slack();
            check_step(frame, time);
            // A frame at the very time of the new one is the new one's, as the last one that had been taken.
            while (choice_ == FrameChoice::previous ? next_time() < limit : next_time() <= limit) give(receiver);
        }
        time_ = time;
        current_ = std::move(frame);
    }

    void finish(const Receiver& receiver) override {
        if (taken_ == 0) return;
        while (next_time() <= time_ + slack()) give(receiver);
    }

private:
    double time_of(const Frame& frame) {
        if (taken_ == 0) has_times_ = std::isfinite(frame.time);
        if (!has_times_ && known_rate_) return static_cast<double>(taken_) / *known_rate_;
        if (std::isfinite(frame.time)) return frame.time;
        throw Error(ErrorCode::invalid_argument, {{}, {}, frame.index},
                    "the frame has no time, which the filter rate goes by");
    }

    void check_step(const Frame& frame, double time) const {
        constexpr double kMostRepeats = 1e8;
        const ErrorPlace place{{}, {}, frame.index};
        if (time < time_) {
            throw Error(ErrorCode::invalid_argument, place,
                        fmt::format("its time is {} s before that of the frame before it; the filter rate needs times "
                                    "that go forward",
                                    time_ - time));
        }
        if ((time - time_) * rate_ > kMostRepeats) {
            throw Error(ErrorCode::invalid_argument, place,
                        fmt::format("it comes {} s after the frame before it, too long to be filled with {} frames a "
                                    "second",
                                    time - time_, rate_));
        }
    }

    double next_time() const { return first_time_ + static_cast<double>(given_) / rate_; }
    /// Times that differ by rounding only are one.
    double slack() const {
        constexpr double kPartOfInterval = 1e-3;
        return kPartOfInterval / rate_;
    }

    void give(const Receiver& receiver) {
        Frame frame = current_;
        if (has_times_) frame.time = next_time();
        ++given_;
        receiver(std::move(frame));
    }

    double rate_;
    FrameChoice choice_;
    std::optional<double> known_rate_;
    bool has_times_ = false;
    int64_t taken_ = 0;
    int64_t given_ = 0;
    double first_time_ = 0;
    double time_ = 0;  // of the current frame
    Frame current_;
};

class FrameSkipping : public Filter {
public:
    explicit FrameSkipping(int n) : n_(n) {}

    void begin(SourceInfo& info) override {
        if (info.frame_count) info.frame_count = (*info.frame_count + n_ - 1) / n_;
        if (info.frame_rate) *info.frame_rate /= n_;
    }
    std::unique_ptr<Filter> fresh() const override { return std::make_unique<FrameSkipping>(n_); }
    void push(Frame frame, const Receiver& receiver) override {
        if (taken_++ % n_ == 0) receiver(std::move(frame));
    }

private:
    int n_;
    int64_t taken_ = 0;
};

class FrameHolding : public Filter {
public:
    FrameHolding(int n, std::optional<double> known_rate) : n_(n), known_rate_(known_rate) {}

    void begin(SourceInfo& info) override {
        known_rate_ = info.frame_rate;
        if (info.frame_count && *info.frame_count > std::numeric_limits<int64_t>::max() / n_) info.frame_count.reset();
        if (info.frame_count) *info.frame_count *= n_;
        if (info.frame_rate) *info.frame_rate *= n_;
    }
    std::unique_ptr<Filter> fresh() const override { return std::make_unique<FrameHolding>(n_, known_rate_); }

    void push(Frame frame, const Receiver& receiver) override {
        if (std::exchange(started_, true)) {
            lasting_ = frame.time - current_.time;
            give(receiver);
        }
        current_ = std::move(frame);
    }
    void finish(const Receiver& receiver) override {
        if (!std::exchange(started_, false)) return;
        if (!std::isfinite(lasting_)) lasting_ = known_rate_ ? 1 / *known_rate_ : 0;
        give(receiver);
    }

private:
    void give(const Receiver& receiver) {
        for (int i = 0; i < n_; ++i) {
            Frame frame = current_;
            if (i > 0 && std::isfinite(lasting_)) frame.time += lasting_ * i / n_;
            receiver(std::move(frame));
        }
    }

    int n_;
    std::optional<double> known_rate_;
    bool started_ = false;
    Frame current_;
    double lasting_ = std::numeric_limits<double>::quiet_NaN();  // seconds from the current frame to the next
};

void check_count(const char* filter, int n) {
    constexpr int kMost = 1000000000;
    if (n < 1 || n > kMost)
        throw Error(ErrorCode::invalid_argument, fmt::format("{}: n must be from 1 to {}", filter, kMost));
}

}  // namespace

std::unique_ptr<Filter> change_frame_rate(double rate, FrameChoice choice) {
    if (!(rate > 0) || !std::isfinite(rate))
        throw Error(ErrorCode::invalid_argument, "rate: frames a second must be a number above 0");
    return std::make_unique<FrameRateChange>(rate, choice, std::nullopt);
}

std::unique_ptr<Filter> skip_frames(int n) {
    check_count("skip", n);
    return std::make_unique<FrameSkipping>(n);
}

std::unique_ptr<Filter> hold_frames(int n) {
    check_count("hold", n);
    return std::make_unique<FrameHolding>(n, std::nullopt);
}

}  // namespace reelstore
