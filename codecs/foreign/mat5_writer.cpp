#include <cstring>

#include <fmt/format.h>

#include "base/error.h"
#include "codecs/foreign/mat5.h"
#include "codecs/foreign/mat_writer.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

constexpr uint32_t kMatrix = 14;
constexpr uint32_t kInt8 = 1;
constexpr uint32_t kInt32 = 5;
constexpr uint32_t kUint32 = 6;

struct ClassNumbers {
    const char* name;
    uint32_t of_array;
    uint32_t of_element;
};

constexpr ClassNumbers kNumbers[] = {{"double", 6, 9}, {"single", 7, 7},  {"int8", 8, 1},  {"uint8", 9, 2},
                                     {"int16", 10, 3}, {"uint16", 11, 4}, {"int32", 12, 5}};

void add(std::vector<uint8_t>& bytes, uint32_t value) {
    for (int shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<uint8_t>(value >> shift));
}

void add_tag(std::vector<uint8_t>& bytes, uint32_t type, uint64_t size) {
    add(bytes, type);
    add(bytes, static_cast<uint32_t>(size));
}

void pad(std::vector<uint8_t>& bytes) {
    bytes.resize((bytes.size() + 7) / 8 * 8);
}

uint64_t padded(uint64_t size) {
    return (size + 7) / 8 * 8;
}

/// Everything of a variable but its values.
std::vector<uint8_t> variable_head(const std::string& name, const ClassNumbers& numbers,
                                   const std::vector<uint32_t>& shape, uint64_t data_bytes) {
    std::vector<uint8_t> head;
    add_tag(head, kUint32, 8);
    add(head, numbers.of_array);
    add(head, 0);
    add_tag(head, kInt32, shape.size() * 4);
    for (const uint32_t size : shape) add(head, size);
    pad(head);
    add_tag(head, kInt8, name.size());
    head.insert(head.end(), name.begin(), name.end());
    pad(head);
    add_tag(head, numbers.of_element, data_bytes);
    std::vector<uint8_t> bytes;
    add_tag(bytes, kMatrix, head.size() + padded(data_bytes));
    bytes.insert(bytes.end(), head.begin(), head.end());
    return bytes;
}

class Mat5Writer final : public MatWriter {
public:
    Mat5Writer(fs::path path, fs::path written, std::unique_ptr<File> file, uint64_t end)
        : path_(std::move(path)), written_(std::move(written)), file_(std::move(file)), end_(end) {}

    ~Mat5Writer() override {
        if (closed_ || written_ == path_) return;
        try {
            file_system().remove(written_);
        } catch (const Error&) {
            // Only close() can report it.
        }
    }

    void begin_images(const std::string& name, const std::string& class_name, const ImageType& type) override {
        name_ = name;
        for (const ClassNumbers& numbers : kNumbers) {
            if (numbers.name == class_name) numbers_ = numbers;
        }
        type_ = type;
        most_ = kMostMat5Bytes / type.bytes();
        if (most_ == 0) throw full();
        start_ = end_;
        const std::vector<uint8_t> head = head_of(most_);
        file_->write_at(head.data(), head.size(), start_);
        end_ = start_ + head.size();
    }

    void add_image(const uint8_t* pixels) override {
        if (count_ == most_) throw full();
        file_->write_at(pixels, type_.bytes(), end_);
        end_ += type_.bytes();
        ++count_;
    }

    void end_images() override {
        const std::vector<uint8_t> zeros(padded(end_) - end_);
        if (!zeros.empty()) file_->write_at(zeros.data(), zeros.size(), end_);
        end_ += zeros.size();
        const std::vector<uint8_t> head = head_of(count_);
        file_->write_at(head.data(), head.size(), start_);
    }

    void add_column(const std::string& name, const std::vector<double>& values) override {
        std::vector<uint8_t> bytes =
            variable_head(name, kNumbers[0], {static_cast<uint32_t>(values.size()), 1}, values.size() * sizeof(double));
        const size_t head = bytes.size();
        bytes.resize(head + values.size() * sizeof(double));
        std::memcpy(bytes.data() + head, values.data(), values.size() * sizeof(double));
        file_->write_at(bytes.data(), bytes.size(), end_);
        end_ += bytes.size();
    }

    void close() override {
        if (written_ != path_) file_->sync();
        file_->close();
        if (written_ != path_) {
            file_system().rename(written_, path_);
            file_system().sync_folder(path_.has_parent_path() ? path_.parent_path() : fs::path("."));
        }
        closed_ = true;
    }

private:
    std::vector<uint8_t> head_of(uint64_t frames) const {
        std::vector<uint32_t> shape = {static_cast<uint32_t>(type_.height), static_cast<uint32_t>(type_.width)};
        if (type_.channels > 1) shape.push_back(static_cast<uint32_t>(type_.channels));
        shape.push_back(static_cast<uint32_t>(frames));
        return variable_head(name_, numbers_, shape, frames * type_.bytes());
    }

    Error full() const {
        return Error(
            ErrorCode::unsupported, {path_.string(), {}, {}},
            fmt::format("a variable of a MATLAB file of version 5 has less than 2 GiB, which hold {} frames of "
                        "{}; write the file with the option version=7.3",
                        most_, type_.text()));
    }

    fs::path path_;
    fs::path written_;  ///< `path_`, or the copy that will take its place
    std::unique_ptr<File> file_;
    uint64_t end_;
    std::string name_;
    ClassNumbers numbers_ = kNumbers[0];
    ImageType type_;
    uint64_t start_ = 0;
    uint64_t most_ = 0;
    uint64_t count_ = 0;
    bool closed_ = false;
};

}  // namespace

std::unique_ptr<MatWriter> create_mat5(const fs::path& path) {
    std::unique_ptr<File> file = file_system().open(path, OpenMode::create_exclusive);
    const std::vector<uint8_t> header = make_mat_header("5.0");
    file->write_at(header.data(), header.size(), 0);
    return std::make_unique<Mat5Writer>(path, path, std::move(file), header.size());
}

std::unique_ptr<MatWriter> append_to_mat5(const fs::path& path, const std::vector<std::string>& names) {
    const uint64_t end = check_mat5_for_appending(path, names);
    fs::path copy = path;
    copy += ".tmp";
    if (file_system().status(copy).kind != FileKind::missing) {
        throw Error(ErrorCode::already_exists, {copy.string(), {}, {}},
                    "is perhaps left from an earlier run that was ended; look at it and remove it");
    }
    reelstore::copy_file(path, copy);
    return std::make_unique<Mat5Writer>(path, copy, file_system().open(copy, OpenMode::read_write), end);
}

}  // namespace reelstore
