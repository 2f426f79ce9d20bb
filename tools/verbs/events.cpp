#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "base/clock.h"
#include "base/error.h"
#include "store/open_source.h"
#include "store/store_reader.h"
#include "tools/console.h"
#include "tools/frame_json.h"
#include "tools/time_text.h"
#include "tools/verb.h"

namespace reelstore {

namespace {

class EventsVerb : public Verb {
public:
    std::string name() const override { return "events"; }
    std::string summary() const override { return "what happened to a recording: dropped frames, faults, clock steps"; }
    std::string examples() const override {
        return "  store events mystore\n  store events mystore --json | jq 'select(.kind == \"dropped\") | .data'\n"
               "  store events mystore --csv > events.csv\n";
    }
    void declare(CLI::App& app) override {
        app.add_option("STORE", store_, "a store (its folder or metadata.yaml)")->required();
        CLI::Option* json = app.add_flag("--json", json_, "one JSON object a line: time, kind, frame_index, data");
        app.add_flag("--csv", csv_, "comma separated values with a heading")->excludes(json);
    }
    int run() override {
        const StoreReader store(store_);
        const SourceNotes notes(store);
        if (csv_) fmt::print("time,kind,frame_index,data\n");
        store.visit_events([&](const EventRow& event) {
            print(store, event);
            return true;
        });
        return kExitDone;
    }

private:
    void print(const StoreReader& store, const EventRow& event) const {
        const std::string frame = event.frame_index ? std::to_string(*event.frame_index) : "";
        if (json_) {
            const Json data = Json::parse(event.data, nullptr, false);
            const Json line = {{"time", finite_or_null(event.time)},
                               {"kind", event.kind},
                               {"frame_index", event.frame_index ? Json(*event.frame_index) : Json()},
                               {"data", data.is_discarded() ? Json(event.data) : data}};
            fmt::print("{}\n", line.dump(-1, ' ', false, Json::error_handler_t::replace));
        } else if (csv_) {
            fmt::print("{},{},{},{}\n", exact_text(event.time), csv_field(event.kind), frame, csv_field(event.data));
        } else {
            fmt::print("{} {:<12} {:>12} {}\n", time_text(store, event.time), event.kind, frame, event.data);
        }
    }

    std::string store_;
    bool json_ = false;
    bool csv_ = false;
};

}  // namespace

void add_verbs_events(VerbTable& table) {
    table.push_back(std::make_unique<EventsVerb>());
}

}  // namespace reelstore
