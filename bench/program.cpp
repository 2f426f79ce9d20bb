#include "bench/program.h"

#include <cstdio>
#include <exception>
#include <filesystem>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "bench/output.h"

namespace reelstore::bench {

int run_program(const ProgramText& text, ProgramOptions& options, const std::function<void(CLI::App&)>& add_options,
                const std::function<Findings()>& measure, int argc, char** argv) {
    CLI::App app(text.about);
    app.add_flag("--quick", options.quick, text.quick);
    app.add_option("--out", options.out, fmt::format("folder for {0}.md and {0}.json", text.name));
    app.add_option("--only", options.only, text.only);
    add_options(app);
    CLI11_PARSE(app, argc, argv);
    try {
        const Findings findings = measure();
        fmt::print("{}", findings.markdown);
        if (!options.out.empty()) {
            const std::filesystem::path out = options.out;
            std::filesystem::create_directories(out);
            write_text(out / (text.name + ".md"), findings.markdown);
            write_text(out / (text.name + ".json"), findings.json);
        }
        for (const std::string& line : findings.wrong) fmt::print(stderr, "{}\n", line);
        return findings.wrong.empty() ? 0 : 1;
    } catch (const std::exception& error) {
        fmt::print(stderr, "{}: {}\n", text.name, error.what());
        return 1;
    }
}

}  // namespace reelstore::bench
