#include "codecs/foreign/inflate.h"

#include <algorithm>

#include <zlib.h>

#include "base/error.h"

namespace reelstore {

namespace {

/// No byte of deflate's stands for more than this many.
constexpr uint64_t kMostRatio = 1032;
constexpr size_t kStep = size_t{1} << 20;

}  // namespace

struct Inflater::Stream {
    z_stream z = {};
    ~Stream() { inflateEnd(&z); }
};

Inflater::Inflater(FileBytes::Part packed, uint64_t packed_bytes, Form form)
    : packed_(std::move(packed)), packed_bytes_(packed_bytes), stream_(std::make_unique<Stream>()) {
    if (inflateInit2(&stream_->z, form == Form::raw ? -MAX_WBITS : MAX_WBITS) != Z_OK)
        throw Error(ErrorCode::internal, "zlib cannot be started");
}

Inflater::~Inflater() = default;

bool Inflater::could_hold(uint64_t size) const {
    return size / kMostRatio <= packed_bytes_;
}

size_t Inflater::read(uint8_t* target, size_t size) {
    z_stream& z = stream_->z;
    size_t filled = 0;
    while (filled < size && !ended_) {
        if (z.avail_in == 0) {
            const uint64_t some = std::min<uint64_t>(packed_bytes_ - taken_, kStep);
            z.next_in = const_cast<Bytef*>(packed_.data + taken_);
            z.avail_in = static_cast<uInt>(some);
            taken_ += some;
        }
        const size_t room = std::min(size - filled, kStep);
        z.next_out = target + filled;
        z.avail_out = static_cast<uInt>(room);
        const int result = inflate(&z, Z_NO_FLUSH);
        filled += room - z.avail_out;
        if (result == Z_STREAM_END) {
            ended_ = true;
        } else if (result == Z_BUF_ERROR ||
                   (result == Z_OK && z.avail_in == 0 && taken_ == packed_bytes_ && z.avail_out > 0)) {
            ended_ = true;
            problem_ = "the compressed bytes end too early";
        } else if (result != Z_OK) {
            ended_ = true;
            problem_ = "the compressed bytes are damaged";
        }
    }
    return filled;
}

std::vector<uint8_t> Inflater::read(size_t size) {
    std::vector<uint8_t> bytes;
    // What is announced may be a lie; what was unpacked so far tells how much to take for the rest.
    while (bytes.size() < size) {
        const size_t before = bytes.size();
        const size_t more = std::min(size - before, std::max(kStep, before));
        bytes.resize(before + more);
        const size_t got = read(bytes.data() + before, more);
        bytes.resize(before + got);
        if (got < more) break;
    }
    return bytes;
}

}  // namespace reelstore
