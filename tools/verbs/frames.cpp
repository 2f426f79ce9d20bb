#include <fmt/compile.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <iterator>

#include "tools/console.h"
#include "tools/follow.h"
#include "tools/frame_json.h"
#include "tools/ranges.h"
#include "tools/selection.h"
#include "tools/text_output.h"
#include "tools/source_options.h"
#include "tools/verb.h"

namespace reelstore {

namespace {

/// Stands for the number of frames of a recording that grows.
constexpr int64_t kEndless = int64_t{1} << 62;

/// The range of a recording that has `frame_count` frames at first: without an end it has none.
IndexRange followed_range(std::string text, int64_t frame_count) {
    const size_t colon = text.find(':');
    if (colon != std::string::npos && text.substr(colon + 1, 1) == "-")
        throw UsageError("with --follow a range cannot end at a frame counted from the end");
    if (text.starts_with('-')) {
        const int64_t first = parse_integer(text.substr(0, colon), "frame index") + frame_count;
        text = std::to_string(std::max<int64_t>(0, first)) + (colon == std::string::npos ? "" : text.substr(colon));
    }
    return parse_index_range(text, kEndless);
}

class FramesVerb : public Verb {
public:
    std::string name() const override { return "frames"; }
    std::string summary() const override {
        return "the frame table: index, number, time, chunk and position of every frame";
    }
    std::string examples() const override {
        return "  store frames mystore --csv > frames.csv\n  store frames mystore --index -10: --json\n"
               "  store frames mystore --number 6050:6060 --csv\n"
               "  store frames mystore --time 2026-11-20T09:00:00..2026-11-20T09:01:00 --json\n"
               "  store frames video.mp4 --csv\n"
               "  store frames mystore --follow --index -1: --json      (while it is recorded, until it is closed)\n";
    }
    void declare(CLI::App& app) override {
        app.add_option("RECORDING", recording_, kRecordingHelp)->required();
        source_.declare_format(app);
        selection_.declare(app);
        CLI::Option* json = app.add_flag("--json", json_, "one JSON object a line");
        app.add_flag("--csv", csv_, "comma separated values with a heading")->excludes(json);
        app.add_flag("--follow", follow_,
                     "go on with the frames of a store that is being recorded, until it is closed (or Ctrl-C)");
    }
    int run() override {
        if (follow_) return follow();
        const std::unique_ptr<Recording> recording = source_.open(recording_);
        const SourceNotes notes(*recording);
        const FrameSelection frames = selection_.frames_of(*recording);
        TextOutput out;
        print_heading(out);
        visit_rows(*recording, frames, [&](const FrameRow& row) {
            print(out, row);
            return true;
        });
        return recording->incomplete() ? kExitDataLost : kExitDone;
    }

private:
    int follow() {
        const InterruptGuard interrupt;
        const std::unique_ptr<StoreReader> store = open_followed(recording_, interrupt, source_);
        if (!store) return kExitInterrupted;
        const SourceNotes notes(*store);
        // A range of indices may end where no frame is yet; which frames numbers or times mean is asked again.
        const std::optional<std::string> indices = selection_.indices();
        const IndexRange range = followed_range(indices.value_or(":"), store->frame_count());
        TextOutput out;
        print_heading(out);
        int64_t next = range.first;
        for (;;) {
            const FollowState state = look_for_more(*store);
            const int64_t end = std::min(range.last, store->frame_count());
            const FrameSelection wanted =
                indices ? FrameSelection{{{range.first, range.last}}, range.step} : selection_.frames_of(*store);
            visit_rows(*store, wanted.within(next, end), [&](const FrameRow& row) {
                print(out, row);
                return !interrupt.interrupted();
            });
            next = std::max(next, end);
            if (!out.flush()) return kExitFailed;
            if (interrupt.interrupted()) return kExitInterrupted;
            if (state == FollowState::closed || next >= range.last) break;
            if (state == FollowState::abandoned) {
                print_abandoned(*store);
                break;
            }
            interrupt.wait(kFollowInterval);
        }
        return store->incomplete() ? kExitDataLost : kExitDone;
    }

    void print_heading(TextOutput& out) const {
        if (csv_) out.line("index,number,time,chunk,position");
        if (!json_ && !csv_)
            out.line(fmt::format("{:>12} {:>12} {:>22} {:>8} {:>9}", "index", "number", "time", "chunk", "position"));
    }

    void print(TextOutput& out, const FrameRow& row) const {
        fmt::memory_buffer& line = out.buffer();
        const auto end = std::back_inserter(line);
        if (json_) {
            line.push_back('{');
            append_members(line, row);
            line.push_back('}');
        } else if (csv_) {
            fmt::format_to(end, FMT_COMPILE("{},{},"), row.index, row.number);
            append_exact(line, row.time);
            fmt::format_to(end, FMT_COMPILE(",{},{}"), row.chunk, row.position);
        } else {
            fmt::format_to(end, "{:>12} {:>12} {:>22} {:>8} {:>9}", row.index, row.number, exact_text(row.time),
                           row.chunk, row.position);
        }
        line.push_back('\n');
        out.line_done();
    }

    std::string recording_;
    SourceOptionGroup source_;
    SelectionOptions selection_;
    bool json_ = false;
    bool csv_ = false;
    bool follow_ = false;
};

}  // namespace

void add_verbs_frames(VerbTable& table) {
    table.push_back(std::make_unique<FramesVerb>());
}

}  // namespace reelstore
