#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <unordered_set>

#include "tools/console.h"
#include "tools/frame_json.h"
#include "tools/selection.h"
#include "tools/text_output.h"
#include "tools/source_options.h"
#include "tools/verb.h"

namespace reelstore {

namespace {

class ExtraVerb : public Verb {
public:
    std::string name() const override { return "extra"; }
    std::string summary() const override { return "the extra data: records tied to frames"; }
    std::string examples() const override {
        return "  store extra mystore --json | jq .temperature\n"
               "  store extra mystore --csv > extra.csv\n"
               "  store extra mystore --index -1000: --json\n"
               "  store extra mystore --number 6050:6060 --csv\n"
               "  store extra mystore --time 2026-11-20T09:00:00..2026-11-20T09:01:00 --json\n";
    }
    void declare(CLI::App& app) override {
        app.add_option("RECORDING", recording_, kRecordingHelp)->required();
        source_.declare_format(app);
        selection_.declare(app);
        CLI::Option* json = app.add_flag("--json", json_, "one JSON object a line (the default)");
        app.add_flag("--csv", csv_, "comma separated values, a column for every key that occurs")->excludes(json);
    }
    int run() override {
        const std::unique_ptr<Recording> opened = source_.open(recording_);
        const Recording& recording = *opened;
        const FrameSelection frames = selection_.frames_of(recording);
        TextOutput out;
        if (csv_) {
            print_csv(recording, frames, out);
        } else {
            visit(recording, frames, [&](const Json& record) { out.line(record.dump()); });
        }
        if (!out.flush()) return kExitFailed;
        const SourceNotes notes(recording);
        return recording.incomplete() ? kExitDataLost : kExitDone;
    }

private:
    /// Every record with the frame it belongs to.
    static void visit(const Recording& recording, const FrameSelection& frames,
                      const std::function<void(const Json&)>& print) {
        visit_extra_data(recording, frames, [&](const ExtraRecord& record, const FrameRow& row) {
            Json line = record.data;
            line["frame_index"] = row.index;
            line["frame_number"] = row.number;
            line["frame_time"] = finite_or_null(row.time);
            print(line);
            return true;
        });
    }

    static void print_csv(const Recording& recording, const FrameSelection& frames, TextOutput& out) {
        std::vector<std::string> columns = {"frame_index", "frame_number", "frame_time"};
        std::unordered_set<std::string> known(columns.begin(), columns.end());
        visit(recording, frames, [&](const Json& record) {
            for (const auto& [key, value] : record.items()) {
                if (known.insert(key).second) columns.push_back(key);
            }
        });
        std::vector<std::string> fields;
        for (const std::string& column : columns) fields.push_back(csv_field(column));
        out.line(fmt::format("{}", fmt::join(fields, ",")));
        visit(recording, frames, [&](const Json& record) {
            fields.clear();
            for (const std::string& column : columns) {
                const auto value = record.find(column);
                if (value == record.end() || value->is_null()) {
                    fields.emplace_back();
                } else {
                    fields.push_back(csv_field(value->is_string() ? value->get<std::string>() : value->dump()));
                }
            }
            out.line(fmt::format("{}", fmt::join(fields, ",")));
        });
    }

    std::string recording_;
    SourceOptionGroup source_;
    SelectionOptions selection_;
    bool json_ = false;
    bool csv_ = false;
};

}  // namespace

void add_verbs_extra(VerbTable& table) {
    table.push_back(std::make_unique<ExtraVerb>());
}

}  // namespace reelstore
