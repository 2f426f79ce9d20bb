#include "base/npz.h"

#include <algorithm>
#include <optional>

#include <zip.h>

#include "base/error.h"
#include "base/file_system.h"

namespace reelstore {

namespace {

constexpr uint64_t kMaxArchive = uint64_t{1} << 30;
constexpr std::string_view kEnding = ".npy";
/// 1 January 1980 as ZIP writes a date: years since 1980, month, day.
constexpr uint16_t kDosDate = (0 << 9) | (1 << 5) | 1;

/// A zip_error_t that is released when it goes out of scope.
class ZipError {
public:
    ZipError() { zip_error_init(&error_); }
    ~ZipError() { zip_error_fini(&error_); }
    ZipError(const ZipError&) = delete;
    ZipError& operator=(const ZipError&) = delete;
    zip_error_t* get() { return &error_; }
    std::string text() { return zip_error_strerror(&error_); }

private:
    zip_error_t error_;
};

struct ArchiveCloser {
    void operator()(zip_t* archive) const { zip_discard(archive); }
};
struct MemberCloser {
    void operator()(zip_file_t* file) const { zip_fclose(file); }
};
struct SourceReleaser {
    void operator()(zip_source_t* source) const { zip_source_free(source); }
};
using Archive = std::unique_ptr<zip_t, ArchiveCloser>;
using Member = std::unique_ptr<zip_file_t, MemberCloser>;
using Source = std::unique_ptr<zip_source_t, SourceReleaser>;

[[noreturn]] void fail_making(const std::string& reason) {
    throw Error(ErrorCode::internal, "cannot make an npz archive: " + reason);
}

}  // namespace

struct NpzReader::Impl {
    std::string path;
    std::vector<uint8_t> bytes;  // the archive reads from here
    Archive archive;
    std::vector<std::pair<std::string, uint64_t>> members;  // name and place in the archive

    [[noreturn]] void fail(const std::string& message) const {
        throw Error(ErrorCode::corrupt, {.path = path, .chunk = {}, .frame_index = {}}, message);
    }

    std::optional<uint64_t> find(std::string_view name) const {
        for (const auto& [known, place] : members) {
            if (known == name) return place;
        }
        return std::nullopt;
    }
};

NpzReader::NpzReader(const std::filesystem::path& path) : impl_(std::make_unique<Impl>()) {
    impl_->path = path.string();
    impl_->bytes = read_file(path, kMaxArchive);
    if (impl_->bytes.empty()) impl_->fail("is an empty file, not an npz archive");
    ZipError error;
    Source source(zip_source_buffer_create(impl_->bytes.data(), impl_->bytes.size(), 0, error.get()));
    if (source) impl_->archive.reset(zip_open_from_source(source.get(), ZIP_RDONLY, error.get()));
    if (!impl_->archive) impl_->fail("is no npz archive or cut off: " + error.text());
    (void)source.release();  // the archive owns it now

    zip_int64_t count = zip_get_num_entries(impl_->archive.get(), 0);
    for (zip_int64_t i = 0; i < count; ++i) {
        const char* raw_name = zip_get_name(impl_->archive.get(), static_cast<zip_uint64_t>(i), 0);
        if (!raw_name) impl_->fail("has a member without a name");
        std::string name = raw_name;
        if (name.ends_with(kEnding)) name.resize(name.size() - kEnding.size());
        impl_->members.emplace_back(std::move(name), static_cast<uint64_t>(i));
    }
}

NpzReader::~NpzReader() = default;

std::vector<std::string> NpzReader::names() const {
    std::vector<std::string> names;
    for (const auto& member : impl_->members) names.push_back(member.first);
    return names;
}

bool NpzReader::contains(std::string_view name) const {
    return impl_->find(name).has_value();
}

std::vector<uint8_t> NpzReader::member(std::string_view name, uint64_t limit) const {
    std::string quoted = "member \"" + std::string(name) + "\"";
    std::optional<uint64_t> place = impl_->find(name);
    if (!place) {
        throw Error(ErrorCode::not_found, {.path = impl_->path, .chunk = {}, .frame_index = {}}, "has no " + quoted);
    }
    Member file(zip_fopen_index(impl_->archive.get(), *place, 0));
    if (!file) impl_->fail("cannot read " + quoted + ": " + zip_strerror(impl_->archive.get()));

    // The size in the archive's directory may lie, so memory grows with what really comes out.
    constexpr size_t kBlock = size_t{1} << 16;
    std::vector<uint8_t> content;
    while (true) {
        size_t used = content.size();
        content.resize(used + std::max(kBlock, used / 2));
        zip_int64_t count = zip_fread(file.get(), content.data() + used, content.size() - used);
        if (count < 0) impl_->fail("cannot read " + quoted + ": " + zip_file_strerror(file.get()));
        content.resize(used + static_cast<size_t>(count));
        if (content.size() > limit) impl_->fail(quoted + " unpacks to more than " + std::to_string(limit) + " bytes");
        if (count == 0) return content;
    }
}

std::vector<uint8_t> make_npz(const std::vector<std::pair<std::string, std::vector<uint8_t>>>& members) {
    ZipError error;
    Source output(zip_source_buffer_create(nullptr, 0, 0, error.get()));
    if (!output) fail_making(error.text());
    zip_source_keep(output.get());  // the archive takes one reference, the other stays here for reading the result
    Archive archive(zip_open_from_source(output.get(), ZIP_CREATE | ZIP_TRUNCATE, error.get()));
    if (!archive) {
        zip_source_free(output.get());
        fail_making(error.text());
    }
    for (const auto& [name, bytes] : members) {
        Source content(zip_source_buffer(archive.get(), bytes.data(), bytes.size(), 0));
        std::string file_name = name + std::string(kEnding);
        zip_int64_t place =
            content ? zip_file_add(archive.get(), file_name.c_str(), content.get(), ZIP_FL_ENC_UTF_8) : -1;
        if (place < 0) fail_making(zip_strerror(archive.get()));
        (void)content.release();  // the archive owns it now
        auto index = static_cast<zip_uint64_t>(place);
        if (zip_set_file_compression(archive.get(), index, ZIP_CM_STORE, 0) != 0 ||
            zip_file_set_dostime(archive.get(), index, 0, kDosDate, 0) != 0) {
            fail_making(zip_strerror(archive.get()));
        }
    }
    if (zip_close(archive.get()) != 0) fail_making(zip_strerror(archive.get()));
    (void)archive.release();

    zip_stat_t status;
    if (zip_source_stat(output.get(), &status) != 0 || zip_source_open(output.get()) != 0) {
        fail_making("the result cannot be read");
    }
    std::vector<uint8_t> result(status.size);
    zip_int64_t count = zip_source_read(output.get(), result.data(), result.size());
    zip_source_close(output.get());
    if (count != static_cast<zip_int64_t>(result.size())) fail_making("the result cannot be read");
    return result;
}

}  // namespace reelstore
