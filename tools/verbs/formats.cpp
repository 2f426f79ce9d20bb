#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "base/encoding.h"
#include "codecs/camera.h"
#include "codecs/file_format.h"
#include "filters/filter_table.h"
#include "tools/filter_help.h"
#include "tools/frame_json.h"
#include "tools/verb.h"

namespace reelstore {

namespace {

Json options_json(const std::vector<CodecOptionInfo>& options) {
    Json list = Json::array();
    for (const CodecOptionInfo& option : options)
        list.push_back({{"name", option.name}, {"default", option.default_value}, {"help", option.help}});
    return list;
}

Json text_or_null(const std::string& text) {
    return text.empty() ? Json() : Json(text);
}

Json everything() {
    Json all;
    all["chunk_formats"] = Json::array();
    for (const auto& format : chunk_formats()) {
        const ChunkFormatInfo& info = format->info();
        all["chunk_formats"].push_back({{"name", info.name},
                                        {"aliases", info.aliases},
                                        {"kind", info.kind == ChunkKind::folder ? "folder" : "file"},
                                        {"extension", info.extension},
                                        {"read", true},
                                        {"write", info.unavailable.empty()},
                                        {"lossless", info.lossless},
                                        {"types", info.types},
                                        {"chunk_frames", info.default_chunk_frames},
                                        {"unavailable", text_or_null(info.unavailable)},
                                        {"options", options_json(info.options)}});
    }
    all["file_formats"] = Json::array();
    for (const auto& format : file_formats()) {
        const FileFormatInfo& info = format->info();
        all["file_formats"].push_back({{"name", info.name},
                                       {"extensions", info.extensions},
                                       {"read", info.reads},
                                       {"write", info.writes},
                                       {"lossless", info.lossless},
                                       {"types", info.types},
                                       {"tested", text_or_null(info.tested)},
                                       {"unavailable", text_or_null(info.unavailable)},
                                       {"options", options_json(info.options)},
                                       {"source_options", options_json(info.source_options)}});
    }
    all["cameras"] = Json::array();
    for (const auto& driver : camera_drivers()) {
        Json found = Json::array();
        for (const CameraInfo& camera : driver->list()) found.push_back({{"id", camera.id}, {"name", camera.name}});
        all["cameras"].push_back({{"name", driver->name()},
                                  {"read", driver->unavailable().empty()},
                                  {"unavailable", text_or_null(driver->unavailable())},
                                  {"found", found}});
    }
    all["filters"] = Json::array();
    for (const FilterInfo& filter : filters()) {
        Json arguments = Json::array();
        for (const FilterArgumentInfo& argument : filter.arguments)
            arguments.push_back(
                {{"name", argument.name}, {"default", argument.default_value}, {"help", argument.help}});
        all["filters"].push_back(
            {{"name", filter.name}, {"family", filter.family}, {"help", filter.help}, {"arguments", arguments}});
    }
    all["encodings"] = Json::array();
    for (const Encoding& encoding : encodings())
        all["encodings"].push_back({{"name", encoding.name}, {"decodes", encoding.raw_type}});
    return all;
}

std::string yes(const Json& value) {
    return value.get<bool>() ? "yes" : "-";
}

void print_options(const char* argument, const Json& options) {
    for (const Json& option : options) {
        fmt::print("      {} {}={}  {}\n", argument, option["name"].get<std::string>(),
                   option["default"].get<std::string>(), option["help"].get<std::string>());
    }
}

void print_tables(const Json& all, bool options) {
    fmt::print("Chunk formats (store save --format NAME)\n  {:<17} {:<5} {:<5} {:<8} types\n", "name", "read", "write",
               "lossless");
    for (const Json& format : all["chunk_formats"]) {
        fmt::print("  {:<17} {:<5} {:<5} {:<8} {}\n", format["name"].get<std::string>(), yes(format["read"]),
                   yes(format["write"]), yes(format["lossless"]), format["types"].get<std::string>());
        if (!format["unavailable"].is_null())
            fmt::print("      cannot be written: {}\n", format["unavailable"].get<std::string>());
        if (options) print_options("--set", format["options"]);
    }
    fmt::print("\nFiles (any verb reads them; an output of `store extract`)\n  {:<13} {:<5} {:<5} {:<8} types\n",
               "name", "read", "write", "lossless");
    for (const Json& format : all["file_formats"]) {
        std::string extensions;
        for (const Json& extension : format["extensions"]) extensions += " " + extension.get<std::string>();
        fmt::print("  {:<13} {:<5} {:<5} {:<8} {};{}\n", format["name"].get<std::string>(), yes(format["read"]),
                   yes(format["write"]), yes(format["lossless"]), format["types"].get<std::string>(), extensions);
        if (!format["tested"].is_null())
            fmt::print("      reading tested with: {}\n", format["tested"].get<std::string>());
        if (!options) continue;
        print_options("--open", format["source_options"]);
        print_options("--set", format["options"]);
    }
    fmt::print("\nCameras\n");
    for (const Json& driver : all["cameras"]) {
        fmt::print("  {:<12} {}\n", driver["name"].get<std::string>(),
                   driver["unavailable"].is_null() ? fmt::format("{} found", driver["found"].size())
                                                   : driver["unavailable"].get<std::string>());
        for (const Json& camera : driver["found"])
            fmt::print("      {}  {}\n", camera["id"].get<std::string>(), camera["name"].get<std::string>());
    }
    fmt::print("\nFilters (--filter NAME,NAME=VALUE:ARGUMENT=VALUE; `store help filters` says more)\n");
    print_filters(options);
    fmt::print("\nEncodings (store save --encoding NAME)\n ");
    for (const Json& encoding : all["encodings"]) fmt::print(" {}", encoding["name"].get<std::string>());
    fmt::print("\n");
}

class FormatsVerb : public Verb {
public:
    std::string name() const override { return "formats"; }
    std::string summary() const override {
        return "what this build reads and writes: formats, cameras, filters, encodings";
    }
    std::string examples() const override {
        return "  store formats\n  store formats --options\n  store formats --filters\n  store formats --json\n";
    }
    void declare(CLI::App& app) override {
        app.add_flag("--options", options_,
                     "also the options of every format, for --open and --set, and the arguments of filters");
        app.add_flag("--filters", filters_, "only the filters: how they are written, examples, all arguments");
        app.add_flag("--json", json_, "one JSON object on stdout");
    }
    int run() override {
        if (filters_ && !json_) {
            print_filter_page();
            return kExitDone;
        }
        const Json all = everything();
        if (json_) {
            fmt::print("{}\n", all.dump(2));
        } else {
            print_tables(all, options_);
        }
        return kExitDone;
    }

private:
    bool options_ = false;
    bool filters_ = false;
    bool json_ = false;
};

}  // namespace

void add_verbs_formats(VerbTable& table) {
    table.push_back(std::make_unique<FormatsVerb>());
}

}  // namespace reelstore
