#include "filters/frame_matching.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

namespace reelstore {

namespace {

static_assert(std::numeric_limits<FrameKey>::digits >= std::numeric_limits<int64_t>::digits);

/// Times since the epoch are known to a quarter of a microsecond.
constexpr FrameKey kTimeNoise = 1e-6L;
/// Rates such as 1/3 are not exact: the third frame is to be shown where the product is 0.99999.
constexpr FrameKey kIndexNoise = 1e-6L;
/// Of an interval; half of it would be too little where clocks jitter.
constexpr FrameKey kToleratedPart = 0.51L;

[[noreturn]] void refuse(const std::string& reason) {
    throw Error(ErrorCode::invalid_argument, reason);
}

[[noreturn]] void refuse(const std::string& name, const std::string& reason) {
    throw Error(ErrorCode::invalid_argument, {name, {}, {}}, reason);
}

void check_rates(const ComposedSource& source, const std::string& name, bool leads, SyncBy by) {
    if (!std::isfinite(source.offset)) refuse(name, "an offset must be a number");
    if (!(source.rate > 0) || !std::isfinite(source.rate)) refuse(name, "a rate must be a number above 0");
    if (leads && (source.offset != 0 || source.rate != 1))
        refuse(name, "the first source leads: offsets and rates are those of the others");
    if (by == SyncBy::number && source.rate != 1) refuse(name, "by number, sources have no rate");
    if (by == SyncBy::number && source.offset != std::floor(source.offset))
        refuse(name, "by number, the offset must be a whole number");
}

}  // namespace

FrameMatching::FrameMatching(const std::vector<ComposedSource>& sources, const SyncOptions& options)
    : options_(options) {
    if (sources.empty()) refuse("there is no source to compose an image of");
    if (options.tolerance && !by(SyncBy::time)) refuse("a tolerance makes sense only for synchronisation by time");
    if (options.tolerance && (!(*options.tolerance >= 0) || !std::isfinite(*options.tolerance)))
        refuse("a tolerance must be a number of seconds, 0 at least");
    const SourceInfo& leading = sources.front().frames->info();
    for (const ComposedSource& source : sources) {
        const SourceInfo& info = source.frames->info();
        check_rates(source, info.name, &source == &sources.front(), options.by);
        if (by(SyncBy::number) && !info.has_numbers)
            refuse(info.name, "has no frame numbers of its own to be synchronised by: use the index");
        if (by(SyncBy::time) && !info.has_times)
            refuse(info.name, "has no frame times to be synchronised by: use the index");
        if (by(SyncBy::time) && info.times_are_absolute != leading.times_are_absolute && source.offset == 0)
            refuse(info.name,
                   fmt::format("has times that count from {}, and {} has such that count from {}: they need an "
                               "offset in seconds",
                               info.times_are_absolute ? "the epoch" : "its beginning", leading.name,
                               leading.times_are_absolute ? "the epoch" : "its beginning"));
        MatchedSource matched{.name = info.name, .offset = source.offset, .rate = source.rate};
        matched.has_interval = info.frame_rate && *info.frame_rate > 0;
        if (matched.has_interval) matched.interval = 1 / FrameKey(*info.frame_rate);
        sources_.push_back(std::move(matched));
    }
    if (!needs_first_times()) end_learning();
}

bool FrameMatching::needs_first_times() const {
    if (!by(SyncBy::time)) return false;
    return std::any_of(sources_.begin(), sources_.end(), [this](const MatchedSource& source) {
        return source.rate != 1 || (!options_.tolerance && !source.has_interval);
    });
}

void FrameMatching::learn(size_t source, std::optional<FrameKey> first, std::optional<FrameKey> second) {
    MatchedSource& matched = sources_[source];
    matched.origin = first.value_or(0);
    if (!matched.has_interval && first && second) matched.interval = std::max<FrameKey>(*second - *first, 0);
}

void FrameMatching::end_learning() {
    for (MatchedSource& source : sources_) {
        const FrameKey larger = std::max(sources_.front().interval, source.interval / source.rate);
        const FrameKey tolerance = options_.tolerance ? FrameKey(*options_.tolerance) : larger * kToleratedPart;
        source.tolerance = (tolerance + kTimeNoise) * source.rate;
    }
}

FrameKey FrameMatching::key(size_t source, int64_t position, const FrameStamp& stamp) const {
    if (by(SyncBy::index)) return static_cast<FrameKey>(position);
    if (by(SyncBy::number)) return static_cast<FrameKey>(stamp.number);
    if (std::isfinite(stamp.time)) return stamp.time;
    throw Error(ErrorCode::invalid_argument, {name(source), {}, position},
                "has no time to be synchronised by: use the index");
}

FrameKey FrameMatching::wanted(size_t source, FrameKey leading) const {
    const MatchedSource& matched = sources_[source];
    if (by(SyncBy::index)) return std::floor((leading - matched.offset) * matched.rate + kIndexNoise);
    const FrameKey shifted = leading - matched.offset;
    return matched.rate == 1 ? shifted : matched.origin + (shifted - matched.origin) * matched.rate;
}

ShownFrame FrameMatching::choose(size_t source, FrameKey wanted, std::optional<FrameKey> before,
                                 std::optional<FrameKey> after) const {
    if (by(SyncBy::time)) {
        const FrameKey tolerance = sources_[source].tolerance;
        const bool before_is_nearer = before && (!after || wanted - *before <= *after - wanted);
        if (before_is_nearer && wanted - *before <= tolerance) return ShownFrame::before;
        if (!before_is_nearer && after && *after - wanted <= tolerance) return ShownFrame::after;
    } else if (before && *before == wanted) {
        return ShownFrame::before;
    }
    if (options_.missing == MissingFrame::drop) return ShownFrame::left_out;
    if (options_.missing == MissingFrame::blank) return ShownFrame::none;
    return before ? ShownFrame::before : after ? ShownFrame::after : ShownFrame::none;
}

Error FrameMatching::goes_down(size_t source, int64_t position, FrameKey key, FrameKey earlier) const {
    const bool by_number = by(SyncBy::number);
    const auto text = [&](FrameKey value) {
        return by_number ? fmt::format("{}", static_cast<int64_t>(value)) : fmt::format("{:.6f}", double(value));
    };
    return Error(
        ErrorCode::invalid_argument, {name(source), {}, position},
        fmt::format("its {0} {1} is below {2} of a frame before it, and sources can be synchronised by {0} only "
                    "where it ascends: use the index",
                    by_number ? "number" : "time", text(key), text(earlier)));
}

}  // namespace reelstore
