#include "filters/text_fields.h"

#include <cmath>

#include <doctest/doctest.h>

#include "base/error.h"

namespace reelstore {

namespace {

Frame frame_with(std::vector<Json> records) {
    Frame frame;
    frame.index = 42;
    frame.number = -7;
    frame.time = 1577836800.5;
    frame.extra_data = std::make_shared<const std::vector<Json>>(std::move(records));
    return frame;
}

std::string text_of(const std::string& text, const Frame& frame, const TextTimes& times = {}) {
    const TextTemplate fields(text, "?");
    std::vector<const Json*> values;
    for (const std::string& key : fields.extra_keys()) values.push_back(find_extra_value(frame, key));
    return fields.text_of(frame, times, values);
}

}  // namespace

TEST_CASE("text_fields: numbers and braces") {
    const Frame frame = frame_with({});
    CHECK(text_of("frame {index}, number {number:06}", frame) == "frame 42, number -00007");
    CHECK(text_of("{index:>5}|{index:<5}|{index:^+6}|{index:x}|{index:.1f}", frame) == "   42|42   | +42  |2a|42.0");
    CHECK(text_of("{{index}} {{{index}}}", frame) == "{index} {42}");
    CHECK(text_of("a\\nb\\\\n µ", frame) == "a\nb\\n µ");
    CHECK(text_of("", frame) == "");
}

TEST_CASE("text_fields: times") {
    Frame frame = frame_with({});
    const TextTimes vienna{true, "Europe/Vienna", 1577836798};
    CHECK(text_of("{time}", frame, vienna) == "2020-01-01 01:00:00.500");
    CHECK(text_of("{time:%H:%M:%S.%f}", frame, vienna) == "01:00:00.500000");
    CHECK(text_of("{time:.2f} {seconds} {seconds:07.2f} {seconds:d}", frame, vienna) ==
          "1577836800.50 2.500 0002.50 2");
    frame.time = 3725.25;
    CHECK(text_of("{time} {time:%H h %M}", frame) == "01:02:05.250 01 h 02");
    CHECK(text_of("{time:%F} {seconds}", frame) == "? ?");
    frame.time = std::nan("");
    CHECK(text_of("{time} {time:.1f} {seconds}", frame, vienna) == "? ? ?");
    CHECK(TextTemplate("{time:%H}").shows_date() == false);
    CHECK(TextTemplate("{time:%d}").shows_date());
    CHECK(TextTemplate("{seconds}").shows_seconds());
}

TEST_CASE("text_fields: extra data") {
    const Frame frame = frame_with({{{"temperature", 21.25}, {"state", "on"}, {"count", 3}, {"big", UINT64_MAX}},
                                    {{"temperature", 22.75},
                                     {"a", {{"b", {{"c", -5}}}, {"list", {1.5, 2.5}}}},
                                     {"a.dot", "key"},
                                     {"flag", true},
                                     {"none", nullptr},
                                     {"state", nullptr}}});
    CHECK(text_of("{extra.temperature} {extra.temperature:.1f} {extra.temperature:d}", frame) == "22.75 22.8 23");
    CHECK(text_of("{extra.count} {extra.count:.2f} {extra.count:03}", frame) == "3 3.00 003");
    CHECK(text_of("{extra.a.b.c} {extra.a.list.1} {extra.a.dot} {extra.a.b}", frame) == "-5 2.5 key {\"c\":-5}");
    CHECK(text_of("{extra.state:>4} {extra.state:.1f} {extra.flag} {extra.big}", frame) ==
          "  on on true 1.8446744073709552e+19");
    CHECK(text_of("{extra.none}{extra.other}{extra.a.list.2}{extra.count.x}", frame) == "????");
    CHECK(text_of("{extra.temperature}", Frame{}) == "?");
}

TEST_CASE("text_fields: what is written wrongly is refused") {
    const auto reason = [](const char* text) -> std::string {
        try {
            TextTemplate{text};
        } catch (const Error& error) {
            CHECK(error.code() == ErrorCode::invalid_argument);
            return error.message();
        }
        return "";
    };
    CHECK(reason("{numer}").find("did you mean {number}") != std::string::npos);
    CHECK(reason("{tim:%H}").find("{time}") != std::string::npos);
    CHECK(reason("{extra.}").find("{extra.KEY}") != std::string::npos);
    CHECK(reason("{time:%Q}").find("%Q") != std::string::npos);
    for (const char* wrong : {"{", "{index", "}", "a}b", "{}", "{index:s}", "{index:q}", "{number:{}}", "{index:999}",
                              "{index:.}", "{seconds:s}", "{extra.a:99999999999}", "{extra.a:zz}", "{index:201}"}) {
        CAPTURE(wrong);
        CHECK(reason(wrong) != "");
    }
}

}  // namespace reelstore
