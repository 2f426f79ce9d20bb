#include "codecs/file_format.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "base/file_system.h"
#include "base/text.h"
#include "codecs/selected_source.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

bool has_extension_of(const FileFormatInfo& info, const fs::path& path) {
    const std::string extension = lower_case_extension(path);
    return std::find(info.extensions.begin(), info.extensions.end(), extension) != info.extensions.end();
}

std::vector<uint8_t> read_head(const fs::path& path) {
    constexpr size_t kHeadBytes = 4096;
    std::vector<uint8_t> head(kHeadBytes);
    head.resize(file_system().open(path, OpenMode::read)->read_at(head.data(), head.size(), 0));
    return head;
}

/// The formats that read, those that know the path's extension first.
std::vector<const FileFormat*> reading_order(const fs::path& path) {
    std::vector<const FileFormat*> order;
    for (const auto& format : file_formats()) {
        if (format->info().reads) order.push_back(format.get());
    }
    std::stable_partition(order.begin(), order.end(),
                          [&](const FileFormat* format) { return has_extension_of(format->info(), path); });
    return order;
}

void check_source_options(const FileFormatInfo& info, const CodecOptions& options) {
    for (const auto& [name, value] : options) {
        const auto has_name = [&name = name](const CodecOptionInfo& option) { return option.name == name; };
        if (std::any_of(info.source_options.begin(), info.source_options.end(), has_name)) continue;
        std::vector<std::string> known;
        for (const CodecOptionInfo& option : info.source_options) known.push_back(option.name);
        throw Error(ErrorCode::invalid_argument,
                    known.empty()
                        ? fmt::format("is opened without options, so none named \"{}\"", name)
                        : fmt::format("has no option \"{}\" for opening; it has {}", name, fmt::join(known, ", ")));
    }
}

/// Throws when the format cannot be written in one of the ways that not all of them know.
void check_sink_options(const FileFormatInfo& info, const SinkOptions& options, const fs::path& path) {
    const auto need = [&](bool wanted, bool FileFormatInfo::*can, const char* what) {
        if (!wanted || info.*can) return;
        std::vector<std::string> able;
        for (const auto& format : file_formats()) {
            if (format->info().*can) able.push_back(format->info().name);
        }
        throw Error(ErrorCode::unsupported, {path.string(), {}, {}},
                    fmt::format("{} cannot be written {}; {} can", info.name, what, fmt::join(able, ", ")));
    };
    need(static_cast<bool>(options.stream), &FileFormatInfo::streams, "to a stream");
    need(options.true_times, &FileFormatInfo::true_times, "with the frames' own times");
    need(options.audio != nullptr, &FileFormatInfo::sound, "with sound");
}

}  // namespace

std::unique_ptr<FrameSource> open_file_source(const fs::path& path, const SourceOptions& options) {
    const FileStatus status = file_system().status(path);
    if (status.kind == FileKind::missing) {
        throw Error(ErrorCode::not_found, {path.string(), {}, {}}, "there is no such file or folder");
    }
    std::vector<uint8_t> head;
    if (status.kind != FileKind::folder) head = read_head(path);

    std::vector<std::string> answers;
    std::vector<Error> failures;
    for (const FileFormat* format : reading_order(path)) {
        const FileFormatInfo& info = format->info();
        if (!info.unavailable.empty()) {
            answers.push_back(fmt::format("{}: {}", info.name, info.unavailable));
        } else if (!format->recognises(path, head)) {
            answers.push_back(fmt::format("{}: not recognised", info.name));
        } else {
            try {
                check_source_options(info, options.format);
                return selected_source(format->open(path, options), options);
            } catch (const Error& error) {
                if (error.code() == ErrorCode::cancelled) throw;
                answers.push_back(fmt::format("{}: {}", info.name, error.message()));
                failures.push_back(error.at({path.string(), {}, {}}));
            }
        }
    }
    // The one format that knew the content says best what is wrong with it.
    if (failures.size() == 1) throw failures.front();
    throw Error(ErrorCode::unsupported, {path.string(), {}, {}},
                fmt::format("no format can read this ({})", fmt::join(answers, "; ")));
}

bool adds_to_file(const fs::path& path, const SinkOptions& options) {
    const fs::path named = options.kind.empty() ? path : fs::path("output" + options.kind);
    for (const auto& format : file_formats()) {
        if (format->info().writes && format->writes_to(named)) return format->adds_to_file(options);
    }
    return false;
}

std::unique_ptr<FrameSink> create_file_sink(const fs::path& path, const SinkOptions& options) {
    std::vector<std::string> known;
    const fs::path named = options.kind.empty() ? path : fs::path("output" + options.kind);
    for (const auto& format : file_formats()) {
        const FileFormatInfo& info = format->info();
        if (!info.writes) continue;
        if (!format->writes_to(named)) {
            known.insert(known.end(), info.extensions.begin(), info.extensions.end());
            continue;
        }
        if (!info.unavailable.empty()) {
            throw Error(ErrorCode::unsupported, {path.string(), {}, {}},
                        fmt::format("{} cannot be written here: {}", info.name, info.unavailable));
        }
        check_sink_options(info, options, path);
        return format->create(path, options);
    }
    std::sort(known.begin(), known.end());
    known.erase(std::unique(known.begin(), known.end()), known.end());
    throw Error(ErrorCode::unsupported, {path.string(), {}, {}},
                fmt::format("no format is written under such a name; use a folder, a pattern such as "
                            "out/frame_{{:06d}}.png, or one of {}",
                            fmt::join(known, " ")));
}

}  // namespace reelstore
