#include "base/npz.h"

#include <optional>

#include <doctest/doctest.h>

#include "base/error.h"
#include "base/file_system.h"
#include "base/npy.h"
#include "tests/temporary_folder.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

using Bytes = std::vector<uint8_t>;

Bytes small_archive() {
    return make_npz({{"frame_number", npy_from_int64(std::vector<int64_t>{5, 6, 7})},
                     {"frame_time", npy_from_double(std::vector<double>{0.5, 1, 1.5})},
                     {"encoding", npy_none()}});
}

/// Opens the archive and reads every member.
void read_all(const std::filesystem::path& path) {
    NpzReader reader(path);
    for (const std::string& name : reader.names()) reader.member(name);
}

}  // namespace

TEST_CASE("npz: members come back by name, in order") {
    TemporaryFolder folder;
    Bytes bytes = small_archive();
    CHECK(bytes == small_archive());
    write_new_file(folder / "a.npz", bytes.data(), bytes.size());
    NpzReader reader(folder / "a.npz");
    CHECK(reader.names() == std::vector<std::string>{"frame_number", "frame_time", "encoding"});
    CHECK(reader.contains("frame_time"));
    CHECK_FALSE(reader.contains("frame_time.npy"));
    CHECK(int64_from_npy(reader.member("frame_number")) == std::vector<int64_t>{5, 6, 7});
    CHECK(double_from_npy(reader.member("frame_time")) == std::vector<double>{0.5, 1, 1.5});
    CHECK(reader.member("encoding") == npy_none());
    CHECK(reader.member("frame_number") == reader.member("frame_number"));
    CHECK(error_of([&] { reader.member("none"); }) == ErrorCode::not_found);
    CHECK(error_of([&] { reader.member("frame_number", 100); }) == ErrorCode::corrupt);
}

TEST_CASE("npz: no members, large members and repeated names") {
    TemporaryFolder folder;
    Bytes large(1'500'000);
    for (size_t i = 0; i < large.size(); ++i) large[i] = static_cast<uint8_t>(i * 31 + i / 256);
    Bytes bytes = make_npz({{"large", large}, {"empty", {}}});
    write_new_file(folder / "a.npz", bytes.data(), bytes.size());
    NpzReader reader(folder / "a.npz");
    CHECK(reader.member("large") == large);
    CHECK(reader.member("empty").empty());
    CHECK(error_of([&] { make_npz({{"twice", {1}}, {"twice", {2}}}); }) == ErrorCode::internal);
}

TEST_CASE("npz: a missing, empty or foreign file") {
    TemporaryFolder folder;
    CHECK(error_of([&] { NpzReader(folder / "none.npz"); }) == ErrorCode::not_found);
    write_new_file(folder / "empty.npz", nullptr, 0);
    CHECK(error_of([&] { NpzReader(folder / "empty.npz"); }) == ErrorCode::corrupt);
    write_new_file(folder / "text.npz", "no archive", 10);
    CHECK(error_of([&] { NpzReader(folder / "text.npz"); }) == ErrorCode::corrupt);
}

TEST_CASE("npz: an archive cut off anywhere is corrupt") {
    TemporaryFolder folder;
    Bytes whole = small_archive();
    for (size_t size = 0; size < whole.size(); ++size) {
        auto path = folder / std::to_string(size);
        write_new_file(path, whole.data(), size);
        REQUIRE(error_of([&] { read_all(path); }) == ErrorCode::corrupt);
    }
}

TEST_CASE("npz: a changed byte is an Error at most, and changed data never goes unnoticed") {
    TemporaryFolder folder;
    Bytes whole = make_npz({{"a", npy_from_int64(std::vector<int64_t>{5})}});
    for (size_t i = 0; i < whole.size(); ++i) {
        for (uint8_t flip : {0x01, 0x80, 0xff}) {
            Bytes changed = whole;
            changed[i] ^= flip;
            auto path = folder / "changed.npz";
            write_file_atomically(path, changed.data(), changed.size());
            Bytes found;
            std::optional<ErrorCode> error = error_of([&] { found = NpzReader(path).member("a"); });
            if (!error) REQUIRE(found == npy_from_int64(std::vector<int64_t>{5}));
        }
    }
}

}  // namespace reelstore
