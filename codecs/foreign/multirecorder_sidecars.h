#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace reelstore {

/// What the files beside a .dat of MultiRecorder or OmniRecorder say of it.
struct MultirecorderSidecars {
    Json metadata = Json::object();
    std::optional<double> frame_rate = {};
    std::vector<std::string> warnings = {};  ///< one for every sidecar that cannot be read
};

/// Reads the XML file that is named after the first three '_' parts of the recording's name (MultiRecorder), and the
/// .omni file of the folder that lists the recording (OmniRecorder). Those that are not there are no matter.
MultirecorderSidecars read_multirecorder_sidecars(const std::filesystem::path& recording);

/// The recordings that an .omni file lists, one a camera, in its folder. Throws Error(corrupt) when it is no such file.
std::vector<std::filesystem::path> recordings_of_omni(const std::filesystem::path& omni);

}  // namespace reelstore
