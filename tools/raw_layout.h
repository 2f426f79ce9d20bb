#pragma once

#include <optional>
#include <string>

#include "codecs/encoding.h"

namespace CLI {
class App;
}

namespace reelstore {

/// How a verb takes the images of a store with an encoding (Bayer...): --raw and --demosaic.
struct RawLayoutOptions {
    bool raw = false;
    std::string demosaic = {};

    /// Declares both options, bound to this object.
    void declare(CLI::App& app);
    /// Nothing when none was asked for. Throws UsageError for a method there is not.
    std::optional<Demosaic> method() const;
};

}  // namespace reelstore
