#pragma once

#include <memory>
#include <string>
#include <vector>

#include "codecs/encoding.h"
#include "codecs/file_format.h"
#include "store/recording.h"

namespace CLI {
class App;
}

namespace reelstore {

/// The method of --demosaic; nothing for an empty text. Throws UsageError for one there is not.
std::optional<Demosaic> demosaic_method(const std::string& text);

/// How a verb opens what it reads. What is declared is bound to the members, which are what the user asked for.
struct SourceOptionGroup {
    bool gray = false;
    bool deep = false;
    bool raw = false;
    std::string demosaic = {};
    std::string crop = {};
    std::vector<std::string> format = {};

    /// --open NAME=VALUE: options of a file format, for verbs that only look at facts.
    void declare_format(CLI::App& app);
    /// The same, and --raw, --demosaic and --crop.
    void declare_images(CLI::App& app);
    /// The same, and --gray and --deep.
    void declare_pixels(CLI::App& app);

    /// Throws UsageError where a text makes no sense.
    SourceOptions options() const;
    /// open_recording() with all of them.
    std::unique_ptr<Recording> open(const std::string& name) const;
};

}  // namespace reelstore
