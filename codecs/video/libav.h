#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavcodec/bsf.h>
#include <libavformat/avformat.h>
#include <libavutil/dict.h>
#include <libavutil/frame.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
}

#include "base/error.h"
#include "base/file_system.h"

namespace reelstore {

/// Frees what FFmpeg allocated, each kind in its own way.
struct LibavDeleter {
    void operator()(AVCodecContext* context) const { avcodec_free_context(&context); }
    void operator()(AVCodecParserContext* parser) const { av_parser_close(parser); }
    void operator()(AVBSFContext* filter) const { av_bsf_free(&filter); }
    void operator()(AVPacket* packet) const { av_packet_free(&packet); }
    void operator()(AVFrame* frame) const { av_frame_free(&frame); }
    void operator()(SwsContext* scaler) const { sws_freeContext(scaler); }
    void operator()(AVIOContext* io) const;
};
struct InputFormatDeleter {
    void operator()(AVFormatContext* format) const { avformat_close_input(&format); }
};
struct OutputFormatDeleter {
    void operator()(AVFormatContext* format) const { avformat_free_context(format); }
};

using UniqueCodecContext = std::unique_ptr<AVCodecContext, LibavDeleter>;
using UniqueParser = std::unique_ptr<AVCodecParserContext, LibavDeleter>;
using UniqueFilter = std::unique_ptr<AVBSFContext, LibavDeleter>;
using UniquePacket = std::unique_ptr<AVPacket, LibavDeleter>;
using UniqueFrame = std::unique_ptr<AVFrame, LibavDeleter>;
using UniqueScaler = std::unique_ptr<SwsContext, LibavDeleter>;
using UniqueIo = std::unique_ptr<AVIOContext, LibavDeleter>;
/// A context opened for reading. It does not own its AVIOContext, which must outlive it.
using UniqueInputFormat = std::unique_ptr<AVFormatContext, InputFormatDeleter>;
/// A context for writing. It does not own its AVIOContext, which must outlive it.
using UniqueOutputFormat = std::unique_ptr<AVFormatContext, OutputFormatDeleter>;

/// Empty ones; throw Error(internal) when memory is short.
UniquePacket make_packet();
UniqueFrame make_frame();

/// Attaches a palette, so that the decoder uses it from this packet on. Empty: does nothing.
void add_palette(AVPacket& packet, std::span<const uint8_t> palette);

/// Options handed to FFmpeg by name; what it did not take is left in it.
class OptionDictionary {
public:
    OptionDictionary() = default;
    ~OptionDictionary() { av_dict_free(&entries_); }
    OptionDictionary(const OptionDictionary&) = delete;
    OptionDictionary& operator=(const OptionDictionary&) = delete;

    void set(const std::string& name, const std::string& value);
    AVDictionary** get() { return &entries_; }
    /// Name of the first entry; empty when none is left.
    std::string first_name() const;

private:
    AVDictionary* entries_ = nullptr;
};

/// Takes over FFmpeg's log: nothing goes to stderr, the last error or warning of each thread is kept. Done once per
/// process; call it before anything that may log.
void capture_libav_log();
/// The last error or warning that FFmpeg logged on this thread since clear_libav_message(); empty when there was none.
const std::string& libav_message();
void clear_libav_message();

/// An Error for FFmpeg's return code. `action` reads as "cannot <action>"; what FFmpeg logged last is quoted. Damaged
/// data gives corrupt, missing codecs unsupported, a full disk no_space, other system errors io.
Error libav_error(int code, const std::string& path, const std::string& action);

/// Lets FFmpeg read a File, and nothing but that file. The File must outlive it.
class FileInput {
public:
    explicit FileInput(File& file);
    FileInput(const FileInput&) = delete;
    FileInput& operator=(const FileInput&) = delete;

    AVIOContext* io() { return io_.get(); }
    int64_t bytes_read() const { return bytes_read_; }
    /// Throws the Error of the File that made FFmpeg's last read fail, if any.
    void rethrow();

private:
    static int read(void* self, uint8_t* buffer, int size);
    static int64_t seek(void* self, int64_t offset, int whence);

    File& file_;
    uint64_t position_ = 0;
    int64_t bytes_read_ = 0;
    std::exception_ptr error_;
    UniqueIo io_;
};

/// Lets FFmpeg write a File and remembers what it appended last, so that a muxer's output can be searched for a
/// payload. The File must outlive it. `make_room` is asked when the disk is full; if it gives true, the write is tried
/// again: FFmpeg itself cannot go on behind one that failed.
class FileOutput {
public:
    explicit FileOutput(File& file, std::function<bool()> make_room = {});
    FileOutput(const FileOutput&) = delete;
    FileOutput& operator=(const FileOutput&) = delete;

    AVIOContext* io() { return io_.get(); }
    /// Bytes from the beginning of the file to the highest one written.
    uint64_t bytes_written() const { return end_; }
    /// Forgets what was appended so far.
    void mark();
    /// Offset in the file of `payload` among the bytes appended since mark().
    std::optional<uint64_t> find(std::span<const uint8_t> payload) const;
    void rethrow();

private:
    static int write(void* self, uint8_t* data, int size);
    static int64_t seek(void* self, int64_t offset, int whence);
    void write_at(const uint8_t* data, size_t size, uint64_t offset);

    File& file_;
    std::function<bool()> make_room_;
    uint64_t position_ = 0;
    uint64_t end_ = 0;
    std::vector<uint8_t> recent_;  ///< the bytes before end_ since mark()
    std::exception_ptr error_;
    UniqueIo io_;
};

/// Lets FFmpeg write a File from its beginning on and forgets what it wrote. The File must outlive it. Without
/// `can_seek` FFmpeg is told that the file can only be appended to.
class PlainOutput {
public:
    PlainOutput(File& file, bool can_seek);
    PlainOutput(const PlainOutput&) = delete;
    PlainOutput& operator=(const PlainOutput&) = delete;

    AVIOContext* io() { return io_.get(); }
    /// Throws the Error of the File that made FFmpeg's last write fail, if any.
    void rethrow();

private:
    static int write(void* self, uint8_t* data, int size);
    static int64_t seek(void* self, int64_t offset, int whence);

    File& file_;
    uint64_t position_ = 0;
    uint64_t end_ = 0;
    std::exception_ptr error_;
    UniqueIo io_;
};

}  // namespace reelstore
