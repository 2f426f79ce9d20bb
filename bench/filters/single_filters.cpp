#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "base/error.h"
#include "base/pixel_type.h"
#include "bench/filters/parts.h"
#include "bench/footage.h"
#include "bench/output.h"
#include "filters/filter_table.h"

namespace reelstore::bench {

namespace {

constexpr char kOpenCv[] = "OpenCV";
constexpr char kMemcpy[] = "memcpy";

/// One filter beside the calls of OpenCV that a user would write instead.
struct SingleFilter {
    std::string filter;  ///< as --filter understands it
    std::string calls;   ///< "convertTo"
    std::function<bool(const ImageType& type)> takes;
    std::function<void(const cv::Mat& image, cv::Mat& result)> opencv;
    double tolerance = 0;  ///< by which integers may differ
    double float_tolerance = 0;
};

bool takes_all(const ImageType&) {
    return true;
}

bool takes_integers(const ImageType& type) {
    return type.depth != CV_32F;
}

bool takes_floats(const ImageType& type) {
    return type.depth == CV_32F;
}

bool takes_bytes(const ImageType& type) {
    return type.depth == CV_8U;
}

double white_of(const cv::Mat& image) {
    return image.depth() == CV_8U ? 255 : image.depth() == CV_16U ? 65535 : 1;
}

/// By table where that is what a user would do.
template <typename Change>
void by_table(const cv::Mat& image, cv::Mat& result, Change change) {
    cv::Mat table(1, 256, CV_8U);
    for (int i = 0; i < 256; ++i) table.at<uint8_t>(i) = cv::saturate_cast<uint8_t>(255 * change(i / 255.0));
    cv::LUT(image, table, result);
}

/// One row of images for each type. The same for whoever is measured.
std::vector<cv::Mat> test_images(const ImageType& type, int count) {
    const auto footage = synthetic_footage({type.height, type.width, type.channels, CV_8U});
    std::vector<cv::Mat> images;
    for (int i = 0; i < count; ++i) {
        cv::Mat image = footage->next().clone();
        draw_number(image, i);
        if (type.depth == CV_16U) image.convertTo(image, CV_16U, 257);
        if (type.depth == CV_32F) image.convertTo(image, CV_32F, 1.0 / 255);
        images.push_back(image);
    }
    return images;
}

bool near(const cv::Mat& image, const cv::Mat& other, double tolerance) {
    if (image.size() != other.size() || image.type() != other.type()) return false;
    return cv::norm(image, other, cv::NORM_INF) <= tolerance;
}

/// Where reference images of a type are. Files are of two depths only.
std::string reference_path(const std::string& folder, const char* name, int type) {
    return fmt::format("{}/{}_{}.tif", folder, name, type);
}

cv::Mat reference_image(const cv::Size& size, int type, double low, double high) {
    cv::Mat image(size, CV_MAKETYPE(CV_32F, CV_MAT_CN(type)));
    cv::RNG random(7);
    random.fill(image, cv::RNG::UNIFORM, low, high);
    const int depth = CV_MAT_DEPTH(type);
    image.convertTo(image, depth, depth == CV_8U ? 255 : depth == CV_16U ? 65535 : 1);
    return image;
}

Comparison compare(const SingleFilter& single, const std::vector<cv::Mat>& images, int repetitions) {
    const std::vector<std::unique_ptr<Filter>> made = make_filters(single.filter);
    Filter& filter = *made.at(0);
    const ImageType type = ImageType::of(images[0]);
    Comparison comparison = {type.text(), static_cast<double>(type.bytes()), {}};
    comparison.series = {{.name = kReelstore}, {.name = kOpenCv}, {.name = kMemcpy}};
    cv::Mat result;
    cv::Mat expected;
    cv::Mat copied;
    const double tolerance = type.depth == CV_32F ? single.float_tolerance : single.tolerance;
    const auto push = [&](const cv::Mat& image, int64_t index) {
        Frame frame;
        frame.image = image;
        frame.index = index;
        result.release();
        filter.push(std::move(frame), [&](Frame changed) { result = std::move(changed.image); });
    };
    for (int repetition = 0; repetition < repetitions; ++repetition) {
        for (Series& series : comparison.series) series.passes.emplace_back();
        // What is made once, tables for example, is not timed.
        push(images[0], 0);
        for (size_t i = 0; i < images.size(); ++i)
            comparison.series[0].passes.back().time([&] { push(images[i], static_cast<int64_t>(i)); });
        single.opencv(images[0], expected);
        for (const cv::Mat& image : images)
            comparison.series[1].passes.back().time([&] {
                // As a filter's, every result has memory of its own.
                expected.release();
                single.opencv(image, expected);
            });
        images[0].copyTo(copied);
        for (const cv::Mat& image : images)
            comparison.series[2].passes.back().time([&] { std::memcpy(copied.data, image.data, type.bytes()); });
    }
    for (size_t i = 0; i < images.size(); ++i) {
        push(images[i], static_cast<int64_t>(i));
        single.opencv(images[i], expected);
        comparison.series[0].passes.back().wrong_frames += !near(result, expected, tolerance);
    }
    return comparison;
}

/// `folder`: where reference images of `size` are put.
std::vector<SingleFilter> single_filters(const std::string& folder, const cv::Size& size) {
    std::vector<SingleFilter> all;
    all.push_back({"brightness=12.5:0.75", "convertTo", takes_all,
                   [](const cv::Mat& image, cv::Mat& result) { image.convertTo(result, -1, 0.75, 12.5); }, 1, 1e-5});
    all.push_back({"gamma=2.2", "LUT", takes_bytes,
                   [](const cv::Mat& image, cv::Mat& result) {
                       by_table(image, result, [](double value) { return std::pow(value, 1 / 2.2); });
                   },
                   1});
    all.push_back({"gamma=2.2", "convertTo, pow, convertTo", [](const ImageType& type) { return type.depth == CV_16U; },
                   [](const cv::Mat& image, cv::Mat& result) {
                       cv::Mat values;
                       image.convertTo(values, CV_32F, 1 / white_of(image));
                       cv::pow(values, 1 / 2.2, values);
                       values.convertTo(result, image.depth(), white_of(image));
                   },
                   1});
    all.push_back({"gamma=2.2", "max, pow", takes_floats,
                   [](const cv::Mat& image, cv::Mat& result) {
                       cv::max(image, 0.0, result);
                       cv::pow(result, 1 / 2.2, result);
                   },
                   0, 1e-5});
    all.push_back({"invert", "bitwise_not", takes_integers,
                   [](const cv::Mat& image, cv::Mat& result) { cv::bitwise_not(image, result); }});
    all.push_back({"invert", "subtract", takes_floats,
                   [](const cv::Mat& image, cv::Mat& result) { cv::subtract(cv::Scalar::all(1), image, result); }, 0,
                   1e-6});
    all.push_back({"threshold=0.4", "threshold", takes_all, [](const cv::Mat& image, cv::Mat& result) {
                       cv::threshold(image, result, 0.4, white_of(image), cv::THRESH_BINARY);
                   }});
    all.push_back({"normalize", "normalize(NORM_MINMAX)", takes_all,
                   [](const cv::Mat& image, cv::Mat& result) {
                       cv::normalize(image.reshape(1), result, 0, white_of(image), cv::NORM_MINMAX);
                       result = result.reshape(image.channels());
                   },
                   1, 1e-5});
    for (const bool bytes : {true, false}) {
        const double low = bytes ? 20 : 5000;
        const double high = bytes ? 200 : 50000;
        all.push_back({fmt::format("normalize={}:{}", low, high), "convertTo",
                       [=](const ImageType& type) { return type.depth == (bytes ? CV_8U : CV_16U); },
                       [=](const cv::Mat& image, cv::Mat& result) {
                           const double factor = white_of(image) / (high - low);
                           image.convertTo(result, -1, factor, -low * factor);
                       },
                       1});
    }
    all.push_back({"normalize=0.1:0.9", "convertTo, min, max", takes_floats,
                   [](const cv::Mat& image, cv::Mat& result) {
                       image.convertTo(result, -1, 1 / 0.8, -0.1 / 0.8);
                       cv::min(result, 1.0, result);
                       cv::max(result, 0.0, result);
                   },
                   0, 1e-5});
    all.push_back({"8bit", "minMaxLoc, convertTo", takes_all,
                   [](const cv::Mat& image, cv::Mat& result) {
                       double low = 0;
                       double high = 0;
                       cv::minMaxLoc(image.reshape(1), &low, &high);
                       const double factor = high > low ? 255 / (high - low) : 0;
                       image.convertTo(result, CV_8U, factor, -low * factor);
                   },
                   1, 1});
    all.push_back({"8bit=0:1", "min, convertTo", takes_floats,
                   [](const cv::Mat& image, cv::Mat& result) {
                       // Without it, what is infinite becomes black.
                       cv::Mat values;
                       cv::min(image, 1.0, values);
                       values.convertTo(result, CV_8U, 255);
                   },
                   0, 1});
    all.push_back({"clahe", "CLAHE::apply",
                   [](const ImageType& type) { return type.depth != CV_32F && type.channels == 1; },
                   [clahe = cv::createCLAHE(8, cv::Size(5, 5))](const cv::Mat& image, cv::Mat& result) {
                       clahe->apply(image, result);
                   }});
    all.push_back({"clahe", "cvtColor, CLAHE::apply, cvtColor",
                   [](const ImageType& type) { return type.depth == CV_8U && type.channels == 3; },
                   [clahe = cv::createCLAHE(8, cv::Size(5, 5))](const cv::Mat& image, cv::Mat& result) {
                       cv::Mat lab;
                       cv::cvtColor(image, lab, cv::COLOR_BGR2Lab);
                       cv::Mat lightness;
                       cv::extractChannel(lab, lightness, 0);
                       clahe->apply(lightness, lightness);
                       cv::insertChannel(lightness, lab, 0);
                       cv::cvtColor(lab, result, cv::COLOR_Lab2BGR);
                   }});
    all.push_back({"crop=100:50:200:150", "operator(), clone", takes_all,
                   [](const cv::Mat& image, cv::Mat& result) { result = image(cv::Rect(100, 50, 200, 150)).clone(); }});
    all.push_back(
        {"flip", "flip", takes_all, [](const cv::Mat& image, cv::Mat& result) { cv::flip(image, result, 1); }});
    all.push_back({"flip=vertical", "flip", takes_all,
                   [](const cv::Mat& image, cv::Mat& result) { cv::flip(image, result, 0); }});
    all.push_back({"rotate=90", "rotate", takes_all, [](const cv::Mat& image, cv::Mat& result) {
                       cv::rotate(image, result, cv::ROTATE_90_COUNTERCLOCKWISE);
                   }});
    all.push_back({"rotate=180", "rotate", takes_all,
                   [](const cv::Mat& image, cv::Mat& result) { cv::rotate(image, result, cv::ROTATE_180); }});
    all.push_back({"rotate=12.5", "warpAffine", takes_all, [](const cv::Mat& image, cv::Mat& result) {
                       const cv::Point2f middle(static_cast<float>(image.cols - 1) / 2,
                                                static_cast<float>(image.rows - 1) / 2);
                       cv::warpAffine(image, result, cv::getRotationMatrix2D(middle, 12.5, 1), image.size());
                   }});
    all.push_back({"pad=16:mode=reflect", "copyMakeBorder", takes_all, [](const cv::Mat& image, cv::Mat& result) {
                       cv::copyMakeBorder(image, result, 16, 16, 16, 16, cv::BORDER_REFLECT_101);
                   }});
    const std::vector<std::pair<std::string, int>> interpolations = {
        {"area", cv::INTER_AREA}, {"linear", cv::INTER_LINEAR}, {"cubic", cv::INTER_CUBIC}};
    for (const auto& [name, flag] : interpolations) {
        all.push_back({"resize=scale=0.5:interpolation=" + name, "resize", takes_all,
                       [flag = flag](const cv::Mat& image, cv::Mat& result) {
                           cv::resize(image, result, cv::Size(), 0.5, 0.5, flag);
                       }});
    }
    all.push_back({"gaussian=1.5", "GaussianBlur", takes_all,
                   [](const cv::Mat& image, cv::Mat& result) { cv::GaussianBlur(image, result, cv::Size(), 1.5); }});
    all.push_back({"box=5", "blur", takes_all,
                   [](const cv::Mat& image, cv::Mat& result) { cv::blur(image, result, cv::Size(5, 5)); }});
    all.push_back({"median=3", "medianBlur", takes_all,
                   [](const cv::Mat& image, cv::Mat& result) { cv::medianBlur(image, result, 3); }});
    all.push_back({"sharpen", "GaussianBlur, addWeighted", takes_all,
                   [](const cv::Mat& image, cv::Mat& result) {
                       cv::GaussianBlur(image, result, cv::Size(), 1);
                       cv::addWeighted(image, 1.7, result, -0.7, 0, result);
                   },
                   0, 1e-6});
    for (const int type : {CV_8UC1, CV_8UC3, CV_16UC1, CV_16UC3, CV_32FC1, CV_32FC3}) {
        const cv::Mat flat = reference_image(size, type, 0.5, 0.9);
        const cv::Mat dark = reference_image(size, type, 0, 0.1);
        const std::string flat_path = reference_path(folder, "flat", type);
        const std::string dark_path = reference_path(folder, "dark", type);
        // Without this, floats of three channels lose much.
        const std::vector<int> not_compressed = {cv::IMWRITE_TIFF_COMPRESSION, 1};
        if (!cv::imwrite(flat_path, flat, not_compressed) || !cv::imwrite(dark_path, dark, not_compressed))
            throw Error(ErrorCode::io, {flat_path, {}, {}}, "cannot write the file");
        const auto takes = [type](const ImageType& of) { return of.cv_type() == type; };
        cv::Mat light;
        cv::subtract(flat, dark, light, cv::noArray(), CV_32F);
        cv::Mat factors(light.size(), light.type(), cv::mean(light));
        cv::divide(factors, light, factors);
        all.push_back({fmt::format("flat-field='{}':'{}'", flat_path, dark_path), "subtract, multiply", takes,
                       [dark, factors](const cv::Mat& image, cv::Mat& result) {
                           cv::Mat values;
                           cv::subtract(image, dark, values, cv::noArray(), CV_32F);
                           cv::multiply(values, factors, result, 1, image.depth());
                       },
                       1, 1e-5});
        all.push_back({fmt::format("dark-frame='{}'", dark_path), "subtract", takes,
                       [dark](const cv::Mat& image, cv::Mat& result) { cv::subtract(image, dark, result); }});
    }
    return all;
}

}  // namespace

Part measure_single_filters(const Scale& scale, std::string_view only) {
    const cv::Size size = scale.quick ? cv::Size(416, 320) : cv::Size(1280, 1024);
    const int count = scale.quick ? 2 : 8;
    const TemporaryFolder folder;
    const std::vector<SingleFilter> all = single_filters(folder.path().string(), size);
    Part part = {.title = "Single filters",
                 .explanation = "Images of 1280x1024, one thread. Every result has memory of its own."};
    const int threads = cv::getNumThreads();
    cv::setNumThreads(1);
    for (const int depth : {CV_8U, CV_16U, CV_32F}) {
        for (const int channels : {1, 3}) {
            const ImageType type = {size.height, size.width, channels, depth};
            const std::vector<cv::Mat> images = test_images(type, count);
            for (const SingleFilter& single : all) {
                // Without the paths of references.
                const std::string filter = single.filter.substr(0, single.filter.find("='"));
                const std::string name = fmt::format("{}, {} {} (OpenCV: {})", filter, dtype_name(depth),
                                                     channels == 1 ? "gray" : "color", single.calls);
                if (!single.takes(type) || name.find(only) == std::string::npos) continue;
                part.works.push_back({name, compare(single, images, scale.repetitions), {{kReelstore, kOpenCv, 1}}});
            }
        }
    }
    cv::setNumThreads(threads);
    return part;
}

}  // namespace reelstore::bench
