#include "store/repair.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "base/json.h"
#include "tools/console.h"
#include "tools/verb.h"

namespace reelstore {

namespace {

Json json_of(const std::vector<RepairAction>& actions) {
    Json list = Json::array();
    for (const RepairAction& action : actions) {
        list.push_back({{"kind", to_string(action.kind)},
                        {"chunk", action.chunk ? Json(*action.chunk) : Json()},
                        {"path", action.path.string()},
                        {"what", action.what},
                        {"why", action.why},
                        {"keeps", action.keeps},
                        {"loses", action.loses}});
    }
    return list;
}

void print_action(const RepairAction& action) {
    fmt::print("{:<10} {}{}: {}, because {}\n", to_string(action.kind), action.path.string(),
               action.chunk ? fmt::format(" (chunk {})", *action.chunk) : "", action.what, action.why);
    if (!action.keeps.empty()) fmt::print("           keeps {}\n", action.keeps);
    if (!action.loses.empty()) fmt::print("           loses {}\n", action.loses);
}

void print_json(const Json& result) {
    fmt::print("{}\n", result.dump(2, ' ', false, Json::error_handler_t::replace));
}

class RepairVerb : public Verb {
public:
    std::string name() const override { return "repair"; }
    std::string summary() const override { return "say what can be repaired in a store; with --apply, do it"; }
    std::string examples() const override {
        return "  store repair mystore                       (says what it would do)\n"
               "  store repair mystore --apply               (does it; what it replaces is kept beside)\n"
               "  store repair mystore --only finish --apply (only completes what a killed writer left open)\n"
               "  store repair mystore --chunk 12 --like other/000000.mp4 --apply\n";
    }
    void declare(CLI::App& app) override {
        app.add_option("STORE", store_, "the store's folder or metadata.yaml")->required();
        app.add_flag("--apply", apply_, "do it; without this nothing is changed");
        app.add_option("--only", only_,
                       "only repairs of these kinds: finish (complete chunks that were left open or were cut off), "
                       "sidecar (write numbers and times anew), extra_data (complete extra data files), salvage (find "
                       "the frames of chunks of which only the media are left), index (build the index anew)")
            ->check(CLI::IsMember({"finish", "sidecar", "extra_data", "salvage", "index"}))
            ->delimiter(',');
        app.add_option("--chunk", chunk_, "only this chunk")->check(CLI::NonNegativeNumber);
        app.add_option("--like", like_,
                       "a video made with the same settings, to salvage files that do not say how they were encoded");
        app.add_flag("--json", json_, "one JSON object on stdout");
    }

    int run() override {
        const InterruptGuard interrupt;
        ProgressBar bar("repairing");
        RepairOptions options{.chunk = chunk_, .cancel = interrupt.token()};
        options.progress = [&](int64_t done, int64_t all) { bar.update(done, all); };
        for (const std::string& name : only_) options.only.insert(*repair_kind_of(name));
        if (!like_.empty()) options.like = like_;
        return apply_ ? apply(options) : plan(options);
    }

private:
    int plan(const RepairOptions& options) const {
        const RepairPlan plan = plan_repair(store_, options);
        if (json_) {
            print_json({{"applied", false}, {"actions", json_of(plan.actions)}, {"problems", plan.problems}});
            return kExitDone;
        }
        for (const RepairAction& action : plan.actions) print_action(action);
        for (const std::string& problem : plan.problems) fmt::print("cannot be repaired: {}\n", problem);
        if (plan.actions.empty()) {
            fmt::print(stderr, "there is nothing {}to do\n", plan.problems.empty() ? "" : "else ");
        } else {
            fmt::print(stderr, "nothing was changed; --apply does it\n");
        }
        return kExitDone;
    }

    int apply(const RepairOptions& options) const {
        const RepairResult result = apply_repair(store_, options);
        if (json_) {
            print_json({{"applied", true},
                        {"actions", json_of(result.done)},
                        {"problems", result.problems},
                        {"notes", result.notes},
                        {"data_lost", result.data_lost()}});
        } else {
            for (const RepairAction& action : result.done) print_action(action);
            for (const std::string& problem : result.problems) fmt::print("cannot be repaired: {}\n", problem);
            print_notes(result.notes);
            fmt::print(stderr, "{}\n",
                       result.done.empty()  ? "there was nothing to do"
                       : result.data_lost() ? "done; not everything could be saved"
                                            : "done; nothing was lost");
        }
        return result.data_lost() ? kExitDataLost : kExitDone;
    }

    std::string store_;
    bool apply_ = false;
    std::vector<std::string> only_;
    std::optional<int64_t> chunk_;
    std::string like_;
    bool json_ = false;
};

}  // namespace

void add_verbs_repair(VerbTable& table) {
    table.push_back(std::make_unique<RepairVerb>());
}

}  // namespace reelstore
