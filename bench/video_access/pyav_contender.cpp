#include "base/error.h"
#include "base/json.h"
#include "bench/command.h"
#include "bench/footage.h"
#include "bench/video_access/contenders.h"

namespace reelstore::bench {

namespace {

class PyAv : public Contender {
public:
    PyAv(const Clip& clip, bool in_order, int threads) : clip_(clip), in_order_(in_order), threads_(threads) {}

    Pass run(std::span<const int64_t> indices) override {
        Json request = {
            {"gray", clip_.gray()},         {"frame_rate", Clip::kFrameRate},
            {"barcode_rows", kBarcodeRows}, {"chunk_frames", clip_.coding.chunk_frames},
            {"threads", threads_},          {"in_order", in_order_},
            {"files", Json::array()},       {"indices", std::vector<int64_t>(indices.begin(), indices.end())}};
        for (const std::filesystem::path& file : clip_.files) request["files"].push_back(file.string());
        const std::string answer =
            run_command({REELSTORE_BENCH_PYTHON, "-B", REELSTORE_BENCH_FOLDER "/pyav_access.py", request.dump()});
        const Json result = Json::parse(answer, nullptr, false);
        if (!result.is_object()) throw Error(ErrorCode::internal, "pyav_access.py answers no JSON: " + answer);
        return {.seconds = result.at("seconds"),
                .cpu_seconds = result.at("cpu_seconds"),
                .frames = result.at("frames"),
                .wrong_frames = result.at("wrong")};
    }

private:
    const Clip& clip_;
    bool in_order_;
    int threads_;
};

}  // namespace

std::unique_ptr<Contender> pyav(const Clip& clip) {
    return std::make_unique<PyAv>(clip, false, 1);
}

std::unique_ptr<Contender> pyav_in_order(const Clip& clip, int threads) {
    return std::make_unique<PyAv>(clip, true, threads);
}

}  // namespace reelstore::bench
