#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/file_system.h"

namespace reelstore {

/// Takes the next bytes of an output that only grows: a socket, a pipe, the body of a request. It has taken all of them
/// when it returns; what it throws ends the output.
using ByteWriter = std::function<void(std::span<const uint8_t>)>;

/// Writes to an open file descriptor (1 is standard output), which stays open and must outlive the writer. Throws
/// Error(io) when that fails; a reader that has gone is told from other failures in the message and sends no SIGPIPE.
/// `name` is for messages.
ByteWriter descriptor_writer(int descriptor, const std::string& name);

/// A file that can only be appended to: write_at() behind everything written so far goes to `writer`; reading, other
/// places and cutting off are an Error(unsupported). Once `writer` has thrown, nothing more is handed to it.
std::unique_ptr<File> appending_file(ByteWriter writer, const std::string& name);

/// A file that is nothing but memory.
class MemoryFile : public File {
public:
    size_t read_at(void* buffer, size_t size, uint64_t offset) override;
    void write_at(const void* data, size_t size, uint64_t offset) override;
    uint64_t size() override { return bytes_.size(); }
    void truncate(uint64_t size) override { bytes_.resize(size); }
    void allocate(uint64_t size) override;
    void sync() override {}
    void close() override {}

    /// What was written; the file is empty afterwards.
    std::vector<uint8_t> take() { return std::exchange(bytes_, {}); }

private:
    std::vector<uint8_t> bytes_;
};

}  // namespace reelstore
