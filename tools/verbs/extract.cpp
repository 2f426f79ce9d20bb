#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <fstream>

#include "base/error.h"
#include "base/file_system.h"
#include "base/pipeline.h"
#include "codecs/file_format.h"
#include "filters/filter_table.h"
#include "store/open_source.h"
#include "tools/codec_options.h"
#include "tools/console.h"
#include "tools/frame_json.h"
#include "tools/source_options.h"
#include "tools/replaced_output.h"
#include "tools/selection.h"
#include "tools/verb.h"

namespace reelstore {

namespace {

bool is_pattern(const std::string& output) {
    return std::filesystem::path(output).filename().string().find('{') != std::string::npos;
}

/// Where the list of extracted frames goes: beside the file or folder; for a pattern beside its folder, or in the
/// working folder under the pattern's own beginning.
std::filesystem::path list_path(const std::string& output) {
    std::filesystem::path path = output;
    if (!path.has_filename()) path = path.parent_path();
    if (is_pattern(output)) {
        const std::string beginning = path.filename().string().substr(0, path.filename().string().find('{'));
        const size_t end = beginning.find_last_not_of("_-. ");
        path = path.parent_path();
        if (path.empty()) path = end == std::string::npos ? "frames" : beginning.substr(0, end + 1);
    }
    path += ".frames.csv";
    return path;
}

/// Passes frames on and writes a line for each.
class ListingSink : public FrameSink {
public:
    ListingSink(FrameSink& sink, const std::filesystem::path& list) : sink_(sink), path_(list.string()) {}
    void write(const Frame& frame) override {
        sink_.write(frame);
        if (position_ == 0) {
            file_.open(path_);
            file_ << "output,index,number,time\n";
        }
        file_ << fmt::format("{},{},{},{}\n", position_++, frame.index, frame.number, exact_text(frame.time));
    }
    void close() override {
        sink_.close();
        if (!file_.is_open()) return;
        file_.close();
        if (!file_) throw Error(ErrorCode::io, {path_, {}, {}}, "cannot write the list of frames");
    }

private:
    FrameSink& sink_;
    std::string path_;
    std::ofstream file_;
    int64_t position_ = 0;
};

class ExtractVerb : public Verb {
public:
    std::string name() const override { return "extract"; }
    std::string summary() const override { return "write frames of a recording to images, a video or an array"; }
    std::string examples() const override {
        return "  store extract mystore frames/ --index 0:100:10\n"
               "  store extract mystore 'frames/frame_{:06d}.tif' --number 6050:6060\n"
               "  store extract mystore clip.mp4 --time 2026-11-20T09:00:00..2026-11-20T09:01:00\n"
               "  store extract mystore stack.npy --index -50:\n"
               "  store extract video.mp4 clip.npy --index 100:200 --gray\n"
               "  store extract video.mp4 clip.avi --time 12.5..20\n";
    }
    void declare(CLI::App& app) override {
        app.add_option("RECORDING", recording_, kRecordingHelp)->required();
        app.add_option("OUT", output_,
                       "folder/, pattern such as 'out/frame_{:06d}.png', or file (.mp4 .mkv .avi .mov .npy ...)")
            ->required();
        selection_.declare(app);
        app.add_option("--fps", frame_rate_, "frame rate of a video (default: the recording's)")
            ->check(CLI::PositiveNumber);
        app.add_option("--set", codec_, "codec option NAME=VALUE (crf=18, preset=slow; see `store formats`)")
            ->allow_extra_args(false);
        app.add_option("--filter", filters_, "filters, comma separated (gray, color; see `store formats`)");
        source_.declare_pixels(app);
        app.add_flag("--force", force_, "replace the output");
    }
    int run() override {
        const std::unique_ptr<Recording> recording = source_.open(recording_);
        const SourceNotes notes(*recording);
        SelectedFrames frames(*recording, selection_.frames_of(*recording));
        const std::vector<std::unique_ptr<Filter>> filters =
            make_filters(source_.gray ? (filters_.empty() ? "gray" : "gray," + filters_) : filters_);
        SinkOptions options;
        options.frame_rate = frame_rate_ > 0 ? std::optional(frame_rate_) : recording->info().frame_rate;
        options.codec = parse_codec_options(codec_);
        if (lies_in(output_, recording->path())) throw UsageError("the output lies in the recording itself");
        const std::filesystem::path list = list_path(output_);
        // Folders are never replaced, as they may hold anything; the sink refuses one whose files are in the way.
        std::optional<ReplacedOutput> replaced;
        if (!is_pattern(output_) && file_system().status(output_).kind != FileKind::folder)
            replaced.emplace(output_, force_);
        ReplacedOutput replaced_list(list, force_);
        try {
            int code = extract(frames, filters, options, list);
            if (code == kExitDone && recording->incomplete()) code = kExitDataLost;
            if (replaced) replaced->commit();
            replaced_list.commit();
            return code;
        } catch (const Error&) {
            // Half an output under the final name would be taken for a whole one.
            remove_file(list);
            remove_file(output_);
            throw;
        }
    }

private:
    int extract(FrameSource& frames, const std::vector<std::unique_ptr<Filter>>& filters, const SinkOptions& options,
                const std::filesystem::path& list) {
        const std::unique_ptr<FrameSink> sink = create_file_sink(output_, options);
        ListingSink listing(*sink, list);
        const InterruptGuard interrupt;
        ProgressBar bar("extracting");
        PipelineOptions pipeline;
        pipeline.keep_numbers = true;
        pipeline.skip_damaged = true;
        pipeline.progress = [&](const PipelineProgress& progress) {
            bar.update(progress.frames_written, progress.frames_expected);
        };
        const PipelineResult result = run_pipeline(frames, filters, listing, pipeline, interrupt.token());
        return report(result);
    }

    static void remove_file(const std::filesystem::path& path) {
        if (file_system().status(path).kind == FileKind::file) file_system().remove(path);
    }

    int report(const PipelineResult& result) const {
        fmt::print(stderr, "{} frames written to {}\n", result.frames_written, output_);
        if (result.frames_damaged > 0) {
            fmt::print(stderr, "{} frames could not be read and were left out; the first: {}\n", result.frames_damaged,
                       result.first_damage);
        }
        if (result.cancelled) return kExitInterrupted;
        if (result.frames_written == 0 && result.frames_damaged == 0)
            throw Error(ErrorCode::not_found, "no frame was selected");
        return result.frames_damaged > 0 ? kExitDataLost : kExitDone;
    }

    std::string recording_;
    std::string output_;
    SelectionOptions selection_;
    std::string filters_;
    std::vector<std::string> codec_;
    double frame_rate_ = 0;
    SourceOptionGroup source_;
    bool force_ = false;
};

}  // namespace

void add_verbs_extract(VerbTable& table) {
    table.push_back(std::make_unique<ExtractVerb>());
}

}  // namespace reelstore
