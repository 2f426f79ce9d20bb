#include "base/error.h"

#include <cerrno>
#include <string>

#include <doctest/doctest.h>

namespace reelstore {

TEST_CASE("error: what() names the known parts of the place only") {
    CHECK(std::string(Error(ErrorCode::io, "broken").what()) == "broken");
    CHECK(std::string(Error(ErrorCode::io, {"a/b", {}, {}}, "broken").what()) == "a/b: broken");
    CHECK(std::string(Error(ErrorCode::io, {"", 3, {}}, "broken").what()) == "chunk 3: broken");
    CHECK(std::string(Error(ErrorCode::io, {"", {}, 0}, "broken").what()) == "frame index 0: broken");
    CHECK(std::string(Error(ErrorCode::io, {"s", 3, 41}, "broken").what()) == "s: chunk 3, frame index 41: broken");
}

TEST_CASE("error: at() fills in what is unknown and changes nothing else") {
    Error error(ErrorCode::corrupt, {"", 3, {}}, "broken");
    Error placed = error.at({"store", 9, 41});
    CHECK(placed.code() == ErrorCode::corrupt);
    CHECK(placed.message() == "broken");
    CHECK(placed.place().path == "store");
    CHECK(placed.place().chunk == 3);
    CHECK(placed.place().frame_index == 41);
    CHECK(std::string(placed.what()) == "store: chunk 3, frame index 41: broken");
}

TEST_CASE("error: system errors get the code a caller can act on") {
    CHECK(system_error(ENOSPC, "f", "write").code() == ErrorCode::no_space);
    CHECK(system_error(EDQUOT, "f", "write").code() == ErrorCode::no_space);
    CHECK(system_error(ENOENT, "f", "open").code() == ErrorCode::not_found);
    CHECK(system_error(EEXIST, "f", "create").code() == ErrorCode::already_exists);
    CHECK(system_error(EIO, "f", "read").code() == ErrorCode::io);
    // What the process lacks is no damage of the file, for which salvage and repair take every code but this.
    for (const int lack : {EMFILE, ENFILE, ENOMEM}) CHECK(system_error(lack, "f", "open").code() == ErrorCode::io);
    CHECK(std::string(system_error(ENOENT, "f", "open").what()) == "f: cannot open: No such file or directory");
}

TEST_CASE("error: every code has its own name") {
    CHECK(std::string(to_string(ErrorCode::wrong_type)) == "wrong_type");
    CHECK(std::string(to_string(ErrorCode::not_a_store)) == "not_a_store");
    CHECK(std::string(to_string(ErrorCode::internal)) == "internal");
}

}  // namespace reelstore
