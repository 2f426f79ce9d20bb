#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <deque>

#include "base/error.h"
#include "base/file_system.h"
#include "base/pipeline.h"
#include "base/text.h"
#include "codecs/file_format.h"
#include "codecs/option_values.h"
#include "filters/filter_table.h"
#include "store/open_source.h"
#include "tools/audio_options.h"
#include "tools/codec_options.h"
#include "tools/composition.h"
#include "tools/console.h"
#include "tools/frame_lists.h"
#include "tools/pipeline_bar.h"
#include "tools/replaced_output.h"
#include "tools/selection.h"
#include "tools/source_options.h"
#include "tools/stream_output.h"
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

class ExtractVerb : public Verb {
public:
    std::string name() const override { return "extract"; }
    std::string summary() const override { return "write frames of recordings to images, a video or an array"; }
    std::string examples() const override {
        return "  store extract mystore frames/ --index 0:100:10\n"
               "  store extract mystore 'frames/frame_{:06d}.tif' --number 6050:6060\n"
               "  store extract mystore clip.mp4 --time 2026-11-20T09:00:00..2026-11-20T09:01:00\n"
               "  store extract mystore stack.npy --index -50:\n"
               "  store extract video.mp4 clip.npy --index 100:200 --gray\n"
               "  store extract video.mp4 clip.avi --time 12.5..20\n"
               "  store extract mystore clip.mp4 --audio room.wav --audio-start 2026-11-20T09:00:01.250\n"
               "  store extract video.mp4 clip.mp4 --time 12.5..20 --audio source\n"
               "  store extract mystore clip.mkv --times true --timecodes clip.timecodes.txt\n"
               "  store extract mystore - --to mp4 --set crf=18 | curl --data-binary @- https://example.org/upload\n"
               "  store extract mystore - --to y4m | ffmpeg -i - -c:v libx264 clip.mp4\n"
               "  store extract voltage.npy clip.mp4 --colormap inferno\n"
               "  store extract a b c d out.mp4 --mosaic columns=2 --colormap viridis,magma,gray,inferno\n"
               "  store extract cage1 cage2 both.mp4 --mosaic horizontal:padding=4 --titles 'cage 1,cage 2' --sync "
               "time\n"
               "  store extract camera.mp4 voltage.npy out.mp4 --gray --overlay low=0.2:high=0.8 --colormap "
               "gray,purples\n"
               "  store extract scene.mp4 face.mp4 out.mp4 --overlay alpha=1:x=20:y=20:scale=0.25 --sync time --offset "
               "0,1.5\n";
    }
    void declare(CLI::App& app) override {
        app.add_option("RECORDING", recordings_, std::string(kRecordingHelp) + "; several with --mosaic or --overlay")
            ->required();
        app.add_option("OUT", output_,
                       "the last name: folder/, pattern such as 'out/frame_{:06d}.png', file (.mp4 .mkv .avi .mov .npy "
                       "...), or - for "
                       "standard output");
        selection_.declare(app);
        app.add_option("--to", kind_, "kind of output (mp4, mkv, webm, y4m, rawvideo, npy ...) whatever its name");
        app.add_option("--fps", frame_rate_, "frame rate of a video, also as 24000/1001 (default: the recording's)");
        app.add_option("--times", times_,
                       "when frames of a video are shown: at a constant rate (default without --audio), or at their "
                       "true times")
            ->check(CLI::IsMember({"constant", "true"}));
        audio_.declare(app);
        app.add_option("--set", codec_, "codec option NAME=VALUE (crf=18, preset=slow; see `store formats`)")
            ->allow_extra_args(false);
        source_.declare_filter(app);
        composition_.declare(app);
        source_.declare_pixels(app);
        app.add_option("--list", list_, "where the list of frames goes (default: OUT.frames.csv, none for -)");
        app.add_option("--timecodes", timecodes_, "file for the frames' times, as Matroska time codes (version 2)");
        app.add_flag("--force", force_, "replace the output");
    }
    int run() override {
        take_output();
        composition_.check(recordings_.size());
        const Filters filters = all_filters();
        Inputs inputs = open_inputs();
        Recording& leading = *inputs.recordings.front();
        const FrameSelection selection = selection_.frames_of(leading);
        const std::unique_ptr<FrameSource> frames = frames_of(inputs, selection);
        SinkOptions options = sink_options(info_behind(frames->info(), filters));
        audio_.add_to(options, options.kind.empty() ? lower_case_extension(output_) : options.kind,
                      {.constant = times_ == "constant" || (times_.empty() && !frame_rate_.empty()),
                       .rate_given = !frame_rate_.empty()},
                      leading, selection);
        if (audio_.given() && composition_.leaves_out() && !options.true_times)
            throw UsageError(
                "sound cannot be in step where frames are left out (--sync missing=drop); use missing=hold");
        if (!to_stream()) refuse_inputs(inputs, output_);
        const std::vector<std::filesystem::path> files = files_written(options);
        std::deque<ReplacedOutput> replaced;
        for (const std::filesystem::path& file : files) {
            refuse_inputs(inputs, file);
            replaced.emplace_back(file, force_);
        }
        PipelineResult result;
        int code = kExitDone;
        try {
            result = extract(*frames, filters, options);
            code = report(result, frames->info().frame_count);
            const bool sound_lost = audio_.report();
            if (code == kExitDone && (inputs.incomplete() || sound_lost)) code = kExitDataLost;
        } catch (...) {
            // Half an output under the final name would be taken for a whole one.
            for (const std::filesystem::path& file : files) remove_file(file);
            throw;
        }
        // Without a frame there is no new output; the old ones come back.
        if (result.frames_written > 0) {
            for (ReplacedOutput& output : replaced) replace(output, result.cancelled);
        }
        return code;
    }

private:
    /// What was opened. The recordings belong to the composition where there is one.
    struct Inputs {
        std::unique_ptr<Recording> single;
        std::unique_ptr<FrameSource> composition;
        std::vector<Recording*> recordings;
        std::deque<SourceNotes> notes;

        bool incomplete() const {
            return std::any_of(recordings.begin(), recordings.end(),
                               [](const Recording* recording) { return recording->incomplete(); });
        }
    };

    /// The last of the names is OUT; those before it may be any number.
    void take_output() {
        if (output_.empty()) {
            output_ = recordings_.back();
            recordings_.pop_back();
        }
        if (recordings_.empty()) throw UsageError("give a recording and OUT, where its frames go");
    }

    /// What frames go through on their way into the output; those of a composition went through others before.
    Filters all_filters() const {
        Filters made;
        if (!composition_.composes()) made = composition_.filters_of(0, source_);
        for (std::unique_ptr<Filter>& filter : make_filters(source_.filter)) made.push_back(std::move(filter));
        return made;
    }

    Inputs open_inputs() const {
        Inputs inputs;
        std::vector<std::unique_ptr<Recording>> opened;
        for (const std::string& name : recordings_) {
            opened.push_back(source_.open(name));
            inputs.recordings.push_back(opened.back().get());
        }
        if (composition_.composes()) {
            inputs.composition = composition_.compose(std::move(opened), source_);
        } else {
            inputs.single = std::move(opened.front());
        }
        for (const Recording* recording : inputs.recordings) inputs.notes.emplace_back(*recording);
        return inputs;
    }

    std::unique_ptr<FrameSource> frames_of(const Inputs& inputs, const FrameSelection& selection) const {
        Recording& leading = *inputs.recordings.front();
        if (!inputs.composition) return std::make_unique<SelectedFrames>(leading, selection);
        return composition_.selected(*inputs.composition, leading, selection);
    }

    static void refuse_inputs(const Inputs& inputs, const std::filesystem::path& output) {
        for (const Recording* recording : inputs.recordings) {
            if (lies_in(output, recording->path())) {
                throw UsageError(
                    fmt::format("the output lies in the recording itself, {}; the last name is where frames go",
                                recording->path().string()));
            }
        }
    }

    bool to_stream() const { return output_ == "-"; }
    std::string output_name() const { return to_stream() ? "standard output" : output_; }

    SinkOptions sink_options(const SourceInfo& info) const {
        SinkOptions options;
        options.codec = parse_codec_options(codec_);
        options.frame_rate = info.frame_rate;
        if (!frame_rate_.empty()) {
            options.frame_rate = frame_rate_from_text(frame_rate_);
            if (!options.frame_rate)
                throw UsageError("--fps " + frame_rate_ + ": give frames per second, such as 25, 29.97 or 24000/1001");
            // What is asked for by name counts more than what the codec is told.
            options.codec.erase("frame_rate");
        }
        options.true_times = times_ == "true";
        options.expected_frames = info.frame_count;
        if (to_stream() && kind_.empty())
            throw UsageError(
                "standard output has no name that says what to write; give --to mp4 (or mkv, webm, y4m, "
                "rawvideo, npy ...)");
        if (!kind_.empty() && (is_pattern(output_) || is_folder()))
            throw UsageError("--to is for one file or standard output; the name of a pattern says what its files are");
        if (!kind_.empty()) options.kind = extension_of_kind(kind_, to_stream());
        if (to_stream()) options.stream = standard_output();
        return options;
    }

    bool is_folder() const {
        return !std::filesystem::path(output_).has_filename() || file_system().status(output_).kind == FileKind::folder;
    }

    std::optional<std::filesystem::path> frames_list() const {
        if (!list_.empty()) return list_;
        if (to_stream()) return std::nullopt;
        return list_path(output_);
    }

    /// Folders are never replaced, as they may hold anything; the sink refuses one whose files are in the way.
    std::vector<std::filesystem::path> files_written(const SinkOptions& options) const {
        std::vector<std::filesystem::path> files;
        if (const auto list = frames_list()) files.push_back(*list);
        if (!timecodes_.empty()) files.emplace_back(timecodes_);
        for (const std::filesystem::path& file : files) {
            if (file_system().status(file).kind == FileKind::folder)
                throw UsageError(file.string() + " is a folder; give the name of a file");
        }
        if (files.size() > 1) refuse_same_place(files[0], files[1]);
        if (to_stream() || is_pattern(output_)) return files;
        for (const std::filesystem::path& file : files) refuse_same_place(output_, file);
        const bool stays = adds_to_file(output_, options) || file_system().status(output_).kind == FileKind::folder;
        if (!stays) files.insert(files.begin(), output_);
        return files;
    }

    static void refuse_same_place(const std::filesystem::path& a, const std::filesystem::path& b) {
        if (lies_in(a, b) && lies_in(b, a)) throw UsageError(b.string() + " cannot be two outputs at once");
    }

    /// What is there after an interruption may be less than what it was to replace.
    static void replace(ReplacedOutput& output, bool cancelled) {
        if (!cancelled) {
            output.commit();
            return;
        }
        const std::filesystem::path old = output.keep_both();
        if (!old.empty()) fmt::print(stderr, "the file that was to be replaced is now {}\n", old.string());
    }

    PipelineResult extract(FrameSource& frames, const Filters& filters, const SinkOptions& options) {
        const std::unique_ptr<FrameSink> sink = create_file_sink(to_stream() ? "standard output" : output_, options);
        ListingSink listing(*sink);
        if (const auto list = frames_list()) listing.list_frames(*list);
        if (!timecodes_.empty()) listing.list_timecodes(timecodes_, options.frame_rate);
        const InterruptGuard interrupt;
        PipelineBar bar("extracting");
        PipelineOptions pipeline;
        pipeline.keep_numbers = true;
        pipeline.skip_damaged = true;
        pipeline.progress = [&](const PipelineProgress& progress) { bar.update(progress); };
        const PipelineResult result = run_pipeline(frames, filters, listing, pipeline, interrupt.token());
        print_notes(sink->notes());
        return result;
    }

    static void remove_file(const std::filesystem::path& path) {
        if (file_system().status(path).kind == FileKind::file) file_system().remove(path);
    }

    int report(const PipelineResult& result, std::optional<int64_t> selected) const {
        fmt::print(stderr, "{} frames written to {}\n", result.frames_written, output_name());
        if (result.frames_damaged > 0) {
            fmt::print(stderr, "{} frames could not be read and were left out; the first: {}\n", result.frames_damaged,
                       result.first_damage);
        }
        if (result.cancelled) return kExitInterrupted;
        if (result.frames_written == 0 && result.frames_damaged == 0) {
            throw Error(ErrorCode::not_found,
                        selected.value_or(0) > 0 ? "no frame came through" : "no frame was selected, or there is none");
        }
        return result.frames_damaged > 0 ? kExitDataLost : kExitDone;
    }

    std::vector<std::string> recordings_;
    std::string output_;
    SelectionOptions selection_;
    std::vector<std::string> codec_;
    std::string kind_;
    std::string frame_rate_;
    std::string times_;
    AudioOptions audio_;
    std::string list_;
    std::string timecodes_;
    SourceOptionGroup source_;
    CompositionOptions composition_;
    bool force_ = false;
};

}  // namespace

void add_verbs_extract(VerbTable& table) {
    table.push_back(std::make_unique<ExtractVerb>());
}

}  // namespace reelstore
