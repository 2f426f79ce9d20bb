#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "base/file_system.h"
#include "codecs/video/packet_cache.h"
#include "store/layout.h"
#include "store/maintenance.h"
#include "tools/console.h"
#include "tools/verb.h"

namespace reelstore {

namespace {

class IndexVerb : public Verb {
public:
    std::string name() const override { return "index"; }
    std::string summary() const override {
        return "build index.sqlite of a store anew, or write the packet cache of a video";
    }
    std::string examples() const override {
        return "  store index old_imgstore_recording\n"
               "  store index video.mp4                      (writes video.mp4.packets.npz; opening is instant then)\n";
    }
    void declare(CLI::App& app) override {
        app.add_option("RECORDING", recording_, "a store (its folder or metadata.yaml), or a video file")->required();
    }
    int run() override {
        const bool file = file_system().status(recording_).kind == FileKind::file && !is_store(recording_);
        return file ? index_video() : index_store();
    }

private:
    int index_store() const {
        ProgressBar bar("indexing chunks");
        const IndexResult result = build_index(recording_, [&](int64_t done, int64_t all) { bar.update(done, all); });
        print_notes(result.warnings);
        fmt::print(stderr, "indexed {} frames in {} chunks\n", result.frame_count, result.chunk_count);
        return result.chunks_left_out > 0 || result.chunks_without_media > 0 ? kExitDataLost : kExitDone;
    }

    int index_video() const {
        ProgressBar bar("reading packets");
        const PacketCacheResult result =
            write_packet_cache(recording_, [&](int64_t done, int64_t all) { bar.update(done, all); });
        fmt::print(stderr, "{} frames of {} are listed in {}\n", result.frame_count, recording_, result.path.string());
        return kExitDone;
    }

    std::string recording_;
};

}  // namespace

void add_verbs_index(VerbTable& table) {
    table.push_back(std::make_unique<IndexVerb>());
}

}  // namespace reelstore
