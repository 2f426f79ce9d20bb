#include "codecs/video/container_input.h"

#include <algorithm>
#include <vector>

namespace reelstore {

namespace {

constexpr size_t kProbeBytes = size_t{1} << 20;

int refuse_to_open(AVFormatContext*, AVIOContext** io, const char*, int, AVDictionary**) {
    *io = nullptr;
    return AVERROR(EPERM);
}

}  // namespace

std::string demuxer_name(const AVInputFormat& format) {
    const std::string_view all = format.name;
    return std::string(all.substr(0, all.find(',')));
}

const AVInputFormat* probe_head(std::span<const uint8_t> head, int& score) {
    std::vector<uint8_t> padded(head.size() + AVPROBE_PADDING_SIZE);
    std::copy(head.begin(), head.end(), padded.begin());
    AVProbeData data = {};
    data.filename = "";
    data.buf = padded.data();
    data.buf_size = static_cast<int>(head.size());
    return av_probe_input_format3(&data, 1, &score);
}

const AVInputFormat* find_demuxer(File& file, const std::string& path, std::span<const std::string_view> allowed,
                                  std::string_view kind) {
    const auto is_allowed = [&](const AVInputFormat& format) {
        return std::find(allowed.begin(), allowed.end(), demuxer_name(format)) != allowed.end();
    };
    std::vector<uint8_t> head(kProbeBytes);
    size_t known = 0;
    for (size_t wanted = 4096; wanted <= kProbeBytes; wanted *= 4) {
        known += file.read_at(head.data() + known, wanted - known, known);
        int score = 0;
        const AVInputFormat* format = probe_head({head.data(), known}, score);
        if (format && score >= kLeastProbeScore) {
            if (is_allowed(*format)) return format;
            throw Error(ErrorCode::unsupported, {path, {}, {}},
                        "is not " + std::string(kind) + " (looks like " + demuxer_name(*format) + ")");
        }
        if (known == wanted) continue;
        // A short file may not say more; together with its name that is enough.
        if (format && is_allowed(*format) && format->extensions && av_match_ext(path.c_str(), format->extensions)) {
            return format;
        }
        break;
    }
    throw Error(ErrorCode::unsupported, {path, {}, {}}, "is not " + std::string(kind) + " of a known kind");
}

UniqueInputFormat open_container(FileInput& input, const std::string& path, const AVInputFormat& demuxer, int flags) {
    AVFormatContext* context = avformat_alloc_context();
    if (!context) throw Error(ErrorCode::internal, "out of memory for a video file");
    context->pb = input.io();
    context->flags |= AVFMT_FLAG_CUSTOM_IO | flags;
    context->io_open = refuse_to_open;
    OptionDictionary options;
    options.set("protocol_whitelist", "");
    const int opened = avformat_open_input(&context, nullptr, &demuxer, options.get());
    UniqueInputFormat format(opened < 0 ? nullptr : context);
    input.rethrow();
    if (opened < 0) throw libav_error(opened, path, "read it as a " + demuxer_name(demuxer) + " file");
    return format;
}

}  // namespace reelstore
