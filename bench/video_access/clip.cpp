#include "bench/video_access/clip.h"

#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include "base/error.h"
#include "bench/footage.h"
#include "store/store_writer.h"

namespace reelstore::bench {

namespace {

std::vector<std::filesystem::path> media_of(const std::filesystem::path& store, const std::string& extension) {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(store)) {
        if (entry.path().extension() == extension) files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    return files;
}

}  // namespace

ClipFactory::ClipFactory(std::filesystem::path folder, std::filesystem::path video)
    : folder_(std::move(folder)), video_(std::move(video)) {}

const Clip& ClipFactory::make(Content content, const ImageType& type, const Coding& coding) {
    const std::string kind = fmt::format("{} {}x{}, {}", type.gray() ? "gray" : "colour", type.width, type.height,
                                         content == Content::real ? "real" : "synthetic");
    Clip& clip = clips_[coding.name + " " + kind];
    if (!clip.name.empty()) return clip;
    clip = {.name = kind, .type = type, .coding = coding, .store = folder_ / fmt::format("clip_{}", clips_.size())};
    const std::unique_ptr<Footage> footage =
        content == Content::real ? real_footage(type, video_) : synthetic_footage(type);
    StoreWriter writer(clip.store,
                       {.format = coding.format, .chunk_frames = coding.chunk_frames, .codec = coding.options});
    for (int64_t index = 0; index < coding.frames; ++index) {
        cv::Mat image = footage->next();
        draw_number(image, static_cast<int>(index));
        writer.add(image, index, static_cast<double>(index) / Clip::kFrameRate);
    }
    writer.close();
    clip.files = media_of(clip.store, find_chunk_format(coding.format)->info().extension);
    const int64_t chunks = (coding.frames + coding.chunk_frames - 1) / coding.chunk_frames;
    if (static_cast<int64_t>(clip.files.size()) != chunks) {
        throw Error(ErrorCode::internal, {clip.store.string(), {}, {}}, "has another number of files than chunks");
    }
    return clip;
}

}  // namespace reelstore::bench
