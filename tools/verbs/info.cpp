#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "base/clock.h"
#include "store/store_lock.h"
#include "store/store_reader.h"
#include "tools/console.h"
#include "tools/frame_json.h"
#include "tools/source_options.h"
#include "tools/time_text.h"
#include "tools/verb.h"

namespace reelstore {

namespace {

template <typename T>
Json or_null(const std::optional<T>& value) {
    return value ? Json(*value) : Json();
}

Json text_or_null(const std::string& text) {
    return text.empty() ? Json() : Json(text);
}

bool is_being_recorded(const StoreReader& store) {
    return !store.closed() && StoreLock::held(store.folder());
}

/// The same keys for every kind of recording; null where one has no meaning for a kind or is not known.
Json facts(const Recording& recording) {
    const auto* store = dynamic_cast<const StoreReader*>(&recording);
    const SourceInfo& info = recording.info();
    const auto numbers = recording.number_range();
    const auto times = recording.time_range();
    Json facts;
    facts["path"] = recording.path().string();
    facts["kind"] = store ? "store" : "file";
    facts["frame_count"] = recording.frame_count();
    facts["chunks"] = store ? Json(store->chunks()) : Json();
    facts["frame_number_min"] = numbers ? Json(numbers->first) : Json();
    facts["frame_number_max"] = numbers ? Json(numbers->second) : Json();
    facts["frame_time_min"] = times ? Json(times->first) : Json();
    facts["frame_time_max"] = times ? Json(times->second) : Json();
    facts["times_are_absolute"] = info.has_times ? Json(info.times_are_absolute) : Json();
    facts["duration"] = times ? Json(recording.duration()) : store ? Json(0.0) : Json();
    facts["frame_rate"] = or_null(info.frame_rate);
    facts["image_shape"] = info.image_type.shape();
    facts["dtype"] = dtype_name(info.image_type.depth);
    facts["format"] = info.format;
    facts["pixel_format"] = text_or_null(info.pixel_format);
    facts["rotation"] = info.pixel_format.empty() ? Json() : Json(info.rotation);
    facts["mirrored"] = info.pixel_format.empty() ? Json() : Json(info.mirrored);
    facts["class"] = store ? Json(store->metadata().class_name) : Json();
    facts["chunk_frames"] = store ? Json(store->metadata().chunk_frames) : Json();
    facts["lossless"] = store ? Json(store->lossless()) : Json();
    facts["encoding"] = text_or_null(info.encoding);
    facts["uuid"] = store ? text_or_null(store->metadata().uuid) : Json();
    facts["created_utc"] = info.creation_time ? text_or_null(utc_text(*info.creation_time)) : Json();
    facts["timezone"] = text_or_null(time_zone_of(recording));
    facts["user_metadata"] = recording.user_metadata();
    facts["has_extra_data"] = recording.has_extra_data();
    facts["extra_data_sample_rate"] = store ? or_null(store->extra_data_sample_rate()) : Json();
    facts["closed"] = recording.closed();
    facts["recording"] = store ? Json(is_being_recorded(*store)) : Json();
    facts["events"] = store ? Json(store->event_count()) : Json();
    facts["bytes"] = recording.media_bytes();
    facts["warnings"] = recording.warnings();
    return facts;
}

void print_line(const char* name, const std::string& value) {
    fmt::print("{:<12} {}\n", name, value);
}

void print_frames(const Recording& recording) {
    if (const auto numbers = recording.number_range())
        print_line("numbers", fmt::format("{} to {}", numbers->first, numbers->second));
    if (const auto times = recording.time_range()) {
        print_line("times",
                   fmt::format("{} to {}{}", time_text(recording, times->first), time_text(recording, times->second),
                               recording.info().times_are_absolute ? "" : ", counted from its own start"));
        print_line("duration", duration_text(recording.duration()));
    } else if (recording.frame_count() > 0) {
        print_line("times", "none");
    }
    if (const auto rate = recording.info().frame_rate) print_line("frame rate", fmt::format("{:.6g}/s", *rate));
}

void print_metadata(const Recording& recording) {
    for (const auto& [key, value] : recording.user_metadata().items())
        print_line("metadata", fmt::format("{}: {}", key, value.is_string() ? value.get<std::string>() : value.dump()));
}

void print_store(const StoreReader& store) {
    const StoreMetadata& metadata = store.metadata();
    const std::string zone = recording_time_zone(metadata);
    print_line("store", store.folder().string());
    print_line("created", local_text(metadata.created, zone) + " " + zone);
    print_line("format", fmt::format("{} ({}{})", metadata.format, store.lossless() ? "lossless" : "lossy",
                                     metadata.encoding.empty() ? "" : ", raw as " + metadata.encoding));
    print_line("images", store.image_type().text());
    print_line("frames", fmt::format("{} in {} chunks, {}", store.frame_count(), store.chunks().size(),
                                     human_bytes(store.media_bytes())));
    print_frames(store);
    const auto sample_rate = store.extra_data_sample_rate();
    print_line("extra data", !store.has_extra_data() ? "no"
                             : sample_rate           ? fmt::format("yes, {:.6g} samples/s", *sample_rate)
                                                     : "yes");
    if (const int64_t events = store.event_count(); events > 0)
        print_line("events", fmt::format("{} (`store events` lists them)", events));
    print_line("state", store.closed()             ? "closed"
                        : is_being_recorded(store) ? "recording"
                                                   : "not closed by its writer (`store repair` completes it)");
    print_line("uuid", metadata.uuid);
    print_metadata(store);
}

void print_file(const Recording& file) {
    const SourceInfo& info = file.info();
    print_line("file", file.path().string());
    if (info.creation_time) {
        const std::string zone = info.time_zone.empty() ? "Etc/UTC" : info.time_zone;
        print_line("created", local_text(*info.creation_time, zone) + " " + zone);
    }
    print_line("format", info.format + (info.pixel_format.empty() ? "" : ", " + info.pixel_format));
    print_line("images", info.image_type.text() + (info.encoding.empty() ? "" : ", raw as " + info.encoding));
    if (info.rotation != 0 || info.mirrored)
        print_line("shown", fmt::format("{}turned {} degrees clockwise, as the file asks of players",
                                        info.mirrored ? "mirrored and " : "", info.rotation));
    print_line("frames", fmt::format("{}, {}", file.frame_count(), human_bytes(file.media_bytes())));
    print_frames(file);
    if (file.has_extra_data()) print_line("extra data", "yes");
    print_metadata(file);
}

class InfoVerb : public Verb {
public:
    std::string name() const override { return "info"; }
    std::string summary() const override { return "what is in a recording"; }
    std::string examples() const override {
        return "  store info mystore\n  store info mystore --json | jq .frame_count\n  store info video.mp4\n";
    }
    void declare(CLI::App& app) override {
        app.add_option("RECORDING", recording_, kRecordingHelp)->required();
        source_.declare_format(app);
        app.add_flag("--json", json_, "one JSON object on stdout");
    }
    int run() override {
        const std::unique_ptr<Recording> recording = source_.open(recording_);
        const SourceNotes notes(*recording);
        if (json_) {
            fmt::print("{}\n", facts(*recording).dump(2, ' ', false, Json::error_handler_t::replace));
        } else if (const auto* store = dynamic_cast<const StoreReader*>(recording.get())) {
            print_store(*store);
        } else {
            print_file(*recording);
        }
        return kExitDone;
    }

private:
    std::string recording_;
    SourceOptionGroup source_;
    bool json_ = false;
};

}  // namespace

void add_verbs_info(VerbTable& table) {
    table.push_back(std::make_unique<InfoVerb>());
}

}  // namespace reelstore
