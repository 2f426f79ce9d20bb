#include "bench/footage.h"
#include "bench/video_access/contenders.h"
#include "bench/video_access/packet_list.h"
#include "bench/video_access/picture.h"

namespace reelstore::bench {

namespace {

/// The loop that every player and reader has: demux, send, receive.
class DecodeLoop {
public:
    DecodeLoop(const std::filesystem::path& path, int threads)
        : format_(open_input(path)),
          stream_(video_stream_of(*format_)),
          context_(open_decoder(*format_->streams[stream_]->codecpar, threads, path)),
          packet_(make_packet()),
          picture_(make_frame()) {}

    /// To the last key frame at or before the time.
    void seek(int64_t pts) {
        av_seek_frame(format_.get(), stream_, pts, AVSEEK_FLAG_BACKWARD);
        avcodec_flush_buffers(context_.get());
    }

    /// The next picture in order of display, valid until the next call; null at the end.
    const AVFrame* next() {
        for (;;) {
            const int received = avcodec_receive_frame(context_.get(), picture_.get());
            if (received >= 0) {
                ++work_.frames_decoded;
                return picture_.get();
            }
            if (received != AVERROR(EAGAIN)) return nullptr;
            send();
        }
    }

    const Work& work() const { return work_; }

private:
    void send() {
        for (;;) {
            if (av_read_frame(format_.get(), packet_.get()) < 0) {
                avcodec_send_packet(context_.get(), nullptr);
                return;
            }
            const bool mine = packet_->stream_index == stream_;
            if (mine) {
                avcodec_send_packet(context_.get(), packet_.get());
                ++work_.packets_sent;
            }
            av_packet_unref(packet_.get());
            if (mine) return;
        }
    }

    UniqueInputFormat format_;
    int stream_;
    UniqueCodecContext context_;
    UniquePacket packet_;
    UniqueFrame picture_;
    Work work_;
};

class SeekAndDecode : public Contender {
public:
    explicit SeekAndDecode(const Clip& clip)
        : list_(clip.files.front()), loop_(clip.files.front(), 1), delivery_(clip.type, Delivery::image) {
        read(0);
    }

    Pass run(std::span<const int64_t> indices) override {
        const Work before = loop_.work();
        Pass pass = read_each(indices, [this](int64_t index) { return read(index); });
        pass.work =
            Work{loop_.work().packets_sent - before.packets_sent, loop_.work().frames_decoded - before.frames_decoded};
        return pass;
    }

private:
    cv::Mat read(int64_t index) {
        const int64_t pts = list_.packets[list_.display_order[static_cast<size_t>(index)]].pts;
        loop_.seek(pts);
        while (const AVFrame* picture = loop_.next()) {
            if (picture->best_effort_timestamp >= pts) return delivery_.deliver(*picture);
        }
        return {};
    }

    PacketList list_;
    DecodeLoop loop_;
    PictureDelivery delivery_;
};

class DecodeInOrder : public Contender {
public:
    DecodeInOrder(const Clip& clip, Delivery delivery, int threads)
        : clip_(clip), delivery_(delivery), threads_(threads) {}

    Pass run(std::span<const int64_t> indices) override {
        const Stopwatch watch;
        DecodeLoop loop(clip_.files.front(), threads_);
        PictureDelivery delivery(clip_.type, delivery_);
        Pass pass = read_each(indices, [&](int64_t) {
            const AVFrame* picture = loop.next();
            return picture ? delivery.deliver(*picture) : cv::Mat();
        });
        stop(watch, pass);
        pass.work = loop.work();
        return pass;
    }

private:
    const Clip& clip_;
    Delivery delivery_;
    int threads_;
};

}  // namespace

std::unique_ptr<Contender> seek_and_decode(const Clip& clip) {
    return std::make_unique<SeekAndDecode>(clip);
}

std::unique_ptr<Contender> decode_in_order(const Clip& clip, Delivery delivery, int threads) {
    return std::make_unique<DecodeInOrder>(clip, delivery, threads);
}

}  // namespace reelstore::bench
