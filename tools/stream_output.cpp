#include "tools/stream_output.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "codecs/file_format.h"
#include "tools/verb.h"

namespace reelstore {

namespace {

/// Some formats can be written to a stream under some of their extensions only; nothing is written here.
bool streams(const FileFormat& format, const std::string& extension) {
    SinkOptions options;
    options.kind = extension;
    options.stream = [](std::span<const uint8_t>) {};
    try {
        format.create("output" + extension, options);
        return true;
    } catch (const Error&) {
        return false;
    }
}

}  // namespace

std::string extension_of_kind(const std::string& kind, bool stream) {
    std::string extension = kind.starts_with('.') ? kind : "." + kind;
    std::vector<std::string> known;
    for (const auto& format : file_formats()) {
        const FileFormatInfo& info = format->info();
        if (!info.writes || (stream && !info.streams)) continue;
        if (format->writes_to("output" + extension)) return extension;
        for (const std::string& other : info.extensions) {
            if (format->writes_to("output" + other) && (!stream || streams(*format, other)))
                known.push_back(other.substr(1));
        }
    }
    std::sort(known.begin(), known.end());
    known.erase(std::unique(known.begin(), known.end()), known.end());
    throw UsageError(fmt::format("--to {}: that is no kind of output{}; there are {}", kind,
                                 stream ? " that can be written to standard output" : "", fmt::join(known, ", ")));
}

ByteWriter standard_output() {
    if (::isatty(STDOUT_FILENO) == 1)
        throw UsageError("standard output is a terminal; send it to a program or a file: `| ffmpeg -i -`, `> FILE`");
    return descriptor_writer(STDOUT_FILENO, "standard output");
}

}  // namespace reelstore
