#include "bench/index/report.h"

#include <cmath>

#include <fmt/format.h>

namespace reelstore::bench {

namespace {

/// A lookup among ascending numbers reads at most log2 of the frames of a chunk and so many rows more.
constexpr int64_t kRowsBesideSearch = 4;

std::string text_of(const Json& json) {
    return json.get<std::string>();
}

double figure(const Json& json, const char* key) {
    return json.at(key).get<double>();
}

int64_t most_rows(const Json& store) {
    return std::llround(std::ceil(std::log2(figure(store, "chunk_frames")))) + kRowsBesideSearch;
}

class Targets {
public:
    void at_most(const std::string& what, double aim, double seen, const std::string& unit) {
        add(what, fmt::format("at most {:g} {}", aim, unit), seen, seen <= aim);
    }
    void at_least(const std::string& what, double aim, double seen, const std::string& unit) {
        add(what, fmt::format("at least {:g}{}", aim, unit), seen, seen >= aim);
    }
    Json take() { return std::move(all_); }

private:
    void add(const std::string& what, const std::string& aim, double seen, bool reached) {
        all_.push_back({{"what", what}, {"target", aim}, {"seen", seen}, {"reached", reached}});
    }

    Json all_ = Json::array();
};

/// The lookup for which a figure is largest.
const Json& worst(const Json& lookups, const char* key) {
    const Json* most = &lookups.front();
    for (const Json& lookup : lookups) {
        if (figure(lookup, key) > figure(*most, key)) most = &lookup;
    }
    return *most;
}

void store_targets(const Json& stores, Targets& targets) {
    const Json& smallest = stores.front();
    for (const Json& store : stores) {
        const std::string where = fmt::format("{} frames: ", store["frames"].get<int64_t>());
        const double opening = figure(store["open_store"], "median_us");
        targets.at_most(where + "opening a store", 5, opening / 1e3, "ms");
        if (&store != &smallest) {
            targets.at_most(where + "opening a store, against the smallest", 1.5,
                            opening / figure(smallest["open_store"], "median_us"), "times");
        }
        for (const auto& [key, aim] : {std::pair{"median_us", 50.0}, {"p99_us", 200.0}}) {
            const Json& lookup = worst(store["lookups"], key);
            targets.at_most(fmt::format("{}{} of the slowest kind of lookup ({})", where,
                                        std::string(key) == "p99_us" ? "p99" : "median", text_of(lookup["kind"])),
                            aim, figure(lookup, key), "us");
        }
        targets.at_most(where + "rows read by one lookup", static_cast<double>(most_rows(store)),
                        figure(worst(store["lookups"], "rows_most"), "rows_most"),
                        fmt::format("(log2 of the chunk + {})", kRowsBesideSearch));
        targets.at_most(where + "most memory ever, with libraries", 100, figure(store, "largest_memory_mb"), "MB");
        targets.at_most(where + "index", 45, figure(store["making"], "index_bytes_per_frame"), "bytes a frame");
        targets.at_least(where + "rows added to the index", 300000, figure(store["making"], "rows_per_second"), "/s");
    }
}

void peer_targets(const Json& peer, Targets& targets) {
    const auto aim = [](const std::string& what) -> std::optional<double> {
        if (what == "open" || what == "number") return 300;
        if (what == "time, nearest") return 1000;
        return std::nullopt;
    };
    for (const Json& row : peer["rows"]) {
        const std::string what = text_of(row["what"]);
        if (const std::optional<double> least = aim(what)) {
            targets.at_least(fmt::format("{} frames, imgstore's scheme: {}", peer["frames"].get<int64_t>(), what),
                             *least, figure(row, "times"), " times as fast");
        }
    }
}

std::string us(double microseconds) {
    return fmt::format("{:.{}f}", microseconds, microseconds >= 1000 ? 0 : 1);
}

std::string latency_cells(const Json& latency) {
    return us(figure(latency, "median_us")) + " | " + us(figure(latency, "p99_us")) + " | " +
           us(figure(latency, "longest_us"));
}

std::string targets_text(const Json& targets) {
    std::string text = "\n## Targets\n\n| what | target | seen | reached |\n|---|---|--:|---|\n";
    for (const Json& target : targets) {
        const double seen = figure(target, "seen");
        text += fmt::format("| {} | {} | {} | {} |\n", text_of(target["what"]), text_of(target["target"]),
                            seen >= 1000 ? fmt::format("{:.0f}", seen) : fmt::format("{:.2f}", seen),
                            target["reached"].get<bool>() ? "yes" : "no");
    }
    return text;
}

std::string store_text(const Json& store) {
    const Json& making = store["making"];
    std::string text = fmt::format(
        "\n## {} frames in {} chunks\n\n"
        "Made with {:.0f} rows/s into the index (in write-ahead logging, a synced commit every 100,000 rows) and "
        "{:.0f} rows/s into synced sidecars, in at most {:.0f} MB. The index has {:.1f} bytes a frame. Walking through "
        "rows in the middle: {:.1f} million rows/s. Memory: {:.1f} MB before, {:.1f} MB after everything below, "
        "without "
        "mapped files; {:.1f} MB with them when it was most.\n\n",
        store["frames"].get<int64_t>(), store["chunks"].get<int64_t>(), figure(making, "rows_per_second"),
        figure(making, "sidecar_rows_per_second"), figure(making, "largest_memory_mb"),
        figure(making, "index_bytes_per_frame"), figure(store["visit_rows"], "rows_per_second") / 1e6,
        figure(store, "memory_before_mb"), figure(store, "memory_mb"), figure(store, "largest_memory_mb"));
    text += "| opening | median us | p99 | longest |\n|---|--:|--:|--:|\n";
    for (const auto& [key, name] : {std::pair{"open_index", "`FrameIndex::open`"},
                                    {"open_store", "`StoreReader`"},
                                    {"open_store_and_ranges", "`StoreReader`, `number_range()`, `time_range()`"}}) {
        text += fmt::format("| {} | {} |\n", name, latency_cells(store[key]));
    }
    text +=
        "\n| lookup by | median us | p99 | longest | rows read, mean | most | summaries, mean | most | first after "
        "opening, median us | p99 |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";
    for (size_t i = 0; i < store["lookups"].size(); ++i) {
        const Json& lookup = store["lookups"][i];
        const Json& first = store["first_lookups"][i];
        text += fmt::format("| {} | {} | {:.1f} | {} | {:.1f} | {} | {} | {} |\n", text_of(lookup["kind"]),
                            latency_cells(lookup), figure(lookup, "rows_mean"), lookup["rows_most"].get<int64_t>(),
                            figure(lookup, "summaries_mean"), lookup["summaries_most"].get<int64_t>(),
                            us(figure(first, "median_us")), us(figure(first, "p99_us")));
    }
    text +=
        fmt::format("| *limit: a bare row by its key* | {} | 1.0 | 1 | | | | |\n", latency_cells(store["bare_rows"]));
    return text;
}

std::string peer_text(const Json& peer) {
    std::string text = fmt::format(
        "\n## Beside imgstore's scheme\n\n{} frames in {} chunks, both in C++; medians.\n\n"
        "| what | reelstore us | imgstore's scheme us | times as fast |\n|---|--:|--:|--:|\n",
        peer["frames"].get<int64_t>(), peer["chunks"].get<int64_t>());
    for (const Json& row : peer["rows"]) {
        text += fmt::format("| {} | {} | {} | {:.0f} |\n", text_of(row["what"]), us(figure(row, "ours_us")),
                            us(figure(row, "imgstore_us")), figure(row, "times"));
    }
    return text;
}

std::string sidecars_text(const Json& sidecars) {
    std::string text = fmt::format(
        "\n## A store without an index\n\n{} frames in {} chunks, from their .npz alone; then with the index that "
        "`store index` makes in {:.1f} s and at most {:.0f} MB (without the scan of the media, which are empty here). "
        "Limit of opening without: reading the {:.0f} MB of the sidecars takes {:.2f} s.\n\n"
        "| | opening, median ms | longest | memory, MB | most |\n|---|--:|--:|--:|--:|\n",
        sidecars["frames"].get<int64_t>(), sidecars["chunks"].get<int64_t>(), figure(sidecars["build"], "seconds"),
        figure(sidecars["build"], "largest_memory_mb"), figure(sidecars["read_sidecars"], "bytes") / 1e6,
        figure(sidecars["read_sidecars"], "seconds"));
    const std::pair<const char*, const char*> both[] = {{"without_index", "without index"}, {"with_index", "with"}};
    for (const auto& [key, name] : both) {
        const Json& side = sidecars[key];
        text += fmt::format("| {} | {:.2f} | {:.2f} | {:.1f} | {:.1f} |\n", name,
                            figure(side["open"], "median_us") / 1e3, figure(side["open"], "longest_us") / 1e3,
                            figure(side, "memory_mb"), figure(side, "largest_memory_mb"));
    }
    text +=
        "\n| lookup by | without index: median us | p99 | longest | with: median us | p99 | longest |\n"
        "|---|--:|--:|--:|--:|--:|--:|\n";
    for (size_t i = 0; i < sidecars["without_index"]["lookups"].size(); ++i) {
        const Json& without = sidecars["without_index"]["lookups"][i];
        text += fmt::format("| {} | {} | {} |\n", text_of(without["kind"]), latency_cells(without),
                            latency_cells(sidecars["with_index"]["lookups"][i]));
    }
    return text;
}

std::string schema_text(const Json& schema) {
    std::string text = fmt::format(
        "\n## The schema\n\n{} frames: the table as it is, and with secondary SQL indexes on number and time.\n\n"
        "| | bytes a frame | by number, median us | p99 | nearest time, median us | p99 |\n"
        "|---|--:|--:|--:|--:|--:|\n",
        schema["frames"].get<int64_t>());
    const auto row = [&](const char* name, const Json& bytes, const Json& lookups) {
        text += fmt::format("| {} | {:.1f} |", name, bytes.get<double>());
        for (const Json& lookup : lookups) {
            text += fmt::format(" {} | {} |", us(figure(lookup, "median_us")), us(figure(lookup, "p99_us")));
        }
        text += "\n";
    };
    row("as it is", schema["ours_bytes_per_frame"], schema["ours_lookups"]);
    row("two secondary indexes", schema["bytes_per_frame"], schema["lookups"]);
    return text;
}

std::string courses_text(const Json& courses) {
    const Json& first = courses.front();
    std::string text = fmt::format(
        "\n## Numbers that wrap, clocks that step\n\nAnswers compared with a look at every frame ({} of {} frames "
        "each), and times of lookups among {} frames in {} chunks.\n\n"
        "| course | wrong answers | by number, median us | p99 | rows read, most | by time, median us | p99 | rows "
        "read, most |\n|---|--:|--:|--:|--:|--:|--:|--:|\n",
        first["compared"].get<int64_t>(), first["small_frames"].get<int64_t>(), first["frames"].get<int64_t>(),
        first["chunks"].get<int64_t>());
    for (const Json& course : courses) {
        text += fmt::format("| {} | {} |", text_of(course["course"]), course["wrong"].get<int64_t>());
        for (const char* by : {"number", "time"}) {
            for (const Json& lookup : course["lookups"]) {
                const std::string kind = text_of(lookup["kind"]);
                if (kind != by && !(std::string(by) == "time" && kind == "time, nearest")) continue;
                text += fmt::format(" {} | {} | {} |", us(figure(lookup, "median_us")), us(figure(lookup, "p99_us")),
                                    lookup["rows_most"].get<int64_t>());
            }
        }
        text += "\n";
    }
    return text;
}

/// Every object that counts wrong answers, with the way to it.
void collect_wrong(const Json& json, const std::string& where, std::vector<std::string>& wrong) {
    if (json.is_object() && json.contains("wrong") && json["wrong"] != 0)
        wrong.push_back(fmt::format("{}: {} wrong answers", where, json["wrong"].get<int64_t>()));
    if (!json.is_structured()) return;
    for (const auto& [key, value] : json.items()) collect_wrong(value, where + "/" + key, wrong);
}

}  // namespace

void add_targets(Json& report) {
    Targets targets;
    if (report.contains("stores")) store_targets(report["stores"], targets);
    if (report.contains("peer")) peer_targets(report["peer"], targets);
    if (report.contains("sidecars")) {
        const Json& sidecars = report["sidecars"];
        const std::string where = fmt::format("{} frames without index: ", sidecars["frames"].get<int64_t>());
        targets.at_most(where + "opening", 2, figure(sidecars["without_index"]["open"], "median_us") / 1e6, "s");
        targets.at_most(where + "opening after `store index`", 0.2,
                        figure(sidecars["with_index"]["open"], "median_us") / 1e6, "s");
    }
    report["targets"] = targets.take();
}

std::string markdown_report(const Json& report) {
    const Json& machine = report["machine"];
    std::string text = fmt::format(
        "# The index: results\n\n{}{} with {} processors, load {:.1f} before and {:.1f} after; SQLite {}. Files are in "
        "the system's cache; every row of lookups begins with an index that was just opened, and asks for each place "
        "once. How it is done: [README.md](README.md).\n",
        report["quick"].get<bool>() ? "**A quick run: it checks answers, its times mean nothing.** " : "",
        text_of(machine["processor"]), machine["processors"].get<int>(), figure(machine, "load_before"),
        figure(machine, "load_after"), text_of(machine["sqlite"]));
    if (!report["quick"].get<bool>()) text += targets_text(report["targets"]);
    if (report.contains("stores")) {
        for (const Json& store : report["stores"]) text += store_text(store);
    }
    if (report.contains("peer")) text += peer_text(report["peer"]);
    if (report.contains("sidecars")) text += sidecars_text(report["sidecars"]);
    if (report.contains("schema")) text += schema_text(report["schema"]);
    if (report.contains("courses")) text += courses_text(report["courses"]);
    return text;
}

std::vector<std::string> wrong_results(const Json& report) {
    std::vector<std::string> wrong;
    collect_wrong(report, "", wrong);
    if (!report.contains("stores")) return wrong;
    for (const Json& store : report["stores"]) {
        for (const Json& lookup : store["lookups"]) {
            if (lookup["rows_most"].get<int64_t>() <= most_rows(store)) continue;
            wrong.push_back(fmt::format("{} frames, {}: a lookup reads {} rows, more than {}",
                                        store["frames"].get<int64_t>(), text_of(lookup["kind"]),
                                        lookup["rows_most"].get<int64_t>(), most_rows(store)));
        }
    }
    return wrong;
}

}  // namespace reelstore::bench
