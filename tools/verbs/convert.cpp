#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/encoding.h"
#include "base/error.h"
#include "store/convert.h"
#include "store/layout.h"
#include "tools/codec_options.h"
#include "tools/console.h"
#include "tools/new_store.h"
#include "tools/pipeline_bar.h"
#include "tools/replaced_output.h"
#include "tools/selection.h"
#include "tools/source_options.h"
#include "tools/verb.h"

namespace reelstore {

namespace {

/// Damaged frames that are named one by one.
constexpr size_t kMostPrinted = 20;
/// Decoded frames that each reader keeps for steps back, which there are none of here.
constexpr size_t kCacheBytes = size_t{16} << 20;

class ConvertVerb : public Verb {
public:
    std::string name() const override { return "convert"; }
    std::string summary() const override { return "encodes a store anew in another format"; }
    std::string examples() const override {
        return "  store bench-formats mystore                                 (which format?)\n"
               "  store convert mystore small --format avc1/mp4 --set crf=23\n"
               "  store convert mystore exact --format png --verify           (read back and compared bit for bit)\n"
               "  store convert mystore part --format npy --index 1000:2000\n"
               "  store convert bayer color --format png --decode\n"
               "  store convert mystore arena --format avc1/mp4 --filter crop=100:80:640:480,clahe\n"
               "Where nothing is to be encoded anew, `store copy` is much faster and changes no byte.\n";
    }
    void declare(CLI::App& app) override {
        app.add_option("STORE", source_, "what to convert")->required();
        app.add_option("OUT", output_, "the new store")->required();
        app.add_option("--format", format_, "its chunk format (`store formats` lists them); may be that of STORE")
            ->required();
        app.add_option("--set", codec_, "codec option NAME=VALUE (`store formats --options` lists them)")
            ->allow_extra_args(false);
        app.add_option("--chunk-frames", chunk_frames_,
                       "frames in a chunk (default: as in STORE, or the format's own where that differs)")
            ->check(CLI::PositiveNumber);
        selection_.declare(app);
        filter_.declare_filter(app);
        app.add_flag("--decode", decode_,
                     "store raw camera images (Bayer...) decoded; left out, lossless formats keep them raw");
        app.add_option("--demosaic", demosaic_,
                       "how a Bayer mosaic is decoded: bilinear (default), vng (8 bits) or edge-aware");
        app.add_option("--meta", user_, "KEY=VALUE of your own, beside the metadata of STORE or in their place")
            ->allow_extra_args(false);
        app.add_flag("--verify", verify_,
                     "read the new store back: pixels bit by bit where the format is lossless (behind filters, which "
                     "STORE then goes through once more), else that every frame is there");
        app.add_flag("--force", force_, "replace a store of this name");
        app.add_flag("--json", json_, "one JSON object on stdout");
    }

    int run() override {
        while (output_.size() > 1 && output_.back() == '/') output_.pop_back();
        if (lies_in(output_, store_folder(source_)))
            throw UsageError("the new store would lie in its source " + source_);
        ConvertOptions options;
        options.format = format_;
        options.codec = parse_codec_options(codec_);
        options.filters = filter_.filter;
        filter_.filters();  // a list that makes no sense is refused before anything is opened
        open_source(options.codec);
        if (chunk_frames_ > 0) options.chunk_frames = chunk_frames_;
        options.metadata = parse_user_metadata(parse_user_pairs(user_));
        options.skip_damaged = true;
        const InterruptGuard interrupt;
        options.stop = interrupt.token();
        std::optional<PipelineBar> bar(std::in_place, "converting");
        options.progress = [&](int64_t frames) { bar->update({.frames_written = frames, .frames_expected = all_}); };
        options.first_pass_progress = [&](int64_t frames) {
            bar->update({.first_pass = true, .frames_read = frames, .frames_expected = all_});
        };
        StoreConverter converter(sources_, options);
        print_notes(converter.notes());
        all_ = converter.frame_count();
        if (all_ == 0 && store_->frame_count() > 0) throw Error(ErrorCode::not_found, "no frame was selected");
        const double begin = now_monotonic();
        const NewStore output{
            .verb = "convert", .done = "converted", .path = output_, .sources = {source_}, .force = force_};
        const NewStoreResult made = make_new_store(
            output, converter.writer_options(),
            [&](StoreWriter& writer) { return convert(converter, writer, begin, bar); },
            verify_ ? std::function<int()>([&] { return check_output(interrupt); }) : nullptr);
        bar.reset();
        print_notes(store_->warnings());
        if (json_ && (made.code != kExitFailed || check_)) print_json(made.frames);
        if (made.code != kExitDone) return made.code;
        return result_.frames_damaged > 0 || store_->incomplete() ? kExitDataLost : kExitDone;
    }

private:
    void open_source(const CodecOptions& codec) {
        StoreReaderOptions options;
        options.map = false;
        options.check_bytes = true;
        options.cache_bytes = kCacheBytes;
        if (const std::optional<Demosaic> method = demosaic_method(demosaic_)) options.demosaic = *method;
        store_.emplace(source_, options);
        const Encoding* encoding = find_encoding(store_->metadata().encoding);
        if (!demosaic_.empty() && !(encoding && is_bayer(*encoding)))
            throw UsageError("--demosaic: the images are no Bayer mosaics, so there is no method to choose");
        const ChunkFormat* format = find_chunk_format(format_);
        if (format) format->check_options(codec);
        if (!decode_ && filter_.filter.empty() && format && keeps_encoding({&*store_}, *format, codec)) {
            if (!demosaic_.empty()) throw UsageError("--demosaic needs --decode: this format keeps raw images raw");
            options.decode = false;
            store_.emplace(source_, options);
        }
        if (!store_->closed()) {
            print_note(fmt::format("{} is not closed: of it the {} frames are converted that are committed by now",
                                   source_, store_->frame_count()));
        }
        sources_ = {{&*store_, selection_.frames_of(*store_)}};
    }

    int convert(StoreConverter& converter, StoreWriter& writer, double begin, std::optional<PipelineBar>& bar) {
        result_ = converter.convert_to(writer);
        bar.reset();
        for (size_t i = 0; i < std::min(kMostPrinted, result_.damage.size()); ++i)
            fmt::print(stderr, "left out: {}\n", result_.damage[i]);
        if (result_.frames_damaged > 0) {
            fmt::print(stderr, "{} frames could not be read and were left out\n", result_.frames_damaged);
        }
        if (result_.cancelled) {
            fmt::print(stderr, "stopped after {}{} frames{}\n", result_.frames + result_.frames_damaged,
                       all_ ? fmt::format(" of {}", *all_) : "",
                       result_.last ? fmt::format("; the last in {} is that with index {} and number {} of {}", output_,
                                                  result_.last->index, result_.last->number, source_)
                                    : "");
            return kExitInterrupted;
        }
        if (result_.frames + result_.frames_damaged == 0 && store_->frame_count() > 0)
            throw Error(ErrorCode::not_found,
                        all_ && *all_ > 0 ? "no frame came through the filters" : "no frame was selected");
        if (result_.frames == 0 && result_.frames_damaged > 0) {
            throw Error(ErrorCode::corrupt, {source_, {}, {}},
                        "none of its frames could be read; the first: " + result_.damage.front());
        }
        const double seconds = now_monotonic() - begin;
        fmt::print(stderr, "{} frames converted to {} as {} in {:.1f} s ({:.0f}/s)\n", result_.frames, output_,
                   writer.metadata().format, seconds, static_cast<double>(result_.frames) / std::max(seconds, 1e-9));
        return kExitDone;
    }

    int check_output(const InterruptGuard& interrupt) {
        ProgressBar bar("verifying");
        ConversionCheckOptions options;
        options.filters = filter_.filter;
        options.stop = interrupt.token();
        options.progress = [&](int64_t frames) { bar.update(frames, all_); };
        check_ = check_conversion(sources_, output_, options);
        if (check_->cancelled) {
            fmt::print(stderr, "verifying was stopped after {} frames\n", check_->frames);
            return kExitInterrupted;
        }
        if (check_->different > 0) {
            fmt::print(stderr, "store convert: {} of {} frames are not as they should be; {}\n", check_->different,
                       check_->frames, check_->first_difference);
            return kExitFailed;
        }
        fmt::print(
            stderr, "{} frames read back: {}\n", check_->frames,
            check_->exact ? "identical, bit for bit" : "all there; the format is lossy, so pixels were not compared");
        return kExitDone;
    }

    void print_json(int64_t frames) const {
        Json json = {{"store", output_},          {"format", format_},
                     {"frames", frames},          {"frames_damaged", result_.frames_damaged},
                     {"damaged", result_.damage}, {"interrupted", result_.cancelled}};
        if (check_)
            json["verified"] = {
                {"frames", check_->frames}, {"different", check_->different}, {"pixels_compared", check_->exact}};
        fmt::print("{}\n", json.dump(-1, ' ', false, Json::error_handler_t::replace));
    }

    std::string source_;
    std::string output_;
    std::string format_;
    std::vector<std::string> codec_;
    std::vector<std::string> user_;
    int64_t chunk_frames_ = 0;
    SelectionOptions selection_;
    SourceOptionGroup filter_;
    bool decode_ = false;
    std::string demosaic_;
    bool verify_ = false;
    bool force_ = false;
    bool json_ = false;

    std::optional<StoreReader> store_;
    std::vector<CopySource> sources_;
    std::optional<int64_t> all_;
    ConvertResult result_;
    std::optional<ConversionCheck> check_;
};

}  // namespace

void add_verbs_convert(VerbTable& table) {
    table.push_back(std::make_unique<ConvertVerb>());
}

}  // namespace reelstore
