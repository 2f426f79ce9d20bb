#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "base/frame_source.h"

namespace reelstore {

/// A text file with a line for each frame. It is made with the first frame, in place of a file of that name.
class FrameListFile {
public:
    FrameListFile(std::filesystem::path path, std::string first_line);
    /// Throws Error when it cannot be written.
    void add(const std::string& line);
    /// Throws Error when not all of it could be written.
    void close();

private:
    std::filesystem::path path_;
    std::string first_line_;
    std::ofstream file_;
};

/// Passes frames on and writes down which ones they are.
class ListingSink : public FrameSink {
public:
    /// `sink` must outlive this object.
    explicit ListingSink(FrameSink& sink) : sink_(sink) {}

    /// Frames by place in the output, index, number and time (CSV).
    void list_frames(const std::filesystem::path& path);
    /// Matroska's time codes, version 2: when each frame begins, in milliseconds after the first one. Frames without
    /// times are put at `frame_rate`; Error(unsupported) where there is none either.
    void list_timecodes(const std::filesystem::path& path, std::optional<double> frame_rate);

    void write(const Frame& frame) override;
    void write_extra_data(const Json& record) override { sink_.write_extra_data(record); }
    void close() override;
    const std::vector<std::string>& notes() const override { return sink_.notes(); }

private:
    double milliseconds(const Frame& frame) const;

    FrameSink& sink_;
    std::optional<FrameListFile> frames_;
    std::optional<FrameListFile> timecodes_;
    std::string timecodes_name_;
    std::optional<double> frame_rate_;
    std::optional<double> first_time_;
    int64_t position_ = 0;
};

}  // namespace reelstore
