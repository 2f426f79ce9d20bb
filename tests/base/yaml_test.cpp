#include "base/yaml.h"

#include <cmath>
#include <limits>
#include <optional>
#include <random>

#include <doctest/doctest.h>

#include "base/clock.h"
#include "base/error.h"

namespace reelstore {

namespace {

Json parse(std::string_view text) {
    return parse_yaml(text, "m.yaml").value;
}

std::optional<std::string> refusal(std::string_view text, const YamlLimits& limits = {}) {
    try {
        parse_yaml(text, "m.yaml", limits);
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::corrupt);
        CHECK(error.place().path == "m.yaml");
        return error.message();
    }
    return std::nullopt;
}

constexpr const char* kMetadata = R"(__store:
  chunksize: 7
  class: VideoImgStore
  created_utc: '2026-11-20T09:21:30.632659'
  encoding: null
  extension: .mp4
  imgshape:
  - 48
  - 64
  - 3
  timezone_local: Etc/UTC
  uuid: a67220347c114bf69bf92e1a08002a9c
genotype: wt
rig: 3
)";

}  // namespace

TEST_CASE("yaml: metadata with the lines of its keys") {
    YamlDocument document = parse_yaml(kMetadata, "m.yaml");
    const Json& store = document.value["__store"];
    CHECK(store["chunksize"] == 7);
    CHECK(store["created_utc"] == "2026-11-20T09:21:30.632659");
    CHECK(store["encoding"].is_null());
    CHECK(store["extension"] == ".mp4");
    CHECK(store["imgshape"] == Json::array({48, 64, 3}));
    CHECK(document.value["rig"] == 3);
    CHECK(document.lines.at("__store") == 1);
    CHECK(document.lines.at("__store.chunksize") == 2);
    CHECK(document.lines.at("__store.uuid") == 12);
    CHECK(document.lines.at("rig") == 14);
    CHECK(store.begin().key() == "chunksize");
}

TEST_CASE("yaml: scalars, quotes, blocks and flows") {
    CHECK(parse("").is_null());
    CHECK(parse("# only a comment\n").is_null());
    CHECK(parse("---\n...\n").is_null());
    CHECK(parse("010") == 8);
    CHECK(parse("\xef\xbb\xbf"
                "a: 1") == Json{{"a", 1}});
    CHECK(parse("a: 'yes'\nb: \"1\"\nc: yes\nd: 12:30:45\n") ==
          Json{{"a", "yes"}, {"b", "1"}, {"c", true}, {"d", 45045}});
    CHECK(parse("a: |\n  x\n  y\nb: >-\n  x\n  y\n") == Json{{"a", "x\ny\n"}, {"b", "x y"}});
    CHECK(parse("{a: [1, 2.5, ~], b: {c: on}}") == Json{{"a", {1, 2.5, nullptr}}, {"b", {{"c", true}}}});
    CHECK(parse("a: \"\\x41\\u00e9\\U0001F600\\\n  \\ z\"") == Json{{"a", "A\xc3\xa9\xf0\x9f\x98\x80 z"}});
    CHECK(parse("a: \"x\xc3\xa9\\N\\_\\L\\P\\e\\0z\"") ==
          Json{{"a", std::string("x\xc3\xa9\xc2\x85\xc2\xa0\xe2\x80\xa8\xe2\x80\xa9\x1b\0z", 16)}});
    CHECK(parse("a: some\n  long text\n") == Json{{"a", "some long text"}});
    CHECK(parse("a: 2026-11-20\nb: 2026-11-20 09:21:30\n") == Json{{"a", "2026-11-20"}, {"b", "2026-11-20 09:21:30"}});
    CHECK(parse("a: |+\n  x\n\n") == Json{{"a", "x\n\n"}});
    CHECK(parse("a: 1\n...\n# end\n") == Json{{"a", 1}});
    CHECK(parse("a: 'x\n\n  y'\n") == Json{{"a", "x\ny"}});
    CHECK(parse("%YAML 1.1\n---\na: 1\n") == Json{{"a", 1}});
}

TEST_CASE("yaml: keys are text, and of equal ones the last counts") {
    CHECK(parse("1: a\nyes: b\n~: c\n'q': d\n") == Json{{"1", "a"}, {"yes", "b"}, {"null", "c"}, {"q", "d"}});
    CHECK(parse("a: 1\nb: 2\na: 3\n").dump() == R"({"a":3,"b":2})");
    CHECK(refusal("[1, 2]: a"));
    CHECK(refusal("? {a: 1}\n: b"));
    CHECK(parse("? " + std::string(3000, 'k') + "\n: 1").size() == 1);
}

TEST_CASE("yaml: core tags are honoured") {
    CHECK(parse("a: !!str 12\nb: !!int '12'\nc: !!float 3\nd: !!float 1e5\n") ==
          Json{{"a", "12"}, {"b", 12}, {"c", 3.0}, {"d", 1e5}});
    CHECK(parse("a: !!bool 'yes'\nb: !!null x\nc: !!str\nd: ! 12\n") ==
          Json{{"a", true}, {"b", nullptr}, {"c", ""}, {"d", "12"}});
    CHECK(parse("!!map {a: !!seq [1], b: !<tag:yaml.org,2002:str> 5}") == Json{{"a", {1}}, {"b", "5"}});
    CHECK(parse("shape: !!python/tuple\n- 48\n- 64\nother: !!python/tuple [1, 2]\n") ==
          Json{{"shape", {48, 64}}, {"other", {1, 2}}});
    CHECK(parse("a: !!python/unicode 'x'\nb: !!python/str 5\n") == Json{{"a", "x"}, {"b", "5"}});
}

TEST_CASE("yaml: other tags and values that do not fit theirs are refused") {
    for (const char* text :
         {"a: !!python/object/apply:os.system ['true']", "a: !!python/name:os.system", "a: !own x",
          "a: !!binary aGk=", "a: !!timestamp 2020-01-01", "a: !!set {x}", "a: !!int x", "a: !!float x", "a: !!bool 1",
          "a: !!seq x", "a: !!map [1]", "a: !!str [1]", "a: !!python/tuple {b: 1}"}) {
        CAPTURE(text);
        std::optional<std::string> message = refusal(text);
        REQUIRE(message);
        CHECK(message->starts_with("line 1: "));
    }
}

TEST_CASE("yaml: aliases and merge keys") {
    CHECK(parse("a: &x [1, 2]\nb: *x\n") == Json{{"a", {1, 2}}, {"b", {1, 2}}});
    CHECK(parse("a: &x {p: 1, q: 2}\nb:\n  q: 3\n  <<: *x\n") ==
          Json{{"a", {{"p", 1}, {"q", 2}}}, {"b", {{"p", 1}, {"q", 3}}}});
    CHECK(parse("a: &x {p: 1}\nb: &y {p: 2, q: 5}\nc: {<<: [*x, *y]}\n")["c"] == Json{{"p", 1}, {"q", 5}});
    CHECK(parse("{'<<': 1}") == Json{{"<<", 1}});
    CHECK(refusal("a: {<<: 1}"));
    CHECK(refusal("a: {<<: [1]}"));
    CHECK(refusal("a: *missing"));
    CHECK(refusal("a: &x [*x]"));
    CHECK(refusal("&x {a: *x}"));
    CHECK(refusal("&x {<<: *x}"));
}

TEST_CASE("yaml: alias bombs are refused quickly") {
    double start = now_monotonic();
    std::string lists = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
    std::string merges = "a0: &a0 {}\n";
    std::string chain = "a0: &a0 []\n";
    std::string merge_chain = "a0: &a0 {}\n";
    for (int i = 1; i < 20000; ++i) {
        std::string name = "a" + std::to_string(i) + ": &a" + std::to_string(i);
        std::string alias = "*a" + std::to_string(i - 1);
        chain += name + " [" + alias + "]\n";
        merge_chain += name + " {<<: " + alias + "}\n";
        if (i > 30) continue;
        std::string many = alias;
        for (int k = 0; k < 9; ++k) many += ", " + alias;
        lists += name + " [" + many + "]\n";
        merges += name + " {<<: [" + many + "]}\n";
    }
    for (const std::string& bomb : {lists, merges, chain, merge_chain}) CHECK(refusal(bomb));
    std::string text = "a: &a '" + std::string(1 << 20, 'x') + "'\nb: [*a";
    for (int i = 0; i < 1000; ++i) text += ", *a";
    CHECK(refusal(text + "]"));
    CHECK(now_monotonic() - start < 20);
}

TEST_CASE("yaml: deep nesting is refused quickly") {
    double start = now_monotonic();
    for (size_t depth : {65u, 2000u, 200000u}) {
        CHECK(refusal(std::string(depth, '[') + std::string(depth, ']')));
        CHECK(refusal(std::string(depth, '[')));
        std::string maps;
        std::string dashes;
        for (size_t i = 0; i < depth; ++i) {
            maps += "{a: ";
            dashes += "- ";
        }
        CHECK(refusal(maps));
        CHECK(refusal(dashes));
    }
    CHECK(now_monotonic() - start < 20);
    CHECK_FALSE(refusal(std::string(64, '[') + std::string(64, ']')));
}

TEST_CASE("yaml: limits are kept") {
    CHECK(refusal("[1, 2, 3, 4]", {.bytes = 100, .depth = 5, .nodes = 4}));
    CHECK_FALSE(refusal("[1, 2, 3]", {.bytes = 100, .depth = 5, .nodes = 4}));
    CHECK(refusal("[1, 2]", {.bytes = 5, .depth = 5, .nodes = 4}));
    CHECK(refusal("[[1]]", {.bytes = 100, .depth = 1, .nodes = 4}));
}

TEST_CASE("yaml: a mapping of many keys is read in time") {
    std::string text;
    for (int i = 0; i < 50000; ++i) text += "key" + std::to_string(i) + ": 1\n";
    double start = now_monotonic();
    CHECK(parse(text).size() == 50000);
    CHECK(now_monotonic() - start < 20);
}

TEST_CASE("yaml: malformed text is refused with its line") {
    for (const char* text :
         {"a: [1", "a: {b", "a: 'x", "a: \"x", "a: \"\\q\"", "a: \"\\uD800\"", "a: b: c", "a:\n\t- 1", "- a\nb: 1",
          "a: *", "a: &", "a: @x", "a: `x", "]", "}", "%BAD", "a: !<x", "? a: : b", "a: |x"}) {
        CAPTURE(text);
        refusal(text);  // a value or an Error of the right kind
    }
    CHECK(refusal("a: 1\nb: [1\n"));
    for (const char* text : {"b: 'x", "b: 'x\n", "b: 'x\n\n", "b: 'x\r\n", "b: 'x\n  \t", "b: \"x\n", "- 'a\n"})
        CHECK(refusal(text));
    CHECK(refusal("ok: 1\nbad: !own x\n")->starts_with("line 2: "));
    CHECK(refusal("a: 1\n---\nb: 2\n")->find("second document") != std::string::npos);
    CHECK(refusal("a: \xff\xfe\n")->find("UTF-8") != std::string::npos);
    CHECK(refusal("a: 1\nb: x\x04\nc: 2\n") == "line 2: contains a control character");
    CHECK(refusal(std::string_view("a: \0b", 5)));
    CHECK(refusal("a: \x7f"));
}

TEST_CASE("yaml: text cut off or changed anywhere is a value or an Error") {
    std::string whole = std::string(kMetadata) +
                        "more: &x {a: [1, 2.5], 'b': \"\\u00e9\\n\", <<: {c: 0x1F}}\nagain: *x\nblock: |2-\n    x\n";
    for (size_t size = 0; size <= whole.size(); ++size) refusal(whole.substr(0, size));
    std::mt19937 random(1);
    const std::string_view marks = "[]{}:,-?&*!|>'\"%@`#\n\t ~<=\\0a";
    for (int i = 0; i < 3000; ++i) {
        std::string changed = whole;
        for (int k = 0; k < 4; ++k) changed[random() % changed.size()] = marks[random() % marks.size()];
        refusal(changed);
    }
}

TEST_CASE("yaml: what is written reads back as the same value") {
    Json value = {
        {"__store",
         {{"chunksize", 7}, {"imgshape", {48, 64, 3}}, {"created_utc", "2026-11-20T09:21:30.6"}, {"e", nullptr}}},
        {"empty", {{"list", Json::array()}, {"map", Json::object()}, {"text", ""}}},
        {"nested", {{1, {2, 3}}, {{{"a", 1}, {"b", {4, 5}}}}, Json::array({Json::array({Json::array({1})})})}},
        {"numbers",
         {0, -1, std::numeric_limits<int64_t>::min(), std::numeric_limits<uint64_t>::max(), 0.1, 1e20, 1e-7, -0.0,
          5e-324, 1.7976931348623157e308, 1e16, 123456789012345680.0, 100000.0, 1577836800.0403}},
        {"flags", {true, false}},
    };
    for (const char* text : {"yes",
                             "No",
                             "on",
                             "null",
                             "~",
                             "12",
                             "1.5",
                             ".5",
                             ".5e3",
                             "1e5",
                             "0o7",
                             "010",
                             "1:30",
                             "1_0",
                             ".inf",
                             ".nan",
                             "y",
                             "N",
                             "...",
                             "---",
                             ".",
                             "..",
                             "- a",
                             "a: b",
                             "a #b",
                             "#a",
                             "a ",
                             " a",
                             "a\nb",
                             "\ttab",
                             "'q'",
                             "\"q\"",
                             "\\",
                             "&a",
                             "*a",
                             "!a",
                             "%a",
                             "@a",
                             "`a",
                             "[a",
                             "{a",
                             "=",
                             "<<",
                             "?",
                             "a,b",
                             "\xc3\xa9",
                             "\xf0\x9f\x98\x80",
                             "\xe2\x80\xa8",
                             "\xef\xbb\xbf",
                             "\xc2\x85",
                             "\x01\x7f",
                             "2026-11-20",
                             "2026-11-20 09:21:30",
                             "Europe/Vienna",
                             ".mp4",
                             "plain text-here",
                             "99999999999999999999"}) {
        value["texts"].push_back(text);
        value["keys"][text] = text;
    }
    value["texts"].push_back(std::string("nul\0", 4));
    value["keys"][std::string(2000, 'k')] = {{"below", {1}}};
    std::string written = to_yaml(value);
    CHECK(parse(written).dump() == value.dump());
    CHECK(to_yaml(parse(written)) == written);
    for (const Json& entry : value["texts"]) {
        CHECK(parse(to_yaml(entry)) == entry);
        CHECK(parse(to_yaml(Json{{"k", {entry}}})) == Json{{"k", {entry}}});
    }
}

TEST_CASE("yaml: the written form") {
    CHECK(to_yaml(nullptr) == "null\n");
    CHECK(to_yaml(Json::object()) == "{}\n");
    CHECK(to_yaml(Json{{"a", {{"b", {1, 2}}, {"c", "x"}}}, {"d", {{{"e", 1}, {"f", 2}}, {3}}}}) ==
          "a:\n  b:\n  - 1\n  - 2\n  c: x\nd:\n- e: 1\n  f: 2\n- - 3\n");
    CHECK(to_yaml(Json{{"zone", "Europe/Vienna"}, {"when", "2026-11-20"}, {"line", "a\n\"b\"\\\t\x01"}}) ==
          "zone: Europe/Vienna\nwhen: \"2026-11-20\"\nline: \"a\\n\\\"b\\\"\\\\\\t\\x01\"\n");
    const std::pair<double, const char*> floats[] = {{1, "1.0"},          {0.1, "0.1"},   {1e20, "1.0e+20"},
                                                     {1.5e-7, "1.5e-07"}, {-0.0, "-0.0"}, {1e15, "1000000000000000.0"}};
    for (const auto& [value, text] : floats) CHECK(to_yaml(value) == std::string(text) + "\n");
    CHECK(to_yaml(std::nan("")) == ".nan\n");
    CHECK(to_yaml(-std::numeric_limits<double>::infinity()) == "-.inf\n");
}

TEST_CASE("yaml: what cannot be written is refused") {
    CHECK_THROWS_AS(to_yaml("\xff"), Error);
    CHECK_THROWS_AS(to_yaml(Json{{"\xc3", 1}}), Error);
    CHECK_THROWS_AS(to_yaml(Json::binary({1, 2})), Error);
    Json deep = 1;
    for (int i = 0; i < 65; ++i) deep = Json::array({deep});
    CHECK_THROWS_AS(to_yaml(deep), Error);
    CHECK(parse(to_yaml(deep[0])) == deep[0]);
}

}  // namespace reelstore
