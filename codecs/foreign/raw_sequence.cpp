#include "codecs/foreign/raw_sequence.h"

#include <fmt/format.h>

#include "base/error.h"

namespace reelstore {

int64_t count_of_frames(uint64_t announced, int64_t whole, std::vector<std::string>& warnings) {
    if (whole <= 0) throw Error(ErrorCode::corrupt, "the file holds no whole frame");
    if (announced == 0) {
        warnings.push_back(
            fmt::format("the header does not say how many frames there are; {} are whole in the file", whole));
        return whole;
    }
    if (announced > static_cast<uint64_t>(whole)) {
        warnings.push_back(
            fmt::format("the file is cut off: of {} frames in its header {} are whole in it", announced, whole));
        return whole;
    }
    if (announced < static_cast<uint64_t>(whole)) {
        warnings.push_back(
            fmt::format("the file has room for {} frames, its header announces {}: what follows them is not read",
                        whole, announced));
    }
    return static_cast<int64_t>(announced);
}

}  // namespace reelstore
