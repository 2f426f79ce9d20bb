#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "bench/index/plain_sqlite.h"
#include "store/layout.h"

namespace reelstore::bench {

/// imgstore 0.4's way to find frames, with its schema and its queries: at every opening a table in memory is filled
/// from all sidecars, and then asked without any index. In C++, so that what is compared is the scheme and not Python.
class ImgstoreScheme {
public:
    /// The chunks 0..chunks-1.
    ImgstoreScheme(const StoreLayout& layout, int64_t chunks);

    /// Chunk and position in it.
    using Place = std::pair<int64_t, int64_t>;
    std::optional<Place> find_index(int64_t index) const;
    std::optional<Place> find_number(int64_t number) const;
    std::optional<Place> find_nearest_number(int64_t number) const;
    std::optional<Place> find_nearest_time(double time) const;

private:
    PlainDatabase database_;
};

}  // namespace reelstore::bench
