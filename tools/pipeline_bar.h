#pragma once

#include <optional>
#include <string>

#include "base/pipeline.h"
#include "tools/console.h"

namespace reelstore {

/// The progress bar of a pipeline, with one of its own for frames that filters look at beforehand.
class PipelineBar {
public:
    explicit PipelineBar(std::string label);
    void update(const PipelineProgress& progress);

private:
    std::string label_;
    std::optional<ProgressBar> looking_;
    std::optional<ProgressBar> working_;
};

}  // namespace reelstore
