#include "base/byte_writer.h"

#include <unistd.h>

#include <array>
#include <csignal>
#include <string>

#include <doctest/doctest.h>

#include "base/error.h"
#include "tests/thrown_error.h"

namespace reelstore {

TEST_CASE("memory as a file: written anywhere, read in part, taken once") {
    MemoryFile file;
    file.write_at("world", 5, 6);
    file.write_at("hello", 5, 0);
    CHECK(file.size() == 11);
    std::array<char, 8> part{};
    CHECK(file.read_at(part.data(), part.size(), 6) == 5);
    CHECK(std::string(part.data(), 5) == "world");
    CHECK(file.read_at(part.data(), part.size(), 11) == 0);
    CHECK(file.read_at(part.data(), part.size(), 99) == 0);
    file.truncate(5);
    file.allocate(7);
    file.allocate(3);
    CHECK(file.take() == std::vector<uint8_t>{'h', 'e', 'l', 'l', 'o', 0, 0});
    CHECK(file.size() == 0);
}

TEST_CASE("a file that only grows hands on what is appended and refuses the rest") {
    std::string received;
    const auto file = appending_file(
        [&](std::span<const uint8_t> bytes) { received.append(bytes.begin(), bytes.end()); }, "the stream");
    file->write_at("abc", 3, 0);
    file->write_at("", 0, 3);
    file->write_at("de", 2, 3);
    CHECK(received == "abcde");
    CHECK(file->size() == 5);
    std::string message;
    CHECK(error_of([&] { file->write_at("x", 1, 2); }, &message) == ErrorCode::unsupported);
    CHECK(message.find("the stream") != std::string::npos);
    CHECK(error_of([&] { file->write_at("x", 1, 6); }) == ErrorCode::unsupported);
    CHECK(error_of([&] { file->read_at(received.data(), 1, 0); }) == ErrorCode::unsupported);
    CHECK(error_of([&] { file->truncate(0); }) == ErrorCode::unsupported);
    CHECK(received == "abcde");
}

TEST_CASE("nothing more is handed to a writer that has thrown") {
    int calls = 0;
    const auto file = appending_file(
        [&](std::span<const uint8_t>) {
            if (++calls == 2) throw Error(ErrorCode::invalid_argument, "no more");
        },
        "the stream");
    file->write_at("abc", 3, 0);
    CHECK(error_of([&] { file->write_at("de", 2, 3); }) == ErrorCode::invalid_argument);
    std::string message;
    CHECK(error_of([&] { file->write_at("de", 2, 3); }, &message) == ErrorCode::io);
    CHECK(message.find("the stream") != std::string::npos);
    CHECK(calls == 2);
}

TEST_CASE("a reader that has gone is an error, not a signal") {
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    const ByteWriter writer = descriptor_writer(ends[1], "the pipe");
    const std::array<uint8_t, 3> bytes = {1, 2, 3};
    writer(bytes);
    std::array<uint8_t, 8> received{};
    CHECK(::read(ends[0], received.data(), received.size()) == 3);
    ::close(ends[0]);
    std::string message;
    CHECK(error_of([&] { writer(bytes); }, &message) == ErrorCode::io);
    CHECK(message.find("the pipe") != std::string::npos);
    sigset_t pending;
    REQUIRE(sigpending(&pending) == 0);
    CHECK(sigismember(&pending, SIGPIPE) == 0);
    ::close(ends[1]);
    CHECK(error_of([&] { writer(bytes); }) == ErrorCode::io);
}

}  // namespace reelstore
