#include <CLI/CLI.hpp>

#include "tools/verb.h"

namespace reelstore {

namespace {

class HelpVerb : public Verb {
public:
    std::string name() const override { return "help"; }
    std::string summary() const override { return "say what a verb does, with examples"; }
    std::string examples() const override { return "  store help\n  store help save\n"; }
    void declare(CLI::App& app) override { app.add_option("VERB", verb_, "the verb to explain"); }
    int run() override {
        if (!print_help(verb_)) throw UsageError("there is no verb \"" + verb_ + "\"; `store help` lists them");
        return kExitDone;
    }

private:
    std::string verb_;
};

}  // namespace

void add_verbs_help(VerbTable& table) {
    table.push_back(std::make_unique<HelpVerb>());
}

}  // namespace reelstore
