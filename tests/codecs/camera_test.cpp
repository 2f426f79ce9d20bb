#include "codecs/camera.h"

#include <doctest/doctest.h>

#include "base/error.h"

namespace reelstore {

namespace {

ErrorCode code_of_opening(const char* id) {
    try {
        open_camera(id);
    } catch (const Error& error) {
        return error.code();
    }
    return ErrorCode::internal;
}

}  // namespace

TEST_CASE("camera: ids") {
    for (const char* id : {"0", "7", "/dev/video0", "/dev/video12"}) CHECK(is_camera_id(id));
    for (const char* id :
         {"", "-1", "+1", "1.5", "0x1", "/dev/video", "/dev/video1a", "/dev/sda", "video0", "1000", "clip.mp4"}) {
        CHECK_FALSE(is_camera_id(id));
    }
}

TEST_CASE("camera: one that is not there") {
    CHECK(code_of_opening("/dev/video987") == ErrorCode::not_found);
    CHECK(code_of_opening("986") == ErrorCode::not_found);
    CHECK(code_of_opening("somewhere") == ErrorCode::not_found);
    for (const auto& driver : camera_drivers()) {
        CHECK_FALSE(driver->name().empty());
        if (!driver->unavailable().empty()) continue;
        for (const CameraInfo& camera : driver->list()) CHECK(driver->understands(camera.id));
    }
}

TEST_CASE("camera: without an id the first one is opened, or the error says what was looked for") {
    for (const auto& driver : camera_drivers()) {
        if (!driver->list().empty()) return;
    }
    try {
        open_camera();
        FAIL("no error");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::not_found);
        CHECK(std::string(error.what()).find("V4L2") != std::string::npos);
    }
}

}  // namespace reelstore
