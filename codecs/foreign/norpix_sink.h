#pragma once

#include <filesystem>
#include <memory>

#include "base/frame_source.h"
#include "codecs/file_format.h"

namespace reelstore {

/// Options of writing, as FileFormatInfo lists them.
std::vector<CodecOptionInfo> norpix_sink_options();
/// Writes a NorPix sequence. Times of frames become their stamps; frames without a time get none. The file is complete
/// but for two numbers of its header after every frame. Throws Error(invalid_argument) for options it does not know.
std::unique_ptr<FrameSink> create_norpix_sink(const std::filesystem::path& path, const SinkOptions& options);

}  // namespace reelstore
