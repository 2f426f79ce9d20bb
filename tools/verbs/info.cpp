#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "base/clock.h"
#include "store/store_reader.h"
#include "tools/console.h"
#include "tools/frame_json.h"
#include "tools/verb.h"

namespace reelstore {

namespace {

Json facts(const StoreReader& store) {
    const StoreMetadata& metadata = store.metadata();
    const auto numbers = store.number_range();
    const auto times = store.time_range();
    Json facts;
    facts["path"] = store.folder().string();
    facts["frame_count"] = store.frame_count();
    facts["chunks"] = store.chunks();
    facts["frame_number_min"] = numbers ? Json(numbers->first) : Json();
    facts["frame_number_max"] = numbers ? Json(numbers->second) : Json();
    facts["frame_time_min"] = times ? Json(times->first) : Json();
    facts["frame_time_max"] = times ? Json(times->second) : Json();
    facts["duration"] = store.duration();
    const auto rate = store.frame_rate();
    facts["frame_rate"] = rate ? Json(*rate) : Json();
    facts["image_shape"] = store.image_type().shape();
    facts["dtype"] = dtype_name(store.image_type().depth);
    facts["format"] = metadata.format;
    facts["class"] = metadata.class_name;
    facts["chunk_frames"] = metadata.chunk_frames;
    facts["lossless"] = store.lossless();
    facts["encoding"] = metadata.encoding.empty() ? Json() : Json(metadata.encoding);
    facts["uuid"] = metadata.uuid.empty() ? Json() : Json(metadata.uuid);
    facts["created_utc"] = utc_text(metadata.created);
    facts["timezone"] = recording_time_zone(metadata);
    facts["user_metadata"] = metadata.user;
    facts["has_extra_data"] = store.has_extra_data();
    const auto sample_rate = store.extra_data_sample_rate();
    facts["extra_data_sample_rate"] = sample_rate ? Json(*sample_rate) : Json();
    facts["closed"] = store.closed();
    facts["bytes"] = store.media_bytes();
    facts["warnings"] = store.warnings();
    return facts;
}

std::string duration_text(double seconds) {
    const auto whole = static_cast<int64_t>(seconds);
    if (whole < 60) return fmt::format("{:.3f} s", seconds);
    if (whole < 86400)
        return fmt::format("{}:{:02d}:{:06.3f}", whole / 3600, whole / 60 % 60,
                           seconds - static_cast<double>(whole / 60 * 60));
    return fmt::format("{} days {}:{:02d}", whole / 86400, whole / 3600 % 24, whole / 60 % 60);
}

void print_facts(const StoreReader& store) {
    const StoreMetadata& metadata = store.metadata();
    const std::string zone = recording_time_zone(metadata);
    const auto line = [](const char* name, const std::string& value) { fmt::print("{:<12} {}\n", name, value); };
    line("store", store.folder().string());
    line("created", local_text(metadata.created, zone) + " " + zone);
    line("format", fmt::format("{} ({}{})", metadata.format, store.lossless() ? "lossless" : "lossy",
                               metadata.encoding.empty() ? "" : ", raw as " + metadata.encoding));
    line("images", store.image_type().text());
    line("frames", fmt::format("{} in {} chunks, {}", store.frame_count(), store.chunks().size(),
                               human_bytes(store.media_bytes())));
    if (const auto numbers = store.number_range())
        line("numbers", fmt::format("{} to {}", numbers->first, numbers->second));
    if (const auto times = store.time_range()) {
        line("times", fmt::format("{} to {}", local_text(times->first, zone), local_text(times->second, zone)));
        line("duration", duration_text(store.duration()));
    }
    if (const auto rate = store.frame_rate()) line("frame rate", fmt::format("{:.6g}/s", *rate));
    const auto sample_rate = store.extra_data_sample_rate();
    line("extra data", !store.has_extra_data() ? "no"
                       : sample_rate           ? fmt::format("yes, {:.6g} samples/s", *sample_rate)
                                               : "yes");
    line("state", store.closed() ? "closed" : "open: being written, or its writer was killed");
    line("uuid", metadata.uuid);
    for (const auto& [key, value] : metadata.user.items())
        line("metadata", fmt::format("{}: {}", key, value.is_string() ? value.get<std::string>() : value.dump()));
}

class InfoVerb : public Verb {
public:
    std::string name() const override { return "info"; }
    std::string summary() const override { return "what is in a store"; }
    std::string examples() const override {
        return "  store info mystore\n  store info mystore --json | jq .frame_count\n";
    }
    void declare(CLI::App& app) override {
        app.add_option("STORE", store_, "the store's folder or metadata.yaml")->required();
        app.add_flag("--json", json_, "one JSON object on stdout");
    }
    int run() override {
        const StoreReader store(store_);
        print_notes(store.warnings());
        if (json_) {
            fmt::print("{}\n", facts(store).dump(2));
        } else {
            print_facts(store);
        }
        return kExitDone;
    }

private:
    std::string store_;
    bool json_ = false;
};

}  // namespace

void add_verbs_info(VerbTable& table) {
    table.push_back(std::make_unique<InfoVerb>());
}

}  // namespace reelstore
