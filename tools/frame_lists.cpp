#include "tools/frame_lists.h"

#include <fmt/format.h>

#include <cerrno>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "tools/frame_json.h"

namespace reelstore {

namespace {

constexpr const char* kAction = "write the list of frames";

}  // namespace

FrameListFile::FrameListFile(std::filesystem::path path, std::string first_line)
    : path_(std::move(path)), first_line_(std::move(first_line)) {}

void FrameListFile::add(const std::string& line) {
    if (!file_.is_open()) {
        file_.open(path_);
        if (!file_) throw system_error(errno, path_.string(), kAction);
        file_ << first_line_ << '\n';
    }
    file_ << line << '\n';
    if (!file_) throw system_error(errno, path_.string(), kAction);
}

void FrameListFile::close() {
    if (!file_.is_open()) return;
    file_.close();
    if (!file_) throw system_error(errno, path_.string(), kAction);
}

void ListingSink::list_frames(const std::filesystem::path& path) {
    frames_.emplace(path, "output,index,number,time");
}

void ListingSink::list_timecodes(const std::filesystem::path& path, std::optional<double> frame_rate) {
    timecodes_.emplace(path, "# timecode format v2");
    timecodes_name_ = path.string();
    frame_rate_ = frame_rate;
}

double ListingSink::milliseconds(const Frame& frame) const {
    if (std::isfinite(frame.time) && first_time_) return (frame.time - *first_time_) * 1e3;
    if (!std::isfinite(frame.time) && !first_time_ && frame_rate_)
        return static_cast<double>(position_) * 1e3 / *frame_rate_;
    throw Error(ErrorCode::unsupported, {timecodes_name_, {}, frame.index},
                "the frame has no time, so there is none to write; --fps N puts the frames at a rate");
}

void ListingSink::write(const Frame& frame) {
    sink_.write(frame);
    if (frames_) frames_->add(fmt::format("{},{},{},{}", position_, frame.index, frame.number, exact_text(frame.time)));
    if (position_ == 0 && std::isfinite(frame.time)) first_time_ = frame.time;
    if (timecodes_) timecodes_->add(fmt::format("{:.3f}", milliseconds(frame)));
    ++position_;
}

void ListingSink::close() {
    sink_.close();
    if (frames_) frames_->close();
    if (timecodes_) timecodes_->close();
}

}  // namespace reelstore
