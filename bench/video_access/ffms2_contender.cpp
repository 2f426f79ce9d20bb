#include <ffms.h>

#include <array>
#include <string>

#include "base/error.h"
#include "bench/video_access/contenders.h"

namespace reelstore::bench {

namespace {

struct Ffms2Deleter {
    void operator()(FFMS_Index* index) const { FFMS_DestroyIndex(index); }
    void operator()(FFMS_VideoSource* source) const { FFMS_DestroyVideoSource(source); }
};
using Ffms2Index = std::unique_ptr<FFMS_Index, Ffms2Deleter>;
using Ffms2Video = std::unique_ptr<FFMS_VideoSource, Ffms2Deleter>;

class ErrorText {
public:
    ErrorText() { info_ = {FFMS_ERROR_SUCCESS, FFMS_ERROR_SUCCESS, static_cast<int>(text_.size()), text_.data()}; }
    ErrorText(const ErrorText&) = delete;
    ErrorText& operator=(const ErrorText&) = delete;

    FFMS_ErrorInfo* info() { return &info_; }
    [[noreturn]] void raise(const std::filesystem::path& path) const {
        throw Error(ErrorCode::io, {path.string(), {}, {}}, std::string("FFMS2: ") + text_.data());
    }

private:
    std::array<char, 1024> text_ = {};
    FFMS_ErrorInfo info_ = {};
};

Ffms2Index make_index(const std::filesystem::path& path) {
    FFMS_Init(0, 0);
    ErrorText error;
    FFMS_Indexer* indexer = FFMS_CreateIndexer(path.c_str(), error.info());
    if (!indexer) error.raise(path);
    Ffms2Index index(FFMS_DoIndexing2(indexer, FFMS_IEH_ABORT, error.info()));
    if (!index) error.raise(path);
    return index;
}

Ffms2Video open_video(const Clip& clip, size_t file, FFMS_Index* index, int threads) {
    const std::filesystem::path& path = clip.files[file];
    ErrorText error;
    const int track = FFMS_GetFirstTrackOfType(index, FFMS_TYPE_VIDEO, error.info());
    Ffms2Video video(FFMS_CreateVideoSource(path.c_str(), track, index, threads, FFMS_SEEK_NORMAL, error.info()));
    if (!video) error.raise(path);
    if (!clip.gray()) {
        const std::array<int, 2> formats = {FFMS_GetPixFmt("bgr24"), -1};
        if (FFMS_SetOutputFormatV2(video.get(), formats.data(), clip.type.width, clip.type.height, FFMS_RESIZER_BICUBIC,
                                   error.info()) != 0) {
            error.raise(path);
        }
    }
    return video;
}

/// For gray the luma plane of the stream's own format: converting would only cost time.
cv::Mat read_frame(const Clip& clip, FFMS_VideoSource* video, int64_t position) {
    ErrorText error;
    const FFMS_Frame* frame = FFMS_GetFrame(video, static_cast<int>(position), error.info());
    if (!frame) return {};
    // FFMS2 keeps the memory, so the pixels have to be copied; cv::Mat has no view of constant ones.
    return cv::Mat(clip.type.height, clip.type.width, clip.type.cv_type(), const_cast<uint8_t*>(frame->Data[0]),
                   static_cast<size_t>(frame->Linesize[0]))
        .clone();
}

class Ffms2 : public Contender {
public:
    explicit Ffms2(const Clip& clip) : clip_(clip) {
        for (const std::filesystem::path& path : clip.files) indices_.push_back(make_index(path));
        open(0);
        read(0);
    }

    Pass run(std::span<const int64_t> indices) override {
        return read_each(indices, [this](int64_t index) { return read(index); });
    }

private:
    void open(size_t file) {
        file_ = file;
        video_ = open_video(clip_, file, indices_[file].get(), 1);
    }

    cv::Mat read(int64_t index) {
        if (clip_.file_of(index) != file_) open(clip_.file_of(index));
        return read_frame(clip_, video_.get(), clip_.position_in_file(index));
    }

    const Clip& clip_;
    std::vector<Ffms2Index> indices_;
    size_t file_ = 0;
    Ffms2Video video_;
};

class Ffms2InOrder : public Contender {
public:
    Ffms2InOrder(const Clip& clip, int threads)
        : clip_(clip), threads_(threads), index_(make_index(clip.files.front())) {}

    Pass run(std::span<const int64_t> indices) override {
        const Stopwatch watch;
        const Ffms2Video video = open_video(clip_, 0, index_.get(), threads_);
        Pass pass = read_each(indices, [&](int64_t index) { return read_frame(clip_, video.get(), index); });
        stop(watch, pass);
        return pass;
    }

private:
    const Clip& clip_;
    int threads_;
    Ffms2Index index_;
};

}  // namespace

std::unique_ptr<Contender> ffms2(const Clip& clip) {
    return std::make_unique<Ffms2>(clip);
}

std::unique_ptr<Contender> ffms2_in_order(const Clip& clip, int threads) {
    return std::make_unique<Ffms2InOrder>(clip, threads);
}

}  // namespace reelstore::bench
