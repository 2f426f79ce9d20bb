#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/encoding.h"
#include "base/filter.h"
#include "codecs/file_format.h"
#include "store/recording.h"

namespace CLI {
class App;
}

namespace reelstore {

/// The method of --demosaic; nothing for an empty text. Throws UsageError for one there is not.
std::optional<Demosaic> demosaic_method(const std::string& text);

/// What --filter takes, for the help of every verb.
inline constexpr const char* kFilterHelp =
    "filters that the frames go through, such as gray,crop=10:20:300:200,clahe=clip=4 (`store help filters`)";

/// How a verb opens what it reads. What is declared is bound to the members, which are what the user asked for.
struct SourceOptionGroup {
    bool gray = false;
    bool deep = false;
    bool raw = false;
    std::string demosaic = {};
    std::string crop = {};
    std::vector<std::string> format = {};
    std::string filter = {};

    /// --open NAME=VALUE: options of a file format, for verbs that only look at facts.
    void declare_format(CLI::App& app);
    /// The same, and --raw, --demosaic and --crop.
    void declare_images(CLI::App& app);
    /// The same, and --gray and --deep.
    void declare_pixels(CLI::App& app);
    /// --filter.
    void declare_filter(CLI::App& app);

    /// Throws UsageError where a text makes no sense.
    SourceOptions options() const;
    /// Those of --gray and --filter in order, of which open() does nothing yet. Throws Error(invalid_argument) where
    /// the list makes no sense.
    std::vector<std::unique_ptr<Filter>> filters() const;
    /// open_recording() with options().
    std::unique_ptr<Recording> open(const std::string& name) const;
    /// open(), and its frames through filters().
    std::unique_ptr<Recording> open_filtered(const std::string& name) const;
    /// A recording that is open already, through filters(). Throws UsageError naming a filter that changes number or
    /// order of the frames.
    std::unique_ptr<Recording> filtered(std::unique_ptr<Recording> recording) const;

private:
    std::string filter_list() const;
    std::unique_ptr<Recording> through(std::unique_ptr<Recording> recording,
                                       std::vector<std::unique_ptr<Filter>> made) const;
};

}  // namespace reelstore
