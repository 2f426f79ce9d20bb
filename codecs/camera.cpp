#include "codecs/camera.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/error.h"

namespace reelstore {

namespace {

std::unique_ptr<FrameSource> open_first() {
    std::string answers;
    for (const auto& driver : camera_drivers()) {
        std::string answer = driver->unavailable();
        if (answer.empty()) {
            const std::vector<CameraInfo> cameras = driver->list();
            if (!cameras.empty()) return driver->open(cameras.front().id);
            answer = "none";
        }
        answers += fmt::format("{}{}: {}", answers.empty() ? "" : "; ", driver->name(), answer);
    }
    throw Error(ErrorCode::not_found,
                fmt::format("no camera was found ({})", answers.empty() ? "no drivers" : answers));
}

}  // namespace

std::unique_ptr<FrameSource> open_camera(std::string_view id) {
    if (id.empty()) return open_first();
    for (const auto& driver : camera_drivers()) {
        if (!driver->understands(id)) continue;
        if (driver->unavailable().empty()) return driver->open(id);
        throw Error(ErrorCode::unsupported, fmt::format("camera {} cannot be used: {}", id, driver->unavailable()));
    }
    throw Error(ErrorCode::not_found, fmt::format("\"{}\" is no camera; cameras are named like /dev/video0 or 0", id));
}

bool is_camera_id(std::string_view id) {
    return std::any_of(camera_drivers().begin(), camera_drivers().end(),
                       [&](const auto& driver) { return driver->understands(id); });
}

}  // namespace reelstore
