#pragma once

#include <memory>
#include <string>

#include "codecs/file_format.h"
#include "store/selected_frames.h"

namespace CLI {
class App;
}

namespace reelstore {

class AudioFileTrack;

/// What was asked for about the times at which frames are shown.
struct AskedTiming {
    bool constant = false;    ///< at a constant rate
    bool rate_given = false;  ///< SinkOptions::frame_rate is the user's, not the recording's
};

/// The options --audio and --audio-start.
class AudioOptions {
public:
    void declare(CLI::App& app);
    bool given() const { return !audio_.empty(); }

    /// Opens the sound and puts it into `options`, so that it is in step with the selected frames. Where the container
    /// (`extension`) can and nothing else is asked for, frames are shown at their own times; otherwise they must be
    /// evenly timed, and without a given rate are shown at the rate of their times. Throws UsageError or Error where
    /// that cannot be. Does nothing when the options were not given.
    void add_to(SinkOptions& options, const std::string& extension, AskedTiming asked, const Recording& recording,
                const FrameSelection& selection);
    /// Says what was done and what was missing, as long as the options of add_to() live. True when sound was lost that
    /// the file should hold.
    bool report() const;

private:
    std::string audio_;
    std::string start_;
    std::weak_ptr<AudioFileTrack> track_;  ///< owned by the SinkOptions, as verbs live longer than FFmpeg's log
};

}  // namespace reelstore
