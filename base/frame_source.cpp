#include "base/frame_source.h"

namespace reelstore {

const Json& FrameSource::user_metadata() const {
    static const Json none = Json::object();
    return none;
}

void FrameSink::write_extra_data(const Json&) {}

}  // namespace reelstore
