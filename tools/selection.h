#pragma once

#include <optional>
#include <string>

#include "store/selected_frames.h"

namespace CLI {
class App;
}

namespace reelstore {

/// The options --index, --number and --time, of which one may be given, and the frames that they mean.
class SelectionOptions {
public:
    void declare(CLI::App& app);
    /// All frames where none was given. Throws UsageError when the text makes no sense, or for dates where times count
    /// from the beginning of a file.
    FrameSelection frames_of(const Recording& recording) const;

    /// The text of --index; all frames where none of the options was given. Nothing where numbers or times select.
    std::optional<std::string> indices() const;

private:
    std::optional<std::string> index_;
    std::optional<std::string> number_;
    std::optional<std::string> time_;
};

}  // namespace reelstore
