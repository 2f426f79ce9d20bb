#include "codecs/foreign/image_sequence.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/encoding.h"
#include "codecs/image_codec.h"

namespace reelstore {

namespace {

class SequenceSource : public FrameSource, public RandomAccess {
public:
    SequenceSource(std::shared_ptr<const OpenedSequence> opened, const SourceOptions& options)
        : opened_(std::move(opened)), options_(options), info_(opened_->info) {
        info_.frame_count = frame_count();
        if (!options_.raw && !info_.encoding.empty()) find_decoding();
        if (options_.gray) info_.image_type.channels = 1;
    }

    const SourceInfo& info() const override { return info_; }
    RandomAccess* random_access() override { return this; }
    const Json& user_metadata() const override { return opened_->user_metadata; }
    const std::vector<std::string>& warnings() const override { return opened_->warnings; }
    int64_t frame_count() const override { return opened_->frames->frame_count(); }
    int threads() const override { return options_.threads; }

    std::optional<Frame> next() override {
        if (next_index_ >= frame_count()) return std::nullopt;
        last_read_ = next_index_;
        return at_index(next_index_++);
    }

    Frame at_index(int64_t index) override {
        check(index);
        last_read_ = index;
        try {
            SequenceImage image = opened_->frames->read(index);
            const FrameStamp stamp = opened_->frames->stamp(index);
            ++counters_.frames_decoded;
            if (encoding_) image = {decode(*encoding_, image.image, demosaic_)};
            if (options_.gray && image.image.channels() > 1) image = {gray_image(image.image)};
            return {.image = std::move(image.image),
                    .index = index,
                    .number = stamp.number,
                    .time = stamp.time,
                    .owner = std::move(image.owner)};
        } catch (const Error& error) {
            throw error.at({info_.name, {}, index});
        }
    }

    FrameStamp stamp(int64_t index) override {
        check(index);
        return opened_->frames->stamp(index);
    }

    int64_t entry_of(int64_t index) override {
        check(index);
        return opened_->frames->entry_of(index);
    }

    std::vector<Json> extra_data_of(int64_t index) override {
        check(index);
        return opened_->frames->extra_data_of(index);
    }

    std::vector<Json> extra_data() override {
        return last_read_ < 0 ? std::vector<Json>{} : opened_->frames->extra_data_of(last_read_);
    }

    std::unique_ptr<RandomAccess> clone_access() override {
        return std::make_unique<SequenceSource>(opened_, options_);
    }

    DecodeCounters counters() const override { return counters_; }

private:
    void find_decoding() {
        encoding_ = find_encoding(info_.encoding);
        demosaic_ = options_.demosaic.value_or(Demosaic::bilinear);
        const auto refuse = [this](const std::string& reason) {
            throw Error(ErrorCode::unsupported, {info_.name, {}, {}}, reason + "; --raw gives the images as they are");
        };
        if (!encoding_) refuse("there is no way to decode " + info_.encoding);
        if (const auto reason = refuses_demosaic(*encoding_, info_.image_type, demosaic_)) refuse(*reason);
        const std::optional<ImageType> decoded = decoded_type(*encoding_, info_.image_type);
        if (!decoded) refuse(fmt::format("{} images cannot be {}", info_.image_type.text(), info_.encoding));
        info_.image_type = *decoded;
    }

    void check(int64_t index) const {
        if (index >= 0 && index < frame_count()) return;
        throw Error(ErrorCode::invalid_argument, {info_.name, {}, {}},
                    fmt::format("there is no frame {} among {}", index, frame_count()));
    }

    std::shared_ptr<const OpenedSequence> opened_;
    SourceOptions options_;
    SourceInfo info_;
    const Encoding* encoding_ = nullptr;  ///< null: the images are given as they are stored
    Demosaic demosaic_ = Demosaic::bilinear;
    DecodeCounters counters_;
    int64_t next_index_ = 0;
    int64_t last_read_ = -1;
};

}  // namespace

std::unique_ptr<FrameSource> sequence_source(OpenedSequence opened, const SourceOptions& options) {
    return std::make_unique<SequenceSource>(std::make_shared<const OpenedSequence>(std::move(opened)), options);
}

}  // namespace reelstore
