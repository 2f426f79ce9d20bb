// Decoded frames to images, against the formulas of the standards in double precision.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <random>

#include <doctest/doctest.h>
#include <opencv2/core.hpp>

#include "base/error.h"
#include "base/pixel_type.h"
#include "codecs/file_format.h"
#include "codecs/video/libav.h"
#include "codecs/video/pixel_convert.h"
#include "codecs/video/yuv_to_bgr.h"
#include "tests/temporary_folder.h"

namespace reelstore {
void add_file_formats_video(FileFormatTable& table);
}

using namespace reelstore;

namespace {

/// What yuv_to_bgr() promises.
constexpr double kTolerance = 0.55;

struct Matrix {
    const char* name;
    AVColorSpace space;
    double red;
    double blue;
};

const Matrix kMatrices[] = {
    {"BT.601", AVCOL_SPC_SMPTE170M, 0.299, 0.114},     {"unspecified", AVCOL_SPC_UNSPECIFIED, 0.299, 0.114},
    {"BT.709", AVCOL_SPC_BT709, 0.2126, 0.0722},       {"FCC", AVCOL_SPC_FCC, 0.30, 0.11},
    {"SMPTE 240M", AVCOL_SPC_SMPTE240M, 0.212, 0.087}, {"BT.2020", AVCOL_SPC_BT2020_NCL, 0.2627, 0.0593}};

/// A plane whose memory ends with its last sample, rows upside down on request.
template <class Sample>
class Plane {
public:
    Plane(int width, int height, int padding, bool upside_down, std::mt19937& random, int most)
        : width_(width), stride_(width + padding), upside_down_(upside_down) {
        height_ = height;
        samples_.resize(static_cast<size_t>(stride_) * static_cast<size_t>(height - 1) + static_cast<size_t>(width));
        for (Sample& sample : samples_) {
            // Many extreme values, so that sums run into their limits.
            const auto kind = random() % 8;
            sample = static_cast<Sample>(kind == 0   ? 0
                                         : kind == 1 ? static_cast<unsigned>(most)
                                                     : random() % (static_cast<unsigned>(most) + 1));
        }
    }

    const Sample* row(int y) const {
        return samples_.data() + static_cast<ptrdiff_t>(upside_down_ ? height_ - 1 - y : y) * stride_;
    }
    ptrdiff_t stride() const { return upside_down_ ? -stride_ : stride_; }
    int width() const { return width_; }
    int height() const { return height_; }

private:
    int width_;
    int height_ = 0;
    ptrdiff_t stride_;
    bool upside_down_;
    std::vector<Sample> samples_;
};

/// Offset of a chroma sample from the first luma sample that shares it.
double offset_of(ChromaSiting siting) {
    return siting == ChromaSiting::first ? 0 : siting == ChromaSiting::centre ? 0.5 : 1;
}

using Samples = std::function<double(int x, int y)>;

struct Chroma {
    Samples u;
    Samples v;
    int width;
    int height;
    bool half_width;
    bool half_height;
    ChromaSiting horizontal;
    ChromaSiting vertical;
};

double interpolated(const Samples& samples, const Chroma& chroma, int x, int y) {
    const auto place = [](int luma, bool half, ChromaSiting siting, int count) {
        const double exact = half ? (luma - offset_of(siting)) / 2 : luma;
        return std::clamp(exact, 0.0, count - 1.0);
    };
    const double at_x = place(x, chroma.half_width, chroma.horizontal, chroma.width);
    const double at_y = place(y, chroma.half_height, chroma.vertical, chroma.height);
    const int left = static_cast<int>(at_x);
    const int top = static_cast<int>(at_y);
    const int right = std::min(left + 1, chroma.width - 1);
    const int bottom = std::min(top + 1, chroma.height - 1);
    const double fx = at_x - left;
    const double fy = at_y - top;
    return (samples(left, top) * (1 - fx) + samples(right, top) * fx) * (1 - fy) +
           (samples(left, bottom) * (1 - fx) + samples(right, bottom) * fx) * fy;
}

/// ITU-T H.273: from numbers to the real values in 0..1 and -0.5..0.5, to RGB, to numbers of full range.
cv::Vec3d reference(double y, double u, double v, double kr, double kb, bool full, int bits = 8) {
    const double one = std::ldexp(1.0, bits - 8);
    const double most = std::ldexp(1.0, bits) - 1;
    const double luma = full ? y / most : (y - 16 * one) / (219 * one);
    const double cb = (u - 128 * one) / (full ? most : 224 * one);
    const double cr = (v - 128 * one) / (full ? most : 224 * one);
    const double red = luma + 2 * (1 - kr) * cr;
    const double blue = luma + 2 * (1 - kb) * cb;
    const double green = (luma - kr * red - kb * blue) / (1 - kr - kb);
    const auto number = [&](double value) { return std::clamp(value * most, 0.0, most); };
    return {number(blue), number(green), number(red)};
}

cv::Mat reference_image(const Samples& luma, const Chroma& chroma, cv::Size size, const Matrix& matrix, bool full,
                        int bits = 8) {
    cv::Mat image(size, CV_64FC3);
    for (int y = 0; y < size.height; ++y) {
        for (int x = 0; x < size.width; ++x) {
            image.at<cv::Vec3d>(y, x) =
                reference(luma(x, y), interpolated(chroma.u, chroma, x, y), interpolated(chroma.v, chroma, x, y),
                          matrix.red, matrix.blue, full, bits);
        }
    }
    return image;
}

double greatest_difference(const cv::Mat& image, const cv::Mat& expected) {
    cv::Mat values;
    image.convertTo(values, CV_64F);
    return cv::norm(values, expected, cv::NORM_INF);
}

bool same_bytes(const cv::Mat& a, const cv::Mat& b) {
    return a.size() == b.size() && a.type() == b.type() && cv::norm(a, b, cv::NORM_INF) == 0;
}

const cv::Size kSizes[] = {{1, 1},  {2, 1},  {1, 2},  {3, 3},  {2, 2},  {5, 70}, {70, 5}, {15, 4}, {16, 3},
                           {17, 5}, {31, 2}, {32, 4}, {33, 3}, {63, 5}, {64, 2}, {65, 4}, {95, 3}, {130, 6}};

/// Both planes of chroma, apart or taking turns.
struct ChromaPlanes {
    ChromaPlanes(cv::Size size, int step, int padding, bool upside_down, bool v_first, std::mt19937& random)
        : step_(step), v_first_(v_first) {
        for (int i = 0; i < (step == 1 ? 2 : 1); ++i) {
            planes.emplace_back(size.width * step, size.height, padding, upside_down, random, 255);
        }
    }

    const uint8_t* row(bool v, int y) const {
        return step_ == 1 ? planes[v ? 1 : 0].row(y) : planes[0].row(y) + (v == v_first_ ? 0 : 1);
    }
    Samples samples(bool v) const {
        return [this, v](int x, int y) { return row(v, y)[x * step_]; };
    }

    std::vector<Plane<uint8_t>> planes;
    int step_;
    bool v_first_;
};

void check_paths(cv::Size size, bool half_width, bool half_height, ChromaSiting horizontal, ChromaSiting vertical,
                 int step, std::mt19937& random) {
    for (const Matrix& matrix : kMatrices) {
        for (const bool full : {false, true}) {
            const bool upside_down = random() % 2 == 0;
            const int padding = static_cast<int>(random() % 5);
            const Plane<uint8_t> luma(size.width, size.height, padding, upside_down, random, 255);
            const cv::Size chroma_size(half_width ? (size.width + 1) / 2 : size.width,
                                       half_height ? (size.height + 1) / 2 : size.height);
            const ChromaPlanes planes(chroma_size, step, padding, upside_down, random() % 2 == 0, random);
            YuvImage image;
            image.width = size.width;
            image.height = size.height;
            image.luma = luma.row(0);
            image.luma_stride = luma.stride();
            image.u = planes.row(false, 0);
            image.v = planes.row(true, 0);
            image.u_stride = planes.planes.front().stride();
            image.v_stride = planes.planes.back().stride();
            image.chroma_step = step;
            image.half_width = half_width;
            image.half_height = half_height;
            image.horizontal = horizontal;
            image.vertical = vertical;
            const Chroma chroma = {
                planes.samples(false), planes.samples(true), chroma_size.width, chroma_size.height, half_width,
                half_height,           horizontal,           vertical};
            const cv::Mat expected =
                reference_image([&](int x, int y) { return luma.row(y)[x]; }, chroma, size, matrix, full);
            cv::Mat plain;
            for (const SimdPath path : simd_paths()) {
                CAPTURE(static_cast<int>(path));
                // A frame of other pixels, which must stay.
                cv::Mat surroundings(size.height + 2, size.width + 2, CV_8UC3, cv::Scalar(7, 8, 9));
                cv::Mat bgr = surroundings(cv::Rect(cv::Point(1, 1), size));
                yuv_to_bgr(image, {.red_weight = matrix.red, .blue_weight = matrix.blue, .full_range = full}, bgr,
                           path);
                CHECK(greatest_difference(bgr, expected) <= kTolerance);
                if (path == SimdPath::plain) plain = bgr.clone();
                CHECK(same_bytes(bgr, plain));
                bgr.setTo(cv::Scalar(7, 8, 9));
                CHECK(same_bytes(surroundings, cv::Mat(surroundings.size(), CV_8UC3, cv::Scalar(7, 8, 9))));
            }
        }
    }
}

UniqueFrame new_frame(AVPixelFormat format, cv::Size size) {
    capture_libav_log();
    UniqueFrame frame = make_frame();
    frame->format = format;
    frame->width = size.width;
    frame->height = size.height;
    REQUIRE(av_frame_get_buffer(frame.get(), 0) >= 0);
    // FFmpeg's functions for single samples add bits to what is there.
    for (const AVBufferRef* buffer : frame->buf) {
        if (buffer) std::memset(buffer->data, 0, buffer->size);
    }
    return frame;
}

/// Sample `component` at (x, y) of its plane.
uint16_t sample_of(const AVFrame& frame, int component, int x, int y) {
    const AVPixFmtDescriptor* format = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
    uint16_t value = 0;
    av_read_image_line(&value, const_cast<const uint8_t**>(frame.data), frame.linesize, format, x, y, component, 1, 0);
    return value;
}

void set_sample(AVFrame& frame, int component, int x, int y, uint16_t value) {
    const AVPixFmtDescriptor* format = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
    av_write_image_line(&value, frame.data, frame.linesize, format, x, y, component, 1);
}

cv::Size plane_size(const AVFrame& frame, int component) {
    const AVPixFmtDescriptor* format = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
    const bool chroma = (component == 1 || component == 2) && !(format->flags & AV_PIX_FMT_FLAG_RGB);
    return {chroma ? AV_CEIL_RSHIFT(frame.width, format->log2_chroma_w) : frame.width,
            chroma ? AV_CEIL_RSHIFT(frame.height, format->log2_chroma_h) : frame.height};
}

void fill_at_random(AVFrame& frame, std::mt19937& random) {
    const AVPixFmtDescriptor* format = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
    for (int component = 0; component < format->nb_components; ++component) {
        const cv::Size size = plane_size(frame, component);
        for (int y = 0; y < size.height; ++y) {
            for (int x = 0; x < size.width; ++x) {
                set_sample(frame, component, x, y,
                           static_cast<uint16_t>(random() % (1U << format->comp[component].depth)));
            }
        }
    }
}

cv::Mat reference_image(const AVFrame& frame, const Matrix& matrix, bool full, ChromaSiting horizontal,
                        ChromaSiting vertical) {
    const AVPixFmtDescriptor* format = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
    const cv::Size chroma_size = plane_size(frame, 1);
    const auto component = [&](int index) {
        return [&frame, index](int x, int y) { return static_cast<double>(sample_of(frame, index, x, y)); };
    };
    const Chroma chroma = {component(1),
                           component(2),
                           chroma_size.width,
                           chroma_size.height,
                           format->log2_chroma_w == 1,
                           format->log2_chroma_h == 1,
                           horizontal,
                           vertical};
    return reference_image(component(0), chroma, {frame.width, frame.height}, matrix, full, format->comp[0].depth);
}

ImageType type_of(const AVFrame& frame, int channels, int depth = CV_8U) {
    return {.height = frame.height, .width = frame.width, .channels = channels, .depth = depth};
}

/// The same samples with rows from bottom to top in memory.
UniqueFrame upside_down(const AVFrame& frame) {
    UniqueFrame turned = new_frame(static_cast<AVPixelFormat>(frame.format), {frame.width, frame.height});
    REQUIRE(av_frame_copy_props(turned.get(), &frame) >= 0);
    for (int plane = 0; plane < 4 && frame.data[plane]; ++plane) {
        const int rows = plane_size(frame, plane).height;
        REQUIRE(turned->linesize[plane] == frame.linesize[plane]);
        for (int y = 0; y < rows; ++y) {
            std::memcpy(turned->data[plane] + static_cast<ptrdiff_t>(rows - 1 - y) * frame.linesize[plane],
                        frame.data[plane] + static_cast<ptrdiff_t>(y) * frame.linesize[plane],
                        static_cast<size_t>(frame.linesize[plane]));
        }
        turned->data[plane] += static_cast<ptrdiff_t>(rows - 1) * frame.linesize[plane];
        turned->linesize[plane] *= -1;
    }
    return turned;
}

/// A raw video of one frame; `format` is y4m's name, `samples` its planes one after the other.
void write_y4m(const std::filesystem::path& path, const std::string& format, cv::Size size,
               const std::vector<uint16_t>& samples, bool deep) {
    std::ofstream out(path, std::ios::binary);
    out << "YUV4MPEG2 W" << size.width << " H" << size.height << " F25:1 Ip A1:1 C" << format << "\nFRAME\n";
    for (const uint16_t sample : samples) {
        out.put(static_cast<char>(sample & 255));
        if (deep) out.put(static_cast<char>(sample >> 8));
    }
}

Frame first_frame(const std::filesystem::path& path, const SourceOptions& options) {
    FileFormatTable formats;
    add_file_formats_video(formats);
    const auto source = formats.front()->open(path, options);
    const std::optional<Frame> frame = source->next();
    REQUIRE(frame);
    CHECK(ImageType::of(frame->image) == source->info().image_type);
    return *frame;
}

}  // namespace

TEST_CASE("every kind of instructions converts every layout as the formula says, with the same bits") {
    REQUIRE(simd_paths().size() >= 2);
    std::mt19937 random(1);
    for (const cv::Size size : kSizes) {
        CAPTURE(size.width);
        CAPTURE(size.height);
        check_paths(size, false, false, ChromaSiting::first, ChromaSiting::first, 1, random);
        for (const ChromaSiting horizontal : {ChromaSiting::first, ChromaSiting::centre}) {
            for (const int step : {1, 2}) {
                CAPTURE(step);
                check_paths(size, true, false, horizontal, ChromaSiting::centre, step, random);
                for (const ChromaSiting vertical : {ChromaSiting::first, ChromaSiting::centre, ChromaSiting::last}) {
                    check_paths(size, true, true, horizontal, vertical, step, random);
                }
            }
        }
    }
}

TEST_CASE("all of the colour space, every matrix, both ranges") {
    constexpr int kLumas = 86;
    constexpr int kChromas = 52;
    std::vector<uint8_t> luma;
    std::vector<uint8_t> u;
    std::vector<uint8_t> v;
    for (int i = 0; i < kLumas * kChromas * kChromas; ++i) {
        luma.push_back(static_cast<uint8_t>(i % kLumas * 3));
        u.push_back(static_cast<uint8_t>(i / kLumas % kChromas * 5));
        v.push_back(static_cast<uint8_t>(i / kLumas / kChromas * 5));
    }
    YuvImage image;
    image.width = kLumas * kChromas;
    image.height = kChromas;
    image.luma = luma.data();
    image.u = u.data();
    image.v = v.data();
    image.luma_stride = image.u_stride = image.v_stride = image.width;
    for (const Matrix& matrix : kMatrices) {
        CAPTURE(std::string(matrix.name));
        for (const bool full : {false, true}) {
            cv::Mat expected(image.height, image.width, CV_64FC3);
            for (size_t i = 0; i < luma.size(); ++i) {
                expected.ptr<cv::Vec3d>()[i] = reference(luma[i], u[i], v[i], matrix.red, matrix.blue, full);
            }
            for (const SimdPath path : simd_paths()) {
                cv::Mat bgr(image.height, image.width, CV_8UC3);
                yuv_to_bgr(image, {.red_weight = matrix.red, .blue_weight = matrix.blue, .full_range = full}, bgr,
                           path);
                CHECK(greatest_difference(bgr, expected) <= kTolerance);
            }
        }
    }
}

TEST_CASE("gray pixels stay gray and exact, limited luma is expanded exactly") {
    std::vector<uint8_t> luma(256);
    for (size_t i = 0; i < luma.size(); ++i) luma[i] = static_cast<uint8_t>(i);
    const std::vector<uint8_t> neutral(256, 128);
    YuvImage image;
    image.width = 256;
    image.height = 1;
    image.luma = luma.data();
    image.u = image.v = neutral.data();
    cv::Mat bgr(1, 256, CV_8UC3);
    std::vector<uint8_t> expanded(256);
    expand_luma_range(luma.data(), expanded.data(), 256);
    for (const bool full : {false, true}) {
        for (const SimdPath path : simd_paths()) {
            yuv_to_bgr(image, {.full_range = full}, bgr, path);
            for (int i = 0; i < 256; ++i) {
                const auto expected =
                    full ? i : static_cast<int>(std::lround(std::clamp((i - 16) * 255.0 / 219, 0.0, 255.0)));
                const auto value = static_cast<uint8_t>(expected);
                CHECK(bgr.at<cv::Vec3b>(0, i) == cv::Vec3b(value, value, value));
                if (!full) CHECK(expanded[static_cast<size_t>(i)] == value);
            }
        }
    }
    for (int count = 0; count <= 40; ++count) {
        std::vector<uint8_t> part(static_cast<size_t>(count));
        expand_luma_range(luma.data() + 100, part.data(), count);
        CHECK(std::equal(part.begin(), part.end(), expanded.begin() + 100));
    }
}

TEST_CASE("frames are converted by their tags: matrix, range and the place of chroma") {
    std::mt19937 random(2);
    const std::pair<AVPixelFormat, bool> formats[] = {
        {AV_PIX_FMT_YUV420P, false}, {AV_PIX_FMT_YUVJ420P, true}, {AV_PIX_FMT_YUV422P, false},
        {AV_PIX_FMT_YUVJ422P, true}, {AV_PIX_FMT_YUV444P, false}, {AV_PIX_FMT_YUVJ444P, true},
        {AV_PIX_FMT_NV12, false},    {AV_PIX_FMT_NV21, false},    {AV_PIX_FMT_NV16, false}};
    struct Location {
        AVChromaLocation location;
        ChromaSiting horizontal;
        ChromaSiting vertical;
    };
    const Location locations[] = {{AVCHROMA_LOC_UNSPECIFIED, ChromaSiting::first, ChromaSiting::centre},
                                  {AVCHROMA_LOC_LEFT, ChromaSiting::first, ChromaSiting::centre},
                                  {AVCHROMA_LOC_CENTER, ChromaSiting::centre, ChromaSiting::centre},
                                  {AVCHROMA_LOC_TOPLEFT, ChromaSiting::first, ChromaSiting::first},
                                  {AVCHROMA_LOC_TOP, ChromaSiting::centre, ChromaSiting::first},
                                  {AVCHROMA_LOC_BOTTOMLEFT, ChromaSiting::first, ChromaSiting::last},
                                  {AVCHROMA_LOC_BOTTOM, ChromaSiting::centre, ChromaSiting::last}};
    FrameToImage converter;
    for (const auto& [pixel_format, always_full] : formats) {
        const AVPixelFormat format = pixel_format;
        CAPTURE(std::string(av_get_pix_fmt_name(format)));
        for (const Matrix& matrix : kMatrices) {
            for (const AVColorRange range : {AVCOL_RANGE_UNSPECIFIED, AVCOL_RANGE_MPEG, AVCOL_RANGE_JPEG}) {
                for (const Location& location : locations) {
                    CAPTURE(static_cast<int>(location.location));
                    const UniqueFrame frame = new_frame(format, {21, 9});
                    fill_at_random(*frame, random);
                    frame->colorspace = matrix.space;
                    frame->color_range = range;
                    frame->chroma_location = location.location;
                    const cv::Mat expected = reference_image(*frame, matrix, always_full || range == AVCOL_RANGE_JPEG,
                                                             location.horizontal, location.vertical);
                    const cv::Mat image = converter.convert(*frame, type_of(*frame, 3));
                    CHECK(image.isContinuous());
                    CHECK(greatest_difference(image, expected) <= kTolerance);
                    const UniqueFrame turned = upside_down(*frame);
                    CHECK(same_bytes(converter.convert(*turned, type_of(*frame, 3)), image));
                }
            }
        }
    }
}

TEST_CASE("padding to even sizes is cut off") {
    std::mt19937 random(3);
    FrameToImage converter;
    for (const AVPixelFormat format : {AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUV444P, AV_PIX_FMT_YUV420P10, AV_PIX_FMT_GBRP}) {
        const UniqueFrame frame = new_frame(format, {24, 10});
        fill_at_random(*frame, random);
        const int depth = format == AV_PIX_FMT_YUV420P10 ? CV_16U : CV_8U;
        for (const int channels : {1, 3}) {
            const cv::Mat whole = converter.convert(*frame, type_of(*frame, channels, depth));
            const ImageType odd = {.height = 9, .width = 23, .channels = channels, .depth = depth};
            const cv::Mat cut = converter.convert(*frame, odd);
            CHECK(cut.isContinuous());
            CHECK(same_bytes(cut, whole(cv::Rect(0, 0, 23, 9))));
        }
        CHECK_THROWS_AS(converter.convert(*frame, {.height = 9, .width = 22, .channels = 3, .depth = depth}), Error);
    }
}

TEST_CASE("even colours agree with FFmpeg's own conversion for every matrix and format, also those left to it") {
    FrameToImage converter;
    for (const AVPixelFormat format :
         {AV_PIX_FMT_YUV420P, AV_PIX_FMT_NV12, AV_PIX_FMT_YUV440P, AV_PIX_FMT_YUV411P, AV_PIX_FMT_YUVA420P,
          AV_PIX_FMT_NV24, AV_PIX_FMT_YUYV422, AV_PIX_FMT_YUV420P10}) {
        CAPTURE(std::string(av_get_pix_fmt_name(format)));
        for (const Matrix& matrix : kMatrices) {
            CAPTURE(std::string(matrix.name));
            for (const bool full : {false, true}) {
                const UniqueFrame frame = new_frame(format, {48, 8});
                const AVPixFmtDescriptor* descriptor = av_pix_fmt_desc_get(format);
                const int bits = descriptor->comp[0].depth;
                const int yuv[] = {140, 90, 170};
                for (int component = 0; component < 3; ++component) {
                    const cv::Size size = plane_size(*frame, component);
                    for (int y = 0; y < size.height; ++y) {
                        for (int x = 0; x < size.width; ++x) {
                            set_sample(*frame, component, x, y, static_cast<uint16_t>(yuv[component] << (bits - 8)));
                        }
                    }
                }
                frame->colorspace = matrix.space;
                frame->color_range = full ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
                const cv::Mat image = converter.convert(*frame, type_of(*frame, 3));
                const cv::Vec3d expected = reference(140, 90, 170, matrix.red, matrix.blue, full);
                CHECK(greatest_difference(image, cv::Mat(image.size(), CV_64FC3,
                                                         cv::Scalar(expected[0], expected[1], expected[2]))) <= 1.6);
            }
        }
    }
}

TEST_CASE("RGB in planes, packed and with a palette comes out as it is") {
    std::mt19937 random(4);
    FrameToImage converter;
    for (const AVPixelFormat format : {AV_PIX_FMT_GBRP, AV_PIX_FMT_RGB24, AV_PIX_FMT_BGR24, AV_PIX_FMT_BGRA}) {
        CAPTURE(std::string(av_get_pix_fmt_name(format)));
        const UniqueFrame frame = new_frame(format, {37, 6});
        fill_at_random(*frame, random);
        frame->colorspace = AVCOL_SPC_RGB;
        const cv::Mat image = converter.convert(*frame, type_of(*frame, 3));
        for (int y = 0; y < 6; ++y) {
            for (int x = 0; x < 37; ++x) {
                for (int channel = 0; channel < 3; ++channel) {
                    CHECK(image.at<cv::Vec3b>(y, x)[channel] == sample_of(*frame, 2 - channel, x, y));
                }
            }
        }
    }
    const UniqueFrame frame = new_frame(AV_PIX_FMT_PAL8, {40, 4});
    for (int y = 0; y < 4; ++y) std::fill_n(frame->data[0] + y * frame->linesize[0], 40, static_cast<uint8_t>(y));
    const uint32_t palette[] = {0xff102030, 0xff405060, 0xff708090, 0xffa0b0c0};
    std::memcpy(frame->data[1], palette, sizeof(palette));
    const cv::Mat image = converter.convert(*frame, type_of(*frame, 3));
    CHECK(image.at<cv::Vec3b>(0, 0) == cv::Vec3b(0x30, 0x20, 0x10));
    CHECK(image.at<cv::Vec3b>(3, 39) == cv::Vec3b(0xc0, 0xb0, 0xa0));
}

TEST_CASE("gray of a colour frame is its luma plane, expanded by its tag") {
    std::mt19937 random(5);
    FrameToImage converter;
    for (const AVPixelFormat format : {AV_PIX_FMT_YUV420P, AV_PIX_FMT_NV12, AV_PIX_FMT_GRAY8}) {
        const UniqueFrame frame = new_frame(format, {45, 7});
        fill_at_random(*frame, random);
        for (const bool full : {false, true}) {
            frame->color_range = full ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
            const cv::Mat image = converter.convert(*frame, type_of(*frame, 1));
            const cv::Mat colour =
                format == AV_PIX_FMT_GRAY8 ? converter.convert(*frame, type_of(*frame, 3)) : cv::Mat();
            for (int y = 0; y < 7; ++y) {
                for (int x = 0; x < 45; ++x) {
                    const int luma = sample_of(*frame, 0, x, y);
                    const double value = full ? luma : std::clamp((luma - 16) * 255.0 / 219, 0.0, 255.0);
                    CHECK(image.at<uint8_t>(y, x) == std::lround(value));
                    if (!colour.empty()) CHECK(colour.at<cv::Vec3b>(y, x)[1] == image.at<uint8_t>(y, x));
                }
            }
        }
    }
}

TEST_CASE("deep YUV gives 16-bit BGR of the same number of bits as the formula says") {
    std::mt19937 random(6);
    FrameToImage converter;
    for (const AVPixelFormat format :
         {AV_PIX_FMT_YUV420P9, AV_PIX_FMT_YUV420P10, AV_PIX_FMT_YUV422P10, AV_PIX_FMT_YUV444P10, AV_PIX_FMT_YUV440P10,
          AV_PIX_FMT_YUV420P12, AV_PIX_FMT_YUV444P12, AV_PIX_FMT_YUV422P14, AV_PIX_FMT_YUV420P16,
          AV_PIX_FMT_YUVA444P10}) {
        CAPTURE(std::string(av_get_pix_fmt_name(format)));
        for (const Matrix& matrix : kMatrices) {
            for (const bool full : {false, true}) {
                for (const cv::Size size : {cv::Size(1, 1), cv::Size(33, 5), cv::Size(70, 4)}) {
                    const UniqueFrame frame = new_frame(format, size);
                    fill_at_random(*frame, random);
                    frame->colorspace = matrix.space;
                    frame->color_range = full ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
                    const bool centre = random() % 2 == 0;
                    frame->chroma_location = centre ? AVCHROMA_LOC_CENTER : AVCHROMA_LOC_LEFT;
                    const cv::Mat expected =
                        reference_image(*frame, matrix, full, centre ? ChromaSiting::centre : ChromaSiting::first,
                                        ChromaSiting::centre);
                    const cv::Mat image = converter.convert(*frame, type_of(*frame, 3, CV_16U));
                    CHECK(image.type() == CV_16UC3);
                    CHECK(greatest_difference(image, expected) <= kTolerance);
                    CHECK(same_bytes(converter.convert(*upside_down(*frame), type_of(*frame, 3, CV_16U)), image));
                }
            }
        }
    }
}

TEST_CASE("deep RGB keeps its values") {
    std::mt19937 random(7);
    FrameToImage converter;
    for (const AVPixelFormat format : {AV_PIX_FMT_GBRP9, AV_PIX_FMT_GBRP10, AV_PIX_FMT_GBRP12, AV_PIX_FMT_GBRAP12,
                                       AV_PIX_FMT_GBRP16, AV_PIX_FMT_RGB48LE, AV_PIX_FMT_RGB48BE}) {
        CAPTURE(std::string(av_get_pix_fmt_name(format)));
        const UniqueFrame frame = new_frame(format, {37, 6});
        fill_at_random(*frame, random);
        const cv::Mat image = converter.convert(*frame, type_of(*frame, 3, CV_16U));
        CHECK(image.type() == CV_16UC3);
        for (int y = 0; y < 6; ++y) {
            for (int x = 0; x < 37; ++x) {
                for (int channel = 0; channel < 3; ++channel) {
                    CHECK(image.at<cv::Vec3w>(y, x)[channel] == sample_of(*frame, 2 - channel, x, y));
                }
            }
        }
    }
}

TEST_CASE("deep layouts that are left to FFmpeg come close, with the right number of bits") {
    FrameToImage converter;
    for (const AVPixelFormat format : {AV_PIX_FMT_P010LE, AV_PIX_FMT_YUV420P10BE, AV_PIX_FMT_YUV444P12BE}) {
        CAPTURE(std::string(av_get_pix_fmt_name(format)));
        const UniqueFrame frame = new_frame(format, {48, 8});
        const int bits = av_pix_fmt_desc_get(format)->comp[0].depth;
        const int yuv[] = {140, 90, 170};
        for (int component = 0; component < 3; ++component) {
            const cv::Size size = plane_size(*frame, component);
            for (int y = 0; y < size.height; ++y) {
                for (int x = 0; x < size.width; ++x) {
                    set_sample(*frame, component, x, y, static_cast<uint16_t>(yuv[component] << (bits - 8)));
                }
            }
        }
        const double one = 1 << (bits - 8);
        const cv::Vec3d expected = reference(140 * one, 90 * one, 170 * one, 0.299, 0.114, false, bits);
        const cv::Mat image = converter.convert(*frame, type_of(*frame, 3, CV_16U));
        CHECK(greatest_difference(
                  image, cv::Mat(image.size(), CV_64FC3, cv::Scalar(expected[0], expected[1], expected[2]))) <= one);
    }
}

TEST_CASE("deep luma in either byte order, beside alpha and above chroma; 8 bits of it on request") {
    std::mt19937 random(8);
    FrameToImage converter;
    for (const AVPixelFormat format :
         {AV_PIX_FMT_GRAY9, AV_PIX_FMT_GRAY10LE, AV_PIX_FMT_GRAY12BE, AV_PIX_FMT_GRAY16LE, AV_PIX_FMT_GRAY16BE,
          AV_PIX_FMT_YA16LE, AV_PIX_FMT_YUV420P10, AV_PIX_FMT_YUV422P12BE, AV_PIX_FMT_P010LE}) {
        CAPTURE(std::string(av_get_pix_fmt_name(format)));
        const UniqueFrame frame = new_frame(format, {29, 5});
        fill_at_random(*frame, random);
        const int bits = av_pix_fmt_desc_get(format)->comp[0].depth;
        const double most = (1 << bits) - 1;
        for (const bool full : {false, true}) {
            frame->color_range = full ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
            const cv::Mat image = converter.convert(*frame, type_of(*frame, 1, CV_16U));
            const cv::Mat bytes = converter.convert(*frame, type_of(*frame, 1));
            CHECK(image.type() == CV_16UC1);
            CHECK(bytes.type() == CV_8UC1);
            for (int y = 0; y < 5; ++y) {
                for (int x = 0; x < 29; ++x) {
                    const cv::Vec3d gray = reference(sample_of(*frame, 0, x, y), 1 << (bits - 1), 1 << (bits - 1),
                                                     0.299, 0.114, full, bits);
                    CHECK(std::abs(image.at<uint16_t>(y, x) - gray[1]) <= (full ? 1e-6 : kTolerance));
                    CHECK(std::abs(bytes.at<uint8_t>(y, x) - gray[1] * 255 / most) <= 1);
                }
            }
            CHECK(same_bytes(converter.convert(*upside_down(*frame), type_of(*frame, 1, CV_16U)), image));
        }
    }
}

TEST_CASE("frames of 8 bits and of floating point are no 16-bit images") {
    FrameToImage converter;
    for (const AVPixelFormat format : {AV_PIX_FMT_YUV420P, AV_PIX_FMT_GRAY8, AV_PIX_FMT_RGB24, AV_PIX_FMT_GRAYF32}) {
        const UniqueFrame frame = new_frame(format, {16, 16});
        CHECK_THROWS_AS(converter.convert(*frame, type_of(*frame, 3, CV_16U)), Error);
        CHECK_THROWS_AS(converter.convert(*frame, type_of(*frame, 1, CV_16U)), Error);
        CHECK_THROWS_AS(converter.convert(*frame, type_of(*frame, 1, CV_32F)), Error);
        CHECK_FALSE(is_deep_format(av_get_pix_fmt_name(format)));
    }
    CHECK(is_deep_format("yuv420p10le"));
    CHECK(is_deep_format("gbrp12le"));
    CHECK(is_deep_format("gray16be"));
    CHECK_FALSE(is_deep_format("nonsense"));
    CHECK_FALSE(is_deep_format(""));
}

TEST_CASE("a converter follows frames that change their kind") {
    std::mt19937 random(9);
    FrameToImage converter;
    std::vector<UniqueFrame> frames;
    for (const AVPixelFormat format : {AV_PIX_FMT_YUV440P, AV_PIX_FMT_YUV411P, AV_PIX_FMT_YUV440P10}) {
        for (const AVColorSpace space : {AVCOL_SPC_BT709, AVCOL_SPC_SMPTE170M}) {
            for (const cv::Size size : {cv::Size(40, 8), cv::Size(36, 6)}) {
                frames.push_back(new_frame(format, size));
                fill_at_random(*frames.back(), random);
                frames.back()->colorspace = space;
            }
        }
    }
    for (int i = 0; i < 60; ++i) {
        const AVFrame& frame = *frames[random() % frames.size()];
        CHECK(
            same_bytes(converter.convert(frame, type_of(frame, 3)), FrameToImage().convert(frame, type_of(frame, 3))));
    }
}

TEST_CASE("a source gives deep videos 8 bits, or all of them on request") {
    const TemporaryFolder folder;
    const cv::Size size(6, 4);
    std::vector<uint16_t> samples(36);
    for (size_t i = 0; i < samples.size(); ++i) samples[i] = static_cast<uint16_t>(i < 24 ? 64 + i * 36 : 512);
    write_y4m(folder / "10.y4m", "420p10", size, samples, true);
    const cv::Mat deep = first_frame(folder / "10.y4m", {.deep = true}).image;
    const cv::Mat gray = first_frame(folder / "10.y4m", {.gray = true, .deep = true}).image;
    const cv::Mat bytes = first_frame(folder / "10.y4m", {}).image;
    const cv::Mat gray_bytes = first_frame(folder / "10.y4m", {.gray = true}).image;
    CHECK(deep.type() == CV_16UC3);
    CHECK(gray.type() == CV_16UC1);
    CHECK(bytes.type() == CV_8UC3);
    CHECK(gray_bytes.type() == CV_8UC1);
    for (int i = 0; i < 24; ++i) {
        const double expected = i * 36 * 1023 / 876.0;
        CHECK(std::abs(deep.at<cv::Vec3w>(i / 6, i % 6)[2] - expected) <= kTolerance);
        CHECK(std::abs(gray.at<uint16_t>(i / 6, i % 6) - expected) <= kTolerance);
        CHECK(std::abs(bytes.at<cv::Vec3b>(i / 6, i % 6)[2] - expected / 1023 * 255) <= 1.1);
        CHECK(std::abs(gray_bytes.at<uint8_t>(i / 6, i % 6) - expected / 1023 * 255) <= 1);
    }

    for (uint16_t& sample : samples) sample = static_cast<uint16_t>(sample / 4);
    write_y4m(folder / "8.y4m", "420mpeg2", size, samples, false);
    CHECK(first_frame(folder / "8.y4m", {.deep = true}).image.type() == CV_8UC3);

    for (size_t i = 0; i < 24; ++i) samples[i] = static_cast<uint16_t>(i * 150);
    samples.resize(24);
    write_y4m(folder / "12.y4m", "mono12", size, samples, true);
    for (const bool deep_wanted : {false, true}) {
        const cv::Mat image = first_frame(folder / "12.y4m", {.deep = deep_wanted}).image;
        REQUIRE(image.type() == CV_16UC1);
        for (int i = 0; i < 24; ++i) CHECK(image.at<uint16_t>(i / 6, i % 6) == i * 150);
    }
}

TEST_CASE("images become frames of every layout and come back") {
    const struct {
        AVPixelFormat format;
        int channels;
        int bits;
        double most_error;  ///< of a smooth picture, full range
    } layouts[] = {
        {AV_PIX_FMT_GRAY8, 1, 8, 0},     {AV_PIX_FMT_YUV420P, 1, 8, 0},      {AV_PIX_FMT_NV12, 1, 8, 0},
        {AV_PIX_FMT_YUV444P, 1, 8, 0},   {AV_PIX_FMT_GRAY10LE, 1, 10, 0},    {AV_PIX_FMT_GRAY12LE, 1, 12, 0},
        {AV_PIX_FMT_GRAY16LE, 1, 16, 0}, {AV_PIX_FMT_YUV420P10LE, 1, 10, 0}, {AV_PIX_FMT_YUV444P12LE, 1, 12, 0},
        {AV_PIX_FMT_P010LE, 1, 10, 0},   {AV_PIX_FMT_BGR0, 3, 8, 0},         {AV_PIX_FMT_BGR24, 3, 8, 0},
        {AV_PIX_FMT_GBRP, 3, 8, 0},      {AV_PIX_FMT_GBRP10LE, 3, 10, 0},    {AV_PIX_FMT_GBRP12LE, 3, 12, 0},
        {AV_PIX_FMT_GBRP16LE, 3, 16, 0}, {AV_PIX_FMT_YUV444P, 3, 8, 3},      {AV_PIX_FMT_YUV420P, 3, 8, 4},
        {AV_PIX_FMT_NV12, 3, 8, 4},
    };
    for (const auto& layout : layouts) {
        const bool rgb = (av_pix_fmt_desc_get(layout.format)->flags & AV_PIX_FMT_FLAG_RGB) != 0;
        for (const bool even : {false, true}) {
            if (even == rgb) continue;
            for (const bool full : {true, false}) {
                if (rgb && !full) continue;
                for (const auto& [height, width] : {std::pair(24, 32), std::pair(13, 37), std::pair(5, 3)}) {
                    CAPTURE(av_get_pix_fmt_name(layout.format));
                    CAPTURE(full);
                    const ImageType type{height, width, layout.channels, layout.bits > 8 ? CV_16U : CV_8U};
                    CAPTURE(type.text());
                    const int most = (1 << layout.bits) - 1;
                    cv::Mat image(height, width, type.cv_type());
                    for (int y = 0; y < height; ++y) {
                        for (int x = 0; x < width; ++x) {
                            // Every value in RGB and gray, slow slopes where chroma is halved.
                            const int slope = 60 + y + x;
                            const int value = layout.most_error > 0 ? slope : (y * 7919 + x * 104729) % (most + 1);
                            image.row(y).col(x).setTo(cv::Scalar(value, most - value, value / 2));
                        }
                    }
                    ImageToFrame to_frame(type, {.format = layout.format, .full_range = full, .even = even});
                    CHECK(to_frame.width() == width + (even ? width % 2 : 0));
                    CHECK(to_frame.height() == height + (even ? height % 2 : 0));
                    const UniqueFrame frame = to_frame.convert(image);
                    CHECK(is_full_range(*frame) == full);
                    const cv::Mat back = FrameToImage().convert(*frame, type);
                    REQUIRE(ImageType::of(back) == type);
                    // Limited range has 219 steps for 255.
                    const double rounding = full ? 0 : (layout.channels == 1 ? 1 : 2);
                    CHECK(cv::norm(back, image, cv::NORM_INF) <= layout.most_error + rounding);
                }
            }
        }
    }
}

TEST_CASE("images that do not fit a layout, and values that do not fit its bits, are refused") {
    const auto refused = [](const ImageType& type, AVPixelFormat format) {
        try {
            ImageToFrame converter(type, {.format = format});
            return false;
        } catch (const Error& error) {
            return error.code() == ErrorCode::wrong_type;
        }
    };
    CHECK(refused({8, 8, 3, CV_8U}, AV_PIX_FMT_GRAY10LE));
    CHECK(refused({8, 8, 1, CV_16U}, AV_PIX_FMT_YUV420P));
    CHECK(refused({8, 8, 1, CV_8U}, AV_PIX_FMT_BGR0));
    CHECK(refused({8, 8, 3, CV_16U}, AV_PIX_FMT_YUV420P10LE));
    CHECK(refused({8, 8, 4, CV_8U}, AV_PIX_FMT_YUV420P));
    CHECK(refused({8, 8, 1, CV_32F}, AV_PIX_FMT_GRAY16LE));
    ImageToFrame converter({8, 8, 1, CV_16U}, {.format = AV_PIX_FMT_GRAY12LE});
    cv::Mat image(8, 8, CV_16UC1, cv::Scalar(4095));
    CHECK_NOTHROW(converter.convert(image));
    image.at<uint16_t>(7, 7) = 4096;
    CHECK_THROWS_AS(converter.convert(image), Error);
}
