#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "store/maintenance.h"
#include "tools/console.h"
#include "tools/verb.h"

namespace reelstore {

namespace {

class IndexVerb : public Verb {
public:
    std::string name() const override { return "index"; }
    std::string summary() const override { return "build index.sqlite anew from the chunks"; }
    std::string examples() const override { return "  store index old_imgstore_recording\n"; }
    void declare(CLI::App& app) override {
        app.add_option("STORE", store_, "the store's folder or metadata.yaml")->required();
    }
    int run() override {
        ProgressBar bar("indexing chunks");
        const IndexResult result = build_index(store_, [&](int64_t done, int64_t all) { bar.update(done, all); });
        print_notes(result.warnings);
        fmt::print(stderr, "indexed {} frames in {} chunks\n", result.frame_count, result.chunk_count);
        return result.chunks_left_out > 0 || result.chunks_without_media > 0 ? kExitDataLost : kExitDone;
    }

private:
    std::string store_;
};

}  // namespace

void add_verbs_index(VerbTable& table) {
    table.push_back(std::make_unique<IndexVerb>());
}

}  // namespace reelstore
