#include "tools/pipeline_bar.h"

namespace reelstore {

PipelineBar::PipelineBar(std::string label) : label_(std::move(label)) {}

void PipelineBar::update(const PipelineProgress& progress) {
    if (progress.first_pass) {
        if (!looking_) looking_.emplace("looking at all frames first");
        looking_->update(progress.frames_read, progress.frames_expected);
        return;
    }
    looking_.reset();
    if (!working_) working_.emplace(label_);
    working_->update(progress.frames_written, progress.frames_expected);
}

}  // namespace reelstore
