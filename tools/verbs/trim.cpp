#include "store/trim.h"

#include <charconv>
#include <cmath>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "tools/console.h"
#include "tools/ranges.h"
#include "tools/verb.h"

namespace reelstore {

namespace {

Json time_or_null(double time) {
    return std::isfinite(time) ? Json(time) : Json();
}

Json json_of(const TrimmedChunks& removed) {
    Json json = {{"chunks", removed.chunks}, {"frames", removed.frames}, {"bytes", removed.bytes}};
    const bool any = removed.chunks > 0;
    json["first_chunk"] = any ? Json(removed.first_chunk) : Json();
    json["last_chunk"] = any ? Json(removed.last_chunk) : Json();
    json["first_number"] = any ? Json(removed.first_number) : Json();
    json["last_number"] = any ? Json(removed.last_number) : Json();
    json["first_time"] = any ? time_or_null(removed.first_time) : Json();
    json["last_time"] = any ? time_or_null(removed.last_time) : Json();
    return json;
}

std::string time_text(double time) {
    return std::isfinite(time) ? utc_text(time) : "none";
}

void print_removed(const TrimmedChunks& removed) {
    if (removed.chunks == 0) return;
    fmt::print("{:<8} {} frames in {} chunks ({} to {}), {}\n", "removes", removed.frames, removed.chunks,
               removed.first_chunk, removed.last_chunk, human_bytes(removed.bytes));
    fmt::print("         numbers {} to {}, times {} to {} (UTC)\n", removed.first_number, removed.last_number,
               time_text(removed.first_time), time_text(removed.last_time));
}

void print_leftovers(int64_t leftovers) {
    if (leftovers > 0) fmt::print("{:<8} what is left of {} chunks removed earlier\n", "removes", leftovers);
}

void print_json(const Json& result) {
    fmt::print("{}\n", result.dump(2, ' ', false, Json::error_handler_t::replace));
}

class TrimVerb : public Verb {
public:
    std::string name() const override { return "trim"; }
    std::string summary() const override {
        return "say which old chunks of a store are too many; with --apply, remove";
    }
    std::string examples() const override {
        return "  store trim mystore --keep-days 14                 (says what it would remove)\n"
               "  store trim mystore --keep-days 14 --apply         (removes it, also while the store is recorded)\n"
               "  store trim mystore --keep-bytes 500G --apply\n"
               "  store trim mystore --before 2026-11-01 --apply\n";
    }
    void declare(CLI::App& app) override {
        app.add_option("STORE", store_, "the store's folder or metadata.yaml")->required();
        CLI::Option* days =
            app.add_option("--keep-days", keep_days_,
                           "keep the frames of so many days (of 86400 s) before the time of the frame recorded last");
        CLI::Option* bytes = app.add_option(
            "--keep-bytes", keep_bytes_,
            "keep as many chunks as fit into so many bytes: media, numbers and times, and extra data (500M, 2G)");
        CLI::Option* before =
            app.add_option("--before", before_, "remove chunks whose frames are all from before this time");
        days->excludes(bytes)->excludes(before);
        bytes->excludes(before);
        app.add_flag("--apply", apply_, "do it; without this nothing is changed");
        app.add_flag("--force", force_,
                     "also when more than half of the frames go, or when frames are old only because their times leap");
        app.add_flag("--json", json_, "one JSON object on stdout");
    }

    int run() override {
        const InterruptGuard interrupt;
        ProgressBar bar("removing chunks");
        TrimOptions options{.force = force_, .cancel = interrupt.token()};
        options.progress = [&](int64_t done, int64_t all) { bar.update(done, all); };
        if (!keep_days_.empty()) options.keep_days = parse_days(keep_days_);
        if (!keep_bytes_.empty()) options.keep_bytes = parse_bytes(keep_bytes_);
        if (!before_.empty()) options.before = parse_time(before_);
        if (!options.keep_days && !options.keep_bytes && !options.before)
            throw UsageError("say what is to be kept: --keep-days D, --keep-bytes B or --before TIME");
        try {
            return apply_ ? apply(options) : plan(options);
        } catch (const Error& error) {
            // The options make sense: it is this store that they are refused for.
            if (error.code() != ErrorCode::invalid_argument) throw;
            fmt::print(stderr, "store trim: {}\n", error.what());
            return kExitFailed;
        }
    }

private:
    static double parse_days(const std::string& text) {
        double days = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), days);
        if (error == std::errc() && end == text.data() + text.size() && std::isfinite(days) && days > 0) return days;
        throw UsageError(fmt::format("\"{}\" is no number of days above 0", text));
    }

    int plan(const TrimOptions& options) const {
        const TrimPlan plan = plan_trim(store_, options);
        const bool nothing = plan.removed.chunks == 0 && plan.leftovers == 0;
        const bool refused = !plan.refusal.empty() && !force_;
        if (json_) {
            Json json = {
                {"applied", false},
                {"removed", json_of(plan.removed)},
                {"kept", {{"chunks", plan.chunks_kept}, {"frames", plan.frames_kept}, {"bytes", plan.bytes_kept}}},
                {"leftovers", plan.leftovers},
                {"refused", refused ? Json(plan.refusal) : Json()},
                {"notes", plan.notes}};
            print_json(json);
            return kExitDone;
        }
        print_removed(plan.removed);
        print_leftovers(plan.leftovers);
        fmt::print("{:<8} {} frames in {} chunks, {}\n", "keeps", plan.frames_kept, plan.chunks_kept,
                   human_bytes(plan.bytes_kept));
        print_notes(plan.notes);
        if (nothing) {
            fmt::print(stderr, "there is nothing to do\n");
        } else if (refused) {
            fmt::print(stderr, "nothing was changed; --apply will refuse: {}\n", plan.refusal);
        } else {
            fmt::print(stderr, "nothing was changed; --apply does it\n");
        }
        return kExitDone;
    }

    int apply(const TrimOptions& options) const {
        const TrimResult result = apply_trim(store_, options);
        if (json_) {
            print_json({{"applied", true},
                        {"removed", json_of(result.removed)},
                        {"leftovers", result.leftovers},
                        {"notes", result.notes}});
            return kExitDone;
        }
        print_removed(result.removed);
        print_leftovers(result.leftovers);
        print_notes(result.notes);
        const bool nothing = result.removed.chunks == 0 && result.leftovers == 0;
        fmt::print(stderr, "{}\n", nothing ? "there was nothing to do" : "done");
        return kExitDone;
    }

    std::string store_;
    std::string keep_days_;
    std::string keep_bytes_;
    std::string before_;
    bool apply_ = false;
    bool force_ = false;
    bool json_ = false;
};

}  // namespace

void add_verbs_trim(VerbTable& table) {
    table.push_back(std::make_unique<TrimVerb>());
}

}  // namespace reelstore
