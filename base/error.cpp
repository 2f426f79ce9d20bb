#include "base/error.h"

#include <cerrno>
#include <system_error>
#include <utility>

namespace reelstore {

namespace {

std::string with_place(const ErrorPlace& place, const std::string& message) {
    std::string where;
    if (place.chunk) where = "chunk " + std::to_string(*place.chunk);
    if (place.frame_index) {
        if (!where.empty()) where += ", ";
        where += "frame index " + std::to_string(*place.frame_index);
    }
    std::string text;
    if (!place.path.empty()) text = place.path + ": ";
    if (!where.empty()) text += where + ": ";
    return text + message;
}

ErrorCode code_of(int error_number) {
    switch (error_number) {
        case ENOSPC:
        case EDQUOT:
            return ErrorCode::no_space;
        case ENOENT:
            return ErrorCode::not_found;
        case EEXIST:
            return ErrorCode::already_exists;
        default:
            // Also where the process lacks descriptors or memory: salvage and repair take every other code for damage.
            return ErrorCode::io;
    }
}

}  // namespace

const char* to_string(ErrorCode code) {
    switch (code) {
        case ErrorCode::invalid_argument:
            return "invalid_argument";
        case ErrorCode::wrong_type:
            return "wrong_type";
        case ErrorCode::not_found:
            return "not_found";
        case ErrorCode::already_exists:
            return "already_exists";
        case ErrorCode::not_a_store:
            return "not_a_store";
        case ErrorCode::unsupported:
            return "unsupported";
        case ErrorCode::corrupt:
            return "corrupt";
        case ErrorCode::locked:
            return "locked";
        case ErrorCode::no_space:
            return "no_space";
        case ErrorCode::io:
            return "io";
        case ErrorCode::cancelled:
            return "cancelled";
        case ErrorCode::internal:
            return "internal";
    }
    return "internal";
}

Error::Error(ErrorCode code, const std::string& message) : Error(code, ErrorPlace{}, message) {}

Error::Error(ErrorCode code, ErrorPlace place, const std::string& message)
    : std::runtime_error(with_place(place, message)), code_(code), place_(std::move(place)), message_(message) {}

Error Error::at(const ErrorPlace& place) const {
    ErrorPlace merged = place_;
    if (merged.path.empty()) merged.path = place.path;
    if (!merged.chunk) merged.chunk = place.chunk;
    if (!merged.frame_index) merged.frame_index = place.frame_index;
    return Error(code_, std::move(merged), message_);
}

Error system_error(int error_number, const std::string& path, const std::string& action) {
    return Error(code_of(error_number), {.path = path, .chunk = {}, .frame_index = {}},
                 "cannot " + action + ": " + std::generic_category().message(error_number));
}

}  // namespace reelstore
