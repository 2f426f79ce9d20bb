#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "store/maintenance.h"
#include "tools/console.h"
#include "tools/verb.h"

namespace reelstore {

namespace {

class RenumberVerb : public Verb {
public:
    std::string name() const override { return "renumber"; }
    std::string summary() const override { return "give the frames before the one numbered 0 negative numbers"; }
    std::string examples() const override {
        return "  store renumber mystore      (numbers 97 98 99 0 1 2 become -3 -2 -1 0 1 2)\n";
    }
    void declare(CLI::App& app) override {
        app.add_option("STORE", store_, "the store's folder or metadata.yaml")->required();
    }
    int run() override {
        ProgressBar bar("renumbering chunks");
        const RenumberResult result = renumber(store_, [&](int64_t done, int64_t all) { bar.update(done, all); });
        fmt::print(stderr, "frame {} has the number 0; {} frames before it renumbered\n", result.zero_index,
                   result.frames_changed);
        return kExitDone;
    }

private:
    std::string store_;
};

}  // namespace

void add_verbs_renumber(VerbTable& table) {
    table.push_back(std::make_unique<RenumberVerb>());
}

}  // namespace reelstore
