#include "store/verify.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "base/json.h"
#include "tools/console.h"
#include "tools/verb.h"

namespace reelstore {

namespace {

template <typename T>
Json or_null(const std::optional<T>& value) {
    return value ? Json(*value) : Json();
}

Json json_of(const Finding& finding) {
    return {{"code", finding.code},
            {"severity", to_string(finding.severity)},
            {"path", finding.path.string()},
            {"chunk", or_null(finding.chunk)},
            {"frame_index", or_null(finding.frame_index)},
            {"count", finding.count},
            {"message", finding.message},
            {"remedy", finding.remedy}};
}

void print_finding(const Finding& finding) {
    std::string line = fmt::format("{}: {}", to_string(finding.severity), finding.path.string());
    if (finding.chunk) line += fmt::format(": chunk {}", *finding.chunk);
    if (finding.frame_index) line += fmt::format(": frame {}", *finding.frame_index);
    line += ": " + finding.message;
    if (!finding.remedy.empty()) line += " (" + finding.remedy + ")";
    fmt::print("{}\n", line);
}

class VerifyVerb : public Verb {
public:
    std::string name() const override { return "verify"; }
    std::string summary() const override { return "look for what is missing or damaged in a store; changes nothing"; }
    std::string examples() const override {
        return "  store verify mystore                       (files are there, and as large as they should be)\n"
               "  store verify mystore --level hash          (reads every byte: nothing has changed on the disk)\n"
               "  store verify mystore --level frames        (decodes every frame)\n"
               "  store verify mystore --json | jq -r '.findings[].code'\n";
    }
    void declare(CLI::App& app) override {
        app.add_option("STORE", store_, "the store's folder or metadata.yaml")->required();
        app.add_option("--level", level_,
                       "presence: the files are there and agree on the number of frames; size (default): they are as "
                       "large as recorded and agree in every number and time; frames: also, every frame decodes; "
                       "hash: also, the bytes of every frame are those that were recorded, without decoding")
            ->check(CLI::IsMember({"presence", "size", "frames", "hash"}));
        app.add_flag("--json", json_, "one JSON object on stdout");
    }

    int run() override {
        const VerifyLevel level = *verify_level_of(level_);
        const bool dear = level == VerifyLevel::frames || level == VerifyLevel::hash;
        if (dear) print_price(verify_price(store_, level));
        const InterruptGuard interrupt;
        VerifyReport report;
        {
            ProgressBar bar(dear ? "reading" : "looking at chunks");
            report = verify(
                store_, level,
                {.progress = [&](int64_t done, int64_t all) { bar.update(done, all); }, .cancel = interrupt.token()});
        }
        if (json_) {
            Json findings = Json::array();
            for (const Finding& finding : report.findings) findings.push_back(json_of(finding));
            const Json result = {{"level", to_string(level)},
                                 {"frame_count", report.frame_count},
                                 {"chunk_count", report.chunk_count},
                                 {"damaged", report.damaged()},
                                 {"findings", findings}};
            fmt::print("{}\n", result.dump(2, ' ', false, Json::error_handler_t::replace));
        } else {
            for (const Finding& finding : report.findings) print_finding(finding);
            fmt::print(stderr, "{} frames in {} chunks: {}\n", report.frame_count, report.chunk_count,
                       report.damaged() ? "damaged" : "all is well");
        }
        return report.damaged() ? kExitDataLost : kExitDone;
    }

private:
    static void print_price(const VerifyPrice& price) {
        if (price.frames_decoded > 0) {
            fmt::print(stderr, "reading {} and decoding {} frames\n", human_bytes(price.bytes), price.frames_decoded);
        } else {
            fmt::print(stderr, "reading {}\n", human_bytes(price.bytes));
        }
    }

    std::string store_;
    std::string level_ = "size";
    bool json_ = false;
};

}  // namespace

void add_verbs_verify(VerbTable& table) {
    table.push_back(std::make_unique<VerifyVerb>());
}

}  // namespace reelstore
