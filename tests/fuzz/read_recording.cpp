#include <algorithm>

#include "base/error.h"
#include "base/file_system.h"
#include "codecs/selected_source.h"
#include "tests/fuzz/fuzz_target.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

constexpr size_t kHeadBytes = 4096;  // as open_file_source() gives it
constexpr int64_t kFramesInOrder = 4;

/// Options that the format knows; others would only make it refuse the file.
SourceOptions options_of(const FuzzInput& input, const FileFormatInfo& info) {
    SourceOptions options;
    options.threads = 1;
    for (const std::string& line : input.options) {
        options.gray |= line == "gray";
        options.deep |= line == "deep";
        options.map &= line != "copied";
        const size_t equals = line.find('=');
        if (equals == std::string::npos) continue;
        const std::string name = line.substr(0, equals);
        const bool known = std::any_of(info.source_options.begin(), info.source_options.end(),
                                       [&](const CodecOptionInfo& option) { return option.name == name; });
        if (known) options.format[name] = line.substr(equals + 1);
    }
    return options;
}

void check_json(const Json& value) {
    // Throws on text that is not UTF-8, which would stop `info --json`.
    require(!value.dump().empty(), "metadata and extra data can be printed");
}

void check_frame(const Frame& frame, const SourceInfo& info) {
    require(!frame.image.empty(), "a frame has pixels");
    if (!info.image_type.empty()) {
        require(ImageType::of(frame.image) == info.image_type, "frames are of the announced type");
    }
    touch_pixels(frame.image);
}

void read_frames(FrameSource& source) {
    for (int64_t i = 0; i < kFramesInOrder; ++i) {
        bool ended = false;
        tolerate_errors([&] {
            const auto frame = source.next();
            ended = !frame;
            if (frame) check_frame(*frame, source.info());
            for (const Json& record : source.extra_data()) check_json(record);
        });
        if (ended) break;
    }
}

void read_at_random(RandomAccess& access, const SourceInfo& info) {
    const int64_t count = access.frame_count();
    require(count >= 0, "a number of frames is not negative");
    require(!info.frame_count || *info.frame_count == count, "the announced number of frames is there");
    for (const int64_t index : {count - 1, int64_t{0}, count / 2}) {
        if (index < 0 || index >= count) continue;
        tolerate_errors([&] {
            const Frame frame = access.at_index(index);
            require(frame.index == index, "a frame has the index that was asked for");
            check_frame(frame, info);
        });
        tolerate_errors([&] {
            for (const Json& record : access.extra_data_of(index)) check_json(record);
        });
        tolerate_errors([&] { access.stamp(index); });
    }
}

void read_source(FrameSource& source) {
    check_json(source.user_metadata());
    read_frames(source);
    if (RandomAccess* const access = source.random_access()) {
        read_at_random(*access, source.info());
        if (const auto clone = access->clone_access()) read_at_random(*clone, source.info());
    }
    for (const std::string& warning : source.warnings()) require(!warning.empty(), "a warning says what is wrong");
}

}  // namespace

void read_recording(const FileFormatTable& formats, const FuzzInput& input) {
    // Of a folder of images only the folder is opened.
    const fs::path name = input.files.front().first;
    const fs::path path = *name.begin();
    std::vector<uint8_t> head;
    if (file_system().status(path).kind != FileKind::folder) {
        head.resize(kHeadBytes);
        head.resize(file_system().open(path, OpenMode::read)->read_at(head.data(), head.size(), 0));
        head.shrink_to_fit();
    }
    for (const auto& format : formats) {
        if (!format->info().reads || !format->info().unavailable.empty() || !format->recognises(path, head)) continue;
        tolerate_errors([&] {
            const SourceOptions options = options_of(input, format->info());
            const auto source = selected_source(format->open(path, options), options);
            read_source(*source);
        });
    }
}

}  // namespace reelstore
