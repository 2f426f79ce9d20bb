#include "codecs/video/encoder_options.h"

#include <algorithm>

#include "base/error.h"
#include "codecs/option_values.h"
#include "codecs/video/encoder_defaults.h"

namespace reelstore {

namespace {

using Words = std::vector<std::string>;

const Words kPresets = {"ultrafast", "superfast", "veryfast", "faster",   "fast",
                        "medium",    "slow",      "slower",   "veryslow", "placebo"};
const Words kTunes = {"none", "film", "animation", "grain", "stillimage", "psnr", "ssim", "fastdecode", "zerolatency"};
constexpr int kWorstQuantizer = 51;

std::string joined(const Words& words) {
    std::string text;
    for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
    return text;
}

bool contains(const Words& words, const std::string& word) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

const Words& pixel_formats(const std::string& encoder) {
    static const Words x264 = {"yuv420p", "yuv422p", "yuv444p", "gray"};
    static const Words mjpeg = {"yuv420p", "yuv422p", "yuv444p"};
    return encoder == "mjpeg" ? mjpeg : x264;
}

std::string number_text(double value) {
    std::string text = std::to_string(value);
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
    return text;
}

/// The old names of full-range formats mean the same, as every stream here is full range.
std::string pixel_format_option(const CodecOptions& options, const std::string& encoder) {
    CodecOptions plain = options;
    const auto given = plain.find("pix_fmt");
    if (given != plain.end() && given->second.starts_with("yuvj")) given->second.erase(3, 1);
    return choice_option(plain, "pix_fmt", "yuv420p", pixel_formats(encoder));
}

Words names_of(const std::vector<CodecOptionInfo>& options) {
    Words names;
    for (const CodecOptionInfo& option : options) names.push_back(option.name);
    return names;
}

}  // namespace

EncoderSettings parse_encoder_options(const CodecOptions& options, const std::vector<std::string>& allowed) {
    EncoderSettings settings;
    settings.encoder = choice_option(options, "encoder", allowed.front(), allowed);
    const bool mjpeg = settings.encoder == "mjpeg";
    const Words known = names_of(encoder_option_list({settings.encoder}));
    for (const auto& [name, value] : options) {
        if (contains(known, name)) continue;
        throw Error(ErrorCode::invalid_argument,
                    "encoder " + settings.encoder + " has no option '" + name + "'; valid: " + joined(known));
    }
    settings.preset = choice_option(options, "preset", encoder_defaults::kPreset, kPresets);
    settings.tune = choice_option(options, "tune", encoder_defaults::kTune, kTunes);
    settings.crf = number_option(options, "crf", encoder_defaults::kCrf, 0, kWorstQuantizer);
    if (options.count("qp") > 0) settings.qp = integer_option(options, "qp", 0, 0, kWorstQuantizer);
    settings.gop = mjpeg ? 1 : integer_option(options, "gop", encoder_defaults::kGop, 1, 100000);
    settings.bframes = integer_option(options, "bframes", encoder_defaults::kBFrames, 0, 16);
    settings.quality = integer_option(options, "quality", encoder_defaults::kJpegQuality, 1, 31);
    settings.frame_rate = number_option(options, "frame_rate", encoder_defaults::kFrameRate, 0.001, 1000);
    settings.threads = integer_option(options, "threads", encoder_defaults::kThreads, 0, 64);
    settings.pixel_format = pixel_format_option(options, settings.encoder);
    if (settings.qp && options.count("crf") > 0) {
        throw Error(ErrorCode::invalid_argument, "options 'crf' and 'qp' exclude each other; give one of them");
    }
    return settings;
}

std::vector<CodecOptionInfo> encoder_option_list(const std::vector<std::string>& allowed) {
    std::vector<CodecOptionInfo> list = {{"encoder", allowed.front(), joined(allowed)}};
    const bool x264 = contains(allowed, "libx264");
    const bool mjpeg = contains(allowed, "mjpeg");
    if (x264) {
        list.push_back({"preset", encoder_defaults::kPreset, "speed against size: " + joined(kPresets)});
        list.push_back({"tune", encoder_defaults::kTune, "what to favour: " + joined(kTunes)});
        list.push_back({"crf", number_text(encoder_defaults::kCrf),
                        "constant quality, 0 (lossless) to 51 (worst); gray frames come back exactly at 0"});
        list.push_back({"qp", "", "constant quantizer instead of crf, 0 (lossless) to 51"});
        list.push_back({"gop", std::to_string(encoder_defaults::kGop), "most frames from one key frame to the next"});
        list.push_back({"bframes", std::to_string(encoder_defaults::kBFrames),
                        "B-frames in a row: smaller files, later commits, slower random access"});
    }
    if (mjpeg) {
        list.push_back({"quality", std::to_string(encoder_defaults::kJpegQuality), "1 (best) to 31 (smallest)"});
    }
    list.push_back({"pix_fmt", "yuv420p", "kept colour: " + joined(pixel_formats(x264 ? "libx264" : "mjpeg"))});
    list.push_back(
        {"frame_rate", number_text(encoder_defaults::kFrameRate), "nominal, frames per second, for players"});
    list.push_back({"threads", std::to_string(encoder_defaults::kThreads),
                    "of the encoder, 0 for one per processor; each delays the stored frames by one"});
    return list;
}

}  // namespace reelstore
