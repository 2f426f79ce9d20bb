#include "base/frame_source.h"

namespace reelstore {

const Json& FrameSource::user_metadata() const {
    static const Json none = Json::object();
    return none;
}

const std::vector<std::string>& FrameSource::warnings() const {
    static const std::vector<std::string> none;
    return none;
}

void FrameSink::write_extra_data(const Json&) {}

const std::vector<std::string>& FrameSink::notes() const {
    static const std::vector<std::string> none;
    return none;
}

}  // namespace reelstore
