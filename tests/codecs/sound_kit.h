#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numbers>
#include <string>
#include <vector>

#include "codecs/video/audio_samples.h"

namespace reelstore {

/// A short tone at the beginning of every second, whose pitch tells the second.
struct Beep {
    double at = 0;  ///< seconds
    int second = 0;
};

inline double beep_pitch(int second) {
    return 1000.0 + 150.0 * second;
}

/// Samples from -1 to 1 of one channel: beeps of 30 ms at 0, 1, 2, ... s.
inline std::vector<float> make_beeps(double seconds, int rate) {
    std::vector<float> samples(static_cast<size_t>(std::lround(seconds * rate)));
    for (size_t i = 0; i < samples.size(); ++i) {
        const auto second = static_cast<int>(i / static_cast<size_t>(rate));
        const double behind = static_cast<double>(i % static_cast<size_t>(rate)) / rate;
        if (behind < 0.03)
            samples[i] = static_cast<float>(0.8 * std::cos(2 * std::numbers::pi * beep_pitch(second) * behind));
    }
    return samples;
}

/// Finds the beeps: where the sound begins after silence, and how often it then passes zero. One that is
/// cut off is none.
inline std::vector<Beep> find_beeps(const std::vector<float>& samples, int rate, double first_second) {
    constexpr double kQuiet = 0.2;
    constexpr double kCounted = 0.025;
    std::vector<Beep> beeps;
    auto silent = static_cast<int64_t>(kQuiet * rate);
    for (size_t i = 0; i < samples.size(); ++i) {
        if (std::abs(samples[i]) < 0.3F) {
            ++silent;
            continue;
        }
        const size_t end = i + static_cast<size_t>(kCounted * rate);
        if (silent >= static_cast<int64_t>(kQuiet * rate) && end <= samples.size()) {
            int rises = 0;
            for (size_t j = i + 1; j < end; ++j) rises += samples[j - 1] < 0 && samples[j] >= 0;
            const double pitch = rises / kCounted;
            beeps.push_back({.at = first_second + static_cast<double>(i) / rate,
                             .second = static_cast<int>(std::lround((pitch - beep_pitch(0)) / 150))});
        }
        silent = 0;
    }
    return beeps;
}

/// A .wav of 16-bit samples, the same in every channel, byte by byte. `said_bytes`: what its header says of them.
inline void write_wav(const std::filesystem::path& path, const std::vector<float>& samples, int rate, int channels,
                      uint32_t said_bytes = 0) {
    std::vector<char> bytes;
    const auto add = [&](uint32_t value, int size) {
        for (int i = 0; i < size; ++i) bytes.push_back(static_cast<char>(value >> 8 * i));
    };
    const auto add_name = [&](const char* name) { bytes.insert(bytes.end(), name, name + 4); };
    const auto size = static_cast<uint32_t>(samples.size() * static_cast<size_t>(channels) * 2);
    if (said_bytes == 0) said_bytes = size;
    add_name("RIFF");
    add(36 + said_bytes, 4);
    add_name("WAVE");
    add_name("fmt ");
    add(16, 4);
    add(1, 2);
    add(static_cast<uint32_t>(channels), 2);
    add(static_cast<uint32_t>(rate), 4);
    add(static_cast<uint32_t>(rate * channels * 2), 4);
    add(static_cast<uint32_t>(channels * 2), 2);
    add(16, 2);
    add_name("data");
    add(said_bytes, 4);
    for (const float sample : samples) {
        const auto value = static_cast<int16_t>(std::lround(sample * 32767));
        for (int channel = 0; channel < channels; ++channel) add(static_cast<uint16_t>(value), 2);
    }
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

/// What is heard of a file from second 0 of its own clock on: the first channel.
struct Heard {
    std::vector<float> samples;
    int rate = 0;
    double first_second = 0;
    std::string codec;
};

inline Heard hear(const std::filesystem::path& path) {
    AudioFile file(path);
    AudioSamples decoded(file, 0, false);
    Heard heard{.samples = {}, .rate = decoded.decoded().rate, .first_second = 0, .codec = file.codec()};
    const int channels = decoded.decoded().channels;
    decoded.convert_to({.format = AV_SAMPLE_FMT_FLT, .rate = heard.rate, .channels = channels});
    constexpr int kBlock = 4096;
    for (;;) {
        decoded.ensure(kBlock);
        const int count = std::min(kBlock, decoded.waiting());
        if (count == 0) break;
        if (heard.samples.empty()) heard.first_second = static_cast<double>(decoded.begin()) / heard.rate;
        const UniqueFrame frame = decoded.take(count);
        const auto* values = reinterpret_cast<const float*>(frame->data[0]);
        for (int i = 0; i < count; ++i) heard.samples.push_back(values[i * channels]);
    }
    return heard;
}

inline std::vector<Beep> beeps_of(const std::filesystem::path& path) {
    const Heard heard = hear(path);
    return find_beeps(heard.samples, heard.rate, heard.first_second);
}

}  // namespace reelstore
