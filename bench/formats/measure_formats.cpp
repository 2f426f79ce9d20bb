#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include <fmt/format.h>
#include <opencv2/core.hpp>

#include "base/error.h"
#include "bench/formats/measure.h"
#include "codecs/chunk_format.h"

namespace reelstore::bench {

namespace {

namespace fs = std::filesystem;

struct Variant {
    const ChunkFormat* format = nullptr;
    CodecOptions options = {};

    std::string name() const {
        std::string text = format->info().name;
        for (const auto& [option, value] : options) text += fmt::format(", {} {}", option, value);
        return text;
    }
};

std::vector<Variant> variants(const ImageType& type) {
    std::vector<Variant> all;
    for (const auto& format : chunk_formats()) {
        const ChunkFormatInfo& info = format->info();
        if (info.decodes_at_write || !info.unavailable.empty() || format->refuses(type)) continue;
        all.push_back({format.get()});
        if (info.name == "predicted/rpz") all.push_back({format.get(), {{"effort", "small"}}});
    }
    return all;
}

uint64_t bytes_of(const fs::path& chunk) {
    if (!fs::is_directory(chunk)) return fs::file_size(chunk);
    uint64_t bytes = 0;
    for (const auto& file : fs::directory_iterator(chunk)) bytes += file.file_size();
    return bytes;
}

double psnr(const cv::Mat& image, const cv::Mat& original, int bits) {
    if (image.size() != original.size() || image.type() != original.type()) return 0;
    const double squares = cv::norm(image, original, cv::NORM_L2SQR);
    if (squares == 0) return std::numeric_limits<double>::infinity();
    const double peak = (1 << bits) - 1;
    return 10 * std::log10(peak * peak * static_cast<double>(original.total()) / squares);
}

class FormatMeasurement {
public:
    FormatMeasurement(const Variant& variant, const Clip& clip, std::span<const cv::Mat> images, const fs::path& folder)
        : variant_(variant), clip_(clip), images_(images), path_(folder / ("chunk" + extension())) {
        result_.name = variant.name();
        result_.lossless = variant.format->info().lossless;
        result_.least_psnr = std::numeric_limits<double>::infinity();
        indices_.resize(images.size());
        std::iota(indices_.begin(), indices_.end(), int64_t{0});
    }

    void repeat() {
        fs::remove_all(path_);
        Pass writing;
        writing.time([&] { write(); });
        writing.frames = static_cast<int64_t>(images_.size());
        result_.write.passes.push_back(writing);
        result_.write.frame_bytes = static_cast<double>(bytes_of(path_)) / static_cast<double>(images_.size());
        result_.in_order.passes.push_back(read(indices_));
        std::vector<int64_t> shuffled = indices_;
        std::shuffle(shuffled.begin(), shuffled.end(), random_);
        result_.at_random.passes.push_back(read(shuffled));
        fs::remove_all(path_);
    }

    FormatResult take() { return std::move(result_); }

private:
    std::string extension() const {
        return variant_.format->info().kind == ChunkKind::file ? variant_.format->info().extension : "";
    }

    void write() const {
        const auto writer = variant_.format->create(path_, clip_.type, variant_.options);
        for (const cv::Mat& image : images_) writer->write(image);
        writer->finish();
    }

    Pass read(std::span<const int64_t> indices) {
        const auto reader = variant_.format->open(path_, clip_.type);
        Pass pass;
        for (const int64_t index : indices) {
            cv::Mat image;
            pass.time([&] { image = reader->read(index); });
            const double quality = psnr(image, images_[static_cast<size_t>(index)], clip_.bits);
            result_.least_psnr = std::min(result_.least_psnr, quality);
            if (result_.lossless && std::isfinite(quality)) ++pass.wrong_frames;
        }
        return pass;
    }

    const Variant& variant_;
    const Clip& clip_;
    std::span<const cv::Mat> images_;
    fs::path path_;
    std::vector<int64_t> indices_;
    std::mt19937 random_{7};
    FormatResult result_;
};

}  // namespace

FormatsResult measure_formats(const Clip& clip, const Scale& scale, const fs::path& folder) {
    const std::span<const cv::Mat> images(clip.images.data(), std::min(scale.format_images, clip.images.size()));
    FormatsResult result = {.clip = clip.name, .image_bytes = static_cast<double>(clip.type.bytes())};
    for (const Variant& variant : variants(clip.type)) {
        FormatMeasurement measurement(variant, clip, images, folder);
        for (int repetition = 0; repetition < scale.format_repetitions; ++repetition) measurement.repeat();
        result.formats.push_back(measurement.take());
    }
    return result;
}

}  // namespace reelstore::bench
