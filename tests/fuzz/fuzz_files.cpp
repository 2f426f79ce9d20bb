/// The one program of all fuzz targets: REELSTORE_FUZZ_TARGET says which. tests/fuzz/run.py starts it.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file_system.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/memory_file_system.h"

namespace reelstore {

namespace {

constexpr int kNothingToFuzz = 3;

/// The formats of one file of codecs/file; made once, as in the library.
FileFormatTable* chosen_formats = nullptr;
void (*chosen_run)(const FuzzInput& input) = nullptr;

void read_chosen_recording(const FuzzInput& input) {
    read_recording(*chosen_formats, input);
}

void choose(const std::string& name) {
    for (const FormatFile& file : format_files()) {
        if (file.name != name) continue;
        static FileFormatTable formats;
        file.add(formats);
        const bool reads =
            std::any_of(formats.begin(), formats.end(), [](const auto& format) { return format->info().reads; });
        if (!reads) {
            fmt::print(stderr, "{} is only written, so there is nothing to fuzz\n", name);
            std::exit(kNothingToFuzz);
        }
        chosen_formats = &formats;
        chosen_run = read_chosen_recording;
        return;
    }
    std::string known;
    for (const FuzzTarget& target : parser_targets()) {
        if (target.name == name) chosen_run = target.run;
        known += " " + target.name;
    }
    if (chosen_run) return;
    for (const FormatFile& file : format_files()) known += fmt::format(" {}", file.name);
    fmt::print(stderr, "REELSTORE_FUZZ_TARGET is \"{}\"; it must be one of{}\n", name, known);
    std::exit(2);
}

void put_files(MemoryFileSystem& memory, const FuzzInput& input) {
    for (const auto& [name, bytes] : input.files) {
        try {
            memory.add_file(name, bytes);
        } catch (const Error&) {
            // Two parts whose names cannot stand beside each other.
        }
    }
}

}  // namespace

}  // namespace reelstore

extern "C" int LLVMFuzzerInitialize(int* /*count*/, char*** /*arguments*/) {
    const char* const name = std::getenv("REELSTORE_FUZZ_TARGET");
    reelstore::choose(name ? name : "");
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const reelstore::FuzzInput input = reelstore::unpack({data, size});
    reelstore::MemoryFileSystem memory;
    reelstore::put_files(memory, input);
    const reelstore::FileSystemOverride override(memory);
    try {
        reelstore::chosen_run(input);
    } catch (const reelstore::Error& error) {
        reelstore::require(!error.message().empty(), "an error says what is wrong");
    }
    return 0;
}
