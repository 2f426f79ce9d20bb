#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>

#include "bench/files/files.h"

namespace reelstore::bench {

namespace {

bool identical(const cv::Mat& image, const cv::Mat& other) {
    if (image.size() != other.size() || image.type() != other.type()) return false;
    const size_t row_bytes = image.elemSize() * static_cast<size_t>(image.cols);
    for (int row = 0; row < image.rows; ++row) {
        if (std::memcmp(image.ptr(row), other.ptr(row), row_bytes) != 0) return false;
    }
    return true;
}

Pass run_here(const FileCase& file, const Contender& contender, Order order, const std::vector<int64_t>& indices) {
    Pass pass;
    std::unique_ptr<FileReader> reader;
    const auto open = [&] { reader = contender.open(order); };
    if (order == Order::forward) {
        pass.time(open);
        pass.frames = 0;
    } else {
        open();
        reader->read(0);
    }
    for (const int64_t index : indices) {
        cv::Mat image;
        pass.time([&] { image = reader->read(index); });
        const cv::Mat& expected = file.images->images[static_cast<size_t>(index)];
        pass.wrong_frames += !identical(image, expected);
    }
    return pass;
}

Pass run_python(const FileCase& file, const Contender& contender, const std::filesystem::path& array, Order order,
                const std::vector<int64_t>& indices) {
    const Json answer = ask_python({{"do", "read"},
                                    {"reader", contender.python},
                                    {"file", file.path.string()},
                                    {"array", array.string()},
                                    {"in_order", order == Order::forward},
                                    {"indices", indices}});
    Pass pass;
    pass.frames = answer.at("frames");
    pass.seconds = answer.at("seconds");
    pass.cpu_seconds = answer.at("cpu_seconds");
    pass.wrong_frames = answer.at("wrong");
    return pass;
}

}  // namespace

CaseResult measure_case(const FileCase& file, const std::filesystem::path& array, int repetitions) {
    const auto image_bytes = static_cast<double>(file.images->type.bytes());
    CaseResult result = {.file = &file, .forward = {file.name, image_bytes}, .shuffled = {file.name, image_bytes}};
    for (const Order order : {Order::forward, Order::shuffled}) {
        Comparison& comparison = order == Order::forward ? result.forward : result.shuffled;
        std::vector<const Contender*> contenders;
        for (const Contender& contender : file.contenders) {
            if (order == Order::shuffled && !contender.shuffled) continue;
            contenders.push_back(&contender);
            comparison.series.push_back({.name = contender.name, .frame_bytes = file.frame_bytes});
        }
        for (int repetition = 0; repetition < repetitions; ++repetition) {
            std::vector<int64_t> indices(file.images->images.size());
            std::iota(indices.begin(), indices.end(), int64_t{0});
            if (order == Order::shuffled) {
                std::mt19937 random(static_cast<unsigned>(repetition) + 1);
                std::shuffle(indices.begin(), indices.end(), random);
            }
            for (size_t i = 0; i < contenders.size(); ++i) {
                const Contender& contender = *contenders[i];
                comparison.series[i].passes.push_back(contender.open
                                                          ? run_here(file, contender, order, indices)
                                                          : run_python(file, contender, array, order, indices));
            }
        }
    }
    return result;
}

}  // namespace reelstore::bench
