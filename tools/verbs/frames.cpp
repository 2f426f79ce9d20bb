#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "store/open_source.h"
#include "tools/console.h"
#include "tools/frame_json.h"
#include "tools/ranges.h"
#include "tools/verb.h"

namespace reelstore {

namespace {

class FramesVerb : public Verb {
public:
    std::string name() const override { return "frames"; }
    std::string summary() const override {
        return "the frame table: index, number, time, chunk and position of every frame";
    }
    std::string examples() const override {
        return "  store frames mystore --csv > frames.csv\n  store frames mystore --index -10: --json\n"
               "  store frames video.mp4 --csv\n";
    }
    void declare(CLI::App& app) override {
        app.add_option("RECORDING", recording_, kRecordingHelp)->required();
        app.add_option("--index", range_, "only the frames A:B[:STEP]; negative values count from the end");
        CLI::Option* json = app.add_flag("--json", json_, "one JSON object a line");
        app.add_flag("--csv", csv_, "comma separated values with a heading")->excludes(json);
    }
    int run() override {
        const std::unique_ptr<Recording> recording = open_recording(recording_);
        print_notes(recording->warnings());
        const IndexRange range = parse_index_range(range_, recording->frame_count());
        if (csv_) fmt::print("index,number,time,chunk,position\n");
        if (!json_ && !csv_)
            fmt::print("{:>12} {:>12} {:>22} {:>8} {:>9}\n", "index", "number", "time", "chunk", "position");
        recording->visit_rows(range.first, range.last, [&](const FrameRow& row) {
            if ((row.index - range.first) % range.step == 0) print(row);
            return true;
        });
        return recording->incomplete() ? kExitDataLost : kExitDone;
    }

private:
    void print(const FrameRow& row) const {
        if (json_) {
            fmt::print("{}\n", to_json(row).dump());
        } else if (csv_) {
            fmt::print("{},{},{},{},{}\n", row.index, row.number, exact_text(row.time), row.chunk, row.position);
        } else {
            fmt::print("{:>12} {:>12} {:>22} {:>8} {:>9}\n", row.index, row.number, exact_text(row.time), row.chunk,
                       row.position);
        }
    }

    std::string recording_;
    std::string range_ = ":";
    bool json_ = false;
    bool csv_ = false;
};

}  // namespace

void add_verbs_frames(VerbTable& table) {
    table.push_back(std::make_unique<FramesVerb>());
}

}  // namespace reelstore
