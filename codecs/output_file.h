#pragma once

#include <filesystem>
#include <memory>

#include "base/file_system.h"
#include "codecs/file_format.h"

namespace reelstore {

enum class WritingOrder {
    forward,   ///< every byte behind the one before
    anywhere,  ///< also where something was written before
};

/// Throws Error(already_exists) when the sink at `path` would not be a new file. Streams are always new.
void check_new_output(const std::filesystem::path& path, const SinkOptions& options);

/// What a sink writes to: a new file at `path`, or options.stream. What is written anywhere waits in memory until
/// close(), and goes to the stream then.
std::unique_ptr<File> create_output(const std::filesystem::path& path, const SinkOptions& options, WritingOrder order);

}  // namespace reelstore
