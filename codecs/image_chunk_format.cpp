#include "codecs/image_chunk_format.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "base/file_system.h"
#include "base/retry_with_room.h"
#include "base/text.h"
#include "codecs/checksum.h"
#include "codecs/image_codec.h"
#include "codecs/image_header.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

constexpr uint64_t kMebibyte = uint64_t{1} << 20;
/// OpenCV's own limit on what its image codecs take.
constexpr int64_t kMostPixels = int64_t{1} << 30;

/// Files that are written but not synced, at most: each holds a descriptor.
constexpr size_t kMostUnsynced = 128;
/// The same of all writers together, as processes may often have 1024 descriptors only; besides, each writer may hold
/// the one file that it is at.
constexpr size_t kMostUnsyncedOfAll = 256;

std::atomic<size_t> unsynced_of_all = 0;

struct CloseUnsynced {
    void operator()(File* file) const {
        delete file;
        --unsynced_of_all;
    }
};

/// Counts in unsynced_of_all for as long as it is open.
using UnsyncedFile = std::unique_ptr<File, CloseUnsynced>;

class ImageFolderWriter : public ChunkWriter {
public:
    ImageFolderWriter(const ImageKind& kind, fs::path folder, const ImageType& type, CodecOptions codec,
                      ChunkWriteOptions options)
        : kind_(kind), folder_(std::move(folder)), type_(type), codec_(std::move(codec)), options_(std::move(options)) {
        with_room([&] { file_system().create_folder(folder_); });
    }

    void write(const cv::Mat& image) override {
        const ImageType type = ImageType::of(image);
        if (type != type_) {
            throw Error(ErrorCode::wrong_type, {folder_.string(), {}, {}},
                        fmt::format("the frame is {}, the chunk holds {}", type.text(), type_.text()));
        }
        const std::vector<uint8_t> bytes = kind_.encode(image, codec_);
        const fs::path path = folder_ / image_file_name(position_, kind_.info.extension);
        std::unique_ptr<File> file;
        with_room([&] { file = file_system().open(path, OpenMode::create_exclusive); });
        with_room([&] { file->write_at(bytes.data(), bytes.size(), 0); });
        bool sync_now = false;
        {
            const std::lock_guard lock(mutex_);
            unsynced_.emplace_back();
            unsynced_.back().reset(file.release());
            sync_now = ++unsynced_of_all > kMostUnsyncedOfAll || unsynced_.size() >= kMostUnsynced;
        }
        if (sync_now) sync_files();
        stored_.push_back({.position = position_,
                           .bytes = bytes.size(),
                           .packet = {},
                           .decode_position = position_,
                           .checksum = frame_checksum(bytes)});
        bytes_written_ += bytes.size();
        ++position_;
    }

    std::vector<StoredFrame> take_stored() override { return std::exchange(stored_, {}); }

    void sync() override {
        sync_files();
        file_system().sync_folder(folder_);
        if (std::exchange(folder_is_new_, false)) file_system().sync_folder(folder_.parent_path());
    }

    void finish() override {}
    uint64_t bytes_written() const override { return bytes_written_; }

private:
    template <typename Step>
    void with_room(Step step) {
        retry_with_room(options_.make_room, step);
    }

    /// Returns when no file written before is left unsynced, also if another thread is at it. What has failed once
    /// fails for ever: the files that were to be synced then are not known any more.
    void sync_files() {
        const std::lock_guard one_at_a_time(sync_mutex_);
        if (failure_) std::rethrow_exception(failure_);
        std::vector<UnsyncedFile> files;
        {
            const std::lock_guard lock(mutex_);
            files.swap(unsynced_);
        }
        try {
            for (UnsyncedFile& file : files) {
                file->sync();
                file->close();
                file.reset();
            }
        } catch (...) {
            failure_ = std::current_exception();
            throw;
        }
    }

    const ImageKind& kind_;
    fs::path folder_;
    ImageType type_;
    CodecOptions codec_;
    ChunkWriteOptions options_;
    int64_t position_ = 0;
    uint64_t bytes_written_ = 0;
    std::vector<StoredFrame> stored_;
    bool folder_is_new_ = true;  // its name is not durable yet; used by sync() alone
    std::mutex sync_mutex_;
    std::exception_ptr failure_;  // of a sync; by sync_mutex_
    std::mutex mutex_;
    std::vector<UnsyncedFile> unsynced_;  // by mutex_
};

class ImageFolderReader : public ChunkReader {
public:
    ImageFolderReader(const ImageKind& kind, fs::path folder, const ImageType& type,
                      std::function<std::optional<uint32_t>(int64_t)> checksum)
        : kind_(kind), folder_(std::move(folder)), type_(type), checksum_(std::move(checksum)) {}

    cv::Mat read(int64_t position) override {
        if (position < 0) {
            throw Error(ErrorCode::invalid_argument, {folder_.string(), {}, {}},
                        fmt::format("there is no frame at position {}", position));
        }
        const fs::path path = folder_ / image_file_name(position, kind_.info.extension);
        const std::vector<uint8_t> bytes = read_bytes(path, position);
        counters_.bytes_read += static_cast<int64_t>(bytes.size());
        if (const std::optional<uint32_t> recorded = checksum_ ? checksum_(position) : std::nullopt;
            recorded && *recorded != frame_checksum(bytes)) {
            throw Error(ErrorCode::corrupt, {path.string(), {}, {}},
                        "the bytes of the file are not those that were recorded");
        }
        cv::Mat image = kind_.decode(bytes, path.string(), type_);
        ++counters_.frames_decoded;
        return image;
    }

    std::optional<int64_t> frame_count() override {
        const std::vector<std::string> names = file_system().list(folder_);
        const std::unordered_set<std::string> present(names.begin(), names.end());
        int64_t count = 0;
        while (present.contains(image_file_name(count, kind_.info.extension))) ++count;
        return count;
    }

    DecodeCounters counters() const override { return counters_; }

private:
    std::vector<uint8_t> read_bytes(const fs::path& path, int64_t position) const {
        try {
            return read_file(path, kind_.largest_file(type_));
        } catch (const Error& error) {
            if (error.code() != ErrorCode::not_found) throw;
            throw Error(ErrorCode::not_found, {path.string(), {}, {}},
                        fmt::format("the file of the frame at position {} is missing", position));
        }
    }

    const ImageKind& kind_;
    fs::path folder_;
    ImageType type_;
    std::function<std::optional<uint32_t>(int64_t)> checksum_;
    DecodeCounters counters_;
};

}  // namespace

ImageKind opencv_image_kind(ChunkFormatInfo info, std::function<bool(const ImageType&)> accepts,
                            std::function<std::vector<int>(const CodecOptions&)> parameters) {
    ImageKind kind;
    kind.info = std::move(info);
    kind.info.kind = ChunkKind::folder;
    kind.info.default_chunk_frames = kFolderChunkFrames;
    kind.accepts = [accepts = std::move(accepts)](const ImageType& type) {
        return int64_t{type.width} * type.height <= kMostPixels && accepts(type);
    };
    kind.check_values = [parameters](const CodecOptions& options) { parameters(options); };
    kind.encode = [parameters, extension = kind.info.extension](const cv::Mat& image, const CodecOptions& options) {
        return encode_image(image, extension, parameters(options));
    };
    kind.decode = decode_image;
    kind.largest_file = [](const ImageType& type) { return 2 * uint64_t{type.bytes()} + kMebibyte; };
    return kind;
}

ImageFolderFormat::ImageFolderFormat(ImageKind kind) : kind_(std::move(kind)) {}

std::optional<std::string> ImageFolderFormat::refuses(const ImageType& type) const {
    if (!plausible(type)) return fmt::format("{} is no plausible image", type.text());
    if (kind_.accepts(type)) return std::nullopt;
    std::vector<std::string> others;
    for (const ImageFolderFormat* format : image_formats()) {
        if (format->info().lossless && format->kind().accepts(type)) others.push_back(format->info().name);
    }
    std::string reason = fmt::format("{} holds {}, not {}", kind_.info.name, kind_.info.types, type.text());
    if (!others.empty()) reason += fmt::format("; use {}", fmt::join(others, " or "));
    return reason;
}

void ImageFolderFormat::check_options(const CodecOptions& options) const {
    check_option_names(kind_.info, options);
    kind_.check_values(options);
}

std::unique_ptr<ChunkWriter> ImageFolderFormat::create(const fs::path& path, const ImageType& type,
                                                       const CodecOptions& codec,
                                                       const ChunkWriteOptions& options) const {
    check_options(codec);
    if (const auto reason = refuses(type)) throw Error(ErrorCode::wrong_type, {path.string(), {}, {}}, *reason);
    return std::make_unique<ImageFolderWriter>(kind_, path, type, codec, options);
}

std::unique_ptr<ChunkReader> ImageFolderFormat::open(const fs::path& path, const ImageType& type,
                                                     const ChunkReadOptions& options) const {
    if (file_system().status(path).kind != FileKind::folder) {
        throw Error(ErrorCode::not_found, {path.string(), {}, {}}, "the folder of this chunk is missing");
    }
    return std::make_unique<ImageFolderReader>(kind_, path, type, options.checksum);
}

std::string image_file_name(int64_t position, const std::string& extension) {
    return fmt::format("{:06d}{}", position, extension);
}

const std::vector<const ImageFolderFormat*>& image_formats() {
    static const std::vector<const ImageFolderFormat*> formats = [] {
        std::vector<const ImageFolderFormat*> found;
        for (const auto& format : chunk_formats()) {
            const auto* image_format = dynamic_cast<const ImageFolderFormat*>(format.get());
            if (image_format && !image_format->info().decodes_at_write) found.push_back(image_format);
        }
        return found;
    }();
    return formats;
}

const ImageFolderFormat* find_image_format(std::string_view extension) {
    const std::string wanted = lower_case(extension);
    for (const ImageFolderFormat* format : image_formats()) {
        const auto& others = format->kind().other_extensions;
        const bool is_other = std::find(others.begin(), others.end(), wanted) != others.end();
        if (is_other || format->info().extension == wanted) return format;
    }
    return nullptr;
}

const ImageFolderFormat* recognised_image_format(std::span<const uint8_t> head) {
    for (const ImageFolderFormat* format : image_formats()) {
        if (format->kind().recognises && format->kind().recognises(head)) return format;
    }
    return nullptr;
}

cv::Mat read_foreign_image(const ImageFolderFormat& format, const fs::path& path, bool gray) {
    const std::vector<uint8_t> bytes = read_file(path, kLargestImageFile);
    if (const auto header = read_image_header(bytes); header && header->more_images) {
        throw Error(ErrorCode::unsupported, {path.string(), {}, {}},
                    "the TIFF file holds several images, of which a folder would show one; open the file itself");
    }
    const cv::Mat image = format.kind().decode(bytes, path.string(), std::nullopt);
    try {
        return gray ? gray_image(image) : image;
    } catch (const Error& error) {
        throw error.at({path.string(), {}, {}});
    }
}

void add_with_color_form(ChunkFormatTable& table, ImageKind kind) {
    ImageKind color_kind = kind;
    color_kind.info.name += "+color";
    color_kind.info.decodes_at_write = true;
    table.push_back(std::make_unique<ImageFolderFormat>(std::move(kind)));
    table.push_back(std::make_unique<ImageFolderFormat>(std::move(color_kind)));
}

}  // namespace reelstore
