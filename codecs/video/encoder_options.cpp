#include "codecs/video/encoder_options.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "codecs/video/encoder_defaults.h"

namespace reelstore {

namespace {

using Words = std::vector<std::string>;

const Words kPresets = {"ultrafast", "superfast", "veryfast", "faster",   "fast",
                        "medium",    "slow",      "slower",   "veryslow", "placebo"};
const Words kTunes = {"film", "animation", "grain", "stillimage", "psnr", "ssim", "fastdecode", "zerolatency"};

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

[[noreturn]] void refuse(const std::string& name, const std::string& value, const std::string& valid) {
    throw Error(ErrorCode::invalid_argument, "option '" + name + "' cannot be '" + value + "'; valid: " + valid);
}

const std::string& word(const std::string& name, const std::string& value, const Words& valid) {
    if (!contains(valid, value)) refuse(name, value, joined(valid));
    return value;
}

double number(const std::string& name, const std::string& value, double low, double high) {
    double parsed = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), parsed);
    if (error != std::errc() || end != value.data() + value.size() || !(parsed >= low && parsed <= high)) {
        refuse(name, value, "a number from " + number_text(low) + " to " + number_text(high));
    }
    return parsed;
}

int integer(const std::string& name, const std::string& value, int low, int high) {
    int parsed = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), parsed);
    if (error != std::errc() || end != value.data() + value.size() || parsed < low || parsed > high) {
        refuse(name, value, "a whole number from " + std::to_string(low) + " to " + std::to_string(high));
    }
    return parsed;
}

Words names_of(const std::vector<CodecOptionInfo>& options) {
    Words names;
    for (const CodecOptionInfo& option : options) names.push_back(option.name);
    return names;
}

}  // namespace

EncoderSettings parse_encoder_options(const CodecOptions& options, const std::vector<std::string>& allowed) {
    EncoderSettings settings;
    const auto encoder = options.find("encoder");
    settings.encoder = encoder == options.end() ? allowed.front() : word("encoder", encoder->second, allowed);
    settings.preset = encoder_defaults::kPreset;
    settings.crf = encoder_defaults::kCrf;
    settings.gop = settings.encoder == "mjpeg" ? 1 : encoder_defaults::kGop;
    settings.bframes = encoder_defaults::kBFrames;
    settings.quality = encoder_defaults::kJpegQuality;
    settings.pixel_format = "yuv420p";
    settings.frame_rate = encoder_defaults::kFrameRate;
    settings.threads = encoder_defaults::kThreads;

    const Words known = names_of(encoder_option_list({settings.encoder}));
    for (const auto& [name, value] : options) {
        if (!contains(known, name)) {
            throw Error(ErrorCode::invalid_argument,
                        "encoder " + settings.encoder + " has no option '" + name + "'; valid: " + joined(known));
        }
        if (name == "preset") settings.preset = word(name, value, kPresets);
        if (name == "tune") settings.tune = word(name, value, kTunes);
        if (name == "crf") settings.crf = number(name, value, 0, 51);
        if (name == "qp") settings.qp = integer(name, value, 0, 51);
        if (name == "gop") settings.gop = integer(name, value, 1, 100000);
        if (name == "bframes") settings.bframes = integer(name, value, 0, 16);
        if (name == "quality") settings.quality = integer(name, value, 1, 31);
        if (name == "frame_rate") settings.frame_rate = number(name, value, 0.001, 1000);
        if (name == "threads") settings.threads = integer(name, value, 0, 64);
        if (name == "pix_fmt") {
            const std::string plain = value.rfind("yuvj", 0) == 0 ? "yuv" + value.substr(4) : value;
            if (!contains(pixel_formats(settings.encoder), plain))
                refuse(name, value, joined(pixel_formats(settings.encoder)));
            settings.pixel_format = plain;
        }
    }
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
        list.push_back({"tune", "", "what the footage is like: " + joined(kTunes)});
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
