#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "bench/footage.h"
#include "bench/video_access/contenders.h"
#include "bench/video_access/packet_list.h"
#include "bench/video_access/picture.h"

namespace reelstore::bench {

namespace {

struct OpenFile {
    explicit OpenFile(const std::filesystem::path& path) : list(path), descriptor(::open(path.c_str(), O_RDONLY)) {
        if (descriptor < 0) throw Error(ErrorCode::io, {path.string(), {}, {}}, "cannot open the file");
    }
    ~OpenFile() { ::close(descriptor); }
    OpenFile(const OpenFile&) = delete;
    OpenFile& operator=(const OpenFile&) = delete;

    PacketList list;
    int descriptor;
};

using OpenFiles = std::vector<std::unique_ptr<OpenFile>>;

OpenFiles open_files(const Clip& clip) {
    OpenFiles files;
    for (const std::filesystem::path& path : clip.files) files.push_back(std::make_unique<OpenFile>(path));
    return files;
}

/// A run of bytes of a file that packets share without copying.
class SharedBytes {
public:
    void read(int descriptor, int64_t offset, size_t size) {
        if (!buffer_ || buffer_->size < size + AV_INPUT_BUFFER_PADDING_SIZE || !av_buffer_is_writable(buffer_)) {
            av_buffer_unref(&buffer_);
            buffer_ = av_buffer_allocz(size + AV_INPUT_BUFFER_PADDING_SIZE);
        }
        if (!buffer_ || ::pread(descriptor, buffer_->data, size, offset) != static_cast<ssize_t>(size)) {
            throw Error(ErrorCode::io, "cannot read packets");
        }
        offset_ = offset;
    }
    ~SharedBytes() { av_buffer_unref(&buffer_); }
    SharedBytes() = default;
    SharedBytes(const SharedBytes&) = delete;
    SharedBytes& operator=(const SharedBytes&) = delete;

    void fill(AVPacket& packet, const ListedPacket& listed) const {
        packet.buf = av_buffer_ref(buffer_);
        packet.data = buffer_->data + (listed.offset - offset_);
        packet.size = listed.size;
    }

private:
    AVBufferRef* buffer_ = nullptr;
    int64_t offset_ = 0;
};

/// One decoder, opened once for all files, as all have the same codec parameters.
class MinimalDecoder {
public:
    MinimalDecoder(const Clip& clip, const OpenFiles& files, Delivery delivery)
        : files_(files),
          delivery_(clip.type, delivery),
          context_(open_decoder(*files.front()->list.parameters, 1, clip.files.front())),
          packet_(make_packet()),
          picture_(make_frame()) {}

    /// Decodes these places (ascending, of one group of pictures) of a file and nothing else that can be left out;
    /// `take` gets place and image in the order of display.
    template <typename Take>
    void decode(size_t file, const std::vector<size_t>& places, Take take) {
        const OpenFile& open = *files_[file];
        const std::vector<ListedPacket>& packets = open.list.packets;
        const size_t entry = open.list.entries[places.front()];
        const ListedPacket& last = packets[places.back()];
        bytes_.read(open.descriptor, packets[entry].offset,
                    static_cast<size_t>(last.offset + last.size - packets[entry].offset));
        avcodec_flush_buffers(context_.get());
        size_t wanted = 0;
        for (size_t place = entry; place <= places.back(); ++place) {
            const bool is_wanted = places[wanted] == place;
            if (is_wanted) ++wanted;
            if (packets[place].disposable && !is_wanted) continue;
            bytes_.fill(*packet_, packets[place]);
            packet_->pts = static_cast<int64_t>(place);
            avcodec_send_packet(context_.get(), packet_.get());
            av_packet_unref(packet_.get());
            ++work_.packets_sent;
            receive(places, take);
        }
        avcodec_send_packet(context_.get(), nullptr);
        receive(places, take);
    }

    const Work& work() const { return work_; }

private:
    template <typename Take>
    void receive(const std::vector<size_t>& places, Take& take) {
        while (avcodec_receive_frame(context_.get(), picture_.get()) >= 0) {
            ++work_.frames_decoded;
            const auto place = static_cast<size_t>(picture_->pts);
            if (std::binary_search(places.begin(), places.end(), place)) take(place, delivery_.deliver(*picture_));
        }
    }

    const OpenFiles& files_;
    PictureDelivery delivery_;
    UniqueCodecContext context_;
    UniquePacket packet_;
    UniqueFrame picture_;
    SharedBytes bytes_;
    Work work_;
};

class Limit : public Contender {
public:
    Limit(const Clip& clip, Delivery delivery)
        : clip_(clip), files_(open_files(clip)), decoder_(clip, files_, delivery) {
        run(std::vector<int64_t>{0});
    }

    Pass run(std::span<const int64_t> indices) override {
        const Work before = decoder_.work();
        Pass pass{.frames = static_cast<int64_t>(indices.size())};
        int64_t right = 0;
        const Stopwatch watch;
        for (const int64_t index : indices) {
            const size_t file = clip_.file_of(index);
            place_[0] = files_[file]->list.display_order[static_cast<size_t>(clip_.position_in_file(index))];
            // A view of the decoder's own picture has to be looked at while it is there.
            decoder_.decode(file, place_,
                            [&](size_t, const cv::Mat& image) { right += shows_number(image, index) ? 1 : 0; });
        }
        stop(watch, pass);
        pass.wrong_frames = pass.frames - right;
        pass.work = Work{decoder_.work().packets_sent - before.packets_sent,
                         decoder_.work().frames_decoded - before.frames_decoded};
        return pass;
    }

private:
    const Clip& clip_;
    OpenFiles files_;
    MinimalDecoder decoder_;
    std::vector<size_t> place_ = {0};
};

class LimitByGroup : public Contender {
public:
    LimitByGroup(const Clip& clip, int threads) : clip_(clip), files_(open_files(clip)) {
        for (int i = 0; i < threads; ++i) {
            decoders_.push_back(std::make_unique<MinimalDecoder>(clip, files_, Delivery::image));
            decoders_.back()->decode(0, {files_.front()->list.display_order.front()}, [](size_t, const cv::Mat&) {});
        }
    }

    Pass run(std::span<const int64_t> indices) override {
        Work before = work();
        Pass pass{.frames = static_cast<int64_t>(indices.size())};
        const Stopwatch watch;
        const std::vector<Group> groups = groups_of(indices);
        pass.wrong_frames = decoders_.size() == 1 ? one_by_one(groups) : together(groups, indices.size());
        stop(watch, pass);
        pass.work = Work{work().packets_sent - before.packets_sent, work().frames_decoded - before.frames_decoded};
        return pass;
    }

private:
    struct Wanted {
        int64_t index = 0;
        size_t request = 0;
    };
    struct Group {
        size_t file = 0;
        std::vector<size_t> places = {};       ///< ascending
        std::map<size_t, Wanted> wanted = {};  ///< by place
    };

    /// In the order in which the groups are first asked for.
    std::vector<Group> groups_of(std::span<const int64_t> indices) const {
        std::vector<Group> groups;
        std::map<std::pair<size_t, size_t>, size_t> known;
        for (size_t request = 0; request < indices.size(); ++request) {
            const size_t file = clip_.file_of(indices[request]);
            const PacketList& list = files_[file]->list;
            const size_t place = list.display_order[static_cast<size_t>(clip_.position_in_file(indices[request]))];
            const auto [entry, added] = known.try_emplace({file, list.entries[place]}, groups.size());
            if (added) groups.push_back({.file = file});
            groups[entry->second].places.push_back(place);
            groups[entry->second].wanted[place] = {indices[request], request};
        }
        for (Group& group : groups) std::sort(group.places.begin(), group.places.end());
        return groups;
    }

    int64_t one_by_one(const std::vector<Group>& groups) {
        int64_t wrong = 0;
        for (const Group& group : groups) {
            std::map<size_t, cv::Mat> images;
            decoders_.front()->decode(group.file, group.places,
                                      [&](size_t place, const cv::Mat& image) { images[place] = image; });
            for (const auto& [place, wanted] : group.wanted) wrong += shows_number(images[place], wanted.index) ? 0 : 1;
        }
        return wrong;
    }

    int64_t together(const std::vector<Group>& groups, size_t requests) {
        std::vector<cv::Mat> images(requests);
        std::atomic<size_t> next{0};
        std::vector<std::thread> workers;
        for (const auto& decoder : decoders_) {
            workers.emplace_back([&, decoder = decoder.get()] {
                for (size_t i = next++; i < groups.size(); i = next++) {
                    decoder->decode(groups[i].file, groups[i].places, [&](size_t place, const cv::Mat& image) {
                        images[groups[i].wanted.at(place).request] = image;
                    });
                }
            });
        }
        for (std::thread& worker : workers) worker.join();
        int64_t wrong = 0;
        for (const Group& group : groups) {
            for (const auto& [place, wanted] : group.wanted) {
                wrong += shows_number(images[wanted.request], wanted.index) ? 0 : 1;
            }
        }
        return wrong;
    }

    Work work() const {
        Work sum;
        for (const auto& decoder : decoders_) {
            sum.packets_sent += decoder->work().packets_sent;
            sum.frames_decoded += decoder->work().frames_decoded;
        }
        return sum;
    }

    const Clip& clip_;
    OpenFiles files_;
    std::vector<std::unique_ptr<MinimalDecoder>> decoders_;
};

}  // namespace

std::unique_ptr<Contender> limit(const Clip& clip, Delivery delivery) {
    return std::make_unique<Limit>(clip, delivery);
}

std::unique_ptr<Contender> limit_by_group(const Clip& clip, int threads) {
    return std::make_unique<LimitByGroup>(clip, threads);
}

}  // namespace reelstore::bench
