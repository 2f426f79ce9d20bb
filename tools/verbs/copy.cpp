#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <cmath>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/yaml.h"
#include "codecs/chunk_format.h"
#include "store/convert.h"
#include "store/layout.h"
#include "store/selected_frames.h"
#include "store/store_copier.h"
#include "tools/codec_options.h"
#include "tools/console.h"
#include "tools/new_store.h"
#include "tools/replaced_output.h"
#include "tools/selection.h"
#include "tools/verb.h"

namespace reelstore {

namespace {

/// Digits in the name of a part at least.
constexpr size_t kLeastDigits = 3;

class CopyVerb : public Verb {
public:
    std::string name() const override { return "copy"; }
    std::string summary() const override {
        return "copies, cuts, joins or splits stores without decoding their frames";
    }
    std::string examples() const override {
        return "  store copy mystore part --index 1000:2000\n"
               "  store copy mystore part --time 2026-11-20T09:00:00..2026-11-20T10:00:00\n"
               "  store copy monday tuesday wednesday week                   (one behind the other)\n"
               "  store copy mystore hour --split-seconds 3600               (hour_000, hour_001, ...)\n"
               "  store copy 'hour_000' hour_001 mystore2 --chunk-frames 10000\n"
               "  store copy mystore small --reencode --format avc1/mp4 --set crf=28\n";
    }
    void declare(CLI::App& app) override {
        app.add_option("PATHS", paths_,
                       "STORE... OUT: what to copy, in this order, and the new store; a range is that of each STORE")
            ->required()
            ->expected(2, 1 << 20);
        selection_.declare(app);
        app.add_option("--chunk-frames", chunk_frames_,
                       "frames in a chunk of the copy (left out: chunks begin where those of the source do). Where a "
                       "container cannot hide packets (mkv), chunks may be longer, up to the next key frame")
            ->check(CLI::PositiveNumber);
        CLI::Option* split_frames =
            app.add_option("--split-frames", split_frames_, "begin a new store OUT_000, OUT_001... every N frames")
                ->check(CLI::PositiveNumber);
        CLI::Option* split_seconds =
            app.add_option("--split-seconds", split_seconds_,
                           "begin a new store at the first frame whose time is S seconds or more behind that of the "
                           "store's first frame")
                ->check(CLI::PositiveNumber)
                ->excludes(split_frames);
        CLI::Option* reencode = app.add_flag("--reencode", reencode_, "decode the frames and encode them anew")
                                    ->excludes(split_frames)
                                    ->excludes(split_seconds);
        app.add_option("--format", format_, "chunk format with --reencode (default: that of the source)")
            ->needs(reencode);
        app.add_option("--set", codec_, "codec option NAME=VALUE with --reencode")
            ->allow_extra_args(false)
            ->needs(reencode);
        app.add_option("--meta", user_,
                       "KEY=VALUE of your own, beside the metadata of the first store or in their place")
            ->allow_extra_args(false);
        app.add_flag("--skip-damaged", skip_damaged_,
                     "leave out frames that cannot be read, and what depends on them (exit code 3)");
        app.add_flag("--force", force_, "replace a store of this name");
        app.add_flag("--json", json_, "one JSON object on stdout");
    }

    int run() override {
        const std::string output = plain(paths_.back());
        open_sources(output);
        const std::string pairs = parse_user_pairs(user_);
        if (!pairs.empty()) changes_ = parse_yaml(pairs, "--meta").value;
        if (!std::isfinite(split_seconds_)) throw UsageError("--split-seconds needs a number of seconds");
        const InterruptGuard interrupt;
        ProgressBar bar("copying");
        const int code = reencode_ ? reencode(output, interrupt, bar) : copy(output, interrupt, bar);
        for (const auto& store : stores_) {
            print_notes(store->warnings());
            incomplete_ = incomplete_ || store->incomplete();
        }
        if (damaged_ > 0) {
            fmt::print(stderr, "{} frames could not be read and were left out; the first: {}\n", damaged_,
                       first_damage_);
        }
        if (json_)
            fmt::print("{}\n", Json{{"frames", frames_}, {"frames_damaged", damaged_}, {"stores", made_}}.dump());
        if (code != kExitDone) return code;
        return damaged_ > 0 || incomplete_ ? kExitDataLost : kExitDone;
    }

private:
    /// Without a slash at the end.
    static std::string plain(std::string path) {
        while (path.size() > 1 && path.back() == '/') path.pop_back();
        return path;
    }

    void open_sources(const std::string& output) {
        for (size_t i = 0; i + 1 < paths_.size(); ++i) {
            if (lies_in(output, store_folder(paths_[i])))
                throw UsageError("the copy would lie in its source " + paths_[i]);
            stores_.push_back(std::make_unique<StoreReader>(paths_[i], reader_options()));
            if (!stores_.back()->closed()) {
                print_note(fmt::format("{} is not closed: of it the {} frames are copied that are committed by now",
                                       paths_[i], stores_.back()->frame_count()));
            }
            FrameSelection frames = selection_.frames_of(*stores_.back());
            if (frames.step != 1 && !reencode_)
                throw UsageError("every n-th frame can only be copied with --reencode, not by A:B:STEP alone");
            sources_.push_back({stores_.back().get(), std::move(frames)});
        }
    }

    /// Where every pixel is looked at anyway, what is damaged is to be found out.
    StoreReaderOptions reader_options() const {
        StoreReaderOptions options;
        options.map = !reencode_;
        options.check_bytes = reencode_;
        return options;
    }

    bool splits() const { return split_frames_ > 0 || split_seconds_ > 0; }

    std::optional<int64_t> frames_at_most() const {
        int64_t frames = 0;
        for (const CopySource& source : sources_) {
            const std::optional<int64_t> count = source.frames.count();
            if (!count) return std::nullopt;
            frames += *count;
        }
        return frames;
    }

    // ---- without decoding

    int copy(const std::string& output, const InterruptGuard& interrupt, ProgressBar& bar) {
        const std::optional<int64_t> all = frames_at_most();
        CopyOptions options;
        if (chunk_frames_ > 0) options.chunk_frames = chunk_frames_;
        options.metadata = changes_;
        options.skip_damaged = skip_damaged_;
        options.progress = [&](int64_t frames) { bar.update(frames, all); };
        options.stop = interrupt.token();
        StoreCopier copier(sources_, options);
        print_notes(copier.notes());
        const StoreWriterOptions writer_options = copier.writer_options();
        check_store_options(writer_options);
        if (copier.done()) refuse_empty();
        if (!splits()) return copy_one(output, copier, writer_options, {});
        CopyLimit limit;
        if (split_frames_ > 0) limit.frames = split_frames_;
        if (split_seconds_ > 0) limit.seconds = split_seconds_;
        const size_t digits = digits_of_parts();
        for (int64_t part = 0; !copier.done(); ++part) {
            const std::string path = fmt::format("{}_{:0{}d}", output, part, digits);
            if (const int code = copy_one(path, copier, writer_options, limit); code != kExitDone) return code;
        }
        return kExitDone;
    }

    /// So that names in order are stores in order.
    size_t digits_of_parts() const {
        double parts = 1;
        for (const CopySource& source : sources_) {
            double frames = 0;
            for (const IndexRun& run : source.frames.runs) frames += static_cast<double>(run.last - run.first);
            if (split_frames_ > 0) parts += frames / static_cast<double>(split_frames_);
            const auto times = source.store->time_range();
            if (split_seconds_ > 0 && times)
                parts += std::min(frames, (times->second - times->first) / split_seconds_ + 1);
        }
        return std::max(kLeastDigits, fmt::format("{:.0f}", parts).size());
    }

    /// An empty store is copied as it is; a selection without a frame is a mistake.
    void refuse_empty() const {
        for (const CopySource& source : sources_) {
            if (source.store->frame_count() > 0) throw Error(ErrorCode::not_found, "no frame was selected");
        }
    }

    /// Nothing at all is no copy, and must not replace one.
    void refuse_unreadable() const {
        if (damaged_ == 0) return;
        throw Error(ErrorCode::corrupt, {stores_.size() == 1 ? paths_.front() : std::string(), {}, {}},
                    "none of its frames could be read; the first: " + first_damage_);
    }

    int make_store(const std::string& path, const StoreWriterOptions& options,
                   const std::function<int(StoreWriter&)>& fill) {
        const NewStore output{.verb = "copy",
                              .done = "copied",
                              .path = path,
                              .sources = {paths_.begin(), paths_.end() - 1},
                              .force = force_};
        const NewStoreResult made = make_new_store(output, options, fill);
        if (made.code != kExitFailed) made_.push_back({{"path", path}, {"frames", made.frames}});
        if (made.code != kExitFailed) frames_ += made.frames;
        return made.code;
    }

    int copy_one(const std::string& path, StoreCopier& copier, const StoreWriterOptions& options,
                 const CopyLimit& limit) {
        return make_store(path, options, [&](StoreWriter& writer) {
            const CopyResult result = copier.copy_to(writer, limit);
            if (damaged_ == 0) first_damage_ = result.first_damage;
            damaged_ += result.frames_damaged;
            if (frames_ + result.frames == 0 && !result.cancelled) refuse_unreadable();
            fmt::print(stderr, "{} frames in {} chunks copied to {}\n", result.frames, result.chunks, path);
            return result.cancelled ? kExitInterrupted : kExitDone;
        });
    }

    // ---- with decoding

    int reencode(const std::string& output, const InterruptGuard& interrupt, ProgressBar& bar) {
        ConvertOptions options;
        options.format = format_.empty() ? stores_.front()->metadata().format : format_;
        options.codec = parse_codec_options(codec_);
        if (chunk_frames_ > 0) options.chunk_frames = chunk_frames_;
        options.metadata = changes_;
        options.skip_damaged = skip_damaged_;
        options.stop = interrupt.token();
        std::optional<int64_t> all;
        options.progress = [&](int64_t frames) { bar.update(frames, all); };
        const ChunkFormat* format = find_chunk_format(options.format);
        std::vector<const StoreReader*> stores;
        for (const auto& store : stores_) stores.push_back(store.get());
        if (format) {
            format->check_options(options.codec);
            if (keeps_encoding(stores, *format, options.codec)) open_raw();
        }
        StoreConverter converter(sources_, options);
        print_notes(converter.notes());
        all = converter.frame_count();
        if (all == 0) refuse_empty();
        return make_store(output, converter.writer_options(), [&](StoreWriter& writer) {
            const ConvertResult result = converter.convert_to(writer);
            if (!result.damage.empty()) first_damage_ = result.damage.front();
            damaged_ += result.frames_damaged;
            if (result.cancelled) return kExitInterrupted;
            if (result.frames + result.frames_damaged == 0) refuse_empty();
            if (result.frames == 0) refuse_unreadable();
            fmt::print(stderr, "{} frames encoded anew in {}\n", result.frames, output);
            return kExitDone;
        });
    }

    /// The raw images are taken as they are.
    void open_raw() {
        StoreReaderOptions options = reader_options();
        options.decode = false;
        for (size_t i = 0; i < stores_.size(); ++i) {
            stores_[i] = std::make_unique<StoreReader>(paths_[i], options);
            sources_[i] = {stores_[i].get(), selection_.frames_of(*stores_[i])};
        }
    }

    std::vector<std::string> paths_;
    SelectionOptions selection_;
    int64_t chunk_frames_ = 0;
    int64_t split_frames_ = 0;
    double split_seconds_ = 0;
    bool reencode_ = false;
    std::string format_;
    std::vector<std::string> codec_;
    std::vector<std::string> user_;
    bool skip_damaged_ = false;
    bool force_ = false;
    bool json_ = false;

    std::vector<std::unique_ptr<StoreReader>> stores_;
    std::vector<CopySource> sources_;
    Json changes_ = Json::object();
    int64_t frames_ = 0;
    int64_t damaged_ = 0;
    std::string first_damage_;
    bool incomplete_ = false;
    Json made_ = Json::array();
};

}  // namespace

void add_verbs_copy(VerbTable& table) {
    table.push_back(std::make_unique<CopyVerb>());
}

}  // namespace reelstore
