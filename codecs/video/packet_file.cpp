#include "codecs/video/packet_file.h"

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <utility>

#include "base/error.h"
#include "codecs/video/configuration_record.h"
#include "codecs/video/libav.h"
#include "codecs/video/nal_units.h"

namespace reelstore {

namespace {

/// Packets at the beginning of a file among which the parameter sets have to be.
constexpr int64_t kMostHeaderPackets = 64;
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
    const bool has_record = has_configuration_record(stream.codec);
    const bool wants_headers = has_record || stream.codec == "mpeg4";
    const bool in_packets = wants_headers && stream.extradata.empty();
    const bool to_be_made = has_record && !is_configuration_record(stream.codec, stream.extradata);
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
    fill_codec_parameters(*extractor->par_in, table_->stream, {});
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
