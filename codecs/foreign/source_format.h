#pragma once

#include <filesystem>
#include <memory>

#include "codecs/file_format.h"

namespace reelstore {

/// A file format that is read and not written.
class SourceFormat : public FileFormat {
public:
    const FileFormatInfo& info() const override { return info_; }
    bool writes_to(const std::filesystem::path&) const override { return false; }
    /// Throws Error(unsupported).
    std::unique_ptr<FrameSink> create(const std::filesystem::path& path, const SinkOptions& options) const override;

protected:
    explicit SourceFormat(FileFormatInfo info);

private:
    FileFormatInfo info_;
};

}  // namespace reelstore
