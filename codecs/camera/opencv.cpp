#include <fcntl.h>
#include <linux/videodev2.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include <fmt/format.h>
#include <opencv2/core.hpp>
#include <opencv2/videoio.hpp>

#include "base/clock.h"
#include "base/error.h"
#include "base/file_system.h"
#include "base/natural_order.h"
#include "codecs/camera.h"

namespace reelstore {

namespace {

constexpr std::string_view kDevicePrefix = "/dev/video";
constexpr int kMostDevices = 1000;

/// The number of a device given as "3" or "/dev/video3".
std::optional<int> device_number(std::string_view id) {
    if (id.starts_with(kDevicePrefix)) id.remove_prefix(kDevicePrefix.size());
    int number = 0;
    const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), number);
    if (error != std::errc{} || end != id.data() + id.size() || number < 0 || number >= kMostDevices)
        return std::nullopt;
    return number;
}

std::string device_path(int number) {
    return fmt::format("{}{}", kDevicePrefix, number);
}

/// The camera's name; nothing when the device delivers no video (metadata nodes, outputs) or cannot be asked.
std::optional<std::string> capture_name(const std::string& path) {
    const int descriptor = ::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) return std::nullopt;
    v4l2_capability capability{};
    const bool answered = ::ioctl(descriptor, VIDIOC_QUERYCAP, &capability) == 0;
    ::close(descriptor);
    if (!answered) return std::nullopt;
    const uint32_t abilities =
        capability.capabilities & V4L2_CAP_DEVICE_CAPS ? capability.device_caps : capability.capabilities;
    if (!(abilities & (V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_VIDEO_CAPTURE_MPLANE))) return std::nullopt;
    const auto* card = reinterpret_cast<const char*>(capability.card);
    return std::string(card, std::find(card, card + sizeof capability.card, '\0'));
}

class OpenCvCamera : public FrameSource {
public:
    explicit OpenCvCamera(int number) {
        info_.name = device_path(number);
        info_.format = "camera";
        info_.has_times = true;
        info_.times_are_absolute = true;
        info_.creation_time = now_utc();
        try {
            if (!capture_.open(number, cv::CAP_V4L2)) {
                throw Error(ErrorCode::io, place(), "the camera cannot be opened; does another program use it?");
            }
            const double rate = capture_.get(cv::CAP_PROP_FPS);
            if (rate > 0) info_.frame_rate = rate;
        } catch (const cv::Exception& error) {
            throw Error(ErrorCode::io, place(), "the camera cannot be opened: " + error.err);
        }
    }

    const SourceInfo& info() const override { return info_; }

    std::optional<Frame> next() override {
        if (failed_) return std::nullopt;
        Frame frame;
        try {
            // OpenCV waits up to 10 s for a frame.
            if (!capture_.grab()) fail("no frame came");
            frame.time = now_utc();
            if (!capture_.retrieve(frame.image) || frame.image.empty()) fail("a frame cannot be decoded");
        } catch (const cv::Exception& error) {
            fail(error.err);
        }
        frame.index = next_index_;
        frame.number = next_index_;
        ++next_index_;
        return frame;
    }

private:
    [[noreturn]] void fail(const std::string& reason) {
        failed_ = true;
        throw Error(ErrorCode::io, {info_.name, {}, next_index_}, "the camera has stopped: " + reason);
    }

    ErrorPlace place() const { return {info_.name, {}, {}}; }

    SourceInfo info_;
    cv::VideoCapture capture_;
    int64_t next_index_ = 0;
    bool failed_ = false;
};

class OpenCvDriver : public CameraDriver {
public:
    const std::string& name() const override { return name_; }
    const std::string& unavailable() const override { return unavailable_; }

    std::vector<CameraInfo> list() const override {
        std::vector<std::string> names = file_system().list("/dev");
        std::sort(names.begin(), names.end(), natural_less);
        std::vector<CameraInfo> cameras;
        for (const std::string& name : names) {
            const std::string path = "/dev/" + name;
            if (!path.starts_with(kDevicePrefix) || !device_number(path)) continue;
            if (auto title = capture_name(path)) cameras.push_back({path, std::move(*title)});
        }
        return cameras;
    }

    bool understands(std::string_view id) const override { return device_number(id).has_value(); }

    std::unique_ptr<FrameSource> open(std::string_view id) const override {
        const auto number = device_number(id);
        if (!number) {
            throw Error(ErrorCode::not_found, fmt::format("\"{}\" is no camera; try /dev/video0 or 0", id));
        }
        const std::string path = device_path(*number);
        if (file_system().status(path).kind == FileKind::missing) {
            throw Error(ErrorCode::not_found, {path, {}, {}}, "there is no such camera");
        }
        return std::make_unique<OpenCvCamera>(*number);
    }

private:
    std::string name_ = "V4L2 through OpenCV";
    std::string unavailable_;
};

}  // namespace

void add_cameras_opencv(CameraTable& table) {
    table.push_back(std::make_unique<OpenCvDriver>());
}

}  // namespace reelstore
