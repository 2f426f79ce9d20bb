#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "codecs/foreign/file_bytes.h"

namespace reelstore {

/// Unpacks bytes of zlib's compression from beginning to end, as much as is asked for and never more.
class Inflater {
public:
    enum class Form { zlib, raw };  ///< with zlib's header and check sum, or without (ZIP)

    /// Throws Error(internal) when zlib has no memory.
    Inflater(FileBytes::Part packed, uint64_t packed_bytes, Form form);
    ~Inflater();
    Inflater(const Inflater&) = delete;
    Inflater& operator=(const Inflater&) = delete;

    /// Up to `size` more bytes into `target`; fewer at the end and where the packed bytes are damaged or end, which
    /// problem() then tells.
    size_t read(uint8_t* target, size_t size);
    /// Up to `size` more bytes; memory is only taken for what is there.
    std::vector<uint8_t> read(size_t size);
    /// Whether `size` unpacked bytes in all could be in the packed ones: a check before memory is taken for them.
    bool could_hold(uint64_t size) const;
    /// Why read() gave less than was asked for; empty at the proper end.
    const std::string& problem() const { return problem_; }

private:
    struct Stream;
    FileBytes::Part packed_;
    uint64_t packed_bytes_;
    uint64_t taken_ = 0;
    std::unique_ptr<Stream> stream_;
    std::string problem_;
    bool ended_ = false;
};

}  // namespace reelstore
