#include "base/encoding.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include <doctest/doctest.h>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "base/error.h"
#include "tests/image_equality.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

/// A picture of soft colours, so that losses of chroma resolution stay small.
cv::Mat soft_picture(int height, int width) {
    cv::Mat picture(height, width, CV_8UC3);
    for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) {
            picture.at<cv::Vec3b>(y, x) = {uint8_t(60 + 2 * x), uint8_t(200 - 2 * y), uint8_t(90 + x + y)};
        }
    }
    return picture;
}

cv::Mat mosaic(const cv::Mat& picture, const char* pattern) {
    cv::Mat raw(picture.size(), CV_8U);
    const std::string order = "bgr";
    for (int y = 0; y < picture.rows; ++y) {
        for (int x = 0; x < picture.cols; ++x) {
            raw.at<uint8_t>(y, x) = picture.at<cv::Vec3b>(y, x)[int(order.find(pattern[2 * (y % 2) + x % 2]))];
        }
    }
    return raw;
}

/// Luma and chroma of a picture in OpenCV's planar I420.
cv::Mat to_i420(const cv::Mat& picture) {
    cv::Mat planes;
    cv::cvtColor(picture, planes, cv::COLOR_BGR2YUV_I420);
    return planes;
}

/// The two chroma planes of an I420 image, each as one row of bytes.
std::pair<std::vector<uint8_t>, std::vector<uint8_t>> chroma(const cv::Mat& i420) {
    const size_t luma = i420.total() * 2 / 3;
    const size_t plane = luma / 4;
    const uint8_t* u = i420.data + luma;
    return {{u, u + plane}, {u + plane, u + 2 * plane}};
}

cv::Mat with_chroma(const cv::Mat& i420, const std::vector<uint8_t>& rest) {
    cv::Mat raw = i420.clone();
    std::copy(rest.begin(), rest.end(), raw.data + i420.total() * 2 / 3);
    return raw;
}

std::vector<uint8_t> joined(const std::vector<uint8_t>& first, const std::vector<uint8_t>& second) {
    std::vector<uint8_t> both = first;
    both.insert(both.end(), second.begin(), second.end());
    return both;
}

std::vector<uint8_t> interleaved(const std::vector<uint8_t>& first, const std::vector<uint8_t>& second) {
    std::vector<uint8_t> both;
    for (size_t i = 0; i < first.size(); ++i) {
        both.push_back(first[i]);
        both.push_back(second[i]);
    }
    return both;
}

/// Packs a picture as 4:2:2; `order` names the four bytes of two pixels.
cv::Mat to_packed(const cv::Mat& picture, const std::string& order) {
    const cv::Mat i420 = to_i420(picture);
    const auto [u, v] = chroma(i420);
    cv::Mat raw(picture.rows, picture.cols, CV_8UC2);
    for (int y = 0; y < picture.rows; ++y) {
        for (int x = 0; x < picture.cols; x += 2) {
            int luma = x;
            const size_t place = size_t(y / 2) * size_t(picture.cols / 2) + size_t(x / 2);
            for (int i = 0; i < 4; ++i) {
                uint8_t& byte = raw.ptr(y)[2 * x + i];
                byte = order[size_t(i)] == 'y'   ? i420.at<uint8_t>(y, luma++)
                       : order[size_t(i)] == 'u' ? u[place]
                                                 : v[place];
            }
        }
    }
    return raw;
}

void check_decodes(const std::string& name, const cv::Mat& raw, const cv::Mat& picture, double smallest_psnr) {
    CAPTURE(name);
    const Encoding* encoding = find_encoding("cv_" + name);
    REQUIRE(encoding);
    const auto type = decoded_type(*encoding, ImageType::of(raw));
    REQUIRE(type);
    const cv::Mat decoded = decode(*encoding, raw);
    REQUIRE(ImageType::of(decoded) == *type);
    REQUIRE(decoded.size() == picture.size());
    cv::Mat inner_decoded = decoded;
    cv::Mat inner_picture = picture;
    if (name.starts_with("bayer")) {
        const cv::Rect inner(2, 2, picture.cols - 4, picture.rows - 4);
        inner_decoded = decoded(inner);
        inner_picture = picture(inner);
    }
    CHECK(cv::PSNR(inner_decoded, inner_picture) > smallest_psnr);
    cv::Mat by_opencv;
    cv::cvtColor(raw, by_opencv, encoding->cv_code);
    CHECK(equal_pixels(decoded, by_opencv));
}

}  // namespace

TEST_CASE("encoding: every one decodes what its inverse made") {
    const cv::Mat picture = soft_picture(48, 64);
    std::map<std::string, cv::Mat> raw;
    const auto convert = [&](const char* name, int code) { cv::cvtColor(picture, raw[name], code); };
    convert("bgr555", cv::COLOR_BGR2BGR555);
    convert("bgr565", cv::COLOR_BGR2BGR565);
    convert("bgra", cv::COLOR_BGR2BGRA);
    convert("hls", cv::COLOR_BGR2HLS);
    convert("hsv", cv::COLOR_BGR2HSV);
    convert("lab", cv::COLOR_BGR2Lab);
    convert("luv", cv::COLOR_BGR2Luv);
    convert("rgb", cv::COLOR_BGR2RGB);
    convert("rgba", cv::COLOR_BGR2RGBA);
    convert("xyz", cv::COLOR_BGR2XYZ);
    convert("ycrcb", cv::COLOR_BGR2YCrCb);
    convert("yuv", cv::COLOR_BGR2YUV);
    // OpenCV names a mosaic by the second row's second and third pixel: "bg" begins with red.
    const std::map<std::string, const char*> kMosaics{
        {"bayerbg", "rggb"},   {"bayergb", "grbg"},   {"bayerrg", "bggr"},   {"bayergr", "gbrg"},
        {"bayerrggb", "rggb"}, {"bayergrbg", "grbg"}, {"bayerbggr", "bggr"}, {"bayergbrg", "gbrg"}};
    for (const auto& [name, pattern] : kMosaics) raw[name] = mosaic(picture, pattern);

    const cv::Mat i420 = to_i420(picture);
    const auto [u, v] = chroma(i420);
    for (const char* name : {"yuv_i420", "yuv_iyuv"}) raw[name] = i420;
    for (const char* name : {"yuv_yv12", "yuv420p"}) raw[name] = with_chroma(i420, joined(v, u));
    raw["yuv_nv12"] = with_chroma(i420, interleaved(u, v));
    for (const char* name : {"yuv_nv21", "yuv420sp"}) raw[name] = with_chroma(i420, interleaved(v, u));
    for (const char* name : {"yuv_uyvy", "yuv_uynv", "yuv_y422"}) raw[name] = to_packed(picture, "uyvy");
    for (const char* name : {"yuv_yuyv", "yuv_yunv", "yuv_yuy2"}) raw[name] = to_packed(picture, "yuyv");
    raw["yuv_yvyu"] = to_packed(picture, "yvyu");

    cv::Mat gray;
    cv::Mat gray_picture;
    cv::cvtColor(picture, gray, cv::COLOR_BGR2GRAY);
    cv::cvtColor(gray, gray_picture, cv::COLOR_GRAY2BGR);
    for (const auto& [name, image] : raw) check_decodes(name, image, picture, 30);
    check_decodes("gray", gray, gray_picture, 300);
    CHECK(raw.size() + 1 == encodings().size());
}

TEST_CASE("encoding: other depths") {
    cv::Mat picture;
    soft_picture(24, 32).convertTo(picture, CV_16U, 257);
    cv::Mat raw;
    cv::cvtColor(picture, raw, cv::COLOR_BGR2YUV);
    check_decodes("yuv", raw, picture, 30);
    CHECK(decoded_type(*find_encoding("cv_bayerbg"), {24, 32, 1, CV_16U}) == ImageType{24, 32, 3, CV_16U});
    CHECK(ImageType::of(decode(*find_encoding("cv_bayerbg"), cv::Mat(24, 32, CV_16U, cv::Scalar(9)))).depth == CV_16U);
    soft_picture(24, 32).convertTo(picture, CV_32F, 1.0 / 255);
    for (const auto& [name, code] : {std::pair{"cv_lab", cv::COLOR_BGR2Lab}, std::pair{"cv_hsv", cv::COLOR_BGR2HSV},
                                     std::pair{"cv_luv", cv::COLOR_BGR2Luv}, std::pair{"cv_hls", cv::COLOR_BGR2HLS}}) {
        cv::cvtColor(picture, raw, code);
        CHECK(cv::norm(decode(*find_encoding(name), raw), picture, cv::NORM_INF) < 0.01);
    }
}

TEST_CASE("encoding: every type is either decoded or refused") {
    for (const Encoding& encoding : encodings()) {
        CAPTURE(encoding.name);
        for (int depth : {CV_8U, CV_8S, CV_16U, CV_16S, CV_32S, CV_32F, CV_64F, CV_16F}) {
            for (int channels : {1, 2, 3, 4, 5}) {
                for (const cv::Size size : {cv::Size(1, 1), cv::Size(2, 2), cv::Size(2, 3), cv::Size(3, 3),
                                            cv::Size(7, 6), cv::Size(8, 5), cv::Size(8, 6), cv::Size(16, 12)}) {
                    const cv::Mat raw = cv::Mat::zeros(size, CV_MAKETYPE(depth, channels));
                    const auto type = decoded_type(encoding, ImageType::of(raw));
                    if (type) {
                        CHECK(ImageType::of(decode(encoding, raw)) == *type);
                    } else {
                        CHECK_THROWS_AS(decode(encoding, raw), Error);
                    }
                }
            }
        }
    }
    CHECK_THROWS_AS(decode(*find_encoding("cv_bayerbg"), cv::Mat()), Error);
}

TEST_CASE("encoding: mosaics of even colour and of gradients are decoded right, borders included") {
    // Rows of four pixels: which channel of BGR the mosaic holds at (0,0), (0,1), (1,0), (1,1).
    const std::pair<const char*, std::array<int, 4>> patterns[] = {
        {"cv_bayerbg", {2, 1, 1, 0}}, {"cv_bayerrg", {0, 1, 1, 2}},   {"cv_bayergb", {1, 2, 0, 1}},
        {"cv_bayergr", {1, 0, 2, 1}}, {"cv_bayerbggr", {0, 1, 1, 2}}, {"cv_bayerrggb", {2, 1, 1, 0}}};
    for (const auto& [name, channels] : patterns) {
        const Encoding& encoding = *find_encoding(name);
        CHECK(is_bayer(encoding));
        for (const int depth : {CV_8U, CV_16U}) {
            const double most = depth == CV_8U ? 255 : 65535;
            for (const Demosaic method : {Demosaic::bilinear, Demosaic::vng, Demosaic::edge_aware}) {
                CAPTURE(name);
                CAPTURE(depth);
                CAPTURE(to_string(method));
                const ImageType type{24, 32, 1, depth};
                CHECK(refuses_demosaic(encoding, type, method).has_value() ==
                      (method == Demosaic::vng && depth == CV_16U));
                if (refuses_demosaic(encoding, type, method)) {
                    CHECK(error_of([&] { decode(encoding, cv::Mat(24, 32, depth), method); }) ==
                          ErrorCode::unsupported);
                    continue;
                }
                const auto mosaic_of = [&, &filter = channels](const cv::Mat& picture) {
                    cv::Mat planes[3];
                    cv::split(picture, planes);
                    cv::Mat mosaic(picture.size(), depth);
                    for (int y = 0; y < picture.rows; ++y) {
                        for (int x = 0; x < picture.cols; ++x) {
                            const cv::Mat& plane = planes[filter[size_t(2 * (y % 2) + x % 2)]];
                            plane(cv::Rect(x, y, 1, 1)).copyTo(mosaic(cv::Rect(x, y, 1, 1)));
                        }
                    }
                    return mosaic;
                };
                for (const cv::Size size : {cv::Size(3, 3), cv::Size(4, 3), cv::Size(5, 4), cv::Size(7, 9),
                                            cv::Size(8, 8), cv::Size(33, 16)}) {
                    const cv::Mat even(size, CV_MAKETYPE(depth, 3), cv::Scalar(most, 0, std::floor(most / 3)));
                    CHECK(cv::norm(decode(encoding, mosaic_of(even), method), even, cv::NORM_INF) == 0);
                }
                cv::Mat gradient(24, 32, CV_64FC3);
                for (int y = 0; y < 24; ++y) {
                    for (int x = 0; x < 32; ++x)
                        gradient.at<cv::Vec3d>(y, x) = {most - x - y, 10.0 + 2 * x, most / 2 + y};
                }
                gradient.convertTo(gradient, depth);
                const cv::Mat decoded = decode(encoding, mosaic_of(gradient), method);
                REQUIRE(decoded.type() == gradient.type());
                const cv::Rect inner(2, 2, 28, 20);
                const double inside = cv::norm(decoded(inner), gradient(inner), cv::NORM_INF);
                const double everywhere = cv::norm(decoded, gradient, cv::NORM_INF);
                CHECK(inside <= (method == Demosaic::vng ? 4 : 1));
                CHECK(everywhere <= (method == Demosaic::vng ? 6 : 3));
            }
        }
    }
}

TEST_CASE("encoding: methods of demosaicing") {
    for (const Demosaic method : {Demosaic::bilinear, Demosaic::vng, Demosaic::edge_aware})
        CHECK(demosaic_of(to_string(method)) == method);
    std::string message;
    CHECK(error_of([] { demosaic_of("nearest"); }, &message) == ErrorCode::invalid_argument);
    CHECK(message.find("edge-aware") != std::string::npos);
    // An edge tells the methods apart; encodings without a mosaic do not mind the method.
    cv::Mat edge = cv::Mat::zeros(16, 16, CV_8U);
    edge.colRange(7, 16).setTo(200);
    const Encoding& bayer = *find_encoding("cv_bayerbg");
    CHECK(cv::norm(decode(bayer, edge), decode(bayer, edge, Demosaic::vng), cv::NORM_INF) > 0);
    CHECK(cv::norm(decode(bayer, edge), decode(bayer, edge, Demosaic::edge_aware), cv::NORM_INF) > 0);
    const Encoding& yuv = *find_encoding("cv_yuv_i420");
    CHECK(cv::norm(decode(yuv, edge.rowRange(0, 12)), decode(yuv, edge.rowRange(0, 12), Demosaic::vng), cv::NORM_INF) ==
          0);
    for (const Encoding& encoding : encodings()) {
        CHECK(is_bayer(encoding) == encoding.name.starts_with("cv_bayer"));
        CHECK(refuses_loss(encoding).has_value() == is_bayer(encoding));
        if (!is_bayer(encoding)) CHECK_FALSE(refuses_demosaic(encoding, {24, 32, 1, CV_16U}, Demosaic::vng));
    }
}

TEST_CASE("encoding: names") {
    CHECK(encodings().size() == 35);
    const auto by_name = [](const Encoding& a, const Encoding& b) { return a.name < b.name; };
    CHECK(std::is_sorted(encodings().begin(), encodings().end(), by_name));
    CHECK(find_encoding("cv_bayerbg")->cv_code == cv::COLOR_BayerBG2BGR);
    CHECK(find_encoding("cv_yuv420sp")->cv_code == cv::COLOR_YUV420sp2BGR);
    CHECK_FALSE(find_encoding("bayerbg"));
    CHECK_FALSE(find_encoding("cv_bayerbg_vng"));
    CHECK_FALSE(find_encoding(""));
    CHECK(decoded_type(*find_encoding("cv_yuv_nv12"), {72, 64, 1, CV_8U}) == ImageType{48, 64, 3, CV_8U});
}

TEST_CASE("encoding: GenICam pixel formats") {
    CHECK(encoding_of_genicam("BayerRG8")->name == "cv_bayerbg");
    CHECK(encoding_of_genicam("BayerBG")->name == "cv_bayerrg");
    CHECK(encoding_of_genicam("Bayer_GB")->name == "cv_bayergr");
    CHECK(encoding_of_genicam("BayerGR12")->name == "cv_bayergb");
    CHECK(encoding_of_genicam("Bayer_RG16")->name == "cv_bayerbg");
    CHECK(encoding_of_genicam("") == nullptr);
    CHECK(encoding_of_genicam("None") == nullptr);
    for (const char* unknown :
         {"BayerRG12p", "BayerRG12Packed", "Bayer", "BayerXY8", "Mono8", "bayerrg8", "BayerRG9"}) {
        CHECK_THROWS_AS(encoding_of_genicam(unknown), Error);
    }
}

}  // namespace reelstore
