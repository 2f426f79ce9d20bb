#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/filter.h"
#include "base/frame_source.h"
#include "filters/filter_arguments.h"
#include "filters/mosaic.h"
#include "filters/overlay.h"
#include "filters/synchronized_frames.h"
#include "store/recording.h"
#include "store/selected_frames.h"
#include "tools/source_options.h"

namespace CLI {
class App;
}

namespace reelstore {

/// The options of a verb that shows several recordings as one: side by side (--mosaic) or one over the other
/// (--overlay); and what the frames of each go through before that (--input-filter, --colormap).
class CompositionOptions {
public:
    void declare(CLI::App& app);
    /// To be called once, before the others, with how many recordings were given. Throws UsageError or
    /// Error(invalid_argument) for what makes no sense for so many.
    void check(size_t recordings);
    bool composes() const { return mosaic_ || overlay_; }
    /// Whether frames of the first recording may be left out (--sync missing=drop).
    bool leaves_out() const { return composes() && sync_.missing == MissingFrame::drop; }
    /// --gray, --input-filter and --colormap of recording `place`.
    Filters filters_of(size_t place, const SourceOptionGroup& opening) const;
    /// The recordings, which belong to the result, as one.
    std::unique_ptr<FrameSource> compose(std::vector<std::unique_ptr<Recording>> recordings,
                                         const SourceOptionGroup& opening) const;
    /// Frames of what compose() gave, those of the first recording's (`leading`) selection, with their indices there.
    /// Both must outlive the result.
    std::unique_ptr<FrameSource> selected(FrameSource& composition, Recording& leading,
                                          const FrameSelection& selection) const;

private:
    void check_places() const;
    MosaicOptions mosaic_options();
    void read_overlay_options(size_t recordings);
    void read_sync_options();
    std::unique_ptr<Filter> colormap_of(size_t place) const;
    Filters top_filters(const FrameSource& top) const;
    std::unique_ptr<FrameSource> mosaic_of(std::vector<ComposedSource> sources) const;
    std::unique_ptr<FrameSource> overlay_of(std::vector<ComposedSource> sources) const;

    // As they were written.
    std::optional<std::string> mosaic_text_;
    std::optional<std::string> overlay_text_;
    std::string colormap_text_;
    std::vector<std::string> input_filters_;
    std::string sync_text_;
    std::string offset_text_;
    std::string rate_text_;
    std::string title_text_;

    // What they mean.
    size_t recordings_ = 0;
    std::optional<MosaicOptions> mosaic_;
    std::optional<OverlayOptions> overlay_;
    std::optional<double> opacity_;
    std::optional<AlphaRamp> ramp_;
    SyncOptions sync_;
    std::vector<FilterCall> colormaps_;
    std::vector<double> offsets_;
    std::vector<double> rates_;
    std::vector<std::string> titles_;
};

}  // namespace reelstore
