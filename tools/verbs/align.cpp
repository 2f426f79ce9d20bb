#include <fmt/compile.h>
#include <CLI/CLI.hpp>

#include <iterator>

#include "store/align.h"
#include "store/open_source.h"
#include "tools/console.h"
#include "tools/frame_json.h"
#include "tools/text_output.h"
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
        TextOutput out;
        if (!json_) print_heading(out);
        while (const std::optional<AlignedRow> row = aligner.next_row()) print(out, *row);
        if (!out.flush()) return kExitFailed;
        return kExitDone;
    }

private:
    void print_heading(TextOutput& out) const {
        std::string heading = "number,time";
        for (size_t i = 0; i < paths_.size(); ++i)
            heading += fmt::format(",index_{0},number_{0},time_{0},held_{0}", i + 1);
        out.line(heading);
    }

    void print(TextOutput& out, const AlignedRow& row) const {
        fmt::memory_buffer& line = out.buffer();
        if (json_) {
            append_json(line, row);
        } else {
            append_csv(line, row);
        }
        line.push_back('\n');
        out.line_done();
    }

    static void append_csv(fmt::memory_buffer& line, const AlignedRow& row) {
        const auto end = std::back_inserter(line);
        fmt::format_to(end, FMT_COMPILE("{},"), row.number);
        append_exact(line, row.time);
        for (size_t i = 0; i < row.frames.size(); ++i) {
            const auto& frame = row.frames[i];
            if (!frame) {
                line.append(std::string_view(",,,,"));
                continue;
            }
            fmt::format_to(end, FMT_COMPILE(",{},{},"), frame->index, frame->number);
            append_exact(line, frame->time);
            line.append(std::string_view(row.held[i] ? ",1" : ",0"));
        }
    }

    static void append_json(fmt::memory_buffer& line, const AlignedRow& row) {
        fmt::format_to(std::back_inserter(line), FMT_COMPILE("{{\"number\":{},\"time\":"), row.number);
        append_number(line, row.time);
        line.append(std::string_view(",\"frames\":["));
        for (size_t i = 0; i < row.frames.size(); ++i) {
            if (i > 0) line.push_back(',');
            if (!row.frames[i]) {
                line.append(std::string_view("null"));
                continue;
            }
            line.push_back('{');
            append_members(line, *row.frames[i]);
            line.append(std::string_view(row.held[i] ? ",\"held\":true}" : ",\"held\":false}"));
        }
        line.append(std::string_view("]}"));
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
