/// Stacks of images as numpy arrays.
///
/// An array of shape (h, w) is one image, (n, h, w) a stack, (n, h, w, c) a stack with channels. Three dimensions could
/// also be one image (h, w, c): that is what they are taken for when c is 3 or 4 and both other sizes are at least 16.
/// Written stacks of such narrow gray images have the shape (n, h, w, 1), so that they come back as they were.

#include "base/npy.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file_system.h"
#include "codecs/file_format.h"
#include "codecs/image_codec.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
/// Longest header that base/npy.h reads, with magic and lengths.
constexpr size_t kLongestHeader = (size_t{64} << 10) + 12;

ErrorPlace place_of(const fs::path& path) {
    return {path.string(), {}, {}};
}

/// A smaller first or second axis is not taken for the side of a colour image.
constexpr int64_t kColorImageSide = 16;

bool is_narrow(int64_t height, int64_t width) {
    return (width == 3 || width == 4) && height >= kColorImageSide;
}

/// How an array divides into frames.
struct StackShape {
    int64_t frames = 1;
    std::vector<int64_t> image;  ///< (h, w) or (h, w, c)
};

StackShape divide(const std::vector<int64_t>& shape) {
    if (shape.size() == 2) return {1, shape};
    if (shape.size() == 3 && is_narrow(shape[1], shape[2]) && shape[0] >= kColorImageSide) return {1, shape};
    if (shape.size() == 3 || shape.size() == 4) return {shape[0], {shape.begin() + 1, shape.end()}};
    throw Error(ErrorCode::unsupported,
                fmt::format("an array of {} dimensions is no stack of images; (h, w), (n, h, w) and (n, h, w, c) are",
                            shape.size()));
}

ImageType image_type(const NpyHeader& header, const std::vector<int64_t>& image_shape) {
    const int depth = header.pixel_depth();
    const int64_t channels = image_shape.size() == 3 ? image_shape[2] : 1;
    const bool fits_int = std::max(image_shape[0], image_shape[1]) <= kMaxImageSide && channels <= CV_CN_MAX;
    const ImageType type{int(image_shape[0]), int(image_shape[1]), int(channels), depth};
    if (!fits_int || !plausible(type)) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("frames of shape ({}) are no plausible images", fmt::join(image_shape, ", ")));
    }
    return type;
}

class NpySource : public FrameSource, public RandomAccess {
public:
    NpySource(const fs::path& path, const SourceOptions& options) : path_(path), gray_(options.gray) {
        try {
            file_ = file_system().open(path, OpenMode::read);
            std::vector<uint8_t> head(kLongestHeader);
            head.resize(file_->read_at(head.data(), head.size(), 0));
            header_ = parse_npy_header(head);
            shape_ = divide(header_.shape);
            read_info();
        } catch (const Error& error) {
            throw error.at(place_of(path));
        }
    }

    const SourceInfo& info() const override { return info_; }
    RandomAccess* random_access() override { return this; }
    int64_t frame_count() const override { return shape_.frames; }

    std::optional<Frame> next() override {
        if (next_index_ >= frame_count()) return std::nullopt;
        return at_index(next_index_++);
    }

    Frame at_index(int64_t index) override {
        if (index < 0 || index >= frame_count()) {
            throw Error(ErrorCode::invalid_argument, place_of(path_),
                        fmt::format("there is no frame {} among {}", index, frame_count()));
        }
        try {
            Frame frame;
            frame.image = read(index);
            frame.index = index;
            frame.number = index;
            return frame;
        } catch (const Error& error) {
            throw error.at({path_.string(), {}, index});
        }
    }

private:
    void read_info() {
        info_.image_type = image_type(header_, shape_.image);
        frame_bytes_ = info_.image_type.bytes();
        const uint64_t expected = header_.data_offset + header_.data_bytes();
        if (file_->size() < expected) {
            throw Error(ErrorCode::corrupt, fmt::format("the file is cut off: it has {} bytes, its header announces {}",
                                                        file_->size(), expected));
        }
        if (header_.fortran_order) load_all();
        if (gray_) info_.image_type.channels = 1;
        info_.name = path_.string();
        info_.format = "npy";
        info_.frame_count = shape_.frames;
    }

    /// In Fortran order the pixels of a frame are spread over the whole file.
    void load_all() {
        if (header_.data_bytes() > kMaxImageBytes) {
            throw Error(ErrorCode::unsupported,
                        "stacks in Fortran order are read up to 2 GiB only; save it in C order");
        }
        all_.resize(header_.data_bytes());
        all_.resize(file_->read_at(all_.data(), all_.size(), header_.data_offset));
        if (all_.size() != header_.data_bytes()) throw Error(ErrorCode::corrupt, "the file is cut off");
    }

    cv::Mat read(int64_t index) {
        // An array of this one frame, so that byte order and kinds of element are understood in one place.
        std::vector<uint8_t> bytes = make_npy_header(header_.descr, shape_.image);
        const size_t data = bytes.size();
        bytes.resize(data + frame_bytes_);
        if (!header_.fortran_order) {
            const uint64_t offset = header_.data_offset + static_cast<uint64_t>(index) * frame_bytes_;
            if (file_->read_at(bytes.data() + data, frame_bytes_, offset) != frame_bytes_) {
                throw Error(ErrorCode::corrupt, "the file is cut off");
            }
        } else {
            gather(index, bytes.data() + data);
        }
        const cv::Mat image = image_from_npy(bytes);
        return gray_ ? gray_image(image) : image;
    }

    /// Element (frame, y, x, channel) of a Fortran array is at frame + n * (y + h * (x + w * channel)).
    void gather(int64_t frame, uint8_t* target) const {
        const ImageType type = image_type(header_, shape_.image);
        const size_t item = header_.item_bytes();
        for (int y = 0; y < type.height; ++y) {
            for (int x = 0; x < type.width; ++x) {
                for (int channel = 0; channel < type.channels; ++channel, target += item) {
                    const int64_t element =
                        frame + shape_.frames * (y + int64_t{type.height} * (x + int64_t{type.width} * channel));
                    std::memcpy(target, all_.data() + static_cast<size_t>(element) * item, item);
                }
            }
        }
    }

    fs::path path_;
    bool gray_;
    std::unique_ptr<File> file_;
    NpyHeader header_;
    StackShape shape_;
    SourceInfo info_;
    size_t frame_bytes_ = 0;
    std::vector<uint8_t> all_;
    int64_t next_index_ = 0;
};

class NpySink : public FrameSink {
public:
    explicit NpySink(fs::path path) : path_(std::move(path)) {
        if (file_system().status(path_).kind != FileKind::missing) {
            throw Error(ErrorCode::already_exists, place_of(path_), "the file exists already");
        }
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
        const std::vector<uint8_t> header = header_of_frames();
        file_->write_at(header.data(), header.size(), 0);
        file_->close();
    }

private:
    void begin(const ImageType& type) {
        if (!plausible(type)) {
            throw Error(ErrorCode::wrong_type, place_of(path_), fmt::format("{} is no plausible image", type.text()));
        }
        type_ = type;
        file_ = file_system().open(path_, OpenMode::create_exclusive);
        const std::vector<uint8_t> header = header_of_frames();
        header_size_ = header.size();
        file_->write_at(header.data(), header.size(), 0);
    }

    /// Its size is the same for every number of frames: numpy leaves room for the first axis to grow.
    std::vector<uint8_t> header_of_frames() const {
        std::vector<int64_t> shape = type_.shape();
        if (type_.gray() && is_narrow(type_.height, type_.width)) shape.push_back(1);
        shape.insert(shape.begin(), count_);
        return make_npy_header(npy_descr(type_.depth), shape);
    }

    fs::path path_;
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
        info_.lossless = true;
        info_.types = "every element type and number of channels";
    }

    const FileFormatInfo& info() const override { return info_; }

    bool recognises(const fs::path&, std::span<const uint8_t> head) const override {
        return head.size() >= kMagic.size() && std::memcmp(head.data(), kMagic.data(), kMagic.size()) == 0;
    }

    bool writes_to(const fs::path& path) const override {
        return path.extension() == ".npy" && path.filename().string().find_first_of("{}") == std::string::npos;
    }

    std::unique_ptr<FrameSource> open(const fs::path& path, const SourceOptions& options) const override {
        return std::make_unique<NpySource>(path, options);
    }

    std::unique_ptr<FrameSink> create(const fs::path& path, const SinkOptions& options) const override {
        if (!options.codec.empty()) {
            throw Error(ErrorCode::invalid_argument,
                        fmt::format("npy has no options, so none named \"{}\"", options.codec.begin()->first));
        }
        return std::make_unique<NpySink>(path);
    }

private:
    FileFormatInfo info_;
};

}  // namespace

void add_file_formats_npy(FileFormatTable& table) {
    table.push_back(std::make_unique<NpyFile>());
}

}  // namespace reelstore
