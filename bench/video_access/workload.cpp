#include "bench/video_access/workload.h"

#include <algorithm>
#include <numeric>
#include <thread>

#include <fmt/format.h>

#include "bench/video_access/contenders.h"

namespace reelstore::bench {

namespace {

constexpr char kFile[] = "reelstore, file";
constexpr char kStore[] = "reelstore, store";
constexpr char kLimit[] = "limit";
constexpr char kLimitDecode[] = "limit, not converted";
constexpr char kOpenCv[] = "OpenCV";
constexpr char kFfms2[] = "FFMS2";
constexpr char kPyAv[] = "PyAV";
constexpr char kLoop[] = "seek and decode";
constexpr char kFfmpeg[] = "ffmpeg -f null";
constexpr char kFfmpegBgr[] = "ffmpeg -pix_fmt bgr24";
/// Threads of every decoder that reads in order.
constexpr int kThreadsInOrder = 2;

int cores() {
    return static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
}

// OpenCV decides by itself.
std::string opencv_threads() {
    return std::to_string(cores());
}

/// As a program writes that knows nothing of random access: x264's own defaults.
CodecOptions x264_defaults(int gop) {
    return {{"preset", "medium"}, {"tune", "none"}, {"crf", "23"}, {"bframes", "3"}, {"gop", std::to_string(gop)}};
}

Coding one_file(const std::string& name, int gop, int64_t frames, const CodecOptions& options = {},
                const std::string& format = "avc1/mp4") {
    return {.name = name, .format = format, .options = options, .gop = gop, .frames = frames, .chunk_frames = frames};
}

int64_t uniform(std::mt19937& random, int64_t count) {
    return static_cast<int64_t>(random() % static_cast<uint64_t>(count));
}

std::vector<int64_t> shuffled_groups(int64_t count, std::mt19937& random) {
    // The first one was read before: see Contender.
    std::vector<int64_t> groups(static_cast<size_t>(count - 1));
    std::iota(groups.begin(), groups.end(), int64_t{1});
    std::shuffle(groups.begin(), groups.end(), random);
    return groups;
}

/// Frames of different groups of pictures, so that none helps another, spread evenly over the depths in a group.
std::vector<int64_t> one_of_each_group(const Clip& clip, size_t count, std::mt19937& random) {
    const int64_t gop = clip.coding.gop;
    std::vector<int64_t> groups = shuffled_groups(clip.frame_count() / gop, random);
    groups.resize(std::min(count, groups.size()));
    std::vector<int64_t> requests;
    const auto total = static_cast<int64_t>(groups.size());
    for (int64_t i = 0; i < total; ++i) {
        const int64_t from = i * gop / total;
        const int64_t to = std::max((i + 1) * gop / total, from + 1);
        requests.push_back(groups[static_cast<size_t>(i)] * gop + from + uniform(random, to - from));
    }
    std::shuffle(requests.begin(), requests.end(), random);
    return requests;
}

std::vector<int64_t> one_of_each_chunk(const Clip& clip, std::mt19937& random) {
    std::vector<int64_t> requests;
    for (const int64_t chunk : shuffled_groups(static_cast<int64_t>(clip.files.size()), random)) {
        requests.push_back(chunk * clip.coding.chunk_frames + uniform(random, clip.coding.chunk_frames));
    }
    return requests;
}

/// So many frames of so many groups of pictures, each once, in no order.
std::vector<int64_t> shuffled_batch(const Clip& clip, size_t groups, size_t frames, std::mt19937& random) {
    const int64_t gop = clip.coding.gop;
    std::vector<int64_t> chosen = shuffled_groups(clip.frame_count() / gop, random);
    chosen.resize(std::min(groups, chosen.size()));
    std::vector<int64_t> requests;
    for (const int64_t group : chosen) {
        for (int64_t i = 0; i < gop; ++i) requests.push_back(group * gop + i);
    }
    std::shuffle(requests.begin(), requests.end(), random);
    requests.resize(std::min(frames, requests.size()));
    return requests;
}

std::vector<int64_t> all_in_order(const Clip& clip) {
    std::vector<int64_t> requests(static_cast<size_t>(clip.frame_count()));
    std::iota(requests.begin(), requests.end(), int64_t{0});
    return requests;
}

ContenderFactory with(std::unique_ptr<Contender> (*make)(const Clip&, Delivery), Delivery delivery) {
    return [make, delivery](const Clip& clip) { return make(clip, delivery); };
}

ContenderFactory already_open(std::unique_ptr<Contender> (*make)(const Clip&)) {
    return [make](const Clip& clip) { return file_already_open(clip, make(clip)); };
}

void add_limit(std::vector<Entry>& entries, const Clip& clip) {
    entries.push_back({kLimit, "1", with(limit, Delivery::image)});
    if (!clip.gray()) entries.push_back({kLimitDecode, "1", with(limit, Delivery::none)});
}

std::vector<Entry> single_frame_entries(const Clip& clip) {
    std::vector<Entry> entries = {{kFile, "1", reelstore_file}, {kStore, "1", reelstore_store}};
    add_limit(entries, clip);
    entries.push_back({kLoop, "1", seek_and_decode});
    entries.push_back({kOpenCv, opencv_threads(), opencv});
    entries.push_back({kFfms2, "1", ffms2});
    entries.push_back({kPyAv, "1", pyav});
    return entries;
}

Workload random_frames(const std::string& name, const std::string& about, const Coding& coding, size_t requests) {
    return {.name = name,
            .about = about,
            .coding = coding,
            .requests = [requests](const Clip& clip,
                                   std::mt19937& random) { return one_of_each_group(clip, requests, random); },
            .entries = single_frame_entries,
            .limit = kLimit};
}

void aim(Workload& workload, Measure measure, double bound, const std::string& against) {
    for (const char* subject : {kFile, kStore}) workload.targets.push_back({subject, measure, bound, against});
}

Workload random_short_groups(const std::string& name, const std::string& about, const Coding& coding, size_t requests) {
    Workload workload = random_frames(name, about, coding, requests);
    aim(workload, Measure::times_slower, 1.1, kLimit);
    aim(workload, Measure::times_faster, 1.8, kOpenCv);
    aim(workload, Measure::times_faster, 1.3, kPyAv);
    aim(workload, Measure::times_faster, 1.05, kFfms2);
    return workload;
}

Workload random_pairs(const Coding& coding, size_t requests) {
    Workload workload =
        random_frames("Random frames, key frame every 2, reordering declared",
                      "H.264 with x264's defaults but -g 2. With closed groups x264 puts no B-frame into them, but the "
                      "stream announces B-frames, so decoders hold pictures back.",
                      coding, requests);
    aim(workload, Measure::times_faster, 8, kOpenCv);
    aim(workload, Measure::times_faster, 8, kFfms2);
    aim(workload, Measure::times_faster, 1.7, kPyAv);
    return workload;
}

Workload random_long_groups(const Coding& coding, size_t requests) {
    Workload workload =
        random_frames("Random frames, key frame every 250, B-frames",
                      "H.264 with x264's defaults: 3 B-frames, B-pyramid. The depths in the group of pictures are "
                      "spread evenly.",
                      coding, requests);
    aim(workload, Measure::times_faster, 1.6, kLoop);
    return workload;
}

Workload random_jpeg(const Coding& coding, size_t requests) {
    Workload workload = random_frames("Random frames, MJPEG in AVI", "Every frame is a key frame.", coding, requests);
    aim(workload, Measure::times_faster, 10, kOpenCv);
    return workload;
}

Workload random_chunks(const Coding& coding) {
    constexpr char kOpenStore[] = "reelstore, chunk already open";
    constexpr char kReopen[] = "OpenCV, opened again";
    constexpr char kOpenCvOpen[] = "OpenCV, file already open";
    return {.name = "Random frames, each of another chunk",
            .about =
                "A store of many short chunks; every request is for a chunk that was not read before. The peers "
                "open the chunk's file for it (FFMS2 with an index made before). What a change of chunk costs is "
                "the difference to the same frame read right after another one of its file.",
            .coding = coding,
            .requests = one_of_each_chunk,
            .entries =
                [=](const Clip& clip) {
                    std::vector<Entry> entries = {{kStore, "1", reelstore_store},
                                                  {kOpenStore, "1", already_open(reelstore_store)}};
                    add_limit(entries, clip);
                    entries.push_back({kReopen, opencv_threads(), opencv});
                    entries.push_back({kOpenCvOpen, opencv_threads(), already_open(opencv)});
                    entries.push_back({"FFMS2, opened again", "1", ffms2});
                    entries.push_back({"PyAV, opened again", "1", pyav});
                    return entries;
                },
            .limit = kLimit,
            .targets = {{kStore, Measure::longer_by_ms, 0.5, kOpenStore},
                        {kStore, Measure::longer_fewer, 15, kOpenStore, kReopen, kOpenCvOpen}}};
}

Workload batch(const Coding& coding, size_t groups, size_t frames, size_t most_of_peers) {
    constexpr char kBatch[] = "reelstore, batch";
    constexpr char kOneByOne[] = "reelstore, one by one";
    constexpr char kLimitBatch[] = "limit, sorted";
    return {
        .name = "Shuffled batch",
        .about = fmt::format("{} frames of {} groups of pictures in no order, all in memory at the end, against the "
                             "same requests one by one in the order of asking. The limit decodes every group once, "
                             "a decoder on each core. OpenCV, FFMS2 and PyAV are asked for the first {} only.",
                             frames, groups, most_of_peers),
        .coding = coding,
        .requests = [=](const Clip& clip,
                        std::mt19937& random) { return shuffled_batch(clip, groups, frames, random); },
        .entries = [=](const Clip&) -> std::vector<Entry> {
            return {
                {kBatch, std::to_string(cores()), reelstore_batch},
                {kLimitBatch, std::to_string(cores()), [](const Clip& clip) { return limit_by_group(clip, cores()); }},
                {kOneByOne, "1", reelstore_store},
                {kOpenCv, opencv_threads(), opencv, most_of_peers},
                {kFfms2, "1", ffms2, most_of_peers},
                {kPyAv, "1", pyav, most_of_peers}};
        },
        .limit = kLimitBatch,
        .targets = {{kBatch, Measure::times_faster, 4, kOneByOne}, {kBatch, Measure::packet_ratio, 1, kLimitBatch}}};
}

Workload in_order(const Coding& coding) {
    const std::string threads = std::to_string(kThreadsInOrder);
    Workload workload = {
        .name = "In order",
        .about =
            "The whole clip once, opening the file included. The limit is the plain loop of libavformat and "
            "libavcodec, converting on the same thread.",
        .coding = coding,
        .requests = [](const Clip& clip, std::mt19937&) { return all_in_order(clip); },
        .entries =
            [threads](const Clip& clip) {
                const auto loop = [](Delivery delivery) {
                    return [delivery](const Clip& c) { return decode_in_order(c, delivery, kThreadsInOrder); };
                };
                const auto command = [](bool to_bgr) {
                    return [to_bgr](const Clip& c) { return ffmpeg_in_order(c, kThreadsInOrder, to_bgr); };
                };
                std::vector<Entry> entries = {{kFile, threads, reelstore_file_in_order},
                                              {kStore, threads, reelstore_store_in_order},
                                              {kLimit, threads, loop(Delivery::image)}};
                if (!clip.gray()) entries.push_back({kLimitDecode, threads, loop(Delivery::none)});
                entries.push_back({kFfmpeg, threads, command(false)});
                if (!clip.gray()) entries.push_back({kFfmpegBgr, threads, command(true)});
                entries.push_back({kOpenCv, opencv_threads(), opencv_in_order});
                entries.push_back({kFfms2, threads, [](const Clip& c) { return ffms2_in_order(c, kThreadsInOrder); }});
                entries.push_back({kPyAv, threads, [](const Clip& c) { return pyav_in_order(c, kThreadsInOrder); }});
                return entries;
            },
        .limit = kLimit};
    aim(workload, Measure::times_faster, 0.95, kFfmpeg);
    aim(workload, Measure::times_faster, 1.5, kOpenCv);
    return workload;
}

Workload backward(const Coding& coding, size_t frames, size_t most_of_peers) {
    Workload workload = {
        .name = "Backward",
        .about = fmt::format("{} frames, each the one before the last. The limit decodes every group of pictures once. "
                             "The peers are asked for the first {} only.",
                             frames, most_of_peers),
        .coding = coding,
        .requests =
            [=](const Clip& clip, std::mt19937&) {
                std::vector<int64_t> requests = all_in_order(clip);
                std::reverse(requests.begin(), requests.end());
                requests.resize(std::min(frames, requests.size()));
                return requests;
            },
        .entries = [=](const Clip&) -> std::vector<Entry> {
            return {{kFile, "1", reelstore_file},
                    {kStore, "1", reelstore_store},
                    {kLimit, "1", [](const Clip& clip) { return limit_by_group(clip, 1); }},
                    {kLoop, "1", seek_and_decode, most_of_peers},
                    {kOpenCv, opencv_threads(), opencv, most_of_peers},
                    {kFfms2, "1", ffms2, most_of_peers},
                    {kPyAv, "1", pyav, most_of_peers}};
        },
        .limit = kLimit};
    aim(workload, Measure::times_faster, 8, kOpenCv);
    aim(workload, Measure::decodes_a_frame, 1.3, "");
    return workload;
}

}  // namespace

std::vector<Workload> workloads(const Scale& scale) {
    const bool quick = scale.quick;
    const Coding short_groups = one_file("g15", 15, quick ? 90 : 600);
    const Coding with_b_frames = one_file("g15b", 15, quick ? 90 : 300, x264_defaults(15));
    const Coding pairs = one_file("g2", 2, quick ? 60 : 200, x264_defaults(2));
    const Coding long_groups = one_file("g250", quick ? 50 : 250, quick ? 150 : 1000, x264_defaults(quick ? 50 : 250));
    const Coding jpeg = one_file("mjpeg", 1, quick ? 40 : 200, {}, "mjpeg/avi");
    Coding chunks = one_file("chunks", 15, quick ? 360 : 1800);
    chunks.chunk_frames = 60;
    const size_t few = quick ? 5 : 0;
    return {random_short_groups("Random frames, key frame every 15",
                                "H.264 as reelstore's writer makes it by default, no B-frames. Every request is for "
                                "another group of pictures than all before.",
                                short_groups, quick ? few : 15),
            random_short_groups("Random frames, key frame every 15, B-frames",
                                "H.264 with x264's defaults but -g 15: 3 B-frames, B-pyramid.", with_b_frames,
                                quick ? few : 15),
            random_pairs(pairs, quick ? few : 20),
            random_long_groups(long_groups, 3),
            random_jpeg(jpeg, quick ? few : 20),
            random_chunks(chunks),
            batch(short_groups, quick ? few : 20, quick ? 50 : 256, quick ? few : 32),
            in_order(short_groups),
            backward(short_groups, quick ? 60 : 500, quick ? few : 30)};
}

}  // namespace reelstore::bench
