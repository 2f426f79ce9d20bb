#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <cmath>
#include <cstdlib>
#include <optional>

#include "base/clock.h"
#include "base/error.h"
#include "base/file_system.h"
#include "base/pipeline.h"
#include "base/yaml.h"
#include "codecs/video/packet_scan.h"
#include "store/copy_video.h"
#include "store/layout.h"
#include "store/open_source.h"
#include "store/store_reader.h"
#include "store/store_writer.h"
#include "tools/codec_options.h"
#include "tools/console.h"
#include "tools/pipeline_bar.h"
#include "tools/ranges.h"
#include "tools/replaced_output.h"
#include "tools/source_options.h"
#include "tools/verb.h"

namespace reelstore {

namespace {

/// Frames a second of a source that has no times of its own.
constexpr double kAssumedFrameRate = 25;

/// Where the times of the saved frames come from: `source`, `now` or `fps:N`.
class TimeRule {
public:
    TimeRule(const std::string& text, const SourceInfo& source) {
        if (text == "now") {
            kind_ = Kind::now;
        } else if (text.starts_with("fps:")) {
            kind_ = Kind::rate;
            char* end = nullptr;
            rate_ = std::strtod(text.c_str() + 4, &end);
            if (*end != '\0' || !(rate_ > 0) || !std::isfinite(rate_))
                throw UsageError("--time fps:N needs a rate above 0, not \"" + text + "\"");
            start_ = now_utc();
            absolute_ = true;
        } else if (text != "source") {
            throw UsageError("--time must be source, now or fps:N, not \"" + text + "\"");
        } else if (!source.has_times) {
            kind_ = Kind::rate;
            rate_ = source.frame_rate.value_or(kAssumedFrameRate);
            print_note(
                fmt::format("{} has no times of its own; taken to be {:g} frames a second from 0 (--time fps:N or now)",
                            source.name, rate_));
        } else if (!source.times_are_absolute && source.creation_time) {
            start_ = *source.creation_time;
        }
    }

    /// Frames whose times are counted go on one interval behind `time`, that of the last frame of a store.
    void continue_after(double time) {
        if (kind_ == Kind::rate && !absolute_) start_ = time + 1 / rate_;
    }

    /// What is known of the source's frames once they have these times; every `step`-th of them is saved.
    SourceInfo told(SourceInfo info, int64_t step) const {
        info.has_times = true;
        info.times_are_absolute |= kind_ == Kind::now || absolute_ || start_ != 0;
        if (kind_ == Kind::rate) info.frame_rate = rate_ * static_cast<double>(step);
        return info;
    }

    double operator()(const Frame& frame) {
        switch (kind_) {
            case Kind::now:
                return now_utc();
            case Kind::rate:
                return start_ + static_cast<double>(count_++) / rate_;
            case Kind::source:
                break;
        }
        return start_ + frame.time;
    }

private:
    enum class Kind { source, now, rate };
    Kind kind_ = Kind::source;
    bool absolute_ = false;
    double rate_ = 0;
    double start_ = 0;
    int64_t count_ = 0;
};

/// A source of which something else is to be known.
class ToldSource : public FrameSource {
public:
    ToldSource(FrameSource& source, SourceInfo info) : source_(source), info_(std::move(info)) {}

    const SourceInfo& info() const override { return info_; }
    std::optional<Frame> next() override { return source_.next(); }
    bool rewind() override { return source_.rewind(); }
    RandomAccess* random_access() override { return source_.random_access(); }
    std::vector<Json> extra_data() override { return source_.extra_data(); }
    const Json& user_metadata() const override { return source_.user_metadata(); }
    const std::vector<std::string>& warnings() const override { return source_.warnings(); }

private:
    FrameSource& source_;
    SourceInfo info_;
};

class SaveVerb : public Verb {
public:
    std::string name() const override { return "save"; }
    std::string summary() const override {
        return "record a video, a folder of images, a store or a camera into a new store";
    }
    std::string examples() const override {
        return "  store save video.avi mystore\n"
               "  store save mystore copy --format png --start 100 --frames 50\n"
               "  store save images/ mystore --format npy --time fps:30\n"
               "  store save --source 0 mystore --format mjpeg/avi --chunk-frames 3000      (first camera, until "
               "Ctrl-C)\n"
               "  store save --source 0 mystore --append --overflow drop           (go on, also after a crash; never "
               "wait for the disk)\n"
               "  store save video.mp4 mystore --set crf=15 --set gop=30 --meta genotype=wt --meta rig=3\n"
               "  store save video.mp4 mystore --filter crop=100:80:640:480,skip=5\n"
               "  store save video.mp4 mystore --copy                        (as it is encoded, in a moment)\n";
    }
    void declare(CLI::App& app) override {
        app.add_option("PATHS", paths_, "[SOURCE] STORE: what to record, and the new store")
            ->required()
            ->expected(1, 2);
        app.add_option(
            "--source", source_,
            "what to record: a file, a folder, a store or a camera (0, /dev/video0); left out: the first camera");
        app.add_option("--format", options_.format, "chunk format (default avc1/mp4; `store formats` lists them)");
        app.add_option("--encoding", options_.encoding, "the images are raw in this layout (cv_bayerbg...)");
        app.add_option("--chunk-frames", chunk_frames_, "frames in a chunk (with --copy at least)")
            ->check(CLI::PositiveNumber);
        app.add_option("--chunk-seconds", chunk_seconds_, "seconds in a chunk")->check(CLI::PositiveNumber);
        app.add_option("--chunk-bytes", chunk_bytes_, "bytes in a chunk, with or without K, M, G (1000 each)");
        app.add_option("--start", pipeline_.start, "first frame to record (default 0)")->check(CLI::NonNegativeNumber);
        app.add_option("--frames", frames_, "frames to record at most")->check(CLI::NonNegativeNumber);
        app.add_option("--step", pipeline_.step, "record every n-th frame (default 1)")->check(CLI::PositiveNumber);
        app.add_option("--time", time_,
                       "times of the saved frames: source (default; from 0 at 25 a second if it has none), now, or "
                       "fps:N (N saved frames a second from now; behind a filter that changes their number, more or "
                       "fewer)");
        app.add_flag("--realtime", pipeline_.realtime, "pace a file by its own times, as a camera would");
        opening_.declare_pixels(app);
        opening_.declare_filter(app);
        app.add_option(
               "--meta", user_,
               "KEY=VALUE of your own, kept in metadata.yaml; VALUE is YAML, so write 'id=\"007\"' for text of digits")
            ->allow_extra_args(false);
        app.add_option("--set", codec_,
                       "codec option NAME=VALUE (crf=18, gop=30; `store formats --options` lists them)")
            ->allow_extra_args(false);
        app.add_option("--commit-interval", commit_interval_,
                       "seconds of frames that a crash may cost (default 1; 0: none but what the encoder holds; off: "
                       "the open chunk)");
        app.add_option("--overflow", overflow_,
                       "when the disk or the encoder cannot keep up: block (default: the source waits) or drop (frames "
                       "are left out and recorded as events)")
            ->check(CLI::IsMember({"block", "drop"}));
        app.add_option("--buffer-bytes", buffer_bytes_,
                       "memory for frames that wait, with or without K, M, G (default 256M)");
        CLI::Option* force = app.add_flag("--force", force_, "replace a store of this name");
        app.add_flag("--append", options_.append,
                     "go on with the store if it is there, closed or left by a crash; its format stays")
            ->excludes(force);
        CLI::Option* copy = app.add_flag("--copy", copy_,
                                         "take a video file in as it is encoded (H.264 or Motion JPEG), in chunks that "
                                         "begin at key frames");
        for (const char* name :
             {"--encoding", "--chunk-seconds", "--chunk-bytes", "--step", "--realtime", "--raw", "--gray", "--deep",
              "--crop", "--filter", "--set", "--commit-interval", "--overflow", "--buffer-bytes"})
            copy->excludes(app.get_option(name));
    }
    int run() override {
        if (copy_ && time_ == "now") throw UsageError("--copy takes all frames at once; use --time source or fps:N");
        if (paths_.size() == 2 && !source_.empty()) throw UsageError("give the source once: as SOURCE or as --source");
        const std::string source_name = paths_.size() == 2 ? paths_[0] : source_;
        const std::string store = paths_.back();
        const std::unique_ptr<FrameSource> source = open_source(source_name, opening_.options());
        const SourceNotes notes(*source);
        if (copy_) table_ = packets_of(source_name);
        TimeRule time(time_, source->info());
        if (pipeline_.realtime && !source->info().has_times)
            throw UsageError("--realtime needs a source with times of its own");
        const Filters filters = opening_.filters();
        fill_options(*source);
        // Behind filters that move pixels, raw images are in no camera's layout.
        if (opening_.raw && options_.encoding.empty())
            options_.encoding = info_behind(time.told(source->info(), pipeline_.step), filters).encoding;
        if (table_) options_.format = format_for_packets(source_name, *table_, options_.format);
        check_store_options(options_);
        if (force_ && !source_name.empty() && lies_in(source_name, store))
            throw UsageError("the source lies in the store that would be replaced");
        if (force_ && file_system().status(store).kind != FileKind::missing && !is_store(store)) {
            throw Error(ErrorCode::already_exists, {store, {}, {}}, "is not a store; --force only replaces stores");
        }
        std::optional<ReplacedOutput> replaced;
        if (!options_.append) replaced.emplace(store, force_);
        StoreWriter writer(store, options_);
        if (const std::optional<FrameStamp> last = writer.last_frame()) {
            pipeline_.first_number = last->number + 1;
            time.continue_after(last->time);
            print_note(fmt::format("{} goes on after its {} frames", store, writer.frame_count()));
        }
        try {
            const int code = table_ ? copy(source_name, *source, writer, time) : record(*source, filters, writer, time);
            if (code == kExitDone || code == kExitDataLost) {
                if (replaced) replaced->commit();
            } else {
                keep_what_there_is(store, writer.frame_count(), replaced);
            }
            return code;
        } catch (const std::exception& error) {
            fmt::print(stderr, "store save: {}\n", error.what());
            keep_what_there_is(store, writer.frame_count(), replaced);
            return kExitFailed;
        }
    }

private:
    int record(FrameSource& source, const std::vector<std::unique_ptr<Filter>>& filters, StoreWriter& writer,
               TimeRule& time) {
        const InterruptGuard interrupt;
        PipelineBar bar("saving");
        pipeline_.keep_numbers = source.info().has_numbers;
        pipeline_.time = [&](const Frame& frame) { return time(frame); };
        pipeline_.progress = [&](const PipelineProgress& progress) { bar.update(progress); };
        // Filters go by the times that the frames are saved with.
        ToldSource timed(source, time.told(source.info(), pipeline_.step));
        const PipelineResult result = run_pipeline(timed, filters, writer, pipeline_, interrupt.token());
        fmt::print(stderr, "{} frames saved to {}\n", result.frames_written - writer.stats().frames_dropped,
                   paths_.back());
        const WriterStats stats = writer.stats();
        if (stats.faults > 0) {
            print_note(fmt::format("the disk or the encoder failed {} times while recording; `store events` lists it",
                                   stats.faults));
        }
        if (stats.frames_dropped > 0) {
            print_note(
                fmt::format("{} frames were dropped because the disk or the encoder could not keep up; `store "
                            "events` lists them",
                            stats.frames_dropped));
        }
        if (result.cancelled) return kExitInterrupted;
        return stats.frames_dropped > 0 ? kExitDataLost : kExitDone;
    }

    static std::shared_ptr<const PacketTable> packets_of(const std::string& name) {
        if (is_store(name)) throw UsageError("a store is copied by `store copy`");
        if (file_system().status(name).kind != FileKind::file)
            throw UsageError("--copy takes a video file in, not a camera or a folder");
        return std::make_shared<const PacketTable>(scan_packets(name).table);
    }

    int copy(const std::string& name, FrameSource& source, StoreWriter& writer, TimeRule& time) {
        const InterruptGuard interrupt;
        ProgressBar bar("copying");
        RandomAccess* frames = source.random_access();
        if (!frames || frames->frame_count() != table_->frame_count())
            throw Error(ErrorCode::unsupported, {name, {}, {}}, "is no video that can be copied; leave --copy out");
        const int64_t first = std::min(pipeline_.start, table_->frame_count());
        const int64_t wanted =
            std::min(pipeline_.frames.value_or(table_->frame_count()), table_->frame_count() - first);
        VideoCopyOptions options;
        options.first = first;
        options.frames = wanted;
        options.chunk_frames = writer.metadata().chunk_frames;
        options.stamp = [&](int64_t frame) {
            Frame stamped;
            stamped.index = frame;
            stamped.time = frames->stamp(frame).time;
            return FrameStamp{pipeline_.first_number + frame - first, time(stamped)};
        };
        options.progress = [&](int64_t done) { bar.update(done, wanted); };
        options.stop = interrupt.token();
        const int64_t copied = copy_video(name, table_, writer, options);
        writer.close();
        fmt::print(stderr, "{} frames copied to {}\n", copied, paths_.back());
        return copied < wanted ? kExitInterrupted : kExitDone;
    }

    /// After a failure or an interruption: the frames recorded so far stay, and so does the store that was to be
    /// replaced. A store without any frame is of no use to anybody.
    static void keep_what_there_is(const std::string& store, int64_t frames, std::optional<ReplacedOutput>& replaced) {
        if (!replaced) return;
        if (frames > 0) {
            fmt::print(stderr, "the frames recorded so far are in {}\n", store);
            const std::filesystem::path old = replaced->keep_both();
            if (!old.empty()) fmt::print(stderr, "the store that was to be replaced is now {}\n", old.string());
        } else {
            std::error_code ignored;
            std::filesystem::remove_all(store, ignored);
        }
    }

    void fill_options(const FrameSource& source) {
        if (chunk_frames_ > 0) options_.chunk_frames = chunk_frames_;
        if (chunk_seconds_ > 0) options_.chunk_seconds = chunk_seconds_;
        if (!chunk_bytes_.empty()) options_.chunk_bytes = parse_bytes(chunk_bytes_);
        if (frames_ >= 0) pipeline_.frames = frames_;
        options_.codec = parse_codec_options(codec_);
        options_.commit_interval = parse_commit_interval();
        options_.overflow = overflow_ == "drop" ? Overflow::drop : Overflow::block;
        if (!buffer_bytes_.empty()) options_.buffer_bytes = parse_bytes(buffer_bytes_);
        // A store that goes on has its zone and metadata already.
        const bool goes_on = options_.append && is_store(paths_.back());
        if (!goes_on) options_.time_zone = source.info().time_zone;
        Json user = goes_on ? Json::object() : source.user_metadata();
        const std::string pairs = parse_user_pairs(user_);
        if (!pairs.empty()) user.update(parse_yaml(pairs, "--meta").value);
        if (!user.empty()) options_.metadata = to_yaml(user);
    }

    std::optional<double> parse_commit_interval() const {
        if (commit_interval_ == "off") return std::nullopt;
        char* end = nullptr;
        const double seconds = std::strtod(commit_interval_.c_str(), &end);
        if (commit_interval_.empty() || *end != '\0' || !(seconds >= 0) || !std::isfinite(seconds))
            throw UsageError("--commit-interval needs seconds or off, not \"" + commit_interval_ + "\"");
        return seconds;
    }

    std::vector<std::string> paths_;
    std::string source_;
    StoreWriterOptions options_;
    PipelineOptions pipeline_;
    int64_t chunk_frames_ = 0;
    double chunk_seconds_ = 0;
    std::string chunk_bytes_;
    int64_t frames_ = -1;
    std::string time_ = "source";
    std::vector<std::string> user_;
    std::vector<std::string> codec_;
    SourceOptionGroup opening_;
    bool force_ = false;
    std::string commit_interval_ = "1";
    std::string overflow_ = "block";
    std::string buffer_bytes_;
    bool copy_ = false;
    std::shared_ptr<const PacketTable> table_;  // with --copy
};

}  // namespace

void add_verbs_save(VerbTable& table) {
    table.push_back(std::make_unique<SaveVerb>());
}

}  // namespace reelstore
