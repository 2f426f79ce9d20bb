#include <CLI/CLI.hpp>

#include "tools/filter_help.h"
#include "tools/verb.h"

namespace reelstore {

namespace {

class HelpVerb : public Verb {
public:
    std::string name() const override { return "help"; }
    std::string summary() const override { return "say what a verb or a filter does, with examples"; }
    std::string examples() const override {
        return "  store help\n  store help save\n  store help filters\n  store help clahe\n";
    }
    void declare(CLI::App& app) override {
        app.add_option("VERB", verb_, "the verb or filter to explain, or `filters`");
    }
    int run() override {
        if (verb_ == "filters") {
            print_filter_page();
        } else if (!print_help(verb_) && !print_filter(verb_)) {
            throw UsageError("there is no verb \"" + verb_ +
                             "\"; `store help` lists them, and `store help filters` the filters");
        }
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
