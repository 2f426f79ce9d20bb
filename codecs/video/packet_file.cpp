#include "codecs/video/packet_file.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <string>
#include <utility>

extern "C" {
#include <libavutil/mem.h>
}

#include "base/error.h"
#include "codecs/video/libav.h"
#include "codecs/video/nal_units.h"

namespace reelstore {

namespace {

/// Packets at the beginning of a file among which the parameter sets have to be.
constexpr int64_t kMostHeaderPackets = 64;
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

bool is_record(const std::string& codec, std::span<const uint8_t> extradata) {
    constexpr uint8_t kAv1Marker = 0x81;
    if (extradata.empty()) return false;
    return codec == "av1" ? extradata[0] == kAv1Marker : !starts_with_start_code(extradata);
}

void set_extradata(AVCodecParameters& parameters, std::span<const uint8_t> extradata) {
    parameters.extradata = static_cast<uint8_t*>(av_mallocz(extradata.size() + AV_INPUT_BUFFER_PADDING_SIZE));
    if (!parameters.extradata) throw Error(ErrorCode::internal, "out of memory for a video stream");
    std::memcpy(parameters.extradata, extradata.data(), extradata.size());
    parameters.extradata_size = static_cast<int>(extradata.size());
}

void fill(AVCodecParameters& parameters, const VideoStream& stream, std::span<const uint8_t> extradata) {
    const AVCodecDescriptor* codec = avcodec_descriptor_get_by_name(stream.codec.c_str());
    if (!codec) throw Error(ErrorCode::unsupported, "the codec \"" + stream.codec + "\" is not known");
    parameters.codec_type = AVMEDIA_TYPE_VIDEO;
    parameters.codec_id = codec->id;
    parameters.width = stream.width > 0 ? stream.width : kAnySide;
    parameters.height = stream.height > 0 ? stream.height : kAnySide;
    parameters.format = av_get_pix_fmt(stream.pixel_format.c_str());
    if (!extradata.empty()) set_extradata(parameters, extradata);
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
    fill(*track->codecpar, stream, headers);
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

/// The configuration record made of parameter sets that stand one behind the other as in a raw stream.
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

/// Headers of the whole stream that one packet brings along; empty for most.
std::vector<uint8_t> headers_of(AVBSFContext& extractor, const AVPacket& packet) {
    const UniquePacket copy = make_packet();
    if (av_packet_ref(copy.get(), &packet) < 0 || av_bsf_send_packet(&extractor, copy.get()) < 0) return {};
    std::vector<uint8_t> headers;
    while (av_bsf_receive_packet(&extractor, copy.get()) >= 0) {
        size_t size = 0;
        const uint8_t* data = av_packet_get_side_data(copy.get(), AV_PKT_DATA_NEW_EXTRADATA, &size);
        if (data && headers.empty()) headers.assign(data, data + size);
        av_packet_unref(copy.get());
    }
    return headers;
}

}  // namespace

PacketFile::PacketFile(std::filesystem::path path, std::shared_ptr<const PacketTable> table)
    : path_(std::move(path)), table_(std::move(table)) {}

PacketSource& PacketFile::open(std::shared_ptr<const PacketTable> part) {
    if (!source_) {
        source_ = make_packet_source(path_, std::move(part), false);
    } else {
        source_->use_table(std::move(part));
    }
    return *source_;
}

void PacketFile::close() {
    // A demuxer would have to begin with the first packet again.
    if (table_->contiguous || table_->in_cells) source_.reset();
}

const VideoStream& PacketFile::stream() {
    if (!stream_) {
        try {
            learn_stream();
        } catch (const Error& error) {
            throw error.at({path_.string(), {}, {}});
        }
    }
    return *stream_;
}

void PacketFile::learn_stream() {
    VideoStream stream = table_->stream;
    const bool has_record = !record_box_of(stream.codec).empty();
    const bool wants_headers = has_record || stream.codec == "mpeg4";
    const bool in_packets = wants_headers && stream.extradata.empty();
    const bool to_be_made = has_record && !is_record(stream.codec, stream.extradata);
    if (in_packets) stream.extradata = headers_in_packets();
    if (to_be_made) {
        if (stream.extradata.empty()) {
            throw Error(ErrorCode::unsupported, "the parameter sets of its " + stream.codec +
                                                    " stream are not in its first packets; convert it instead");
        }
        stream.extradata = configuration_record(stream, stream.extradata);
        form_ = stream.codec == "av1" ? Form::open_bitstream_units : Form::annex_b;
    }
    stream_ = std::move(stream);
}

std::vector<uint8_t> PacketFile::headers_in_packets() {
    capture_libav_log();
    const AVBitStreamFilter* filter = av_bsf_get_by_name("extract_extradata");
    AVBSFContext* context = nullptr;
    if (!filter || av_bsf_alloc(filter, &context) < 0) return {};
    const UniqueFilter extractor(context);
    fill(*extractor->par_in, table_->stream, {});
    if (av_bsf_init(extractor.get()) < 0) return {};
    const int64_t count = std::min<int64_t>(kMostHeaderPackets, static_cast<int64_t>(table_->packets.size()));
    const UniquePacket packet = make_packet();
    for (int64_t place = 0; place < count; ++place) {
        open(table_).fetch(place, place, *packet);
        std::vector<uint8_t> headers = headers_of(*extractor, *packet);
        if (!headers.empty()) return headers;
    }
    return {};
}

bool PacketFile::reshape(std::vector<uint8_t>& payload) {
    constexpr std::array<uint8_t, 2> kTemporalDelimiter = {0x12, 0};
    stream();
    if (form_ == Form::annex_b) {
        payload = length_prefixed(payload);
        return true;
    }
    if (form_ == Form::open_bitstream_units && payload.size() > kTemporalDelimiter.size() &&
        std::equal(kTemporalDelimiter.begin(), kTemporalDelimiter.end(), payload.begin())) {
        payload.erase(payload.begin(), payload.begin() + kTemporalDelimiter.size());
        return true;
    }
    return false;
}

}  // namespace reelstore
