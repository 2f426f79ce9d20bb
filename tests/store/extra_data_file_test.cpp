#include "store/extra_data_file.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file_system.h"
#include "tests/temporary_folder.h"

using namespace reelstore;

namespace {

ExtraDataFile read_text(const TemporaryFolder& folder, const std::string& text,
                        const std::string& name = "000000.extra.json") {
    write_file_atomically(folder / name, text);
    return read_extra_data_file(folder / name);
}

Json sample_record(int i) {
    return {{"label", "a \"b\" {c} [d] \\ " + std::to_string(i)},
            {"nested", {{"list", {1, {{"x", 2.5}}}}, {"frame_number", i}}},
            {"unicode", "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x90\x9D"}};
}

ErrorCode reading_error(const TemporaryFolder& folder, const std::string& text,
                        const std::string& name = "000000.extra.json") {
    try {
        read_text(folder, text, name);
    } catch (const Error& error) {
        CHECK(std::string(error.what()).find(name) != std::string::npos);
        return error.code();
    }
    FAIL("no error");
    return ErrorCode::internal;
}

}  // namespace

TEST_CASE("extra data come back as they were added") {
    TemporaryFolder folder;
    ExtraDataText text;
    CHECK(text.empty());
    CHECK(text.finish() == "[]");
    const std::vector<double> times = {1577836800.0806, 0.1 + 0.2, -0.0, 5e-324, 1.7976931348623157e308, 1e15, 3};
    for (size_t i = 0; i < times.size(); ++i) text.add(sample_record(i), times[i], INT64_MIN + i, INT64_MAX - i);
    CHECK_FALSE(text.empty());

    const ExtraDataFile file = read_text(folder, text.finish());
    CHECK(file.warnings.empty());
    CHECK_FALSE(file.sample_rate);
    REQUIRE(file.records.size() == times.size());
    for (size_t i = 0; i < times.size(); ++i) {
        const Json& record = file.records[i];
        CHECK(std::bit_cast<uint64_t>(record["frame_time"].get<double>()) == std::bit_cast<uint64_t>(times[i]));
        CHECK(record["frame_number"].get<int64_t>() == INT64_MIN + static_cast<int64_t>(i));
        CHECK(record["frame_index"].get<int64_t>() == INT64_MAX - static_cast<int64_t>(i));
        Json user = record;
        for (const char* key : {"frame_time", "frame_number", "frame_index"}) user.erase(key);
        CHECK(user.dump() == sample_record(i).dump());
    }
}

TEST_CASE("the text of extra data is what imgstore expects") {
    ExtraDataText text;
    text.add({{"temperature", 20.5}, {"label", "\xC3\xA4"}}, 1577836800.0, 1000, 0);
    text.add({{"bad", std::nan("")}, {"worse", std::numeric_limits<double>::infinity()}}, 0.5, -1, 1);
    CHECK(text.finish() ==
          R"([{"temperature":20.5,"label":"\u00e4","frame_time":1577836800.0,"frame_number":1000,"frame_index":0}, )"
          R"({"bad":null,"worse":null,"frame_time":0.5,"frame_number":-1,"frame_index":1}])");
}

TEST_CASE("extra data that JSON cannot hold are refused and leave the text as it was") {
    ExtraDataText text;
    CHECK_THROWS_AS(text.add({{"bytes", "\xFF"}}, 0, 0, 0), Error);
    CHECK_THROWS_AS(text.add(Json::array({1}), 0, 0, 0), Error);
    CHECK(text.empty());
}

TEST_CASE("a file cut off at any byte gives every record that is complete") {
    TemporaryFolder folder;
    ExtraDataText builder;
    std::vector<size_t> ends;  // behind each record
    for (int i = 0; i < 5; ++i) {
        builder.add(sample_record(i), 1577836800.25 + i, 100 + i, i);
        ends.push_back(builder.finish().size() - 1);
    }
    const std::string text = builder.finish();
    for (size_t size = 0; size <= text.size(); ++size) {
        CAPTURE(size);
        const ExtraDataFile file = read_text(folder, text.substr(0, size));
        size_t complete = 0;
        while (complete < ends.size() && ends[complete] <= size) ++complete;
        REQUIRE(file.records.size() == complete);
        for (size_t i = 0; i < complete; ++i) CHECK(file.records[i]["frame_index"] == i);
        const size_t begin = complete == 0 ? 1 : ends[complete - 1] + 2;  // of the record that is cut off
        const bool cut_off = complete < ends.size() && size > begin;
        CHECK(file.warnings.size() == (cut_off || size == 0 ? 1 : 0));
        if (cut_off) {
            CHECK(file.warnings[0].find("byte " + std::to_string(begin) + " is cut off") != std::string::npos);
            CHECK(file.warnings[0].find((folder / "000000.extra.json").string()) == 0);
        }
    }
}

TEST_CASE("Python's NaN and Infinity become null, but not inside text") {
    TemporaryFolder folder;
    const ExtraDataFile file = read_text(
        folder, R"([{"a": NaN, "b": -Infinity, "c": [Infinity, 1], "d": "NaN \" -Infinity", "frame_number": NaN}])");
    REQUIRE(file.records.size() == 1);
    CHECK(file.warnings.empty());
    CHECK(file.records[0].dump() == R"({"a":null,"b":null,"c":[null,1],"d":"NaN \" -Infinity","frame_number":null})");
}

TEST_CASE("records are found whatever stands between them") {
    TemporaryFolder folder;
    const std::string a = R"({"v": 1, "frame_number": 1})";
    const std::string b = R"({"v": 2, "frame_number": 2})";
    auto values = [&](const std::string& text) {
        std::vector<int> result;
        for (const Json& record : read_text(folder, text).records) result.push_back(record["v"].get<int>());
        return result;
    };
    const std::vector<int> both = {1, 2};
    CHECK(values("[" + a + b + "]") == both);
    CHECK(values("\xEF\xBB\xBF \n[\n " + a + "\n,\r\n\t" + b + "\n]\n") == both);
    CHECK(values("[" + a + "][" + b + "]") == both);
    CHECK(values("[" + a + "] [" + b) == both);
    CHECK(values("[" + a + ", " + b + ", ") == both);
    CHECK(values("[" + a + ", ," + b + "]") == both);
    CHECK(values(a + "\n" + b + "\n") == both);
    CHECK(values("[]").empty());
    CHECK(values("[").empty());
    CHECK(values(" \n").empty());

    CHECK(read_text(folder, "[]").warnings.empty());
    CHECK(read_text(folder, "[" + a + b + "]").warnings.empty());
    CHECK(read_text(folder, "").warnings.size() == 1);
    CHECK(read_text(folder, "[" + a + "][" + b + "]").warnings.size() == 1);
}

TEST_CASE("damage between good records costs only the damaged ones") {
    TemporaryFolder folder;
    const std::string good = R"({"v": 1, "frame_number": 1})";
    const std::vector<std::string> damages = {
        "garbage, ",
        R"({"v": oops, "frame_number": 7}, )",
        R"({"v": "no end, "frame_number": 7}, )",
        R"({"v": {"frame_number": 6, "x": oops}, "frame_number": 7}, )",
        R"({"v": [1, 2}, "frame_number": 7}, )",
        R"({"v": {"frame_time": 6}, oops}, )",
        R"({"v": 1, "frame_num)",
        "{\"v\": \"\xFF\xFE\", \"frame_number\": 7}, ",
        "{\"v\": \"a" + std::string(100, '\0') + "\", \"frame_number\": 7}, ",
        std::string(4096, '\0'),
        R"({"v": )" + std::string(1000, '[') + std::string(1000, ']') + "}, ",
        R"({"v": 1e999, "frame_number": 7}, )",
    };
    for (const std::string& damage : damages) {
        CAPTURE(damage);
        const ExtraDataFile file = read_text(folder, "[" + good + ", " + damage + good + ", " + good + "]");
        CHECK(file.records.size() == 3);
        for (const Json& record : file.records) CHECK(record.dump() == Json::parse(good).dump());
        REQUIRE(file.warnings.size() == 1);
        CHECK(file.warnings[0].find("byte 30") != std::string::npos);
    }
}

TEST_CASE("a file of which nothing can be made is an error") {
    TemporaryFolder folder;
    CHECK(reading_error(folder, "not JSON") == ErrorCode::corrupt);
    CHECK(reading_error(folder, "[1, 2, 3]") == ErrorCode::corrupt);
    CHECK(reading_error(folder, std::string(1000, '\0')) == ErrorCode::corrupt);
    CHECK(reading_error(folder, R"([{"a": oops}])") == ErrorCode::corrupt);
    CHECK(reading_error(folder, "[]", "000000.json") == ErrorCode::invalid_argument);
    CHECK_THROWS_AS(read_extra_data_file(folder / "missing.extra.json"), Error);
}

TEST_CASE("hostile text is read in time that does not explode") {
    TemporaryFolder folder;
    auto repeated = [](const std::string& text, size_t times) {
        std::string result;
        for (size_t i = 0; i < times; ++i) result += text;
        return result;
    };
    CHECK(reading_error(folder, "[" + repeated("{\"x\":1,", 100'000)) == ErrorCode::corrupt);
    CHECK(reading_error(folder, "[" + repeated("{\"x{\"y", 100'000)) == ErrorCode::corrupt);
    CHECK(reading_error(folder, repeated("[", 1'000'000)) == ErrorCode::corrupt);
    CHECK(reading_error(folder, "[{" + repeated("\"k\":1,", 500'000) + "\"k\":1}]") == ErrorCode::corrupt);
    const ExtraDataFile file = read_text(folder, "[" + repeated("{\"frame_number\": 1} ? ", 1000));
    CHECK(file.records.size() == 1000);
    CHECK(file.warnings.size() == 21);  // the last one counts those left out
}

TEST_CASE("Motif's records are filtered and sorted") {
    TemporaryFolder folder;
    const std::string text = R"([{"v": 3, "frame_number": 12, "frame_index": 2, "sensor_time": 0.5},
        {"v": 2, "frame_number": 11, "frame_index": 1, "sensor_time": 0.9},
        {"v": 9, "frame_number": -1, "frame_index": 0},
        {"v": 4, "frame_number": 13},
        {"v": 1, "frame_number": 11, "frame_index": 1, "sensor_time": 0.1},
        {"v": 5, "frame_number": 14, "sensor_time": NaN}])";
    std::vector<int> values;
    for (const Json& record : read_text(folder, text, "000000.extra_data.json").records) values.push_back(record["v"]);
    CHECK(values == std::vector<int>{1, 2, 3, 4, 5});
    CHECK(read_text(folder, text).records.size() == 6);  // imgstore's own keep their order
}

TEST_CASE("imgstore's own extra data are read") {
    TemporaryFolder folder;
    const std::string text =
        R"([{"temperature": 20.5, "vec": [0, 1], "frame_time": 1577836800.0, "frame_number": 1000, "frame_index": 0}, )"
        R"({"temperature": 22.5, "vec": [2, 3], "frame_time": 1577836800.0806, )"
        R"("frame_number": 1002, "frame_index": 2}])";
    const ExtraDataFile file = read_text(folder, text, "index.extra.json");
    REQUIRE(file.records.size() == 2);
    CHECK(file.records[1]["frame_time"].get<double>() == 1577836800.0806);
    CHECK(file.records[1]["vec"].dump() == "[2,3]");
}
