#include "codecs/video/encoder_options.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "codecs/option_values.h"
#include "codecs/video/encoder_availability.h"
#include "codecs/video/encoder_defaults.h"

namespace reelstore {

namespace {

using Words = std::vector<std::string>;

constexpr int kFullDepth = 16;

const std::vector<EncoderTraits>& all_traits() {
    static const Words x264_tunes = {
        encoder_defaults::kTune, "none", "film", "animation", "grain", "stillimage", "psnr", "ssim", "zerolatency"};
    static const Words x265_tunes = {
        encoder_defaults::kHevcTune, "none", "animation", "grain", "psnr", "ssim", "zerolatency"};
    static const Words every_layout = {"yuv420p", "yuv422p", "yuv444p", "gray"};
    static const std::vector<EncoderTraits> traits = {
        {.name = "libx264",
         .family = EncoderFamily::x264,
         .preset = encoder_defaults::kPreset,
         .tunes = x264_tunes,
         .pixel_formats = every_layout,
         .bits = {10},
         .crf = encoder_defaults::kCrf},
        {.name = "libx265",
         .family = EncoderFamily::x265,
         .preset = encoder_defaults::kHevcPreset,
         .tunes = x265_tunes,
         .pixel_formats = every_layout,
         .bits = {10, 12},
         .crf = encoder_defaults::kHevcCrf,
         .least_side = 15},
        {.name = "libsvtav1",
         .family = EncoderFamily::svt_av1,
         .preset = encoder_defaults::kAv1Preset,
         .tunes = {"zerolatency", "none"},
         .pixel_formats = {"yuv420p"},
         .bits = {10},
         .crf = encoder_defaults::kAv1Crf,
         .best_crf = 1,
         .worst_crf = 63,
         .best_qp = 1,
         .worst_qp = 63,
         .has_bframes = false,
         .least_side = 63},
        {.name = "libvpx-vp9",
         .family = EncoderFamily::vpx,
         .preset = encoder_defaults::kVp9Preset,
         .pixel_formats = {"yuv420p", "yuv422p", "yuv444p"},
         .bits = {10, 12},
         .crf = encoder_defaults::kVp9Crf,
         .worst_crf = 63,
         .worst_qp = 63,
         .has_bframes = false},
        {.name = "h264_nvenc",
         .family = EncoderFamily::nvenc,
         .preset = encoder_defaults::kHardwarePreset,
         .pixel_formats = {"yuv420p", "yuv444p"},
         .crf = encoder_defaults::kHardwareCrf,
         .best_crf = 1,
         .has_threads = false},
        {.name = "hevc_nvenc",
         .family = EncoderFamily::nvenc,
         .preset = encoder_defaults::kHardwarePreset,
         .pixel_formats = {"yuv420p", "yuv444p"},
         .bits = {10},
         .crf = encoder_defaults::kHardwareCrf,
         .best_crf = 1,
         .has_threads = false},
        {.name = "h264_vaapi",
         .family = EncoderFamily::vaapi,
         .pixel_formats = {"yuv420p"},
         .qp = encoder_defaults::kHardwareQp,
         .best_qp = 1,
         .has_threads = false},
        {.name = "hevc_vaapi",
         .family = EncoderFamily::vaapi,
         .pixel_formats = {"yuv420p"},
         .bits = {10},
         .qp = encoder_defaults::kHardwareQp,
         .best_qp = 1,
         .has_threads = false},
        {.name = "ffv1",
         .family = EncoderFamily::ffv1,
         .preset = encoder_defaults::kFfv1Preset,
         .bits = {10, 12, kFullDepth},
         .has_gop = false,
         .has_bframes = false},
        {.name = "mjpeg",
         .family = EncoderFamily::mjpeg,
         .pixel_formats = {"yuv420p", "yuv422p", "yuv444p"},
         .has_gop = false,
         .has_bframes = false,
         .has_threads = false},
    };
    return traits;
}

std::string joined(const Words& words) {
    return fmt::format("{}", fmt::join(words, ", "));
}

std::string joined(const std::vector<int>& numbers) {
    return fmt::format("{}", fmt::join(numbers, ", "));
}

bool contains(const Words& words, const std::string& word) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

/// Those of a lossless format have nothing that is only about loss.
EncoderTraits traits_for(const std::string& encoder, bool lossless) {
    EncoderTraits traits = encoder_traits(encoder);
    if (lossless) {
        traits.pixel_formats.clear();
        traits.crf.reset();
        traits.qp.reset();
    }
    return traits;
}

bool has_range(const EncoderTraits& traits) {
    return !traits.pixel_formats.empty() && traits.family != EncoderFamily::mjpeg;
}

bool has_crf(const EncoderTraits& traits) {
    return traits.crf.has_value();
}

bool has_qp(const EncoderTraits& traits) {
    return traits.crf || traits.qp;
}

std::string preset_help(const EncoderTraits& traits) {
    const std::string help = "speed against size: " + joined(encoder_presets()) + "; or fastest, slowest";
    if (traits.family == EncoderFamily::ffv1) return help + "; rice coding up to veryfast, range coding from faster on";
    if (traits.family == EncoderFamily::svt_av1) return help + "; those slower than fast need tune none";
    return help;
}

std::string tune_help(const EncoderTraits& traits) {
    const std::string help = "what to favour: " + joined(traits.tunes);
    if (traits.family == EncoderFamily::svt_av1)
        return help + "; none makes smaller files, whose frames are stored some 50 later";
    return help;
}

std::string crf_help(const EncoderTraits& traits) {
    const std::string help =
        fmt::format("constant quality, {} (best) to {} (worst)", traits.best_crf, traits.worst_crf);
    if (traits.family == EncoderFamily::x264) return help + "; 8-bit gray frames come back exactly at 0";
    return help;
}

std::string qp_help(const EncoderTraits& traits) {
    const std::string help =
        fmt::format("constant quantizer, {} (best) to {} (worst)", traits.best_qp, traits.worst_qp);
    return has_crf(traits) ? help + ", instead of crf" : help;
}

std::string bits_help(const EncoderTraits& traits) {
    const std::string help = "of 16-bit images, values 0..2^bits-1: " + joined(traits.bits);
    if (traits.family == EncoderFamily::ffv1) return help + "; others are refused";
    return help + "; needed for 16-bit gray images, others are refused";
}

/// An option that some encoders have.
struct Option {
    const char* name;
    bool (*belongs_to)(const EncoderTraits& traits);
    std::string (*default_value)(const EncoderTraits& traits);
    std::string (*help)(const EncoderTraits& traits);
};

std::string nothing(const EncoderTraits& /*traits*/) {
    return {};
}

bool is_ffv1(const EncoderTraits& traits) {
    return traits.family == EncoderFamily::ffv1;
}

const std::vector<Option>& all_options() {
    using Traits = const EncoderTraits&;
    static const std::vector<Option> options = {
        {"preset", [](Traits traits) { return !traits.preset.empty(); }, [](Traits traits) { return traits.preset; },
         preset_help},
        {"tune", [](Traits traits) { return !traits.tunes.empty(); },
         [](Traits traits) { return traits.tunes.front(); }, tune_help},
        {"crf", has_crf, [](Traits traits) { return fmt::format("{}", *traits.crf); }, crf_help},
        {"qp", has_qp, [](Traits traits) { return traits.qp ? std::to_string(*traits.qp) : ""; }, qp_help},
        {"gop", [](Traits traits) { return traits.has_gop; },
         [](Traits /*traits*/) { return std::to_string(encoder_defaults::kGop); },
         [](Traits /*traits*/) { return std::string("most frames from one key frame to the next"); }},
        {"bframes", [](Traits traits) { return traits.has_bframes; },
         [](Traits /*traits*/) { return std::to_string(encoder_defaults::kBFrames); },
         [](Traits /*traits*/) {
             return std::string("B-frames in a row: smaller files, later commits, slower random access");
         }},
        {"quality", [](Traits traits) { return traits.family == EncoderFamily::mjpeg; },
         [](Traits /*traits*/) { return std::to_string(encoder_defaults::kJpegQuality); },
         [](Traits /*traits*/) { return std::string("1 (best) to 31 (smallest)"); }},
        {"pix_fmt", [](Traits traits) { return !traits.pixel_formats.empty(); },
         [](Traits traits) { return traits.pixel_formats.front(); },
         [](Traits traits) { return "kept colour: " + joined(traits.pixel_formats); }},
        {"range", has_range, [](Traits /*traits*/) { return std::string("full"); },
         [](Traits /*traits*/) {
             return std::string(
                 "values of luma: full (0..255) or limited (16..235, as television; rounds gray values)");
         }},
        {"bits", [](Traits traits) { return !traits.bits.empty(); },
         [](Traits traits) { return is_ffv1(traits) ? std::to_string(kFullDepth) : ""; }, bits_help},
        {"coder", is_ffv1, nothing,
         [](Traits /*traits*/) {
             return std::string("rice (fast, 8 bit only) or range (smaller); else the preset's");
         }},
        {"context", is_ffv1, [](Traits /*traits*/) { return std::string("0"); },
         [](Traits /*traits*/) { return std::string("0 or 1, a larger model of the neighbourhood"); }},
        {"slices", is_ffv1, nothing,
         [](Traits /*traits*/) {
             return std::string(
                 "parts of a frame coded side by side, each with a checksum: 4, 6, 9, 12, 16, 24 or "
                 "30; else 4");
         }},
        {"frame_rate", [](Traits /*traits*/) { return true; },
         [](Traits /*traits*/) { return fmt::format("{}", encoder_defaults::kFrameRate); },
         [](Traits /*traits*/) { return std::string("nominal, frames per second, for players; also as 24000/1001"); }},
        {"threads", [](Traits traits) { return traits.has_threads; },
         [](Traits /*traits*/) { return std::to_string(encoder_defaults::kThreads); },
         [](Traits traits) {
             const std::string help = "of the encoder, 0 for one per processor";
             return traits.family == EncoderFamily::x264 ? help + "; each delays the stored frames by one" : help;
         }},
    };
    return options;
}

std::string encoders_help(const Words& allowed) {
    std::string help;
    for (const std::string& encoder : allowed) {
        const std::string reason = encoder_unavailable(encoder);
        help += (help.empty() ? "" : ", ") + encoder;
        if (!reason.empty()) help += " (not on this machine: " + reason + ")";
    }
    return help;
}

std::string preset_option(const CodecOptions& options, const std::string& fallback) {
    Words words = encoder_presets();
    words.insert(words.end(), {"fastest", "slowest"});
    const std::string word = choice_option(options, "preset", fallback, words);
    if (word == "fastest") return encoder_presets().front();
    return word == "slowest" ? encoder_presets().back() : word;
}

/// The old names of full-range formats mean the same, as the range has an option of its own.
std::string pixel_format_option(const CodecOptions& options, const EncoderTraits& traits) {
    CodecOptions plain = options;
    const auto given = plain.find("pix_fmt");
    if (given != plain.end() && given->second.starts_with("yuvj")) given->second.erase(3, 1);
    return choice_option(plain, "pix_fmt", traits.pixel_formats.front(), traits.pixel_formats);
}

/// Shortest side that images may have.
int least_side_of(const EncoderSettings& settings, const EncoderTraits& traits) {
    if (!is_ffv1(traits)) return traits.least_side;
    // FFmpeg's decoder gives black, and no error, where a side has no more pixels than the frame has slices along it.
    const int slices = settings.slices.value_or(4);
    int rows = static_cast<int>(std::sqrt(slices));
    while (slices % rows != 0) --rows;
    return slices / rows + 1;
}

/// A whole number out of a list; nothing when it is not given.
std::optional<int> listed_option(const CodecOptions& options, const std::string& name,
                                 const std::vector<int>& choices) {
    if (options.count(name) == 0) return std::nullopt;
    Words words;
    for (const int choice : choices) words.push_back(std::to_string(choice));
    return std::stoi(choice_option(options, name, words.front(), words));
}

}  // namespace

const std::vector<std::string>& encoder_presets() {
    static const Words presets = {"ultrafast", "superfast", "veryfast", "faster",   "fast",
                                  "medium",    "slow",      "slower",   "veryslow", "placebo"};
    return presets;
}

const EncoderTraits& encoder_traits(std::string_view name) {
    for (const EncoderTraits& traits : all_traits()) {
        if (traits.name == name) return traits;
    }
    throw Error(ErrorCode::internal, fmt::format("the encoder \"{}\" is not known", name));
}

EncoderSettings parse_encoder_options(const CodecOptions& options, const std::vector<std::string>& allowed,
                                      bool lossless) {
    EncoderSettings settings;
    settings.encoder = choice_option(options, "encoder", allowed.front(), allowed);
    settings.lossless = lossless;
    const EncoderTraits traits = traits_for(settings.encoder, lossless);
    Words known = {"encoder"};
    for (const Option& option : all_options()) {
        if (option.belongs_to(traits)) known.emplace_back(option.name);
    }
    for (const auto& [name, value] : options) {
        if (contains(known, name)) continue;
        throw Error(ErrorCode::invalid_argument,
                    fmt::format("encoder {} has no option '{}'{}; valid: {}", settings.encoder, name,
                                lossless ? " where nothing may be lost" : "", joined(known)));
    }
    if (!traits.preset.empty()) settings.preset = preset_option(options, traits.preset);
    if (!traits.tunes.empty()) settings.tune = choice_option(options, "tune", traits.tunes.front(), traits.tunes);
    if (traits.crf) {
        settings.crf = number_option(options, "crf", *traits.crf, traits.best_crf, traits.worst_crf);
        if (traits.family == EncoderFamily::svt_av1)
            settings.crf = integer_option(options, "crf", static_cast<int>(*traits.crf),
                                          static_cast<int>(traits.best_crf), static_cast<int>(traits.worst_crf));
    }
    settings.qp = traits.qp;
    if (options.count("qp") > 0) settings.qp = integer_option(options, "qp", 0, traits.best_qp, traits.worst_qp);
    if (lossless && traits.family == EncoderFamily::x264) settings.qp = 0;
    if (traits.has_gop) settings.gop = integer_option(options, "gop", encoder_defaults::kGop, 1, 100000);
    settings.bframes = integer_option(options, "bframes", encoder_defaults::kBFrames, 0, 16);
    settings.quality = integer_option(options, "quality", encoder_defaults::kJpegQuality, 1, 31);
    settings.frame_rate = rate_option(options, "frame_rate", encoder_defaults::kFrameRate, 0.001, 1000);
    settings.threads = integer_option(options, "threads", encoder_defaults::kThreads, 0, 64);
    if (!traits.pixel_formats.empty()) settings.pixel_format = pixel_format_option(options, traits);
    settings.full_range = choice_option(options, "range", "full", {"full", "limited"}) == "full";
    settings.bits = listed_option(options, "bits", traits.bits);
    settings.coder = choice_option(options, "coder", "", {"rice", "range"});
    settings.context = integer_option(options, "context", 0, 0, 1);
    settings.slices = listed_option(options, "slices", {4, 6, 9, 12, 16, 24, 30});
    if (options.count("qp") > 0 && options.count("crf") > 0) {
        throw Error(ErrorCode::invalid_argument, "options 'crf' and 'qp' exclude each other; give one of them");
    }
    return settings;
}

std::vector<CodecOptionInfo> encoder_option_list(const std::vector<std::string>& allowed, bool lossless) {
    std::vector<CodecOptionInfo> list = {{"encoder", allowed.front(), encoders_help(allowed)}};
    for (const Option& option : all_options()) {
        Words owners;
        CodecOptionInfo info;
        for (const std::string& encoder : allowed) {
            const EncoderTraits traits = traits_for(encoder, lossless);
            if (!option.belongs_to(traits)) continue;
            if (owners.empty()) info = {option.name, option.default_value(traits), option.help(traits)};
            owners.push_back(encoder);
        }
        if (owners.empty()) continue;
        if (owners.size() < allowed.size()) info.help += " (" + joined(owners) + " only)";
        list.push_back(std::move(info));
    }
    return list;
}

std::optional<std::string> refuses_images(const EncoderSettings& settings, const ImageType& type) {
    const EncoderTraits& traits = encoder_traits(settings.encoder);
    const bool any_colour = type.channels == 1 || type.channels == 3;
    const bool deep = type.depth == CV_16U;
    const bool exact = is_ffv1(traits);
    if (!any_colour || (type.depth != CV_8U && !deep) || (deep && traits.bits.empty()))
        return fmt::format("{} holds {} images, not {}; predicted/rpz, raw/npy or npy hold them", settings.encoder,
                           traits.bits.empty() ? "8-bit gray and BGR" : "8- and 16-bit gray and BGR", type.text());
    if (deep && !type.gray() && !exact)
        return fmt::format("{} holds 16-bit images in gray only, not {}; ffv1/mkv, npy, tif or png hold them",
                           settings.encoder, type.text());
    if (deep && !settings.bits && !exact)
        return fmt::format(
            "{} holds 16-bit gray images of {} bits when option bits says so (--set bits={}), not {} of "
            "any value; ffv1/mkv, npy, tif or png hold those",
            settings.encoder, joined(traits.bits), traits.bits.front(), type.text());
    if (!deep && settings.bits) return fmt::format("option bits is for 16-bit images, not for {}", type.text());
    if (deep && settings.coder == "rice")
        return fmt::format("coder=rice is for 8-bit images, not for {}; coder=range codes them", type.text());
    const int least_side = least_side_of(settings, traits);
    if (std::min(type.width, type.height) < least_side)
        return fmt::format("{} needs images of at least {} pixels a side{}, not {}; {} hold them", settings.encoder,
                           least_side, settings.slices ? " for so many slices" : "", type.text(),
                           exact ? "npy, tif or png" : "avc1/mp4, ffv1/mkv, npy or png");
    return std::nullopt;
}

}  // namespace reelstore
