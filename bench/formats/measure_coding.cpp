#include <algorithm>

#include "bench/formats/coder.h"
#include "bench/formats/measure.h"

namespace reelstore::bench {

namespace {

using Coded = std::vector<std::vector<uint8_t>>;

struct Contender {
    CoderEntry entry;
    std::unique_ptr<Coder> coder;
    Coded coded;
    int64_t wrong = 0;
    double frame_bytes = 0;
};

std::vector<CoderEntry> entries(const Clip& clip) {
    std::vector<CoderEntry> all = predicted_coders();
    const auto add = [&](const std::vector<CoderEntry>& more) { all.insert(all.end(), more.begin(), more.end()); };
    add(zstd_coders());
    add(blosc_coders());
    add(ffv1_coders(clip));
    all.push_back(png_coder());
    all.push_back(copy_coder());
    return all;
}

/// Encodes all images, and checks them.
Contender make_contender(const CoderEntry& entry, const Clip& clip, const std::vector<cv::Mat>& images) {
    Contender contender = {.entry = entry, .coder = entry.make(clip), .coded = {}};
    for (const cv::Mat& image : images) {
        const std::span<const uint8_t> bytes = contender.coder->encode(image);
        contender.coded.emplace_back(bytes.begin(), bytes.end());
        contender.frame_bytes += static_cast<double>(bytes.size()) / static_cast<double>(images.size());
        cv::Mat decoded(image.size(), image.type(), cv::Scalar::all(0));
        contender.coder->decode(contender.coded.back(), decoded);
        if (entry.whole_decoder && !identical(decoded, image)) ++contender.wrong;
    }
    return contender;
}

}  // namespace

CodingResult measure_coding(const Clip& clip, const Scale& scale) {
    std::vector<cv::Mat> images;
    const size_t count = std::min(scale.coded_images, clip.images.size());
    for (size_t i = 0; i < count; ++i) images.push_back(clip.images[i * clip.images.size() / count]);

    std::vector<Contender> contenders;
    const auto image_bytes = static_cast<double>(clip.type.bytes());
    CodingResult result = {{clip.name, image_bytes}, {clip.name, image_bytes}};
    for (const CoderEntry& entry : entries(clip)) {
        contenders.push_back(make_contender(entry, clip, images));
        const Series series = {.name = entry.name, .frame_bytes = contenders.back().frame_bytes};
        if (entry.whole_decoder) result.encode.series.push_back(series);
        result.decode.series.push_back(series);
    }

    cv::Mat decoded(clip.type.height, clip.type.width, clip.type.cv_type(), cv::Scalar::all(0));
    for (int repetition = 0; repetition < scale.repetitions; ++repetition) {
        size_t encoder = 0;
        for (size_t i = 0; i < contenders.size(); ++i) {
            Contender& contender = contenders[i];
            const size_t timed = contender.entry.slow ? std::min(scale.slow_images, count) : count;
            Pass encoding;
            Pass decoding;
            for (size_t k = 0; k < timed; ++k) {
                // Slow ones get others in each repetition.
                const size_t image = (static_cast<size_t>(repetition) * timed + k) % count;
                if (contender.entry.whole_decoder) encoding.time([&] { contender.coder->encode(images[image]); });
            }
            for (size_t k = 0; k < timed; ++k) {
                const size_t image = (static_cast<size_t>(repetition) * timed + k) % count;
                decoding.time([&] { contender.coder->decode(contender.coded[image], decoded); });
            }
            decoding.wrong_frames = repetition == 0 ? contender.wrong : 0;
            result.decode.series[i].passes.push_back(decoding);
            if (contender.entry.whole_decoder) result.encode.series[encoder++].passes.push_back(encoding);
        }
    }
    return result;
}

}  // namespace reelstore::bench
