#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/frame_source.h"

namespace reelstore {

/// A camera that a driver has found.
struct CameraInfo {
    std::string id;    ///< what open() takes: "/dev/video0"
    std::string name;  ///< for people
};

/// One kind of camera. Objects live for ever in the table.
class CameraDriver {
public:
    virtual ~CameraDriver() = default;
    virtual const std::string& name() const = 0;
    /// Why it cannot be used in this build; empty when it can.
    virtual const std::string& unavailable() const = 0;
    virtual std::vector<CameraInfo> list() const = 0;
    /// Whether `id` is one this driver understands ("0", "/dev/video0").
    virtual bool understands(std::string_view id) const = 0;
    /// Frames are numbered from 0 and carry the time of their arrival (seconds since the Unix epoch).
    virtual std::unique_ptr<FrameSource> open(std::string_view id) const = 0;
};

using CameraTable = std::vector<std::unique_ptr<CameraDriver>>;

/// Every camera driver of this build. Generated from codecs/camera: NAME.cpp defines
/// `void add_cameras_NAME(CameraTable& table)`.
const CameraTable& camera_drivers();

/// Opens a camera by id, or the first one found when `id` is empty. Throws Error(not_found) saying what was looked for.
std::unique_ptr<FrameSource> open_camera(std::string_view id = {});
/// Whether some driver understands `id`.
bool is_camera_id(std::string_view id);

}  // namespace reelstore
