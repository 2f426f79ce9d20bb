#include "codecs/video/encoder_setup.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/error.h"

namespace reelstore {

namespace {

/// Place of a preset on the common scale, 0 is the fastest.
size_t preset_place(const std::string& preset) {
    const auto& presets = encoder_presets();
    return static_cast<size_t>(std::find(presets.begin(), presets.end(), preset) - presets.begin());
}

void set_quality(const EncoderSettings& settings, OptionDictionary& options) {
    if (settings.qp) {
        options.set("qp", std::to_string(*settings.qp));
    } else {
        options.set("crf", fmt::format("{}", settings.crf));
    }
}

void set_x264(const EncoderSettings& settings, AVCodecContext& /*context*/, OptionDictionary& options) {
    options.set("preset", settings.preset);
    if (settings.tune != "none") options.set("tune", settings.tune);
    set_quality(settings, options);
    // A closed GOP of fixed length: every key frame is an entry point, and the cost of a random frame is bounded.
    options.set("x264-params", "open-gop=0:sync-lookahead=0:scenecut=0");
}

void set_x265(const EncoderSettings& settings, const ImageType& type, AVCodecContext& context,
              OptionDictionary& options) {
    constexpr int kMostFrameThreads = 16;
    constexpr int kSmallSide = 128;
    // The lookahead of the presets; more than a group of pictures would only delay the frames.
    static constexpr std::array<int, 10> kLookahead = {5, 10, 15, 15, 15, 20, 25, 40, 40, 60};
    options.set("preset", settings.preset);
    if (settings.tune != "none") options.set("tune", settings.tune);
    set_quality(settings, options);
    context.thread_count = std::min(settings.threads, kMostFrameThreads);
    std::string text = "log-level=none:info=0:open-gop=0:scenecut=0:repeat-headers=0";
    if (settings.tune != "zerolatency") {
        const int lookahead =
            std::max(settings.bframes + 1, std::min(settings.gop, kLookahead.at(preset_place(settings.preset))));
        text += fmt::format(":bframes={}:rc-lookahead={}", settings.bframes, lookahead);
    }
    if (settings.threads == 1) text += ":wpp=0";
    // libx265 3.5 writes outside of its memory when it spreads bits over blocks of small frames.
    if (std::min(type.width, type.height) <= kSmallSide) text += ":cutree=0";
    options.set("x265-params", text);
}

void set_svt_av1(const EncoderSettings& settings, AVCodecContext& context, OptionDictionary& options) {
    static constexpr std::array<int, 10> kPresets = {12, 11, 10, 9, 8, 7, 6, 5, 4, 2};
    context.flags |= AV_CODEC_FLAG_CLOSED_GOP;
    options.set("preset", std::to_string(kPresets.at(preset_place(settings.preset))));
    set_quality(settings, options);
    std::string text = "scd=0:irefresh-type=2";
    if (settings.tune == "zerolatency") text += ":pred-struct=1";
    if (settings.threads > 0) text += fmt::format(":lp={}", settings.threads);
    options.set("svtav1-params", text);
}

void set_vpx(const EncoderSettings& settings, AVCodecContext& context, OptionDictionary& options) {
    struct Effort {
        const char* deadline;
        int cpu_used;
    };
    static constexpr std::array<Effort, 10> kEfforts = {{{"realtime", 8},
                                                         {"realtime", 7},
                                                         {"realtime", 6},
                                                         {"realtime", 5},
                                                         {"good", 5},
                                                         {"good", 4},
                                                         {"good", 3},
                                                         {"good", 2},
                                                         {"good", 1},
                                                         {"good", 0}}};
    const Effort& effort = kEfforts.at(preset_place(settings.preset));
    options.set("deadline", effort.deadline);
    options.set("cpu-used", std::to_string(effort.cpu_used));
    options.set("row-mt", "1");
    context.bit_rate = 0;
    if (settings.qp) {
        context.qmin = *settings.qp;
        context.qmax = *settings.qp;
        options.set("crf", std::to_string(*settings.qp));
    } else {
        options.set("crf", fmt::format("{}", settings.crf));
    }
}

void set_nvenc(const EncoderSettings& settings, AVCodecContext& context, OptionDictionary& options) {
    static constexpr std::array<int, 10> kPresets = {1, 1, 2, 2, 3, 4, 5, 6, 7, 7};
    options.set("preset", fmt::format("p{}", kPresets.at(preset_place(settings.preset))));
    context.bit_rate = 0;
    if (settings.qp) {
        options.set("rc", "constqp");
        options.set("qp", std::to_string(*settings.qp));
    } else {
        options.set("rc", "vbr");
        options.set("cq", fmt::format("{}", settings.crf));
    }
    options.set("no-scenecut", "1");
    options.set("forced-idr", "1");
    options.set("delay", "0");
}

void set_vaapi(const EncoderSettings& settings, AVCodecContext& /*context*/, OptionDictionary& options) {
    options.set("rc_mode", "CQP");
    options.set("qp", std::to_string(settings.qp.value_or(0)));
}

void set_ffv1(const EncoderSettings& settings, const ImageType& type, AVCodecContext& context,
              OptionDictionary& options) {
    constexpr int kVersionWithChecksums = 3;
    const size_t speed = preset_place(settings.preset);
    const bool deep = type.depth != CV_8U;
    const bool rice = settings.coder.empty() ? speed < preset_place("faster") && !deep : settings.coder == "rice";
    context.level = kVersionWithChecksums;
    context.gop_size = 1;
    context.thread_type = FF_THREAD_SLICE;
    context.thread_count = settings.threads;
    if (settings.slices) context.slices = *settings.slices;
    options.set("slicecrc", "1");
    options.set("coder", rice ? "rice" : "range_tab");
    options.set("context", std::to_string(settings.context));
}

void set_mjpeg(const EncoderSettings& settings, AVCodecContext& context) {
    context.flags |= AV_CODEC_FLAG_QSCALE;
    context.qmin = 1;
    context.global_quality = settings.quality * FF_QP2LAMBDA;
    // Slices of several threads make restart markers, and tables that differ from file to file.
    context.thread_count = 1;
}

}  // namespace

std::string encoder_for(const EncoderSettings& settings, const ImageType& type) {
    return settings.lossless && settings.encoder == "libx264" && !type.gray() ? "libx264rgb" : settings.encoder;
}

AVPixelFormat coded_format(const EncoderSettings& settings, const ImageType& type) {
    const EncoderTraits& traits = encoder_traits(settings.encoder);
    const bool deep = type.depth == CV_16U;
    const std::string depth = deep ? fmt::format("{}le", settings.bits.value_or(16)) : "";
    if (settings.pixel_format.empty()) {
        if (type.gray()) return av_get_pix_fmt(("gray" + depth).c_str());
        if (deep) return av_get_pix_fmt(("gbrp" + depth).c_str());
        return traits.family == EncoderFamily::ffv1 ? AV_PIX_FMT_BGR0 : AV_PIX_FMT_BGR24;
    }
    if (settings.pixel_format == "gray" && !type.gray()) {
        throw Error(ErrorCode::invalid_argument,
                    "option 'pix_fmt' cannot be 'gray' for colour frames; valid: yuv420p, yuv422p, yuv444p");
    }
    // The encoder of JPEG accepts full range only under the old names.
    if (traits.family == EncoderFamily::mjpeg)
        return av_get_pix_fmt(("yuvj" + settings.pixel_format.substr(3)).c_str());
    if (traits.family == EncoderFamily::vaapi) return deep ? AV_PIX_FMT_P010LE : AV_PIX_FMT_NV12;
    if (traits.family == EncoderFamily::nvenc && deep) {
        if (settings.pixel_format != "yuv420p")
            throw Error(ErrorCode::invalid_argument,
                        "option 'pix_fmt' of " + settings.encoder + " must be yuv420p for 16-bit images");
        return AV_PIX_FMT_P010LE;
    }
    return av_get_pix_fmt((settings.pixel_format + depth).c_str());
}

void set_encoder_options(const EncoderSettings& settings, const ImageType& type, AVCodecContext& context,
                         OptionDictionary& options) {
    const EncoderFamily family = encoder_traits(settings.encoder).family;
    context.gop_size = settings.gop;
    context.max_b_frames = settings.bframes;
    context.thread_count = settings.threads;
    if (family != EncoderFamily::mjpeg) context.flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    switch (family) {
        case EncoderFamily::x264:
            return set_x264(settings, context, options);
        case EncoderFamily::x265:
            return set_x265(settings, type, context, options);
        case EncoderFamily::svt_av1:
            return set_svt_av1(settings, context, options);
        case EncoderFamily::vpx:
            return set_vpx(settings, context, options);
        case EncoderFamily::nvenc:
            return set_nvenc(settings, context, options);
        case EncoderFamily::vaapi:
            return set_vaapi(settings, context, options);
        case EncoderFamily::ffv1:
            return set_ffv1(settings, type, context, options);
        case EncoderFamily::mjpeg:
            return set_mjpeg(settings, context);
    }
}

std::string described(const EncoderSettings& settings) {
    const EncoderTraits& traits = encoder_traits(settings.encoder);
    std::string text = fmt::format("threads={}", settings.threads);
    if (!settings.pixel_format.empty()) text += " pix_fmt=" + settings.pixel_format;
    if (!settings.full_range) text += " range=limited";
    if (settings.bits) text += fmt::format(" bits={}", *settings.bits);
    if (traits.family == EncoderFamily::mjpeg) return text + fmt::format(" quality={}", settings.quality);
    if (!settings.preset.empty()) text += " preset=" + settings.preset;
    if (!settings.tune.empty()) text += " tune=" + settings.tune;
    if (settings.slices) text += fmt::format(" slices={}", *settings.slices);
    if (traits.family == EncoderFamily::ffv1) return text;
    text += settings.qp ? fmt::format(" qp={}", *settings.qp) : fmt::format(" crf={}", settings.crf);
    return text + fmt::format(" gop={} bframes={}", settings.gop, settings.bframes);
}

}  // namespace reelstore
