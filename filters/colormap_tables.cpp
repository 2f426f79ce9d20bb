#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "base/error.h"
#include "base/nearest_name.h"
#include "base/text.h"
#include "filters/colormap.h"

namespace reelstore {

namespace {

constexpr int kColors = std::tuple_size_v<Colormap>;

struct OpenCvMap {
    const char* name;
    cv::ColormapTypes type;
};
constexpr OpenCvMap kOpenCvMaps[] = {{"autumn", cv::COLORMAP_AUTUMN},
                                     {"bone", cv::COLORMAP_BONE},
                                     {"cividis", cv::COLORMAP_CIVIDIS},
                                     {"cool", cv::COLORMAP_COOL},
                                     {"deepgreen", cv::COLORMAP_DEEPGREEN},
                                     {"hot", cv::COLORMAP_HOT},
                                     {"hsv", cv::COLORMAP_HSV},
                                     {"inferno", cv::COLORMAP_INFERNO},
                                     {"jet", cv::COLORMAP_JET},
                                     {"magma", cv::COLORMAP_MAGMA},
                                     {"ocean", cv::COLORMAP_OCEAN},
                                     {"parula", cv::COLORMAP_PARULA},
                                     {"pink", cv::COLORMAP_PINK},
                                     {"plasma", cv::COLORMAP_PLASMA},
                                     {"rainbow", cv::COLORMAP_RAINBOW},
                                     {"spring", cv::COLORMAP_SPRING},
                                     {"summer", cv::COLORMAP_SUMMER},
                                     {"turbo", cv::COLORMAP_TURBO},
                                     {"twilight", cv::COLORMAP_TWILIGHT},
                                     {"twilight_shifted", cv::COLORMAP_TWILIGHT_SHIFTED},
                                     {"viridis", cv::COLORMAP_VIRIDIS},
                                     {"winter", cv::COLORMAP_WINTER}};

/// Colours at equal distances, between which colours are mixed.
struct Gradient {
    const char* name;
    std::vector<uint32_t> colors;
};

/// The longest sequential (9) and diverging (11) schemes of ColorBrewer and three plain ones. "This product includes
/// color specifications and designs developed by Cynthia Brewer (http://colorbrewer.org/)."
std::vector<Gradient> gradients() {
    return {{"Blues", {0xf7fbff, 0xdeebf7, 0xc6dbef, 0x9ecae1, 0x6baed6, 0x4292c6, 0x2171b5, 0x08519c, 0x08306b}},
            {"BrBG",
             {0x543005, 0x8c510a, 0xbf812d, 0xdfc27d, 0xf6e8c3, 0xf5f5f5, 0xc7eae5, 0x80cdc1, 0x35978f, 0x01665e,
              0x003c30}},
            {"BuGn", {0xf7fcfd, 0xe5f5f9, 0xccece6, 0x99d8c9, 0x66c2a4, 0x41ae76, 0x238b45, 0x006d2c, 0x00441b}},
            {"BuPu", {0xf7fcfd, 0xe0ecf4, 0xbfd3e6, 0x9ebcda, 0x8c96c6, 0x8c6bb1, 0x88419d, 0x810f7c, 0x4d004b}},
            {"GnBu", {0xf7fcf0, 0xe0f3db, 0xccebc5, 0xa8ddb5, 0x7bccc4, 0x4eb3d3, 0x2b8cbe, 0x0868ac, 0x084081}},
            {"Greens", {0xf7fcf5, 0xe5f5e0, 0xc7e9c0, 0xa1d99b, 0x74c476, 0x41ab5d, 0x238b45, 0x006d2c, 0x00441b}},
            {"Greys", {0xffffff, 0xf0f0f0, 0xd9d9d9, 0xbdbdbd, 0x969696, 0x737373, 0x525252, 0x252525, 0x000000}},
            {"Oranges", {0xfff5eb, 0xfee6ce, 0xfdd0a2, 0xfdae6b, 0xfd8d3c, 0xf16913, 0xd94801, 0xa63603, 0x7f2704}},
            {"OrRd", {0xfff7ec, 0xfee8c8, 0xfdd49e, 0xfdbb84, 0xfc8d59, 0xef6548, 0xd7301f, 0xb30000, 0x7f0000}},
            {"PiYG",
             {0x8e0152, 0xc51b7d, 0xde77ae, 0xf1b6da, 0xfde0ef, 0xf7f7f7, 0xe6f5d0, 0xb8e186, 0x7fbc41, 0x4d9221,
              0x276419}},
            {"PRGn",
             {0x40004b, 0x762a83, 0x9970ab, 0xc2a5cf, 0xe7d4e8, 0xf7f7f7, 0xd9f0d3, 0xa6dba0, 0x5aae61, 0x1b7837,
              0x00441b}},
            {"PuBu", {0xfff7fb, 0xece7f2, 0xd0d1e6, 0xa6bddb, 0x74a9cf, 0x3690c0, 0x0570b0, 0x045a8d, 0x023858}},
            {"PuBuGn", {0xfff7fb, 0xece2f0, 0xd0d1e6, 0xa6bddb, 0x67a9cf, 0x3690c0, 0x02818a, 0x016c59, 0x014636}},
            {"PuOr",
             {0x7f3b08, 0xb35806, 0xe08214, 0xfdb863, 0xfee0b6, 0xf7f7f7, 0xd8daeb, 0xb2abd2, 0x8073ac, 0x542788,
              0x2d004b}},
            {"PuRd", {0xf7f4f9, 0xe7e1ef, 0xd4b9da, 0xc994c7, 0xdf65b0, 0xe7298a, 0xce1256, 0x980043, 0x67001f}},
            {"Purples", {0xfcfbfd, 0xefedf5, 0xdadaeb, 0xbcbddc, 0x9e9ac8, 0x807dba, 0x6a51a3, 0x54278f, 0x3f007d}},
            {"RdBu",
             {0x67001f, 0xb2182b, 0xd6604d, 0xf4a582, 0xfddbc7, 0xf7f7f7, 0xd1e5f0, 0x92c5de, 0x4393c3, 0x2166ac,
              0x053061}},
            {"RdGy",
             {0x67001f, 0xb2182b, 0xd6604d, 0xf4a582, 0xfddbc7, 0xffffff, 0xe0e0e0, 0xbababa, 0x878787, 0x4d4d4d,
              0x1a1a1a}},
            {"RdPu", {0xfff7f3, 0xfde0dd, 0xfcc5c0, 0xfa9fb5, 0xf768a1, 0xdd3497, 0xae017e, 0x7a0177, 0x49006a}},
            {"RdYlBu",
             {0xa50026, 0xd73027, 0xf46d43, 0xfdae61, 0xfee090, 0xffffbf, 0xe0f3f8, 0xabd9e9, 0x74add1, 0x4575b4,
              0x313695}},
            {"RdYlGn",
             {0xa50026, 0xd73027, 0xf46d43, 0xfdae61, 0xfee08b, 0xffffbf, 0xd9ef8b, 0xa6d96a, 0x66bd63, 0x1a9850,
              0x006837}},
            {"Reds", {0xfff5f0, 0xfee0d2, 0xfcbba1, 0xfc9272, 0xfb6a4a, 0xef3b2c, 0xcb181d, 0xa50f15, 0x67000d}},
            {"Spectral",
             {0x9e0142, 0xd53e4f, 0xf46d43, 0xfdae61, 0xfee08b, 0xffffbf, 0xe6f598, 0xabdda4, 0x66c2a5, 0x3288bd,
              0x5e4fa2}},
            {"YlGn", {0xffffe5, 0xf7fcb9, 0xd9f0a3, 0xaddd8e, 0x78c679, 0x41ab5d, 0x238443, 0x006837, 0x004529}},
            {"YlGnBu", {0xffffd9, 0xedf8b1, 0xc7e9b4, 0x7fcdbb, 0x41b6c4, 0x1d91c0, 0x225ea8, 0x253494, 0x081d58}},
            {"YlOrBr", {0xffffe5, 0xfff7bc, 0xfee391, 0xfec44f, 0xfe9929, 0xec7014, 0xcc4c02, 0x993404, 0x662506}},
            {"YlOrRd", {0xffffcc, 0xffeda0, 0xfed976, 0xfeb24c, 0xfd8d3c, 0xfc4e2a, 0xe31a1c, 0xbd0026, 0x800026}},
            {"bwr", {0x0000ff, 0xffffff, 0xff0000}},
            {"gray", {0x000000, 0xffffff}},
            {"seismic", {0x00004d, 0x0000ff, 0xffffff, 0xff0000, 0x800000}}};
}

Colormap of_open_cv(cv::ColormapTypes type) {
    cv::Mat values(1, kColors, CV_8U);
    for (int i = 0; i < kColors; ++i) values.at<uint8_t>(i) = static_cast<uint8_t>(i);
    cv::Mat colors;
    cv::applyColorMap(values, colors, type);
    Colormap map;
    for (int i = 0; i < kColors; ++i) {
        const auto& bgr = colors.at<cv::Vec3b>(i);
        map[static_cast<size_t>(i)] = {bgr[2], bgr[1], bgr[0]};
    }
    return map;
}

/// `color_at` gets a place from 0 to 1 and gives red, green and blue of 255.
Colormap of_function(const std::function<cv::Vec3d(double)>& color_at) {
    Colormap map;
    for (int i = 0; i < kColors; ++i) {
        const cv::Vec3d rgb = color_at(static_cast<double>(i) / (kColors - 1));
        const auto rounded = [](double value) { return cv::saturate_cast<uint8_t>(std::floor(value + 0.5)); };
        map[static_cast<size_t>(i)] = {rounded(rgb[0]), rounded(rgb[1]), rounded(rgb[2])};
    }
    return map;
}

cv::Vec3d components(uint32_t rgb) {
    return {static_cast<double>(rgb >> 16), static_cast<double>(rgb >> 8 & 0xff), static_cast<double>(rgb & 0xff)};
}

Colormap of_gradient(const std::vector<uint32_t>& colors) {
    return of_function([&](double place) {
        const double position = place * static_cast<double>(colors.size() - 1);
        const size_t left = std::min(static_cast<size_t>(position), colors.size() - 2);
        const double part = position - static_cast<double>(left);
        return components(colors[left]) * (1 - part) + components(colors[left + 1]) * part;
    });
}

// Moreland, "Diverging color maps for scientific visualization" (2009): mixing in Msh, the polar form of CIE L*a*b*,
// where lightness rises and falls evenly and the hue turns away from the unsaturated middle.
namespace moreland {

struct Msh {
    double magnitude = 0;
    double saturation = 0;
    double hue = 0;
};

// sRGB (IEC 61966-2-1) and its white, D65.
const cv::Matx33d kToXyz(0.4124, 0.3576, 0.1805, 0.2126, 0.7152, 0.0722, 0.0193, 0.1192, 0.9505);
const cv::Vec3d kWhite(0.95047, 1.0, 1.08883);

Msh msh_of(const cv::Vec3d& rgb) {
    cv::Vec3d linear;
    for (int i = 0; i < 3; ++i) {
        const double value = rgb[i] / 255;
        linear[i] = value > 0.04045 ? std::pow((value + 0.055) / 1.055, 2.4) : value / 12.92;
    }
    const cv::Vec3d xyz = kToXyz * linear;
    const auto root = [](double value) { return value > 0.008856 ? std::cbrt(value) : 7.787 * value + 16.0 / 116; };
    const double x = root(xyz[0] / kWhite[0]);
    const double y = root(xyz[1] / kWhite[1]);
    const double z = root(xyz[2] / kWhite[2]);
    const double lightness = 116 * y - 16;
    const double a = 500 * (x - y);
    const double b = 200 * (y - z);
    const double magnitude = std::sqrt(lightness * lightness + a * a + b * b);
    return {magnitude, std::acos(lightness / magnitude), std::atan2(b, a)};
}

cv::Vec3d rgb_of(const Msh& color) {
    const double lightness = color.magnitude * std::cos(color.saturation);
    const double a = color.magnitude * std::sin(color.saturation) * std::cos(color.hue);
    const double b = color.magnitude * std::sin(color.saturation) * std::sin(color.hue);
    const double y = (lightness + 16) / 116;
    const auto power = [](double value) {
        return value > 0.206893 ? value * value * value : (value - 16.0 / 116) / 7.787;
    };
    const cv::Vec3d xyz(kWhite[0] * power(y + a / 500), kWhite[1] * power(y), kWhite[2] * power(y - b / 200));
    cv::Vec3d rgb = kToXyz.inv() * xyz;
    for (int i = 0; i < 3; ++i) {
        const double value = rgb[i];
        rgb[i] = 255 * (value > 0.0031308 ? 1.055 * std::pow(value, 1 / 2.4) - 0.055 : 12.92 * value);
    }
    return rgb;
}

/// The hue with which the way from `saturated` to a gray of this magnitude begins.
double hue_towards(const Msh& saturated, double magnitude) {
    if (saturated.magnitude >= magnitude) return saturated.hue;
    const double spin = saturated.saturation *
                        std::sqrt(magnitude * magnitude - saturated.magnitude * saturated.magnitude) /
                        (saturated.magnitude * std::sin(saturated.saturation));
    return saturated.hue > -std::numbers::pi / 3 ? saturated.hue + spin : saturated.hue - spin;
}

cv::Vec3d coolwarm(double place) {
    static const Msh blue = msh_of({59, 76, 192});
    static const Msh red = msh_of({180, 4, 38});
    constexpr double kLeastMiddle = 88;
    const double middle = std::max({blue.magnitude, red.magnitude, kLeastMiddle});
    const Msh& end = place < 0.5 ? blue : red;
    const double part = std::abs(2 * place - 1);  // 0 at the middle, 1 at the ends
    const double hue = hue_towards(end, middle);
    return rgb_of({middle + (end.magnitude - middle) * part, end.saturation * part, hue + (end.hue - hue) * part});
}

}  // namespace moreland

/// Green, "A colour scheme for the display of astronomical intensity images" (2011): a helix about the diagonal of
/// grays, with the paper's start 0.5, rotations -1.5, hue 1 and gamma 1.
cv::Vec3d cubehelix(double place) {
    const double angle = 2 * std::numbers::pi * (0.5 / 3 + 1 - 1.5 * place);
    const double amplitude = place * (1 - place) / 2;
    const double cosine = std::cos(angle);
    const double sine = std::sin(angle);
    return 255 * cv::Vec3d(place + amplitude * (-0.14861 * cosine + 1.78277 * sine),
                           place + amplitude * (-0.29227 * cosine - 0.90649 * sine),
                           place + amplitude * (1.97294 * cosine));
}

struct NamedColormap {
    std::string name;
    std::function<Colormap()> make;
};

const std::vector<NamedColormap>& colormaps() {
    static const std::vector<NamedColormap> all = [] {
        std::vector<NamedColormap> list;
        for (const OpenCvMap& map : kOpenCvMaps)
            list.push_back({map.name, [type = map.type] { return of_open_cv(type); }});
        for (const Gradient& gradient : gradients())
            list.push_back({gradient.name, [colors = gradient.colors] { return of_gradient(colors); }});
        list.push_back({"coolwarm", [] { return of_function(moreland::coolwarm); }});
        list.push_back({"cubehelix", [] { return of_function(cubehelix); }});
        std::sort(list.begin(), list.end(), [](const NamedColormap& left, const NamedColormap& right) {
            return lower_case(left.name) < lower_case(right.name);
        });
        return list;
    }();
    return all;
}

std::optional<Colormap> find(std::string_view lower_case_name) {
    for (const NamedColormap& one : colormaps()) {
        if (lower_case(one.name) == lower_case_name) return one.make();
    }
    return std::nullopt;
}

}  // namespace

const std::vector<std::string>& colormap_names() {
    static const std::vector<std::string> names = [] {
        std::vector<std::string> list;
        for (const NamedColormap& one : colormaps()) list.push_back(one.name);
        return list;
    }();
    return names;
}

Colormap find_colormap(std::string_view name) {
    constexpr std::string_view kReversed = "_r";
    const std::string wanted = lower_case(name);
    if (const std::optional<Colormap> found = find(wanted)) return *found;
    if (wanted.ends_with(kReversed)) {
        if (std::optional<Colormap> found =
                find(std::string_view(wanted).substr(0, wanted.size() - kReversed.size()))) {
            std::reverse(found->begin(), found->end());
            return *found;
        }
    }
    const std::string nearest = nearest_name(name, colormap_names());
    throw Error(ErrorCode::invalid_argument,
                fmt::format("there is no colormap \"{}\"{}; there are {}", name,
                            nearest.empty() ? "" : fmt::format(", did you mean {}?", nearest),
                            fmt::join(colormap_names(), ", ")));
}

}  // namespace reelstore
