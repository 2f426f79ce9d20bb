#include "codecs/video/encoder_availability.h"

#include <algorithm>
#include <filesystem>
#include <initializer_list>

#include "codecs/video/libav.h"

namespace reelstore {

namespace {

bool any_exists(std::initializer_list<const char*> paths) {
    std::error_code ignored;
    return std::any_of(paths.begin(), paths.end(),
                       [&](const char* path) { return std::filesystem::exists(path, ignored); });
}

}  // namespace

std::string encoder_unavailable(const std::string& encoder) {
    if (!avcodec_find_encoder_by_name(encoder.c_str())) return "this FFmpeg was built without the encoder " + encoder;
    if (encoder.ends_with("_nvenc") && !any_exists({"/dev/nvidiactl", "/dev/dxg"}))
        return "no NVIDIA driver: there is no /dev/nvidiactl";
    if (encoder.ends_with("_vaapi") && !any_exists({"/dev/dri/renderD128", "/dev/dri/renderD129", "/dev/dri/card0"}))
        return "no device for VAAPI: there is no /dev/dri/renderD128";
    return {};
}

}  // namespace reelstore
