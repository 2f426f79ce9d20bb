#pragma once

#include <fmt/format.h>

#include <string_view>

namespace reelstore {

/// Text for stdout, written in large pieces: a table may have millions of lines. What is not written yet is written at
/// the end.
class TextOutput {
public:
    TextOutput() = default;
    ~TextOutput() { write(); }
    TextOutput(const TextOutput&) = delete;
    TextOutput& operator=(const TextOutput&) = delete;

    /// Where the next line is appended, with its end; then call line_done().
    fmt::memory_buffer& buffer() { return buffer_; }
    void line_done() {
        if (buffer_.size() >= kPieceBytes) write();
    }
    void line(std::string_view text);
    /// Everything to stdout and from there to whoever reads it; false when that fails.
    bool flush();

private:
    static constexpr size_t kPieceBytes = size_t{64} << 10;
    void write();

    fmt::memory_buffer buffer_;
};

}  // namespace reelstore
