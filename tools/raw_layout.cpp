#include "tools/raw_layout.h"

#include <CLI/CLI.hpp>

#include "base/error.h"
#include "tools/verb.h"

namespace reelstore {

void RawLayoutOptions::declare(CLI::App& app) {
    CLI::Option* undecoded = app.add_flag("--raw", raw, "do not decode a raw camera layout (Bayer...)");
    app.add_option("--demosaic", demosaic,
                   "how a Bayer mosaic is decoded: bilinear (default), vng (8 bits) or edge-aware")
        ->excludes(undecoded);
}

std::optional<Demosaic> RawLayoutOptions::method() const {
    if (demosaic.empty()) return std::nullopt;
    try {
        return demosaic_of(demosaic);
    } catch (const Error& error) {
        throw UsageError("--demosaic: " + error.message());
    }
}

}  // namespace reelstore
