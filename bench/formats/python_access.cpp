#include <fstream>

#include "base/error.h"
#include "base/json.h"
#include "base/npy.h"
#include "bench/command.h"
#include "bench/formats/frame_access.h"

namespace reelstore::bench {

namespace {

namespace fs = std::filesystem;

Json ask(const Json& request) {
    const std::string answer =
        run_command({REELSTORE_BENCH_PYTHON, "-B", REELSTORE_BENCH_FOLDER "/python_access.py", request.dump()});
    Json result = Json::parse(answer, nullptr, false);
    if (!result.is_object()) throw Error(ErrorCode::internal, "python_access.py answers no JSON: " + answer);
    return result;
}

class Python : public FrameAccess {
public:
    explicit Python(Json request) : request_(std::move(request)) {}

    Pass run(std::span<const int64_t> indices) override {
        request_["indices"] = std::vector<int64_t>(indices.begin(), indices.end());
        const Json answer = ask(request_);
        Pass pass;
        pass.frames = answer.at("frames");
        pass.seconds = answer.at("seconds");
        pass.cpu_seconds = answer.at("cpu_seconds");
        pass.wrong_frames = answer.at("wrong");
        return pass;
    }

private:
    Json request_;
};

void write_stack(const Clip& clip, const fs::path& path) {
    std::vector<int64_t> shape = clip.type.shape();
    shape.insert(shape.begin(), static_cast<int64_t>(clip.images.size()));
    const std::vector<uint8_t> header = make_npy_header(npy_descr(clip.type.depth), shape);
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(header.data()), static_cast<std::streamsize>(header.size()));
    for (const cv::Mat& image : clip.images) {
        file.write(reinterpret_cast<const char*>(image.data), static_cast<std::streamsize>(clip.type.bytes()));
    }
    file.close();
    if (!file) throw Error(ErrorCode::io, {path.string(), {}, {}}, "cannot write the file");
}

}  // namespace

std::vector<AccessEntry> python_access(const Clip& clip, const fs::path& video, const fs::path& folder) {
    const fs::path array = folder / "clip.npy";
    write_stack(clip, array);
    const Json written = ask({{"do", "write"}, {"array", array.string()}, {"folder", folder.string()}});
    std::vector<AccessEntry> entries;
    const auto add = [&](const std::string& name, const std::string& peer, const std::string& file, double bytes) {
        const Json request = {{"do", "read"}, {"peer", peer}, {"file", file}, {"array", array.string()}};
        entries.push_back({.name = name,
                           .make = [request] { return std::make_unique<Python>(request); },
                           .frame_bytes = bytes / static_cast<double>(clip.images.size())});
    };
    for (const Json& file : written.at("files")) {
        add(file.at("name"), file.at("peer"), file.at("path"), file.at("bytes").get<double>());
    }
    add(kPyAv, "av", video.string(), static_cast<double>(fs::file_size(video)));
    return entries;
}

}  // namespace reelstore::bench
