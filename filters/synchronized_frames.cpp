#include "filters/synchronized_frames.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "base/error.h"
#include "base/parallel_reader.h"
#include "filters/composed_access.h"
#include "filters/frame_matching.h"

namespace reelstore {

namespace {

/// A frame that was read, or the error of reading it.
struct TakenFrame {
    int64_t position = 0;
    std::optional<FrameKey> key = {};
    Frame frame = {};
    std::vector<Json> extra_data = {};
    std::optional<Error> error = {};
};

/// A source that comes forward, and the keys of its frames.
class ForwardSource {
public:
    ForwardSource(FrameSource& frames, const FrameMatching& matching, size_t source, size_t sources)
        : frames_(frames), matching_(matching), source_(source), access_(frames.random_access()) {
        // Its own next() would read ahead as if there were no others.
        if (access_) {
            in_order_.emplace(*access_, ReadAheadOptions{.threads = access_->threads(),
                                                         .ahead_bytes = kComposedAheadBytes / sources});
        }
    }

    std::optional<TakenFrame> take() {
        if (ahead_.empty()) return read();
        TakenFrame taken = std::move(ahead_.front());
        ahead_.pop_front();
        return taken;
    }

    /// The keys of the next two frames, which are read ahead.
    std::pair<std::optional<FrameKey>, std::optional<FrameKey>> next_keys() {
        while (ahead_.size() < 2) {
            std::optional<TakenFrame> taken = read();
            if (!taken) break;
            ahead_.push_back(std::move(*taken));
        }
        const auto key = [&](size_t i) { return i < ahead_.size() ? ahead_[i].key : std::nullopt; };
        return {key(0), key(1)};
    }

    bool rewind() {
        if (in_order_) {
            in_order_->seek(0);
        } else if (!frames_.rewind()) {
            return false;
        }
        ahead_.clear();
        position_ = 0;
        largest_.reset();
        return true;
    }

    /// Undoes rewind(): back to where it was, `position` frames from the beginning.
    void skip_to(int64_t position) {
        while (position_ < position && read()) {
        }
    }
    int64_t position() const { return position_ - static_cast<int64_t>(ahead_.size()); }

private:
    std::optional<TakenFrame> read() {
        TakenFrame taken{.position = position_};
        try {
            std::optional<Frame> frame = in_order_ ? in_order_->next() : frames_.next();
            if (!frame) return std::nullopt;
            taken.frame = std::move(*frame);
            // Only those of the first source count.
            if (source_ == 0) taken.extra_data = access_ ? access_->extra_data_of(position_) : frames_.extra_data();
            find_key(taken, {taken.frame.number, taken.frame.time});
        } catch (const Error& error) {
            taken.error = error.at({matching_.name(source_), {}, position_});
            if (!taken.key) find_key_of_damaged(taken);
        }
        ++position_;
        return taken;
    }

    void find_key(TakenFrame& taken, const FrameStamp& stamp) {
        const FrameKey key = matching_.key(source_, taken.position, stamp);
        if (largest_ && key < *largest_) throw matching_.goes_down(source_, taken.position, key, *largest_);
        largest_ = key;
        taken.key = key;
    }

    void find_key_of_damaged(TakenFrame& taken) {
        try {
            if (matching_.by(SyncBy::index)) {
                find_key(taken, {});
            } else if (access_ && taken.position < access_->frame_count()) {
                find_key(taken, access_->stamp(taken.position));
            }
        } catch (const Error&) {
            // The first error stands.
            return;
        }
    }

    FrameSource& frames_;
    const FrameMatching& matching_;
    size_t source_;
    RandomAccess* access_;                      ///< null: the source only comes forward
    std::optional<SequentialReader> in_order_;  ///< where there is random access
    int64_t position_ = 0;                      ///< of the frame that is read next
    std::optional<FrameKey> largest_;
    std::deque<TakenFrame> ahead_;
};

/// A source that follows another.
class Follower {
public:
    Follower(FrameSource& frames, const FrameMatching& matching, size_t source, size_t sources)
        : source_(frames, matching, source, sources), matching_(matching), place_(source) {}

    ForwardSource& source() { return source_; }
    void clear() {
        before_.reset();
        after_.reset();
    }

    /// Which frame is shown where that with the key `wanted`, which must not become smaller, is to be. Throws the Error
    /// of a damaged frame whose key is not known, behind which the next call goes on.
    ShownFrame find(FrameKey wanted) {
        while (!(before_ && before_->key == wanted)) {
            if (!after_) after_ = take_next();
            if (!after_ || *after_->key > wanted) break;
            before_ = std::exchange(after_, std::nullopt);
        }
        return matching_.choose(place_, wanted, before_ ? before_->key : std::nullopt,
                                after_ ? after_->key : std::nullopt);
    }
    const TakenFrame& before() const { return *before_; }
    const TakenFrame& after() const { return *after_; }

private:
    /// The first of those with the next key.
    std::optional<TakenFrame> take_next() {
        while (std::optional<TakenFrame> taken = source_.take()) {
            if (!taken->key) throw Error(*taken->error);
            if (!before_ || taken->key != before_->key) return taken;
        }
        return std::nullopt;
    }

    ForwardSource source_;
    const FrameMatching& matching_;
    size_t place_;
    std::optional<TakenFrame> before_;  ///< the last one up to what was wanted last
    std::optional<TakenFrame> after_;   ///< the next one
};

/// A composition of frames that come forward.
class ForwardComposition {
public:
    ForwardComposition(std::span<const ComposedSource> sources, Composition& composition)
        : composition_(composition), leading_(*sources.front().frames, composition.matching, 0, sources.size()) {
        for (size_t source = 1; source < sources.size(); ++source)
            followers_.emplace_back(*sources[source].frames, composition.matching, source, sources.size());
    }

    std::optional<Frame> next() {
        learn_times();
        while (true) {
            if (!taken_) taken_ = leading_.take();
            if (!taken_) return std::nullopt;
            if (!taken_->key) {
                const TakenFrame damaged = *std::exchange(taken_, std::nullopt);
                throw Error(*damaged.error);
            }
            std::vector<std::optional<Frame>> frames(followers_.size() + 1);
            std::optional<Error> error;
            // What is thrown from here concerns a follower alone: the next call tries with this frame again.
            const bool is_shown = find_followers(*taken_->key, frames, error);
            TakenFrame taken = *std::exchange(taken_, std::nullopt);
            if (!is_shown) {
                ++left_out_;
                continue;
            }
            if (taken.error) error = taken.error;
            if (error) throw Error(*error);
            frames.front() = std::move(taken.frame);
            Frame result = composition_.frame_of(frames, taken.position - left_out_);
            extra_data_ = std::move(taken.extra_data);
            return result;
        }
    }

    const std::vector<Json>& extra_data() const { return extra_data_; }

    bool rewind() {
        std::vector<ForwardSource*> sources{&leading_};
        for (Follower& follower : followers_) sources.push_back(&follower.source());
        std::vector<int64_t> positions;
        for (size_t i = 0; i < sources.size(); ++i) {
            positions.push_back(sources[i]->position());
            if (sources[i]->rewind()) continue;
            while (i-- > 0) sources[i]->skip_to(positions[i]);
            return false;
        }
        for (Follower& follower : followers_) follower.clear();
        taken_.reset();
        extra_data_.clear();
        left_out_ = 0;
        return true;
    }

private:
    void learn_times() {
        if (std::exchange(has_learned_, true) || !composition_.matching.needs_first_times()) return;
        const auto learn = [this](size_t place, ForwardSource& source) {
            const auto [first, second] = source.next_keys();
            composition_.matching.learn(place, first, second);
        };
        learn(0, leading_);
        for (size_t i = 0; i < followers_.size(); ++i) learn(i + 1, followers_[i].source());
        composition_.matching.end_learning();
    }

    /// False where the frame is left out.
    bool find_followers(FrameKey leading, std::vector<std::optional<Frame>>& frames, std::optional<Error>& error) {
        bool is_shown = true;
        for (size_t i = 0; i < followers_.size(); ++i) {
            const ShownFrame shown = followers_[i].find(composition_.matching.wanted(i + 1, leading));
            if (shown == ShownFrame::left_out) is_shown = false;
            if (shown != ShownFrame::before && shown != ShownFrame::after) continue;
            const TakenFrame& found = shown == ShownFrame::before ? followers_[i].before() : followers_[i].after();
            if (found.error) {
                error = found.error;
            } else {
                frames[i + 1] = found.frame;
            }
        }
        return is_shown;
    }

    Composition& composition_;
    ForwardSource leading_;
    std::deque<Follower> followers_;
    std::optional<TakenFrame> taken_;  ///< of the first source, while those of the others are being looked for
    int64_t left_out_ = 0;
    std::vector<Json> extra_data_;
    bool has_learned_ = false;
};

/// What is known of a composition of frames such as those of `leading`.
SourceInfo info_of_composition(SourceInfo leading) {
    leading.format = "composition";
    leading.image_type = {};
    leading.encoding.clear();
    leading.pixel_format.clear();
    leading.rotation = 0;
    leading.mirrored = false;
    leading.media_bytes.reset();
    return leading;
}

class ComposedFrames : public FrameSource {
public:
    ComposedFrames(std::vector<ComposedSource> sources, const SyncOptions& options, Compose compose)
        : sources_(std::move(sources)),
          composition_(std::make_shared<Composition>(Composition{{sources_, options}, std::move(compose)})),
          info_(info_of_composition(sources_.front().frames->info())) {
        std::vector<RandomAccess*> accesses;
        for (const ComposedSource& source : sources_) accesses.push_back(source.frames->random_access());
        const bool are_counted = options.missing != MissingFrame::drop || options.by == SyncBy::index;
        if (!are_counted || std::find(accesses.begin(), accesses.end(), nullptr) != accesses.end()) {
            forward_.emplace(sources_, *composition_);
            return;
        }
        learn_times(accesses);
        access_.emplace(composition_, accesses);
        access_->check_order_far_apart();
        in_order_.emplace(*access_,
                          ReadAheadOptions{.threads = access_->threads(), .ahead_bytes = kComposedAheadBytes});
        learn_image_type();
    }

    const SourceInfo& info() const override {
        // Recordings grow.
        std::vector<std::optional<int64_t>> counts;
        for (const ComposedSource& source : sources_) counts.push_back(source.frames->info().frame_count);
        const auto range = composition_->shown_range(counts);
        info_.frame_count = range ? std::optional(range->second - range->first) : std::nullopt;
        return info_;
    }

    RandomAccess* random_access() override { return access_ ? &*access_ : nullptr; }

    std::optional<Frame> next() override {
        if (forward_) return forward_->next();
        last_read_ = in_order_->position();
        return in_order_->next();
    }

    std::vector<Json> extra_data() override {
        if (forward_) return forward_->extra_data();
        return last_read_ >= 0 && last_read_ < access_->frame_count() ? access_->extra_data_of(last_read_)
                                                                      : std::vector<Json>{};
    }

    bool rewind() override {
        if (forward_) return forward_->rewind();
        in_order_->seek(0);
        last_read_ = -1;
        return true;
    }

    const Json& user_metadata() const override { return sources_.front().frames->user_metadata(); }

    const std::vector<std::string>& warnings() const override {
        warnings_.clear();
        for (const ComposedSource& source : sources_) {
            const std::vector<std::string>& own = source.frames->warnings();
            warnings_.insert(warnings_.end(), own.begin(), own.end());
        }
        return warnings_;
    }

private:
    void learn_times(const std::vector<RandomAccess*>& accesses) {
        FrameMatching& matching = composition_->matching;
        if (!matching.needs_first_times()) return;
        for (size_t source = 0; source < accesses.size(); ++source) {
            const auto key = [&](int64_t position) -> std::optional<FrameKey> {
                if (position >= accesses[source]->frame_count()) return std::nullopt;
                return matching.key(source, position, accesses[source]->stamp(position));
            };
            matching.learn(source, key(0), key(1));
        }
        matching.end_learning();
    }

    void learn_image_type() {
        if (access_->frame_count() == 0) return;
        try {
            info_.image_type = ImageType::of(access_->at_index(0).image);
        } catch (const Error&) {
            // A first frame that is damaged hides no others; whoever reads it is told.
            return;
        }
    }

    std::vector<ComposedSource> sources_;
    std::shared_ptr<Composition> composition_;
    mutable SourceInfo info_;
    mutable std::vector<std::string> warnings_;
    // One of both.
    std::optional<ForwardComposition> forward_;
    std::optional<ComposedAccess> access_;
    std::optional<SequentialReader> in_order_;  ///< for next(), with access_
    int64_t last_read_ = -1;                    ///< by next(), with access_
};

}  // namespace

std::unique_ptr<FrameSource> composed_source(std::vector<ComposedSource> sources, const SyncOptions& options,
                                             Compose compose) {
    return std::make_unique<ComposedFrames>(std::move(sources), options, std::move(compose));
}

}  // namespace reelstore
