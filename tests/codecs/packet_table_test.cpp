#include "codecs/packet_table.h"

#include <doctest/doctest.h>

#include "base/error.h"

using namespace reelstore;

namespace {

Packet at_time(int64_t pts) {
    return {.pts = pts};
}

std::vector<uint32_t> order_of(const std::vector<Packet>& packets) {
    PacketTable table;
    table.packets = packets;
    table.sort_display_order();
    return table.display_order;
}

}  // namespace

TEST_CASE("display order follows time stamps; equal and missing ones stay behind the packet before them") {
    CHECK(order_of({}).empty());
    CHECK(order_of({at_time(0), at_time(3), at_time(1), at_time(2)}) == std::vector<uint32_t>{0, 2, 3, 1});
    CHECK(order_of({at_time(5), at_time(5), at_time(1)}) == std::vector<uint32_t>{2, 0, 1});
    CHECK(order_of({at_time(Packet::kNoPts), at_time(Packet::kNoPts)}) == std::vector<uint32_t>{0, 1});
    CHECK(order_of({at_time(0), at_time(4), at_time(Packet::kNoPts), at_time(2)}) == std::vector<uint32_t>{0, 3, 1, 2});
}

TEST_CASE("hidden packets have no position") {
    Packet hidden = at_time(1);
    hidden.hidden = true;
    CHECK(order_of({hidden, at_time(2), at_time(0)}) == std::vector<uint32_t>{2, 1});
}

TEST_CASE("a stream description survives JSON text") {
    VideoStream stream;
    stream.codec = "h264";
    stream.width = 640;
    stream.height = 480;
    stream.pixel_format = "yuv420p";
    stream.color_range = "pc";
    stream.color_space = "smpte170m";
    stream.time_base_num = 1;
    stream.time_base_den = 12800;
    stream.frame_rate = 29.97;
    stream.codec_tag = 0xfffffffe;
    stream.bits_per_sample = 24;
    stream.extradata = {0, 1, 0x7f, 0x80, 0xff};
    CHECK(VideoStream::from_json(Json::parse(stream.to_json().dump())) == stream);
}

TEST_CASE("a damaged stream description is corrupt, never anything else") {
    VideoStream stream;
    stream.codec = "h264";
    stream.width = 640;
    stream.height = 480;
    const Json good = stream.to_json();
    std::vector<Json> bad = {Json(), Json::array(), Json(3)};
    for (const auto& [name, value] : good.items()) {
        Json without = good;
        without.erase(name);
        bad.push_back(without);
        Json wrong = good;
        wrong[name] = Json::object();
        bad.push_back(wrong);
    }
    const std::vector<std::pair<const char*, Json>> values = {
        {"width", 0},       {"width", 1e9},     {"height", -4},      {"time_base", {1, 0}},
        {"time_base", {1}}, {"extradata", "f"}, {"extradata", "zz"}, {"extradata", 7}};
    for (const auto& [name, value] : values) {
        bad.push_back(good);
        bad.back()[name] = value;
    }
    for (const Json& json : bad) {
        CAPTURE(json.dump());
        try {
            VideoStream::from_json(json);
            FAIL("no error");
        } catch (const Error& error) {
            CHECK(error.code() == ErrorCode::corrupt);
        }
    }
}
