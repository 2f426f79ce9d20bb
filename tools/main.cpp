#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <csignal>
#include <cstdio>
#include <filesystem>

#include "base/error.h"
#include "tools/verb.h"

namespace reelstore {

namespace {

constexpr const char* kProgram = "store";

Verb* find_verb(const std::string& name) {
    for (const auto& verb : verbs()) {
        if (verb->name() == name) return verb.get();
    }
    return nullptr;
}

void describe(Verb& verb, CLI::App& app) {
    app.description(verb.summary());
    app.name(fmt::format("{} {}", kProgram, verb.name()));
    app.footer("Examples:\n" + verb.examples());
    app.get_formatter()->column_width(36);
    verb.declare(app);
}

int run_verb(Verb& verb, std::vector<std::string> arguments) {
    CLI::App app;
    describe(verb, app);
    try {
        std::reverse(arguments.begin(), arguments.end());
        app.parse(arguments);
    } catch (const CLI::CallForHelp&) {
        fmt::print("{}", app.help());
        return kExitDone;
    } catch (const CLI::ParseError& error) {
        fmt::print(stderr, "store {}: {}\nTry `store help {}`.\n", verb.name(), error.what(), verb.name());
        return kExitUsage;
    }
    try {
        return verb.run();
    } catch (const UsageError& error) {
        fmt::print(stderr, "store {}: {}\nTry `store help {}`.\n", verb.name(), error.what(), verb.name());
        return kExitUsage;
    } catch (const Error& error) {
        fmt::print(stderr, "store {}: {}\n", verb.name(), error.what());
        if (error.code() == ErrorCode::cancelled) return kExitInterrupted;
        return error.code() == ErrorCode::invalid_argument ? kExitUsage : kExitFailed;
    }
}

void print_overview() {
    fmt::print("reelstore {}: long experiment recordings, kept and read back frame by frame\n\n", REELSTORE_VERSION);
    fmt::print("usage: {} VERB ARGUMENTS...      {} help VERB says more about one\n\n", kProgram, kProgram);
    for (const auto& verb : verbs()) fmt::print("  {:<13} {}\n", verb->name(), verb->summary());
    fmt::print(
        "\nexit codes: 0 done, 1 failed, 2 wrong usage, 3 done but data was lost or damaged data skipped, 130 "
        "interrupted\n");
}

int run(const std::vector<std::string>& arguments) {
    const std::string program = std::filesystem::path(arguments[0]).filename().string();
    const std::string prefix = std::string(kProgram) + "-";
    if (program.starts_with(prefix)) {
        if (Verb* verb = find_verb(program.substr(prefix.size())))
            return run_verb(*verb, {arguments.begin() + 1, arguments.end()});
    }
    if (arguments.size() < 2) {
        print_overview();
        return kExitUsage;
    }
    const std::string& name = arguments[1];
    if (name == "--help" || name == "-h") {
        print_overview();
        return kExitDone;
    }
    if (name == "--version") {
        fmt::print("reelstore {}\n", REELSTORE_VERSION);
        return kExitDone;
    }
    if (Verb* verb = find_verb(name)) return run_verb(*verb, {arguments.begin() + 2, arguments.end()});
    fmt::print(stderr, "store: there is no verb \"{}\"; `store help` lists them\n", name);
    return kExitUsage;
}

}  // namespace

bool print_help(const std::string& verb_name) {
    if (verb_name.empty()) {
        print_overview();
        return true;
    }
    Verb* verb = find_verb(verb_name);
    if (!verb) return false;
    CLI::App app;
    describe(*verb, app);
    fmt::print("{}", app.help());
    return true;
}

}  // namespace reelstore

int main(int argc, char** argv) {
    // A file that may not become larger is an error of writing then, after which outputs are closed.
    std::signal(SIGXFSZ, SIG_IGN);
    try {
        const int code = reelstore::run({argv, argv + argc});
        if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
        std::fputs("store: cannot write to stdout\n", stderr);
        return code == reelstore::kExitDone ? reelstore::kExitFailed : code;
    } catch (const std::exception& error) {
        fmt::print(stderr, "store: unexpected error: {}\n", error.what());
        return reelstore::kExitFailed;
    }
}
