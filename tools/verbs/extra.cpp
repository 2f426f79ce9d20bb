#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>

#include "store/open_source.h"
#include "tools/console.h"
#include "tools/frame_json.h"
#include "tools/ranges.h"
#include "tools/verb.h"

namespace reelstore {

namespace {

class ExtraVerb : public Verb {
public:
    std::string name() const override { return "extra"; }
    std::string summary() const override { return "the extra data: records tied to frames"; }
    std::string examples() const override {
        return "  store extra mystore --json | jq .temperature\n  store extra mystore --csv > extra.csv\n";
    }
    void declare(CLI::App& app) override {
        app.add_option("RECORDING", recording_, kRecordingHelp)->required();
        app.add_option("--index", range_, "only of the frames A:B; negative values count from the end");
        CLI::Option* json = app.add_flag("--json", json_, "one JSON object a line (the default)");
        app.add_flag("--csv", csv_, "comma separated values, a column for every key that occurs")->excludes(json);
    }
    int run() override {
        const std::unique_ptr<Recording> opened = open_recording(recording_);
        const Recording& recording = *opened;
        const IndexRange range = parse_index_range(range_, recording.frame_count());
        if (csv_) {
            print_csv(recording, range);
        } else {
            visit(recording, range, [](const Json& record) { fmt::print("{}\n", record.dump()); });
        }
        print_notes(recording.warnings());
        return recording.incomplete() ? kExitDataLost : kExitDone;
    }

private:
    /// Every record with the frame it belongs to.
    static void visit(const Recording& recording, const IndexRange& range,
                      const std::function<void(const Json&)>& print) {
        recording.visit_extra_data(range.first, range.last, [&](const ExtraRecord& record) {
            if ((record.frame_index - range.first) % range.step != 0) return true;
            Json line = record.data;
            const std::optional<FrameRow> row = recording.row(record.frame_index);
            line["frame_index"] = record.frame_index;
            line["frame_number"] = row ? Json(row->number) : Json();
            line["frame_time"] = row ? finite_or_null(row->time) : Json();
            print(line);
            return true;
        });
    }

    static void print_csv(const Recording& recording, const IndexRange& range) {
        std::vector<std::string> columns = {"frame_index", "frame_number", "frame_time"};
        visit(recording, range, [&](const Json& record) {
            for (const auto& [key, value] : record.items()) {
                if (std::find(columns.begin(), columns.end(), key) == columns.end()) columns.push_back(key);
            }
        });
        const auto print_line = [](const std::vector<std::string>& fields) {
            fmt::print("{}\n", fmt::join(fields, ","));
        };
        std::vector<std::string> fields;
        for (const std::string& column : columns) fields.push_back(csv_field(column));
        print_line(fields);
        visit(recording, range, [&](const Json& record) {
            fields.clear();
            for (const std::string& column : columns) {
                const auto value = record.find(column);
                if (value == record.end() || value->is_null()) {
                    fields.emplace_back();
                } else {
                    fields.push_back(csv_field(value->is_string() ? value->get<std::string>() : value->dump()));
                }
            }
            print_line(fields);
        });
    }

    std::string recording_;
    std::string range_ = ":";
    bool json_ = false;
    bool csv_ = false;
};

}  // namespace

void add_verbs_extra(VerbTable& table) {
    table.push_back(std::make_unique<ExtraVerb>());
}

}  // namespace reelstore
