#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "store/align.h"
#include "store/open_source.h"
#include "tools/console.h"
#include "tools/frame_json.h"
#include "tools/verb.h"

namespace reelstore {

namespace {

class AlignVerb : public Verb {
public:
    std::string name() const override { return "align"; }
    std::string summary() const override { return "join several recordings frame by frame, by number or by time"; }
    std::string examples() const override {
        return "  store align left right\n"
               "  store align left right top --policy hold --json\n"
               "  store align left right --time --tolerance 0.005\n"
               "  store align left.mp4 right.mp4 --time\n";
    }
    void declare(CLI::App& app) override {
        app.add_option("RECORDING", paths_, "two or more stores, videos, folders of images or arrays")
            ->required()
            ->expected(2, 1000);
        app.add_option("--policy", policy_,
                       "where one has no frame: drop the row, hold its last frame, or black (default drop)");
        CLI::Option* time =
            app.add_flag("--time", by_time_, "match by time instead of by number; rows follow the first one");
        app.add_option("--tolerance", tolerance_, "seconds between frames that still match (default 0.02)")
            ->needs(time)
            ->check(CLI::NonNegativeNumber);
        app.add_flag("--json", json_, "one JSON object a line");
    }
    int run() override {
        const std::optional<AlignPolicy> policy = parse_align_policy(policy_);
        if (!policy) throw UsageError("--policy must be drop, hold or black, not \"" + policy_ + "\"");
        std::vector<std::unique_ptr<Recording>> recordings;
        std::vector<Recording*> pointers;
        for (const std::string& path : paths_) {
            recordings.push_back(open_recording(path));
            pointers.push_back(recordings.back().get());
            print_notes(pointers.back()->warnings());
        }
        StoreAligner aligner(pointers, {*policy, by_time_, tolerance_});
        if (!json_) print_heading();
        while (const std::optional<AlignedRow> row = aligner.next_row()) print(*row);
        return kExitDone;
    }

private:
    void print_heading() const {
        fmt::print("number,time");
        for (size_t i = 0; i < paths_.size(); ++i) fmt::print(",index_{0},number_{0},time_{0},held_{0}", i + 1);
        fmt::print("\n");
    }

    void print(const AlignedRow& row) const {
        if (!json_) {
            fmt::print("{},{}", row.number, exact_text(row.time));
            for (size_t i = 0; i < row.frames.size(); ++i) {
                const auto& frame = row.frames[i];
                if (frame) {
                    fmt::print(",{},{},{},{}", frame->index, frame->number, exact_text(frame->time),
                               row.held[i] ? 1 : 0);
                } else {
                    fmt::print(",,,,");
                }
            }
            fmt::print("\n");
            return;
        }
        Json frames = Json::array();
        for (size_t i = 0; i < row.frames.size(); ++i) {
            Json frame;
            if (row.frames[i]) {
                frame = to_json(*row.frames[i]);
                frame["held"] = bool{row.held[i]};
            }
            frames.push_back(std::move(frame));
        }
        fmt::print("{}\n", Json{{"number", row.number}, {"time", finite_or_null(row.time)}, {"frames", frames}}.dump());
    }

    std::vector<std::string> paths_;
    std::string policy_ = "drop";
    bool by_time_ = false;
    double tolerance_ = 0.02;
    bool json_ = false;
};

}  // namespace

void add_verbs_align(VerbTable& table) {
    table.push_back(std::make_unique<AlignVerb>());
}

}  // namespace reelstore
