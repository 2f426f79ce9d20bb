#include "codecs/packed/pixel_filter.h"

#include <algorithm>
#include <cstring>

#include <opencv2/core.hpp>

#include "codecs/packed/pixel_planes.h"

namespace reelstore {

namespace {

/// Only for moving samples about: OpenCV cannot split half floats.
template <class T>
constexpr int kDepth = sizeof(T) == 1 ? CV_8U : (sizeof(T) == 2 ? CV_16U : (sizeof(T) == 4 ? CV_32S : CV_64F));

template <class T>
cv::Mat plane_view(const SamplePlane& plane, T* samples) {
    return cv::Mat(plane.height, plane.width, CV_MAKETYPE(kDepth<T>, 1), samples + plane.first);
}

/// Calls `move(interleaved, planes)` for parts of the image whose pixels, as many-channelled ones, are those planes.
template <class T, class Move>
void for_interleaved_parts(const cv::Mat& image, int step, T* samples, const Move& move) {
    const int channels = image.channels();
    const std::vector<SamplePlane> planes = sample_planes(ImageType::of(image), step);
    for (int y = 0; y < std::min(step, image.rows); ++y) {
        const auto view = [&](int first_column, int columns, int width) {
            return cv::Mat((image.rows - y + step - 1) / step, width, CV_MAKETYPE(kDepth<T>, channels * columns),
                           const_cast<uint8_t*>(image.ptr(y, first_column)), image.step[0] * static_cast<size_t>(step));
        };
        const size_t first_plane = static_cast<size_t>(y * step * channels);
        const int whole = image.cols / step;
        std::vector<cv::Mat> parts;
        if (whole > 0) {
            for (int i = 0; i < step * channels; ++i) {
                const SamplePlane& plane = planes[first_plane + static_cast<size_t>(i)];
                parts.push_back(plane_view(plane, samples).colRange(0, whole));
            }
            move(view(0, step, whole), parts);
        }
        if (image.cols % step != 0) {
            parts.clear();
            for (int i = 0; i < channels; ++i) {
                const SamplePlane& plane = planes[first_plane + static_cast<size_t>(i)];
                parts.push_back(plane_view(plane, samples).colRange(whole, whole + 1));
            }
            move(view(whole * step, 1, 1), parts);
        }
    }
}

template <class T>
const PlaneFunctions<T>& plane_functions(FilterInstructions instructions) {
    const PlaneFunctions<T>* best = nullptr;
    if (instructions == FilterInstructions::best) {
        if constexpr (sizeof(T) == 1) best = avx2_plane_functions_8();
        if constexpr (sizeof(T) == 2) best = avx2_plane_functions_16();
    }
    return best ? *best : portable_plane_functions<T>();
}

template <class T>
void filter_plane(const SamplePlane& plane, const T* samples, size_t stride, const PixelFilter& filter,
                  size_t plane_bytes, uint8_t* filtered, FilterInstructions instructions) {
    const auto filter_row = plane_functions<T>(instructions).filter_row[static_cast<int>(filter.predictor)];
    const std::vector<T> zeros(static_cast<size_t>(plane.width));
    uint8_t* bytes = filtered + plane.first;
    const T* above = zeros.data();
    for (int y = 0; y < plane.height; ++y) {
        filter_row(above, samples, plane.width, bytes, plane_bytes);
        above = samples;
        samples += stride;
        bytes += plane.width;
    }
}

template <class T>
T* memory_for(const ImageType& type, FilterMemory& memory) {
    memory.resize(type.bytes());
    return reinterpret_cast<T*>(memory.data());
}

bool filtered_in_place(const ImageType& type, const PixelFilter& filter) {
    return type.channels == 1 && filter.step == 1;
}

template <class T>
void filter_samples(const cv::Mat& image, const PixelFilter& filter, uint8_t* filtered, FilterMemory& memory,
                    FilterInstructions instructions) {
    const ImageType type = ImageType::of(image);
    const ElementKind kind = kind_of_element(type.depth);
    const std::vector<SamplePlane> planes = sample_planes(type, filter.step);
    const size_t count = type.bytes() / sizeof(T);
    if (filtered_in_place(type, filter) && kind == ElementKind::natural) {
        filter_plane(planes[0], image.ptr<T>(), image.step[0] / sizeof(T), filter, count, filtered, instructions);
        return;
    }
    T* const samples = memory_for<T>(type, memory);
    for_interleaved_parts(image, filter.step, samples, [](const cv::Mat& interleaved, std::vector<cv::Mat>& parts) {
        if (parts.size() == 1) {
            interleaved.copyTo(parts[0]);
        } else {
            cv::split(interleaved, parts.data());
        }
    });
    elements_to_samples(kind, samples, count);
    if (filter.subtract_green) {
        for (size_t i = 0; i < planes.size(); i += 3) {
            const T* green = samples + planes[i + 1].first;
            subtract_green(samples + planes[i].first, green, planes[i].size());
            subtract_green(samples + planes[i + 2].first, green, planes[i].size());
        }
    }
    for (const SamplePlane& plane : planes) {
        filter_plane(plane, samples + plane.first, static_cast<size_t>(plane.width), filter, count, filtered,
                     instructions);
    }
}

template <class T>
void restore_samples(const uint8_t* filtered, const PixelFilter& filter, cv::Mat& image, FilterMemory& memory,
                     FilterInstructions instructions) {
    const ImageType type = ImageType::of(image);
    const ElementKind kind = kind_of_element(type.depth);
    const std::vector<SamplePlane> planes = sample_planes(type, filter.step);
    const size_t count = type.bytes() / sizeof(T);
    const auto restore_plane = plane_functions<T>(instructions).restore_plane[static_cast<int>(filter.predictor)];
    if (filtered_in_place(type, filter)) {
        restore_plane(filtered, count, type.width, type.height, image.ptr<T>(), image.step[0] / sizeof(T));
        for (int y = 0; y < type.height; ++y) {
            samples_to_elements(kind, image.ptr<T>(y), static_cast<size_t>(type.width));
        }
        return;
    }
    T* const samples = memory_for<T>(type, memory);
    for (const SamplePlane& plane : planes) {
        if (plane.size() == 0) continue;
        restore_plane(filtered + plane.first, count, plane.width, plane.height, samples + plane.first,
                      static_cast<size_t>(plane.width));
    }
    if (filter.subtract_green) {
        for (size_t i = 0; i < planes.size(); i += 3) {
            const T* green = samples + planes[i + 1].first;
            add_green(samples + planes[i].first, green, planes[i].size());
            add_green(samples + planes[i + 2].first, green, planes[i].size());
        }
    }
    samples_to_elements(kind, samples, count);
    for_interleaved_parts(image, filter.step, samples, [](cv::Mat interleaved, const std::vector<cv::Mat>& parts) {
        if (parts.size() == 1) {
            parts[0].copyTo(interleaved);
        } else {
            cv::merge(parts.data(), parts.size(), interleaved);
        }
    });
}

}  // namespace

std::vector<SamplePlane> sample_planes(const ImageType& type, int step) {
    std::vector<SamplePlane> planes;
    size_t first = 0;
    for (int y = 0; y < step; ++y) {
        for (int x = 0; x < step; ++x) {
            const int width = (type.width - x + step - 1) / step;
            const int height = (type.height - y + step - 1) / step;
            for (int channel = 0; channel < type.channels; ++channel) {
                planes.push_back({width, height, first});
                first += planes.back().size();
            }
        }
    }
    return planes;
}

bool filter_fits(const PixelFilter& filter, const ImageType& type) {
    if (filter.predictor == Predictor::stored) return filter == PixelFilter{};
    if (static_cast<int>(filter.predictor) >= kPredictors) return false;
    if (filter.step != 1 && filter.step != 2) return false;
    // Two steps of the widest pixels would be more channels than OpenCV can move at once.
    if (filter.step == 2 && type.channels > 4) return false;
    if (filter.grouped && CV_ELEM_SIZE1(type.depth) != 1) return false;
    return !filter.subtract_green || type.channels == 3;
}

void filter_pixels(const cv::Mat& image, const PixelFilter& filter, uint8_t* filtered, FilterMemory& memory,
                   FilterInstructions instructions) {
    if (filter.predictor == Predictor::stored) {
        const size_t row_bytes = image.elemSize() * static_cast<size_t>(image.cols);
        for (int y = 0; y < image.rows; ++y) {
            std::memcpy(filtered + static_cast<size_t>(y) * row_bytes, image.ptr(y), row_bytes);
        }
        return;
    }
    switch (image.elemSize1()) {
        case 1:
            return filter_samples<uint8_t>(image, filter, filtered, memory, instructions);
        case 2:
            return filter_samples<uint16_t>(image, filter, filtered, memory, instructions);
        case 4:
            return filter_samples<uint32_t>(image, filter, filtered, memory, instructions);
        default:
            return filter_samples<uint64_t>(image, filter, filtered, memory, instructions);
    }
}

void restore_pixels(const uint8_t* filtered, const PixelFilter& filter, cv::Mat& image, FilterMemory& memory,
                    FilterInstructions instructions) {
    if (filter.predictor == Predictor::stored) {
        const size_t row_bytes = image.elemSize() * static_cast<size_t>(image.cols);
        for (int y = 0; y < image.rows; ++y) {
            std::memcpy(image.ptr(y), filtered + static_cast<size_t>(y) * row_bytes, row_bytes);
        }
        return;
    }
    switch (image.elemSize1()) {
        case 1:
            return restore_samples<uint8_t>(filtered, filter, image, memory, instructions);
        case 2:
            return restore_samples<uint16_t>(filtered, filter, image, memory, instructions);
        case 4:
            return restore_samples<uint32_t>(filtered, filter, image, memory, instructions);
        default:
            return restore_samples<uint64_t>(filtered, filter, image, memory, instructions);
    }
}

}  // namespace reelstore
