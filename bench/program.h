#pragma once

#include <functional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace reelstore::bench {

/// Options that every program here has.
struct ProgramOptions {
    bool quick = false;
    std::string out;
    std::string only;
};

/// What a program is called, and its help.
struct ProgramText {
    std::string name;  ///< also of its report's files
    std::string about;
    std::string quick;  ///< what --quick does
    std::string only;   ///< what --only takes
};

/// What a run has found.
struct Findings {
    std::string markdown;
    std::string json;
    std::vector<std::string> wrong = {};  ///< in words, what is not as it must be on any machine
};

/// What main() does: reads the arguments into `options` and into what `add_options` adds, measures, prints the report,
/// with --out writes it and the same as JSON, and says on stderr what is wrong. Gives the exit code: 1 when something
/// is wrong or thrown.
int run_program(const ProgramText& text, ProgramOptions& options, const std::function<void(CLI::App&)>& add_options,
                const std::function<Findings()>& measure, int argc, char** argv);

}  // namespace reelstore::bench
