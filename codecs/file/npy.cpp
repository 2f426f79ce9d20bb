/// Stacks of images as numpy arrays; what their axes mean stands in codecs/foreign/npy_array.h. Written stacks of
/// narrow gray images have the shape (n, h, w, 1), so that they come back as they were.

#include "base/npy.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file_system.h"
#include "base/text.h"
#include "codecs/file_format.h"
#include "codecs/foreign/npy_array.h"
#include "codecs/output_file.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kMagic = "\x93NUMPY";

ErrorPlace place_of(const fs::path& path) {
    return {path.string(), {}, {}};
}

std::unique_ptr<FrameSource> open_npy(const fs::path& path, const SourceOptions& options) {
    try {
        const auto file = std::make_shared<const FileBytes>(path, options.map);
        const NpyHeader header = parse_npy_header(file->read(0, kLongestNpyHeader));
        OpenedSequence opened;
        opened.info.name = path.string();
        opened.info.format = "npy";
        // What follows the array is none of it.
        const uint64_t there = file->size() - header.data_offset;
        opened.frames = npy_frames({file, header.data_offset, std::min<uint64_t>(there, header.data_bytes())}, header,
                                   options.format, {}, opened);
        return sequence_source(std::move(opened), options);
    } catch (const Error& error) {
        throw error.at(place_of(path));
    }
}

class NpySink : public FrameSink {
public:
    NpySink(fs::path path, const SinkOptions& options) : path_(std::move(path)), options_(options) {
        check_new_output(path_, options_);
        // The number of frames stands in the header, which comes first.
        if (options_.stream) promised_ = options_.expected_frames;
    }

    ~NpySink() override {
        try {
            close();
        } catch (const Error&) {
            // Only close() itself can report it.
        }
    }

    void write(const Frame& frame) override {
        if (closed_) throw Error(ErrorCode::invalid_argument, place_of(path_), "the output is closed");
        const ImageType type = ImageType::of(frame.image);
        if (!file_) begin(type);
        if (type != type_) {
            throw Error(ErrorCode::wrong_type, place_of(path_),
                        fmt::format("the frame is {}, those before it are {}", type.text(), type_.text()));
        }
        const cv::Mat image = frame.image.isContinuous() ? frame.image : frame.image.clone();
        file_->write_at(image.data, type_.bytes(), header_size_ + static_cast<uint64_t>(count_) * type_.bytes());
        ++count_;
    }

    void close() override {
        if (closed_) return;
        closed_ = true;
        if (!file_) return;
        if (!promised_) {
            const std::vector<uint8_t> header = header_of_frames(count_);
            file_->write_at(header.data(), header.size(), 0);
        }
        file_->close();
        if (promised_ && *promised_ != count_) {
            throw Error(ErrorCode::corrupt, place_of(path_),
                        fmt::format("{} frames came where {} were announced in the header that is written already; an "
                                    ".npy file instead of a stream says how many there are",
                                    count_, *promised_));
        }
    }

private:
    void begin(const ImageType& type) {
        if (!plausible(type)) {
            throw Error(ErrorCode::wrong_type, place_of(path_), fmt::format("{} is no plausible image", type.text()));
        }
        type_ = type;
        file_ = create_output(path_, options_, promised_ ? WritingOrder::forward : WritingOrder::anywhere);
        const std::vector<uint8_t> header = header_of_frames(promised_.value_or(0));
        header_size_ = header.size();
        file_->write_at(header.data(), header.size(), 0);
    }

    /// Its size is the same for every number of frames: numpy leaves room for the first axis to grow.
    std::vector<uint8_t> header_of_frames(int64_t count) const {
        std::vector<int64_t> shape = type_.shape();
        if (type_.gray() && is_narrow_image(type_.height, type_.width)) shape.push_back(1);
        shape.insert(shape.begin(), count);
        return make_npy_header(npy_descr(type_.depth), shape);
    }

    fs::path path_;
    SinkOptions options_;
    std::optional<int64_t> promised_;  ///< frames, in the header before the first of them
    ImageType type_;
    std::unique_ptr<File> file_;
    size_t header_size_ = 0;
    int64_t count_ = 0;
    bool closed_ = false;
};

class NpyFile : public FileFormat {
public:
    NpyFile() {
        info_.name = "npy";
        info_.extensions = {".npy"};
        info_.reads = true;
        info_.writes = true;
        info_.streams = true;
        info_.lossless = true;
        info_.types = "every element type and number of channels";
        info_.tested = "files of numpy";
        info_.source_options = {npy_layout_option()};
    }

    const FileFormatInfo& info() const override { return info_; }

    bool recognises(const fs::path&, std::span<const uint8_t> head) const override {
        return head.size() >= kMagic.size() && std::memcmp(head.data(), kMagic.data(), kMagic.size()) == 0;
    }

    bool writes_to(const fs::path& path) const override {
        return lower_case_extension(path) == ".npy" && path.filename().string().find_first_of("{}") == std::string::npos;
    }

    std::unique_ptr<FrameSource> open(const fs::path& path, const SourceOptions& options) const override {
        return open_npy(path, options);
    }

    std::unique_ptr<FrameSink> create(const fs::path& path, const SinkOptions& options) const override {
        if (!options.codec.empty()) {
            throw Error(ErrorCode::invalid_argument,
                        fmt::format("npy has no options, so none named \"{}\"", options.codec.begin()->first));
        }
        return std::make_unique<NpySink>(path, options);
    }

private:
    FileFormatInfo info_;
};

}  // namespace

void add_file_formats_npy(FileFormatTable& table) {
    table.push_back(std::make_unique<NpyFile>());
}

}  // namespace reelstore
