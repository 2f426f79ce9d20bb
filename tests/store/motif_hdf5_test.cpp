#include "store/motif_hdf5.h"

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <hdf5.h>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file_system.h"
#include "codecs/foreign/hdf5_id.h"
#include "tests/temporary_folder.h"

using namespace reelstore;

namespace {

enum class TextKind { variable, fixed, padded };

/// One sample of the data set `camera`, as Motif keeps it, with a member nobody asked for and one that is no number.
struct Sample {
    double frame_time;
    int64_t frame_number;
    int32_t frame_index;
    float exposure;
    char name[4];
};

Hdf5Id scalar() {
    return Hdf5Id(H5Screate(H5S_SCALAR));
}

void put_text(hid_t object, const char* name, const std::string& text, TextKind kind = TextKind::variable) {
    const Hdf5Id type(H5Tcopy(H5T_C_S1));
    if (kind == TextKind::variable) {
        H5Tset_size(type, H5T_VARIABLE);
        H5Tset_cset(type, H5T_CSET_UTF8);
    } else {
        H5Tset_size(type, text.size() + (kind == TextKind::padded ? 8 : 0));
        H5Tset_strpad(type, kind == TextKind::padded ? H5T_STR_SPACEPAD : H5T_STR_NULLPAD);
    }
    const Hdf5Id space = scalar();
    const Hdf5Id attribute(H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT));
    const std::string padded = text + std::string(8, ' ');
    const char* pointer = padded.c_str();
    if (kind == TextKind::variable) pointer = text.c_str();
    REQUIRE(H5Awrite(attribute, type, kind == TextKind::variable ? static_cast<const void*>(&pointer) : pointer) >= 0);
}

template <typename T>
void put_number(hid_t object, const char* name, hid_t type, T value) {
    const Hdf5Id space = scalar();
    const Hdf5Id attribute(H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT));
    REQUIRE(H5Awrite(attribute, type, &value) >= 0);
}

/// Writes a Motif file piece by piece.
class MotifWriter {
public:
    explicit MotifWriter(const std::filesystem::path& path)
        : file_(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT)) {
        REQUIRE(file_ >= 0);
    }

    MotifWriter& camera(const std::vector<int64_t>& numbers, bool with_index = true, bool with_time = true) {
        const Hdf5Id type(H5Tcreate(H5T_COMPOUND, sizeof(Sample)));
        H5Tinsert(type, "exposure", HOFFSET(Sample, exposure), H5T_NATIVE_FLOAT);
        if (with_time) H5Tinsert(type, "frame_time", HOFFSET(Sample, frame_time), H5T_NATIVE_DOUBLE);
        H5Tinsert(type, "frame_number", HOFFSET(Sample, frame_number), H5T_NATIVE_INT64);
        if (with_index) H5Tinsert(type, "frame_index", HOFFSET(Sample, frame_index), H5T_NATIVE_INT32);
        const Hdf5Id text(H5Tcopy(H5T_C_S1));
        H5Tset_size(text, sizeof(Sample::name));
        H5Tinsert(type, "name", HOFFSET(Sample, name), text);
        std::vector<Sample> samples;
        for (size_t i = 0; i < numbers.size(); ++i)
            samples.push_back({1577836800.0 + i / 3.0, numbers[i], static_cast<int32_t>(i), 0.5F, "abc"});
        put_data("camera", type, {samples.size()}, samples.data());
        return *this;
    }
    template <typename T>
    MotifWriter& data(const std::string& name, hid_t type, std::vector<hsize_t> shape, const std::vector<T>& values,
                      const std::optional<std::string>& columns, std::optional<double> rate = {}, hsize_t chunk = 0) {
        const Hdf5Id dataset = put_data(name, type, shape, values.data(), chunk);
        if (columns) put_text(dataset, "column_names", *columns, TextKind::fixed);
        if (rate) put_number(dataset, "samplerate", H5T_NATIVE_DOUBLE, *rate);
        return *this;
    }
    MotifWriter& names(const std::string& text, TextKind kind = TextKind::variable) {
        put_text(file_, "datasets", text, kind);
        return *this;
    }
    hid_t file() const { return file_; }

private:
    Hdf5Id put_data(const std::string& name, hid_t type, std::vector<hsize_t> shape, const void* values,
                    hsize_t chunk = 0) {
        const Hdf5Id space(H5Screate_simple(shape.size(), shape.data(), nullptr));
        const Hdf5Id layout(H5Pcreate(H5P_DATASET_CREATE));
        if (chunk > 0) {
            std::vector<hsize_t> sides(shape.size(), 1);
            sides.back() = chunk;
            H5Pset_chunk(layout, sides.size(), sides.data());
            H5Pset_deflate(layout, 6);
        }
        Hdf5Id dataset(H5Dcreate2(file_, name.c_str(), type, space, H5P_DEFAULT, layout, H5P_DEFAULT));
        REQUIRE(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
        return dataset;
    }

    Hdf5Id file_;
};

struct MotifFolder {
    TemporaryFolder folder;
    std::filesystem::path path = folder / "000000.extra_data.h5";
};

ErrorCode reading_error(const std::filesystem::path& path) {
    try {
        read_motif_hdf5(path);
    } catch (const Error& error) {
        CHECK(std::string(error.what()).find(path.string()) != std::string::npos);
        return error.code();
    }
    FAIL("no error");
    return ErrorCode::internal;
}

}  // namespace

TEST_CASE("samples of two data sets become records") {
    MotifFolder motif;
    const double nan = std::nan("");
    MotifWriter(motif.path)
        .camera({10, 12, -1, 13, -1})
        .data<double>("analog", H5T_NATIVE_DOUBLE, {2, 5}, {0.1, 0.2, 9, nan, 9, 1.5, 2.5, 9, 3.5, 9},
                      "voltage, current", 100)
        .data<int16_t>("digital", H5T_NATIVE_INT16, {2, 5}, {1, -2, 9, 3, 9, 7, 8, 9, 6, 9}, "trigger,voltage", 100)
        .data<float>("sample_delay", H5T_NATIVE_FLOAT, {5}, {0.25, 0.5, 9, 0.75, 9}, {})
        .names("analog, digital");
    const ExtraDataFile file = read_extra_data_file(motif.path);
    CHECK(file.warnings.empty());
    CHECK(file.sample_rate == 100.0);
    REQUIRE(file.records.size() == 3);
    CHECK(file.records[0].dump() ==
          R"({"voltage":0.1,"current":1.5,"trigger":1,"digital.voltage":7,"sample_delay":0.25,)"
          R"("frame_number":10,"frame_time":1577836800.0,"frame_index":0,"exposure":0.5})");
    CHECK(file.records[1]["trigger"] == -2);
    CHECK(file.records[1]["frame_time"].get<double>() == 1577836800.0 + 1 / 3.0);
    CHECK(file.records[2]["voltage"].is_null());
    CHECK(file.records[2]["frame_number"] == 13);
    CHECK(file.records[2]["frame_index"] == 3);
}

TEST_CASE("names may be text of any kind HDF5 has") {
    for (const TextKind kind : {TextKind::variable, TextKind::fixed, TextKind::padded}) {
        MotifFolder motif;
        MotifWriter(motif.path).camera({1}).data<int8_t>("a", H5T_NATIVE_INT8, {1, 1}, {5}, " x ").names("a", kind);
        const ExtraDataFile file = read_motif_hdf5(motif.path);
        REQUIRE(file.records.size() == 1);
        CHECK(file.records[0]["x"] == 5);
    }
}

TEST_CASE("integers keep all their bits") {
    MotifFolder motif;
    MotifWriter(motif.path)
        .camera({1, 2}, false)
        .data<uint64_t>("u", H5T_NATIVE_UINT64, {1, 2}, {UINT64_MAX, 1}, "unsigned")
        .data<int64_t>("i", H5T_STD_I64LE, {1, 2}, {INT64_MIN, INT64_MAX}, "signed")
        .names("u,i");
    const ExtraDataFile file = read_motif_hdf5(motif.path);
    REQUIRE(file.records.size() == 2);
    CHECK(file.records[0]["unsigned"].get<uint64_t>() == UINT64_MAX);
    CHECK(file.records[0]["signed"].get<int64_t>() == INT64_MIN);
    CHECK(file.records[1]["signed"].get<int64_t>() == INT64_MAX);
    CHECK_FALSE(file.records[0].contains("frame_index"));
    CHECK_FALSE(file.sample_rate);
}

TEST_CASE("long compressed data sets are read block by block") {
    MotifFolder motif;
    const int64_t samples = 300'000;
    std::vector<int64_t> numbers;
    std::vector<int32_t> values;
    for (int64_t i = 0; i < samples; ++i) numbers.push_back(i >= 1000 && i < 299'000 ? -1 : i);
    for (int64_t i = 0; i < 3 * samples; ++i) values.push_back(static_cast<int32_t>(i));
    MotifWriter(motif.path)
        .camera(numbers)
        .data("a", H5T_NATIVE_INT32, {3, samples}, values, "x,y,z", 1e4, 4096)
        .names("a");
    const ExtraDataFile file = read_motif_hdf5(motif.path);
    REQUIRE(file.records.size() == 2000);
    for (const Json& record : file.records) {
        const int64_t number = record["frame_number"];
        REQUIRE(record["x"] == number);
        REQUIRE(record["z"] == 2 * samples + number);
    }
}

TEST_CASE("sample rates must agree") {
    MotifFolder motif;
    auto write = [&](std::optional<double> first, std::optional<double> second) {
        MotifWriter(motif.path)
            .camera({1})
            .data<int>("a", H5T_NATIVE_INT, {1, 1}, {1}, "x", first)
            .data<int>("b", H5T_NATIVE_INT, {1, 1}, {2}, "y", second)
            .names("a,b");
    };
    write(30, {});
    CHECK(read_motif_hdf5(motif.path).sample_rate == 30.0);
    write(30, 31);
    CHECK(reading_error(motif.path) == ErrorCode::unsupported);
    write(30, std::nan(""));
    CHECK(reading_error(motif.path) == ErrorCode::corrupt);
}

TEST_CASE("a file without samples or data sets is read") {
    MotifFolder motif;
    MotifWriter(motif.path).camera({-1, -1}).data<int>("a", H5T_NATIVE_INT, {1, 2}, {1, 2}, "x").names("a");
    CHECK(read_motif_hdf5(motif.path).records.empty());
    MotifWriter(motif.path).camera({4}).names(" ", TextKind::padded);
    CHECK(read_motif_hdf5(motif.path).records.size() == 1);
}

TEST_CASE("a sample_delay that does not fit is left out") {
    MotifFolder motif;
    MotifWriter(motif.path).camera({4, 5}).data<int>("sample_delay", H5T_NATIVE_INT, {3}, {1, 2, 3}, {}).names("");
    const ExtraDataFile file = read_motif_hdf5(motif.path);
    CHECK(file.records.size() == 2);
    CHECK_FALSE(file.records[0].contains("sample_delay"));
    REQUIRE(file.warnings.size() == 1);
    CHECK(file.warnings[0].find(motif.path.string()) == 0);
}

TEST_CASE("what a Motif file must have is missing or wrong") {
    MotifFolder motif;
    const std::vector<int> two = {1, 2};
    auto code = [&](auto&& fill) {
        {
            MotifWriter writer(motif.path);
            fill(writer);
        }
        return reading_error(motif.path);
    };
    CHECK(code([](MotifWriter& w) { w.camera({1}); }) == ErrorCode::corrupt);
    CHECK(code([](MotifWriter& w) { w.names("a"); }) == ErrorCode::corrupt);
    CHECK(code([](MotifWriter& w) { w.camera({1}).names("a"); }) == ErrorCode::corrupt);
    CHECK(code([](MotifWriter& w) { w.camera({1}, true, false).names(""); }) == ErrorCode::corrupt);
    CHECK(code([&](MotifWriter& w) {
              w.camera({1, 2}).data("a", H5T_NATIVE_INT, {1, 2}, two, {}).names("a");
          }) == ErrorCode::corrupt);
    CHECK(code([&](MotifWriter& w) {
              w.camera({1, 2}).data("a", H5T_NATIVE_INT, {1, 2}, two, "x,y").names("a");
          }) == ErrorCode::corrupt);
    CHECK(code([&](MotifWriter& w) {
              w.camera({1}).data("a", H5T_NATIVE_INT, {1, 2}, two, "x").names("a");
          }) == ErrorCode::corrupt);
    CHECK(code([&](MotifWriter& w) {
              w.camera({1, 2}).data("a", H5T_NATIVE_INT, {2}, two, "x").names("a");
          }) == ErrorCode::corrupt);
    CHECK(code([&](MotifWriter& w) {
              w.camera({1, 2}).data("a", H5T_NATIVE_INT, {1, 2}, two, "\xFF").names("a");
          }) == ErrorCode::corrupt);
    CHECK(code([&](MotifWriter& w) {
              w.camera({1}).data<int>("a", H5T_NATIVE_INT, {3, 1}, {1, 2, 3}, "x,x,x").names("a");
          }) == ErrorCode::corrupt);
    CHECK(code([](MotifWriter& w) {
              w.camera({1});
              put_number(w.file(), "datasets", H5T_NATIVE_INT, 5);
          }) == ErrorCode::corrupt);
}

TEST_CASE("data outside the file are refused") {
    MotifFolder motif;
    write_file_atomically(motif.folder / "secret", "12345678");
    auto code = [&](auto&& add) {
        {
            MotifWriter writer(motif.path);
            writer.camera({1}).names("a");
            add(writer.file());
        }
        return reading_error(motif.path);
    };
    CHECK(code([](hid_t file) { H5Lcreate_external("other.h5", "/a", file, "a", H5P_DEFAULT, H5P_DEFAULT); }) ==
          ErrorCode::unsupported);
    CHECK(code([](hid_t file) { H5Lcreate_soft("/camera", file, "a", H5P_DEFAULT, H5P_DEFAULT); }) ==
          ErrorCode::unsupported);
    CHECK(code([&](hid_t file) {
              const hsize_t shape[] = {1, 1};
              const Hdf5Id space(H5Screate_simple(2, shape, nullptr));
              const Hdf5Id layout(H5Pcreate(H5P_DATASET_CREATE));
              H5Pset_external(layout, (motif.folder / "secret").c_str(), 0, 8);
              const Hdf5Id data(H5Dcreate2(file, "a", H5T_NATIVE_INT64, space, H5P_DEFAULT, layout, H5P_DEFAULT));
              put_text(data, "column_names", "x");
          }) == ErrorCode::unsupported);
}

TEST_CASE("sizes that no memory holds are refused before anything is read") {
    MotifFolder motif;
    auto code = [&](std::vector<hsize_t> shape, std::vector<hsize_t> chunk) {
        {
            MotifWriter writer(motif.path);
            writer.camera({1}).names("a");
            const Hdf5Id space(H5Screate_simple(2, shape.data(), nullptr));
            const Hdf5Id layout(H5Pcreate(H5P_DATASET_CREATE));
            H5Pset_chunk(layout, 2, chunk.data());
            const Hdf5Id data(H5Dcreate2(writer.file(), "a", H5T_NATIVE_INT8, space, H5P_DEFAULT, layout, H5P_DEFAULT));
            put_text(data, "column_names", "x");
        }
        return reading_error(motif.path);
    };
    CHECK(code({1, hsize_t{1} << 60}, {1, 1024}) == ErrorCode::unsupported);
    CHECK(code({1 << 16, 1 << 16}, {1 << 15, 1 << 15}) == ErrorCode::unsupported);
}

TEST_CASE("a file cut off anywhere is an error") {
    MotifFolder motif;
    MotifWriter(motif.path)
        .camera({10, 11, 12})
        .data<double>("a", H5T_NATIVE_DOUBLE, {2, 3}, {1, 2, 3, 4, 5, 6}, "x,y", 10)
        .names("a");
    const std::string whole = read_text_file(motif.path, 1 << 20);
    REQUIRE(read_motif_hdf5(motif.path).records.size() == 3);
    for (size_t size = 0; size < whole.size(); size += size < 200 ? 1 : 37) {
        CAPTURE(size);
        write_file_atomically(motif.path, whole.substr(0, size));
        CHECK(reading_error(motif.path) == ErrorCode::corrupt);
    }
    CHECK(reading_error(motif.folder / "missing.extra_data.h5") == ErrorCode::not_found);
}

TEST_CASE("the caller's error printing is left as it was") {
    MotifFolder motif;
    write_file_atomically(motif.path, "no HDF5");
    H5E_auto2_t before = nullptr;
    void* before_data = nullptr;
    REQUIRE(H5Eget_auto2(H5E_DEFAULT, &before, &before_data) >= 0);
    CHECK(reading_error(motif.path) == ErrorCode::corrupt);
    H5E_auto2_t after = nullptr;
    void* after_data = nullptr;
    H5Eget_auto2(H5E_DEFAULT, &after, &after_data);
    CHECK((before == after));
    CHECK((before != nullptr));
}
