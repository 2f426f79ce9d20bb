#include "codecs/video/configuration_record.h"

#include <algorithm>
#include <cstring>
#include <utility>

extern "C" {
#include <libavutil/mem.h>
}

#include "base/error.h"
#include "codecs/video/nal_units.h"

namespace reelstore {

namespace {

/// A size that no codec minds, where a file does not tell its own.
constexpr int kAnySide = 64;

/// The box of an mp4 that holds the configuration record of a codec (ISO/IEC 14496-15, AV1-ISOBMFF); empty for codecs
/// without one.
std::string record_box_of(const std::string& codec) {
    if (codec == "h264") return "avcC";
    if (codec == "hevc") return "hvcC";
    if (codec == "av1") return "av1C";
    return {};
}

void set_extradata(AVCodecParameters& parameters, std::span<const uint8_t> extradata) {
    parameters.extradata = static_cast<uint8_t*>(av_mallocz(extradata.size() + AV_INPUT_BUFFER_PADDING_SIZE));
    if (!parameters.extradata) throw Error(ErrorCode::internal, "out of memory for a video stream");
    std::memcpy(parameters.extradata, extradata.data(), extradata.size());
    parameters.extradata_size = static_cast<int>(extradata.size());
}

/// The header of an mp4 with such a stream, as FFmpeg writes it.
std::vector<uint8_t> mp4_header(const VideoStream& stream, std::span<const uint8_t> headers) {
    clear_libav_message();
    AVFormatContext* context = nullptr;
    int result = avformat_alloc_output_context2(&context, nullptr, "mp4", nullptr);
    if (result < 0) throw libav_error(result, {}, "write an mp4");
    const UniqueOutputFormat format(context);
    format->flags |= AVFMT_FLAG_CUSTOM_IO;
    AVStream* track = avformat_new_stream(format.get(), nullptr);
    if (!track) throw Error(ErrorCode::internal, "out of memory for a video stream");
    fill_codec_parameters(*track->codecpar, stream, headers);
    result = avio_open_dyn_buf(&format->pb);
    if (result < 0) throw libav_error(result, {}, "write an mp4");
    OptionDictionary options;
    options.set("movflags", "empty_moov");
    result = avformat_write_header(format.get(), options.get());
    uint8_t* data = nullptr;
    const int size = avio_close_dyn_buf(std::exchange(format->pb, nullptr), &data);
    std::vector<uint8_t> bytes(data, data + size);
    av_free(data);
    if (result < 0) throw libav_error(result, {}, "describe the stream by its parameter sets");
    return bytes;
}

}  // namespace

bool has_configuration_record(const std::string& codec) {
    return !record_box_of(codec).empty();
}

bool is_configuration_record(const std::string& codec, std::span<const uint8_t> extradata) {
    constexpr uint8_t kAv1Marker = 0x81;
    if (extradata.empty()) return false;
    return codec == "av1" ? extradata[0] == kAv1Marker : !starts_with_start_code(extradata);
}

std::vector<uint8_t> configuration_record(const VideoStream& stream, std::span<const uint8_t> headers) {
    constexpr size_t kBoxHeader = 8;
    const std::vector<uint8_t> header = mp4_header(stream, headers);
    const std::string name = record_box_of(stream.codec);
    const auto found = std::search(header.begin(), header.end(), name.begin(), name.end());
    const auto before = static_cast<size_t>(found - header.begin());
    if (found != header.end() && before >= 4) {
        size_t size = 0;
        for (size_t i = before - 4; i < before; ++i) size = size << 8 | header[i];
        if (size > kBoxHeader && size - 4 <= header.size() - before)
            return {found + 4, found + static_cast<std::ptrdiff_t>(size - 4)};
    }
    throw Error(ErrorCode::unsupported, "its parameter sets cannot be put into a configuration record");
}

void fill_codec_parameters(AVCodecParameters& parameters, const VideoStream& stream,
                           std::span<const uint8_t> extradata) {
    const AVCodecDescriptor* codec = avcodec_descriptor_get_by_name(stream.codec.c_str());
    if (!codec) throw Error(ErrorCode::unsupported, "the codec \"" + stream.codec + "\" is not known");
    parameters.codec_type = AVMEDIA_TYPE_VIDEO;
    parameters.codec_id = codec->id;
    parameters.width = stream.width > 0 ? stream.width : kAnySide;
    parameters.height = stream.height > 0 ? stream.height : kAnySide;
    parameters.format = av_get_pix_fmt(stream.pixel_format.c_str());
    if (!extradata.empty()) set_extradata(parameters, extradata);
}

}  // namespace reelstore
