#include "codecs/video/libav.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <mutex>
#include <utility>

extern "C" {
#include <libavutil/error.h>
#include <libavutil/log.h>
#include <libavutil/mem.h>
}

#include "base/retry_with_room.h"

namespace reelstore {

namespace {

constexpr int kIoBufferBytes = 64 << 10;

thread_local std::string thread_message;

void keep_message(void* source, int level, const char* format, va_list arguments) {
    if (level > AV_LOG_WARNING) return;
    char line[512];
    int print_prefix = 0;
    av_log_format_line2(source, level, format, arguments, line, sizeof(line), &print_prefix);
    std::string text = line;
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    if (!text.empty()) thread_message = std::move(text);
}

UniqueIo make_io(bool writes, void* self, int (*read)(void*, uint8_t*, int), int (*write)(void*, uint8_t*, int),
                 int64_t (*seek)(void*, int64_t, int)) {
    auto* buffer = static_cast<unsigned char*>(av_malloc(kIoBufferBytes));
    AVIOContext* io = buffer ? avio_alloc_context(buffer, kIoBufferBytes, writes, self, read, write, seek) : nullptr;
    if (!io) {
        av_free(buffer);
        throw Error(ErrorCode::internal, "out of memory for a video file's buffer");
    }
    return UniqueIo(io);
}

/// The new position for lseek()-like arguments; negative when there is none.
int64_t sought(int64_t offset, int whence, uint64_t position, uint64_t size) {
    switch (whence & ~AVSEEK_FORCE) {
        case SEEK_SET:
            return offset;
        case SEEK_CUR:
            return static_cast<int64_t>(position) + offset;
        case SEEK_END:
            return static_cast<int64_t>(size) + offset;
        default:
            return AVERROR(EINVAL);
    }
}

ErrorCode code_of(int code) {
    switch (code) {
        case AVERROR(ENOSPC):
        case AVERROR(EDQUOT):
            return ErrorCode::no_space;
        case AVERROR(EIO):
            return ErrorCode::io;
        case AVERROR(ENOENT):
            return ErrorCode::not_found;
        case AVERROR(ENOMEM):
        case AVERROR_BUG:
        case AVERROR_BUG2:
        case AVERROR_EXTERNAL:
            return ErrorCode::internal;
        case AVERROR(ENOSYS):
        case AVERROR_PATCHWELCOME:
        case AVERROR_EXPERIMENTAL:
        case AVERROR_DECODER_NOT_FOUND:
        case AVERROR_ENCODER_NOT_FOUND:
        case AVERROR_DEMUXER_NOT_FOUND:
        case AVERROR_MUXER_NOT_FOUND:
            return ErrorCode::unsupported;
        default:
            return ErrorCode::corrupt;
    }
}

}  // namespace

void LibavDeleter::operator()(AVIOContext* io) const {
    av_freep(&io->buffer);
    avio_context_free(&io);
}

UniquePacket make_packet() {
    UniquePacket packet(av_packet_alloc());
    if (!packet) throw Error(ErrorCode::internal, "out of memory for a video packet");
    return packet;
}

UniqueFrame make_frame() {
    UniqueFrame frame(av_frame_alloc());
    if (!frame) throw Error(ErrorCode::internal, "out of memory for a video frame");
    return frame;
}

void add_palette(AVPacket& packet, std::span<const uint8_t> palette) {
    if (palette.empty()) return;
    uint8_t* data = av_packet_new_side_data(&packet, AV_PKT_DATA_PALETTE, palette.size());
    if (!data) throw Error(ErrorCode::internal, "out of memory for a video packet");
    std::copy(palette.begin(), palette.end(), data);
}

void OptionDictionary::set(const std::string& name, const std::string& value) {
    if (av_dict_set(&entries_, name.c_str(), value.c_str(), 0) < 0) {
        throw Error(ErrorCode::internal, "out of memory for a codec option");
    }
}

std::string OptionDictionary::first_name() const {
    const AVDictionaryEntry* entry = av_dict_get(entries_, "", nullptr, AV_DICT_IGNORE_SUFFIX);
    return entry ? entry->key : "";
}

void capture_libav_log() {
    static std::once_flag once;
    std::call_once(once, [] { av_log_set_callback(keep_message); });
}

const std::string& libav_message() {
    return thread_message;
}

void clear_libav_message() {
    thread_message.clear();
}

Error libav_error(int code, const std::string& path, const std::string& action) {
    char reason[AV_ERROR_MAX_STRING_SIZE] = {};
    av_strerror(code, reason, sizeof(reason));
    std::string message = "cannot " + action + ": " + reason;
    if (!thread_message.empty()) message += " (" + thread_message + ")";
    return Error(code_of(code), ErrorPlace{.path = path, .chunk = {}, .frame_index = {}}, message);
}

FileInput::FileInput(File& file) : file_(file), io_(make_io(false, this, read, nullptr, seek)) {}

void FileInput::rethrow() {
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

int FileInput::read(void* self, uint8_t* buffer, int size) {
    auto& input = *static_cast<FileInput*>(self);
    try {
        const size_t got = input.file_.read_at(buffer, static_cast<size_t>(size), input.position_);
        if (got == 0) return AVERROR_EOF;
        input.position_ += got;
        input.bytes_read_ += static_cast<int64_t>(got);
        return static_cast<int>(got);
    } catch (...) {
        input.error_ = std::current_exception();
        return AVERROR(EIO);
    }
}

int64_t FileInput::seek(void* self, int64_t offset, int whence) {
    auto& input = *static_cast<FileInput*>(self);
    try {
        const uint64_t size = input.file_.size();
        if (whence & AVSEEK_SIZE) return static_cast<int64_t>(size);
        const int64_t position = sought(offset, whence, input.position_, size);
        if (position < 0) return AVERROR(EINVAL);
        input.position_ = static_cast<uint64_t>(position);
        return position;
    } catch (...) {
        input.error_ = std::current_exception();
        return AVERROR(EIO);
    }
}

FileOutput::FileOutput(File& file, std::function<bool()> make_room)
    : file_(file), make_room_(std::move(make_room)), io_(make_io(true, this, nullptr, write, seek)) {}

void FileOutput::write_at(const uint8_t* data, size_t size, uint64_t offset) {
    retry_with_room(make_room_, [&] { file_.write_at(data, size, offset); });
}

void FileOutput::mark() {
    recent_.clear();
}

std::optional<uint64_t> FileOutput::find(std::span<const uint8_t> payload) const {
    const uint64_t begin = end_ - recent_.size();
    // A muxer puts the payload last, but for a padding byte; looked up from there because it is long and its first
    // bytes may occur earlier.
    const auto found = std::find_end(recent_.begin(), recent_.end(), payload.begin(), payload.end());
    if (payload.empty() || found == recent_.end()) return std::nullopt;
    return begin + static_cast<uint64_t>(found - recent_.begin());
}

void FileOutput::rethrow() {
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

int FileOutput::write(void* self, uint8_t* data, int size) {
    auto& output = *static_cast<FileOutput*>(self);
    try {
        output.write_at(data, static_cast<size_t>(size), output.position_);
        const uint64_t after = output.position_ + static_cast<uint64_t>(size);
        if (after > output.end_) {
            if (output.position_ > output.end_) output.recent_.clear();
            const uint64_t appended = std::min(after - output.end_, static_cast<uint64_t>(size));
            output.recent_.insert(output.recent_.end(), data + size - appended, data + size);
            output.end_ = after;
        }
        output.position_ = after;
        return size;
    } catch (...) {
        output.error_ = std::current_exception();
        return AVERROR(EIO);
    }
}

int64_t FileOutput::seek(void* self, int64_t offset, int whence) {
    auto& output = *static_cast<FileOutput*>(self);
    if (whence & AVSEEK_SIZE) return static_cast<int64_t>(output.end_);
    const int64_t position = sought(offset, whence, output.position_, output.end_);
    if (position < 0) return AVERROR(EINVAL);
    output.position_ = static_cast<uint64_t>(position);
    return position;
}

PlainOutput::PlainOutput(File& file, bool can_seek)
    : file_(file), io_(make_io(true, this, nullptr, write, can_seek ? seek : nullptr)) {}

void PlainOutput::rethrow() {
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

int PlainOutput::write(void* self, uint8_t* data, int size) {
    auto& output = *static_cast<PlainOutput*>(self);
    try {
        output.file_.write_at(data, static_cast<size_t>(size), output.position_);
        output.position_ += static_cast<uint64_t>(size);
        output.end_ = std::max(output.end_, output.position_);
        return size;
    } catch (...) {
        output.error_ = std::current_exception();
        return AVERROR(EIO);
    }
}

int64_t PlainOutput::seek(void* self, int64_t offset, int whence) {
    auto& output = *static_cast<PlainOutput*>(self);
    if (whence & AVSEEK_SIZE) return static_cast<int64_t>(output.end_);
    const int64_t position = sought(offset, whence, output.position_, output.end_);
    if (position < 0) return AVERROR(EINVAL);
    output.position_ = static_cast<uint64_t>(position);
    return position;
}

}  // namespace reelstore
