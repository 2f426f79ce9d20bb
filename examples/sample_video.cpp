// Makes a video whose frames show their number, to people as digits and to programs as a barcode; and checks a picture.
//
//     sample_video OUT.mp4 [FRAMES]         ten seconds at 25 frames a second unless said otherwise
//     sample_video --check IMAGE NUMBER     exit 0 if the picture shows that number

#include <fmt/format.h>

#include <opencv2/imgproc.hpp>

#include <reelstore/base/error.h>
#include <reelstore/base/numbered_frames.h>
#include <reelstore/codecs/file_format.h>

using namespace reelstore;

namespace {

constexpr double kFrameRate = 25;
constexpr ImageType kType = {480, 640, 3, CV_8U};

cv::Mat numbered_picture(int number) {
    cv::Mat image = make_numbered_image(kType, number);
    const std::string text = std::to_string(number);
    const cv::Point place(20, kType.height - 40);
    cv::putText(image, text, place, cv::FONT_HERSHEY_SIMPLEX, 3, {0, 0, 0}, 16, cv::LINE_AA);
    cv::putText(image, text, place, cv::FONT_HERSHEY_SIMPLEX, 3, {255, 255, 255}, 6, cv::LINE_AA);
    return image;
}

void make_video(const std::string& path, int frames) {
    const auto sink = create_file_sink(path, {.frame_rate = kFrameRate});
    for (int i = 0; i < frames; ++i) {
        Frame frame;
        frame.image = numbered_picture(i);
        frame.index = frame.number = i;
        frame.time = i / kFrameRate;
        sink->write(frame);
    }
    sink->close();
}

int check_picture(const std::string& path, int expected) {
    const std::optional<Frame> frame = open_file_source(path)->next();
    const std::optional<int> number = frame ? read_image_number(frame->image) : std::nullopt;
    const bool right = number && *number == expected;
    fmt::print("{} shows {}: {}\n", path, number ? std::to_string(*number) : "no number", right ? "right" : "WRONG");
    return right ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        const std::string first = argc > 1 ? argv[1] : "";
        if (first == "--check" && argc == 4) return check_picture(argv[2], std::stoi(argv[3]));
        if (!first.empty() && first != "--check" && argc <= 3) {
            make_video(first, argc == 3 ? std::stoi(argv[2]) : static_cast<int>(10 * kFrameRate));
            return 0;
        }
        fmt::print(stderr, "usage: sample_video OUT.mp4 [FRAMES] | sample_video --check IMAGE NUMBER\n");
        return 2;
    } catch (const std::exception& error) {
        fmt::print(stderr, "sample_video: {}\n", error.what());
        return 1;
    }
}
