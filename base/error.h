#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

namespace reelstore {

/// What went wrong, coarse enough for a caller to act on.
enum class ErrorCode {
    invalid_argument,  ///< the caller asked for something that makes no sense (bad option, wrong range)
    wrong_type,        ///< a frame's size, pixel type or channel count is not the one expected
    not_found,         ///< a file, folder, frame, camera or column that should be there is not
    already_exists,    ///< the destination is there already and may not be overwritten
    not_a_store,       ///< the path holds no store
    unsupported,       ///< well formed, but this build or this version cannot handle it
    corrupt,           ///< bytes on disk are damaged, truncated, hostile or contradict each other
    locked,            ///< another writer holds the store
    no_space,          ///< the disk is full
    io,                ///< any other failure of the operating system
    cancelled,         ///< the caller asked to stop
    internal,          ///< a library broke its own promise; please report
};

/// The English name of a code, as printed in `--json` output ("wrong_type").
const char* to_string(ErrorCode code);

/// Where in a recording an error belongs. Empty members are unknown or do not apply.
struct ErrorPlace {
    std::string path = {};                    ///< file or folder
    std::optional<int64_t> chunk = {};        ///< chunk number
    std::optional<int64_t> frame_index = {};  ///< index of the frame in the store or source
};

/// The one exception type of the library.
///
/// what() is one line that names the file, the chunk and the frame where they are known, says what is
/// wrong and, where something can be done, what to do next. Exceptions of OpenCV, FFmpeg, SQLite, YAML
/// and JSON never leave the library: they are caught where the library is called and become an Error.
class Error : public std::runtime_error {
public:
    Error(ErrorCode code, const std::string& message);
    Error(ErrorCode code, ErrorPlace place, const std::string& message);

    ErrorCode code() const { return code_; }
    const ErrorPlace& place() const { return place_; }
    /// The message without the place in front of it.
    const std::string& message() const { return message_; }

    /// The same error with the members of `place` that are still unknown filled in.
    Error at(const ErrorPlace& place) const;

private:
    ErrorCode code_;
    ErrorPlace place_;
    std::string message_;
};

/// An Error for a failed system call on `path`: ENOSPC and EDQUOT become no_space, ENOENT not_found, EEXIST
/// already_exists, everything else io. `action` reads as "cannot <action>".
Error system_error(int error_number, const std::string& path, const std::string& action);

}  // namespace reelstore
