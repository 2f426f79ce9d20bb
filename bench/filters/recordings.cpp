#include "bench/filters/recordings.h"

#include <functional>
#include <string>
#include <vector>

#include "bench/command.h"
#include "bench/footage.h"
#include "bench/stopwatch.h"
#include "codecs/file_format.h"

namespace reelstore::bench {

void make_recording(const std::filesystem::path& path, const ImageType& type, int64_t count) {
    constexpr double kFrameRate = 25;
    const auto footage = synthetic_footage(type);
    const auto sink = create_file_sink(path, {.frame_rate = kFrameRate, .expected_frames = count});
    for (int64_t i = 0; i < count; ++i) {
        Frame frame;
        frame.image = footage->next();
        draw_number(frame.image, static_cast<int>(i));
        frame.index = frame.number = i;
        frame.time = static_cast<double>(i) / kFrameRate;
        sink->write(frame);
    }
    sink->close();
}

void CountingSink::write(const Frame& frame) {
    if (!frame.image.empty()) ++frames_;
}

Pass timed(int64_t frames, const std::function<void()>& work) {
    Pass pass;
    const Stopwatch watch;
    work();
    pass.seconds = watch.seconds();
    pass.cpu_seconds = watch.cpu_seconds();
    pass.frames = frames;
    return pass;
}

Pass timed_command(const std::vector<std::string>& command, int64_t frames) {
    return timed(frames, [&] { run_command(command); });
}

}  // namespace reelstore::bench
