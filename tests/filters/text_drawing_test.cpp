#include "filters/text_drawing.h"

#include <random>

#include <doctest/doctest.h>
#include <opencv2/core.hpp>

#include "base/file_system.h"
#include "base/pixel_type.h"
#include "filters/coverage.h"
#include "filters/image_values.h"
#include "tests/image_equality.h"
#include "tests/sanitized.h"
#include "tests/temporary_folder.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

const std::string kText = "Köln 20 µm\n12.5 °C gjÅ";
const TextStyle kPlain{.size = 20, .shadow = std::nullopt};

/// How much of each pixel white text covers.
cv::Mat coverage_of(const TextStyle& style, const std::string& text, cv::Size size, Anchor anchor, cv::Point inset) {
    TextStyle white = style;
    white.color = {255, 255, 255};
    cv::Mat image = cv::Mat::zeros(size, CV_8U);
    TextPainter(white).draw(image, text, anchor, inset);
    return image;
}

cv::Rect inked(const cv::Mat& coverage) {
    cv::Rect box;
    for (int row = 0; row < coverage.rows; ++row)
        for (int column = 0; column < coverage.cols; ++column)
            if (coverage.at<uint8_t>(row, column) > 0) box |= cv::Rect(column, row, 1, 1);
    return box;
}

cv::Mat in_double(const cv::Mat& image) {
    cv::Mat values;
    image.convertTo(values, CV_64F);
    return values.reshape(1);
}

std::filesystem::path sans_file() {
    for (const char* folder : {"/usr/share/fonts/truetype/dejavu", "/usr/share/fonts/dejavu-sans-fonts",
                               "/usr/share/fonts/dejavu", "/usr/share/fonts/TTF"}) {
        const auto file = std::filesystem::path(folder) / "DejaVuSans.ttf";
        if (std::filesystem::exists(file)) return file;
    }
    FAIL("DejaVu is not installed");
    return {};
}

}  // namespace

TEST_CASE("text_drawing: every type is blended by the coverage of its pixels") {
    const cv::Size size(150, 60);
    const cv::Mat covered = in_double(coverage_of(kPlain, kText, size, Anchor::top_left, {3, 2})) / 255;
    CHECK(cv::sum(covered)[0] > 200);
    TextStyle style = kPlain;
    style.color = {200, 100, 50};
    cv::RNG random(5);
    for (const int depth : {CV_8U, CV_8S, CV_16U, CV_16S, CV_32S, CV_32F, CV_64F}) {
        for (const int channels : {1, 3, 4}) {
            const ImageType type{size.height, size.width, channels, depth};
            CAPTURE(type.text());
            cv::Mat image(size, type.cv_type());
            random.fill(image, cv::RNG::UNIFORM, cv::Scalar::all(0), cv::Scalar::all(white_of(depth)));
            cv::Mat expected = in_double(image);
            const cv::Scalar color = pixel_of(style.color, type);
            for (int row = 0; row < expected.rows; ++row) {
                for (int i = 0; i < expected.cols; ++i) {
                    const double part = covered.at<double>(row, i / channels);
                    double& value = expected.at<double>(row, i);
                    value += (color[i % channels] - value) * part;
                }
            }
            TextPainter(style).draw(image, kText, Anchor::top_left, {3, 2});
            const double tolerance = depth == CV_32F ? 1e-6 : depth == CV_64F ? 1e-12 : 0.5000001;
            CHECK(cv::norm(in_double(image), expected, cv::NORM_INF) <= tolerance);
        }
    }
    cv::Mat half(size, CV_16F);
    cv::Mat pair(size, CV_8UC2);
    CHECK(error_of([&] { TextPainter(style).draw(half, kText, Anchor::center); }) == ErrorCode::wrong_type);
    CHECK(error_of([&] { TextPainter(style).draw(pair, kText, Anchor::center); }) == ErrorCode::wrong_type);
}

TEST_CASE("text_drawing: values that are not finite") {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const float infinity = std::numeric_limits<float>::infinity();
    cv::Mat image = (cv::Mat_<float>(1, 6) << nan, nan, nan, infinity, infinity, -infinity);
    const cv::Mat coverage = (cv::Mat_<uint8_t>(1, 6) << 127, 128, 255, 100, 255, 200);
    blend_coverage(image, coverage, {0, 0}, cv::Scalar(0.5));
    CHECK(std::isnan(image.at<float>(0)));
    CHECK(image.at<float>(1) == 0.5F);
    CHECK(image.at<float>(2) == 0.5F);
    CHECK(image.at<float>(3) == infinity);
    CHECK(image.at<float>(4) == 0.5F);
    CHECK(image.at<float>(5) == 0.5F);
}

TEST_CASE("text_drawing: anchors") {
    const cv::Size size(301, 200);
    const TextPainter painter(kPlain);
    const cv::Size box = painter.size_of("Hx");
    const std::vector<std::string>& names = anchor_names();
    REQUIRE(names.size() == 9);
    for (size_t i = 0; i < names.size(); ++i) {
        CAPTURE(names[i]);
        const auto anchor = static_cast<Anchor>(i);
        const cv::Rect ink = inked(coverage_of(kPlain, "Hx", size, anchor, {7, 4}));
        const std::string& name = names[i];
        const bool left = name.find("left") != std::string::npos;
        const bool right = name.find("right") != std::string::npos;
        const int x = left ? 7 : right ? 301 - 7 - box.width : (301 - box.width) / 2 + 7;
        const bool top = name.find("top") != std::string::npos;
        const bool bottom = name.find("bottom") != std::string::npos;
        const int y = top ? 4 : bottom ? 200 - 4 - box.height : (200 - box.height) / 2 + 4;
        CHECK(std::abs(ink.x - x) <= 3);
        CHECK(std::abs(ink.br().x - (x + box.width)) <= 3);
        CHECK(ink.y >= y);
        CHECK(ink.br().y <= y + box.height);
        const cv::Point corner = place_box(box, size, anchor, {7, 4});
        CHECK(corner == cv::Point(x, y));
    }
}

TEST_CASE("text_drawing: lines, unknown bytes and letters") {
    const TextPainter painter(kPlain);
    const int line = painter.line_height();
    CHECK(painter.size_of("a\nb").height == painter.size_of("a").height + line);
    CHECK(painter.size_of("a\n").height == painter.size_of("a").height + line);
    CHECK(painter.size_of("wide\nl").width == painter.size_of("wide").width);
    CHECK(painter.size_of("").width == 0);
    CHECK(painter.size_of("a\r").width == painter.size_of("a").width);
    const auto image_of = [](const std::string& text, Anchor anchor = Anchor::top_left) {
        return coverage_of(kPlain, text, {120, 60}, anchor, {});
    };
    CHECK(equal_pixels(image_of("a\xff\xc3z"), image_of("a\ufffd\ufffdz")));
    CHECK(cv::countNonZero(image_of("\U0010fffd")) > 0);
    // A short line below a long one stands as the anchor does.
    const int wide = painter.size_of("wwww").width;
    CHECK(inked(image_of("wwww\ni")(cv::Rect(0, line, 120, 60 - line))).x < 5);
    CHECK(inked(image_of("wwww\ni", Anchor::top)(cv::Rect(0, line, 120, 60 - line))).x > 60 - 8);
    CHECK(inked(image_of("wwww\ni", Anchor::top_right)(cv::Rect(0, line, 120, 60 - line))).x > 120 - wide / 4);
}

TEST_CASE("text_drawing: what does not fit is cut off") {
    const cv::Mat whole = coverage_of(kPlain, kText, {300, 120}, Anchor::top_left, {80, 40});
    for (const cv::Rect part : {cv::Rect(90, 45, 60, 20), cv::Rect(100, 50, 1, 1), cv::Rect(0, 0, 300, 45),
                                cv::Rect(120, 0, 4, 120), cv::Rect(0, 0, 10, 10)}) {
        const cv::Mat cut = coverage_of(kPlain, kText, part.size(), Anchor::top_left, cv::Point(80, 40) - part.tl());
        CHECK(equal_pixels(cut, whole(part)));
        // The pixels beside a part of an image are not touched.
        cv::Mat image = cv::Mat::zeros(whole.size(), CV_8U);
        cv::Mat view = image(part);
        TextPainter(kPlain).draw(view, kText, Anchor::top_left, cv::Point(80, 40) - part.tl());
        CHECK(equal_pixels(view, whole(part)));
        CHECK(cv::countNonZero(image) == cv::countNonZero(view));
    }
    cv::Mat image = cv::Mat::zeros(20, 20, CV_8U);
    for (const cv::Point inset : {cv::Point(65535, 0), cv::Point(0, -65535), cv::Point(-65535, 65535)})
        TextPainter(kPlain).draw(image, std::string(100000, 'w'), Anchor::bottom_right, inset);
    cv::Mat one(1, 1, CV_8UC3, cv::Scalar::all(9));
    TextPainter({.size = 1000}).draw(one, kText, Anchor::center);
    TextPainter({.size = 1}).draw(one, kText, Anchor::center);
}

TEST_CASE("text_drawing: shadows reach round the letters and lie under all of them") {
    const cv::Size size(200, 60);
    const cv::Rect bare = inked(coverage_of(kPlain, kText, size, Anchor::center, {}));
    TextStyle style{.size = 20, .color = {0, 0, 0}, .shadow = Color{255, 255, 255}, .shadow_size = 3};
    const auto drawn = [&] {
        cv::Mat image(size, CV_8U, cv::Scalar(0));
        TextPainter(style).draw(image, kText, Anchor::center);
        return inked(image);
    };
    CHECK(drawn() == cv::Rect(bare.x - 3, bare.y - 3, bare.width + 6, bare.height + 6));
    style.shadow_size = 0;
    style.shadow_offset = 4;
    CHECK(drawn().br() == bare.br() + cv::Point(4, 4));
    // Black letters on a wide white shadow are as black as alone.
    style.shadow_size = 8;
    style.shadow_offset = 0;
    cv::Mat image(size, CV_8U, cv::Scalar(255));
    TextPainter(style).draw(image, kText, Anchor::center);
    CHECK(equal_pixels(255 - image, coverage_of(kPlain, kText, size, Anchor::center, {})));
}

TEST_CASE("text_drawing: letters are the same after more of them than are kept") {
    const TextPainter painter({.size = 7});
    const auto draw = [&] {
        cv::Mat image(20, 100, CV_8U, cv::Scalar(128));
        painter.draw(image, kText, Anchor::center);
        return image;
    };
    const cv::Mat before = draw();
    const auto put = [](std::string& text, char32_t point) {
        text += static_cast<char>(0xe0 | point >> 12);
        text += static_cast<char>(0x80 | (point >> 6 & 0x3f));
        text += static_cast<char>(0x80 | (point & 0x3f));
    };
    std::string many;
    for (char32_t point = 0x800; point < 0x800 + 5000; ++point) put(many, point);
    CHECK(painter.size_of(many).width > 5000);
    CHECK(equal_pixels(draw(), before));
}

TEST_CASE("text_drawing: styles and fonts that there are not") {
    for (const TextStyle& style :
         {TextStyle{.size = 0.5}, TextStyle{.size = 1001}, TextStyle{.size = std::nan("")},
          TextStyle{.shadow_size = -1}, TextStyle{.shadow_size = 101}, TextStyle{.shadow_offset = 200}}) {
        CHECK(error_of([&] { TextPainter{style}; }) == ErrorCode::invalid_argument);
    }
    std::string message;
    CHECK(error_of([&] { TextPainter({.font = "serf"}); }, &message) == ErrorCode::not_found);
    CHECK(message.find("did you mean serif?") != std::string::npos);
    CHECK(error_of([] { TextPainter({.font = ""}); }) == ErrorCode::not_found);
    for (const char* font : {"sans", "sans-bold", "mono", "mono-bold", "serif", "serif-bold"})
        CHECK(TextPainter({.font = font}).size_of("i").width > 0);
    CHECK(TextPainter({.font = "mono"}).size_of("i").width == TextPainter({.font = "mono"}).size_of("W").width);
    CHECK(TextPainter({.font = sans_file().string()}).size_of("Wi") == TextPainter(TextStyle{}).size_of("Wi"));
}

TEST_CASE("text_drawing: damaged font files are told or drawn, and nothing else happens") {
    const TemporaryFolder folder;
    const std::vector<uint8_t> good = read_file(sans_file(), uint64_t{64} << 20);
    const auto file = folder / "font.ttf";
    int told = 0;
    const auto attempt = [&](const std::vector<uint8_t>& bytes) {
        write_file_atomically(file, bytes.data(), bytes.size());
        cv::Mat image(40, 200, CV_8U, cv::Scalar(0));
        const std::optional<Error> error =
            thrown_by([&] { TextPainter({.font = file.string(), .size = 30}).draw(image, kText, Anchor::center); });
        if (!error) return;
        ++told;
        CHECK(error->code() == ErrorCode::corrupt);
        CHECK(std::string(error->what()).find("font.ttf") != std::string::npos);
    };
    attempt({});
    attempt(std::vector<uint8_t>(1000, 'x'));
    CHECK(told == 2);
    for (const size_t size : {size_t{4}, size_t{100}, size_t{5000}, good.size() / 2}) {
        attempt({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)});
    }
    CHECK(told >= 4);
    std::mt19937 random(7);
    for (int round = 0; round < (kSanitized ? 20 : 100); ++round) {
        std::vector<uint8_t> bytes = good;
        // The tables that say where everything is come first; letters are all over the file.
        const size_t end = round % 2 == 0 ? 2000 : bytes.size();
        for (size_t i = 0; i < end / 20; ++i) bytes[random() % end] = static_cast<uint8_t>(random());
        attempt(bytes);
    }
    CHECK(told > 10);
}

}  // namespace reelstore
