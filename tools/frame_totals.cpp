#include "tools/frame_totals.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <future>
#include <utility>

#include "base/error.h"
#include "base/parallel_reader.h"
#include "tools/frame_json.h"

namespace reelstore {

namespace {

/// What the measuring threads give a frame to carry to the sink, as owner of its pixels.
struct Measured {
    std::vector<RegionStatistics> regions;
    std::shared_ptr<const void> owner;
};

const std::vector<RegionStatistics>& regions_of(const Frame& frame) {
    return static_cast<const Measured*>(frame.owner.get())->regions;
}

std::vector<std::string> column_names(const std::vector<NamedRegion>& regions, int channels) {
    std::vector<std::string> names;
    for (const NamedRegion& region : regions) {
        for (int channel = 0; channel < channels; ++channel) {
            std::string prefix = region.name.empty() ? "" : region.name + "_";
            if (channels > 1) {
                prefix += channel_name(channel, channels) + "_";
                std::replace(prefix.begin(), prefix.end(), ' ', '_');
            }
            for (const char* what : {"mean", "std", "min", "max"}) names.push_back(csv_field(prefix + what));
        }
    }
    return names;
}

/// The results of `work` for 0..count-1, in order, each by a thread of its own.
template <typename Work>
auto on_threads(size_t count, Work work) {
    std::vector<std::future<decltype(work(size_t{0}))>> futures;
    for (size_t i = 0; i < count; ++i) futures.push_back(std::async(std::launch::async, work, i));
    std::vector<decltype(work(size_t{0}))> results;
    for (auto& future : futures) results.push_back(future.get());
    return results;
}

}  // namespace

void ChannelTotals::add(int64_t index, double mean) {
    if (std::isnan(mean)) return;
    frame_means.add_reals(1, mean, 0, mean, mean);
    if (!(mean >= darkest.mean)) darkest = {index, mean};
    if (!(mean <= brightest.mean)) brightest = {index, mean};
}

FrameTotals::FrameTotals(std::vector<NamedRegion> regions, MotionFrom motion, LineReceiver trace)
    : named_(std::move(regions)), motion_from_(motion), trace_(std::move(trace)), totals_(named_.size()) {}

std::unique_ptr<Filter> FrameTotals::measuring(const StatisticsOptions& options) {
    return frame_filter([this, options](Frame frame) {
        auto measured = std::make_shared<Measured>();
        for (size_t i = 0; i < named_.size(); ++i) {
            try {
                RegionStatistics statistics = image_statistics(frame.image, named_[i].region, options);
                if (options.bins > 0) add_histograms(i, std::exchange(statistics.histograms, {}));
                measured->regions.push_back(std::move(statistics));
            } catch (const Error& error) {
                const std::string& name = named_[i].name;
                throw Error(error.code(), {{}, {}, frame.index}, (name.empty() ? "" : name + ": ") + error.message());
            }
        }
        measured->owner = std::move(frame.owner);
        frame.owner = std::move(measured);
        return frame;
    });
}

void FrameTotals::add_histograms(size_t region, std::vector<Histogram> histograms) {
    const std::lock_guard lock(histograms_mutex_);
    std::vector<Histogram>& totals = totals_[region].histograms;
    // Frames of other types are refused by write().
    if (totals.size() != histograms.size()) {
        totals = std::move(histograms);
        return;
    }
    for (size_t channel = 0; channel < totals.size(); ++channel) totals[channel].merge(histograms[channel]);
}

void FrameTotals::write(const Frame& frame) {
    const ImageType type = ImageType::of(frame.image);
    if (frames_ == 0) {
        begin(type);
    } else if (type != type_) {
        throw Error(ErrorCode::wrong_type, {{}, {}, frame.index},
                    fmt::format("the frame is {}, those before it are {}", type.text(), type_.text()));
    }
    ++frames_;
    const std::vector<RegionStatistics>& measured = regions_of(frame);
    for (size_t i = 0; i < measured.size(); ++i) {
        totals_[i].pixels.merge(measured[i]);
        for (size_t channel = 0; channel < totals_[i].channels.size(); ++channel)
            totals_[i].channels[channel].add(frame.index, measured[i].channels[channel].mean());
    }
    waiting_.push_back(frame);
    if (motion_from_ == MotionFrom::none || waiting_.size() >= static_cast<size_t>(thread_count(0))) pass_on();
}

void FrameTotals::begin(const ImageType& type) {
    type_ = type;
    for (RegionTotals& region : totals_) region.channels.resize(static_cast<size_t>(type.channels));
    if (!trace_) return;
    std::string heading = "index,number,time";
    for (const std::string& name : column_names(named_, type.channels)) heading += "," + name;
    if (motion_from_ != MotionFrom::none) heading += ",dx,dy,degrees,correlation";
    trace_(heading);
}

void FrameTotals::pass_on() {
    const std::vector<std::optional<ImageMotion>> motions = motions_of_waiting();
    for (size_t i = 0; i < waiting_.size(); ++i) {
        if (motion_from_ != MotionFrom::none) add(waiting_[i].index, motions[i]);
        if (trace_) write_trace(waiting_[i], motion_from_ == MotionFrom::none ? std::nullopt : motions[i]);
    }
    waiting_.clear();
}

std::vector<std::optional<ImageMotion>> FrameTotals::motions_of_waiting() {
    if (motion_from_ == MotionFrom::none || waiting_.empty()) return {};
    const std::vector<MotionImage> images =
        on_threads(waiting_.size(), [this](size_t i) { return MotionImage(waiting_[i].image); });
    if (!reference_) reference_ = images[0];
    std::vector<std::optional<ImageMotion>> motions = on_threads(waiting_.size(), [&](size_t i) {
        const bool neighbour = i > 0 && motion_from_ == MotionFrom::previous;
        return (neighbour ? images[i - 1] : *reference_).motion_to(images[i]);
    });
    if (motion_from_ == MotionFrom::previous) reference_ = images.back();
    return motions;
}

void FrameTotals::add(int64_t index, const std::optional<ImageMotion>& motion) {
    if (!motion) {
        ++motion_.unknown;
        return;
    }
    motion_.dx.add_reals(1, motion->dx, 0, motion->dx, motion->dx);
    motion_.dy.add_reals(1, motion->dy, 0, motion->dy, motion->dy);
    motion_.degrees.add_reals(1, motion->degrees, 0, motion->degrees, motion->degrees);
    const double distance = std::hypot(motion->dx, motion->dy);
    if (!(distance <= motion_.farthest.mean)) motion_.farthest = {index, distance};
}

void FrameTotals::write_trace(const Frame& frame, const std::optional<ImageMotion>& motion) const {
    fmt::memory_buffer line;
    fmt::format_to(std::back_inserter(line), "{},{},", frame.index, frame.number);
    append_exact(line, frame.time);
    const auto append = [&line](double value) {
        line.push_back(',');
        append_exact(line, value);
    };
    for (const RegionStatistics& region : regions_of(frame)) {
        for (const ValueStatistics& channel : region.channels) {
            append(channel.mean());
            append(channel.standard_deviation());
            append(channel.min());
            append(channel.max());
        }
    }
    if (motion_from_ != MotionFrom::none) {
        constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
        const ImageMotion found = motion.value_or(ImageMotion{kNone, kNone, kNone, kNone});
        for (const double value : {found.dx, found.dy, found.degrees, found.correlation}) append(value);
    }
    trace_(fmt::to_string(line));
}

}  // namespace reelstore
