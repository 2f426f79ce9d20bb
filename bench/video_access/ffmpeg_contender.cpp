#include "bench/command.h"
#include "bench/video_access/contenders.h"

namespace reelstore::bench {

namespace {

class Ffmpeg : public Contender {
public:
    Ffmpeg(const Clip& clip, int threads, bool to_bgr) : clip_(clip), threads_(threads), to_bgr_(to_bgr) {}

    Pass run(std::span<const int64_t> indices) override {
        std::vector<std::string> command = {"ffmpeg",    "-nostdin",
                                            "-v",        "error",
                                            "-threads",  std::to_string(threads_),
                                            "-i",        clip_.files.front().string(),
                                            "-frames:v", std::to_string(indices.size())};
        if (to_bgr_) command.insert(command.end(), {"-pix_fmt", "bgr24"});
        command.insert(command.end(), {"-f", "null", "-"});
        Pass pass{.frames = static_cast<int64_t>(indices.size()), .wrong_frames = std::nullopt};
        const Stopwatch watch;
        run_command(command);
        stop(watch, pass);
        return pass;
    }

private:
    const Clip& clip_;
    int threads_;
    bool to_bgr_;
};

}  // namespace

std::unique_ptr<Contender> ffmpeg_in_order(const Clip& clip, int threads, bool to_bgr) {
    return std::make_unique<Ffmpeg>(clip, threads, to_bgr);
}

}  // namespace reelstore::bench
