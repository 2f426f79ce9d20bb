#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <opencv2/core.hpp>
#include <optional>

#include "base/error.h"
#include "base/file_system.h"
#include "base/json.h"
#include "base/encoding.h"
#include "codecs/option_values.h"
#include "store/open_source.h"
#include "store/store_reader.h"
#include "tools/codec_options.h"
#include "tools/console.h"
#include "tools/format_bench.h"
#include "tools/ranges.h"
#include "tools/verb.h"

namespace reelstore {

namespace {

/// Of frames in memory.
constexpr size_t kMostSampleBytes = size_t{1} << 30;

/// A folder that goes with the run.
class BenchFolder {
public:
    explicit BenchFolder(const std::string& keep) : keeps_(!keep.empty()) {
        if (keeps_) {
            path_ = keep;
            const FileKind kind = file_system().status(path_).kind;
            if (kind == FileKind::missing) {
                file_system().create_folder(path_);
            } else if (kind != FileKind::folder || !file_system().list(path_).empty()) {
                throw Error(ErrorCode::already_exists, {keep, {}, {}},
                            "--keep needs a folder that is empty or not there yet");
            }
            return;
        }
        std::string name = (std::filesystem::temp_directory_path() / "reelstore_bench_XXXXXX").string();
        if (!mkdtemp(name.data())) throw system_error(errno, name, "make a temporary folder (TMPDIR names another)");
        path_ = name;
    }
    ~BenchFolder() {
        std::error_code ignored;
        if (!keeps_) std::filesystem::remove_all(path_, ignored);
    }
    BenchFolder(const BenchFolder&) = delete;
    BenchFolder& operator=(const BenchFolder&) = delete;

    const std::filesystem::path& path() const { return path_; }
    /// The chunk of a format is not needed any more.
    void drop(const std::string& name) const {
        std::error_code ignored;
        if (!keeps_) std::filesystem::remove_all(path_ / name, ignored);
    }

private:
    std::filesystem::path path_;
    bool keeps_;
};

struct Skipped {
    std::string format;
    std::string reason;
};

/// A format's figures beside what they are about.
struct Row {
    FormatFigures figures;
    const ChunkFormat* format = nullptr;
    bool decoded = false;  ///< measured on decoded images, though the recording has raw ones
    double frames = 0;
    double raw_bytes = 0;  ///< of all frames, as pixels

    double bytes_per_frame() const { return static_cast<double>(figures.bytes) / frames; }
    double write_rate() const { return frames / figures.write_seconds; }
    double megabytes_per_second() const { return raw_bytes / figures.write_seconds / 1e6; }
    double random_milliseconds() const { return figures.random_seconds / frames * 1e3; }
    double sequential_rate() const { return frames / figures.sequential_seconds; }
};

class BenchFormatsVerb : public Verb {
public:
    std::string name() const override { return "bench-formats"; }
    std::string summary() const override {
        return "encodes a sample of your own recording in every format: size, speed, loss";
    }
    std::string examples() const override {
        return "  store bench-formats video.mp4\n"
               "  store bench-formats mystore --frames 300 --formats png,avc1/mp4,npy\n"
               "  store bench-formats mystore --formats avc1/mp4 --set crf=18 --set preset=medium\n"
               "  store bench-formats frames/ --keep samples                  (look at what each made)\n";
    }
    void declare(CLI::App& app) override {
        app.add_option("RECORDING", recording_, kRecordingHelp)->required();
        app.add_option("--frames", frames_,
                       "frames of the sample (default 100): some runs of consecutive ones, spread over the recording")
            ->check(CLI::PositiveNumber);
        app.add_option("--index", index_, "take the sample out of these frames A:B only");
        app.add_option("--formats", formats_, "only these, comma separated; also the +color forms")
            ->delimiter(',')
            ->allow_extra_args(false);
        app.add_option("--set", codec_, "codec option NAME=VALUE, for the formats that know it; others keep theirs")
            ->allow_extra_args(false);
        app.add_flag("--deep", deep_, "16-bit images of a video with more than 8 bits a sample");
        app.add_option("--keep", keep_, "an empty or new folder where the encoded samples stay");
        app.add_flag("--json", json_, "one JSON object on stdout");
    }

    int run() override {
        const std::unique_ptr<Recording> recording = open_recording(recording_, {.deep = deep_, .raw = true});
        const SourceNotes notes(*recording);
        const Encoding* encoding = encoding_of(*recording);
        const std::vector<const ChunkFormat*> chosen = chosen_formats();
        const CodecOptions codec = parse_codec_options(codec_);
        check_options_known(chosen, codec);
        const InterruptGuard interrupt;
        const BenchFolder folder(keep_);
        take_frames(*recording, encoding, interrupt.token());
        int code = sample_.damaged > 0 ? kExitDataLost : kExitDone;
        {
            ProgressBar bar("measuring formats");
            for (size_t i = 0; i < chosen.size() && !interrupt.interrupted(); ++i) {
                bar.update(static_cast<int64_t>(i), static_cast<int64_t>(chosen.size()));
                if (!measure(*chosen[i], codec, folder, interrupt.token())) code = kExitFailed;
            }
        }
        std::sort(rows_.begin(), rows_.end(),
                  [](const Row& a, const Row& b) { return a.bytes_per_frame() < b.bytes_per_frame(); });
        if (interrupt.interrupted()) {
            if (!json_ && !rows_.empty()) print_table();
            fmt::print(stderr, "stopped after {} of {} formats\n", rows_.size() + skipped_.size(), chosen.size());
            return kExitInterrupted;
        }
        json_ ? print_json() : print_table();
        return code;
    }

private:
    /// The stored images of a recording with an encoding are raw.
    const Encoding* encoding_of(const Recording& recording) const {
        const auto* store = dynamic_cast<const StoreReader*>(&recording);
        return store && !store->metadata().encoding.empty() ? find_encoding(store->metadata().encoding) : nullptr;
    }

    static bool lost_pixels(const Recording& recording) {
        if (const auto* store = dynamic_cast<const StoreReader*>(&recording)) return !store->lossless();
        const std::string& format = recording.info().format;
        return !recording.info().pixel_format.empty() && !format.starts_with("ffv1") && !format.starts_with("raw");
    }

    std::vector<const ChunkFormat*> chosen_formats() const {
        std::vector<const ChunkFormat*> chosen;
        for (const std::string& name : formats_) {
            const ChunkFormat* format = find_chunk_format(name);
            if (!format) {
                std::string known;
                for (const auto& candidate : chunk_formats())
                    known += (known.empty() ? "" : ", ") + candidate->info().name;
                throw UsageError(fmt::format("unknown format \"{}\"; known are {}", name, known));
            }
            if (std::find(chosen.begin(), chosen.end(), format) == chosen.end()) chosen.push_back(format);
        }
        if (!chosen.empty()) return chosen;
        // What a +color form stores, the form without it stores too.
        for (const auto& format : chunk_formats()) {
            if (!format->info().decodes_at_write) chosen.push_back(format.get());
        }
        return chosen;
    }

    static bool knows(const ChunkFormat& format, const std::string& option) {
        const auto& options = format.info().options;
        return std::any_of(options.begin(), options.end(),
                           [&](const CodecOptionInfo& info) { return info.name == option; });
    }

    static void check_options_known(const std::vector<const ChunkFormat*>& chosen, const CodecOptions& codec) {
        for (const auto& option : codec) {
            const bool known = std::any_of(chosen.begin(), chosen.end(),
                                           [&](const ChunkFormat* format) { return knows(*format, option.first); });
            if (!known) throw UsageError(fmt::format("no format measured has an option \"{}\"", option.first));
        }
    }

    void take_frames(Recording& recording, const Encoding* encoding, const std::stop_token& stop) {
        IndexRun range{0, recording.frame_count()};
        if (!index_.empty()) {
            const IndexRange given = parse_index_range(index_, recording.frame_count());
            if (given.step != 1) throw UsageError("a sample has consecutive frames: give --index A:B");
            range = {given.first, given.last};
        }
        size_t most_bytes = kMostSampleBytes;
        const ImageType& type = recording.info().image_type;
        // Formats that cannot keep the raw images get decoded ones, beside them in memory.
        if (encoding && !type.empty()) {
            const double share = static_cast<double>(type.bytes()) /
                                 static_cast<double>(type.bytes() + decoded_type(*encoding, type).value().bytes());
            most_bytes = static_cast<size_t>(static_cast<double>(most_bytes) * share);
        }
        sample_ = take_sample(recording, range, frames_, most_bytes, stop);
        if (static_cast<int64_t>(sample_.frames.size()) + sample_.damaged < sample_.wanted) {
            print_note(fmt::format("the sample has {} frames instead of {}: no more fit into {} of memory",
                                   sample_.frames.size(), sample_.wanted, human_bytes(kMostSampleBytes)));
        }
        if (sample_.damaged > 0) {
            print_note(fmt::format("{} frames could not be read and were left out; the first: {}", sample_.damaged,
                                   sample_.first_damage));
        }
        if (lost_pixels(recording)) {
            print_note(
                "these frames have been compressed before, most likely with losses that smoothed them: frames of a "
                "camera "
                "take more room in lossless formats");
        }
        if (!encoding) return;
        encoding_ = encoding->name;
        for (const cv::Mat& raw : sample_.frames) {
            if (stop.stop_requested()) throw Error(ErrorCode::cancelled, "stopped");
            decoded_.push_back(decode(*encoding, raw));
        }
    }

    /// False when the format should have worked.
    bool measure(const ChunkFormat& format, const CodecOptions& codec, const BenchFolder& folder,
                 const std::stop_token& stop) {
        const ChunkFormatInfo& info = format.info();
        const auto skip = [&](const std::string& reason) {
            skipped_.push_back({info.name, reason});
            return true;
        };
        if (!info.unavailable.empty()) return skip(info.unavailable);
        CodecOptions own;
        for (const auto& [name, value] : codec) {
            if (knows(format, name)) own.emplace(name, value);
        }
        try {
            format.check_options(own);
        } catch (const Error& error) {
            return skip(error.message());
        }
        // What changes raw pixels, or cannot hold them, is measured on what it would be given.
        const bool decoded =
            !encoding_.empty() && (!info.lossless || info.decodes_at_write || format.refuses_with(own, sample_.type));
        const std::vector<cv::Mat>& frames = decoded ? decoded_ : sample_.frames;
        const ImageType type = ImageType::of(frames.front());
        if (const auto reason = format.refuses_with(own, type)) return skip(*reason);
        const std::string name = sample_chunk_name(info);
        try {
            Row row{measure_format(format, frames, own, peak_of(frames, own), folder.path(), stop), &format, decoded};
            row.frames = static_cast<double>(frames.size());
            row.raw_bytes = row.frames * static_cast<double>(type.bytes());
            rows_.push_back(std::move(row));
        } catch (const Error& error) {
            if (error.code() != ErrorCode::cancelled) {
                fmt::print(stderr, "store bench-formats: {}: {}\n", info.name, error.what());
                skipped_.push_back({info.name, fmt::format("failed: {}", error.what())});
            }
            folder.drop(name);
            return error.code() == ErrorCode::cancelled;
        }
        folder.drop(name);
        return true;
    }

    /// The value that is white: that of the type, or as deep as the video's samples are; the range of floats.
    static double peak_of(const std::vector<cv::Mat>& frames, const CodecOptions& codec) {
        const int depth = frames.front().depth();
        if (depth == CV_8U || depth == CV_8S) return 255;
        if (depth == CV_16U || depth == CV_16S) {
            constexpr int kDeepest = 16;
            const bool given = codec.contains("bits");
            return std::exp2(given ? integer_option(codec, "bits", kDeepest, 1, kDeepest) : kDeepest) - 1;
        }
        double low = std::numeric_limits<double>::infinity();
        double high = -low;
        for (const cv::Mat& image : frames) {
            double least = 0;
            double most = 0;
            cv::minMaxLoc(image.reshape(1), &least, &most);
            low = std::min(low, least);
            high = std::max(high, most);
        }
        return high > low ? high - low : 1;
    }

    // ---- what is said

    template <typename Better>
    const Row* best(bool exact_only, Better better) const {
        const Row* found = nullptr;
        for (const Row& row : rows_) {
            if (exact_only && !(row.figures.exact && row.format->info().lossless && !row.decoded)) continue;
            if (!found || better(row, *found)) found = &row;
        }
        return found;
    }
    const Row* smallest_lossless() const {
        return best(true, [](const Row& a, const Row& b) { return a.bytes_per_frame() < b.bytes_per_frame(); });
    }
    const Row* smallest() const {
        return best(false, [](const Row& a, const Row& b) { return a.bytes_per_frame() < b.bytes_per_frame(); });
    }
    const Row* fastest_write() const {
        return best(false, [](const Row& a, const Row& b) { return a.write_rate() > b.write_rate(); });
    }
    const Row* fastest_random_read() const {
        return best(false,
                    [](const Row& a, const Row& b) { return a.random_milliseconds() < b.random_milliseconds(); });
    }

    double ratio(const Row& row) const { return static_cast<double>(sample_.type.bytes()) / row.bytes_per_frame(); }

    static std::string loss(const Row& row) {
        if (row.figures.exact) return "exact";
        return fmt::format("{:.1f}", row.figures.psnr);
    }

    void print_table() const {
        const double frames = static_cast<double>(sample_.frames.size());
        fmt::print("{} frames of {} in {} {}, {} each{}\n\n", frames, sample_.type.text(), sample_.runs.size(),
                   sample_.runs.size() == 1 ? "run" : "runs", human_bytes(sample_.type.bytes()),
                   encoding_.empty() ? "" : fmt::format(", raw {}", encoding_));
        fmt::print("{:<18} {:>12} {:>7} {:>9} {:>8} {:>10} {:>9} {:>8} {:>7}\n", "format", "bytes/frame", "ratio",
                   "write f/s", "MB/s", "random ms", "read f/s", "PSNR dB", "SSIM");
        for (const Row& row : rows_) {
            const FormatFigures& figures = row.figures;
            fmt::print("{:<18} {:>12.0f} {:>7.2f} {:>9.0f} {:>8.0f} {:>10.3f} {:>9.0f} {:>8} {:>7}{}\n", figures.format,
                       row.bytes_per_frame(), ratio(row), row.write_rate(), row.megabytes_per_second(),
                       row.random_milliseconds(), row.sequential_rate(), loss(row),
                       figures.exact  ? "exact"
                       : figures.ssim ? fmt::format("{:.4f}", *figures.ssim)
                                      : "-",
                       row.decoded ? "  (decoded images)" : "");
        }
        fmt::print(
            "\nratio: raw pixels to file. Times of one encoder or reader, with the threads it takes by itself, the "
            "files in memory; syncs to the disk are not in them.\n");
        const auto recommend = [](const char* need, const Row* row, const std::string& figure) {
            if (row) fmt::print("{:<21} {} ({})\n", need, row->figures.format, figure);
        };
        fmt::print("\n");
        if (const Row* row = smallest_lossless()) {
            recommend("smallest lossless:", row, fmt::format("{} a frame", human_bytes_of(*row)));
        }
        if (const Row* row = smallest(); row && !row->figures.exact) {
            recommend("smallest:", row, fmt::format("{} a frame, {} dB", human_bytes_of(*row), loss(*row)));
        }
        if (const Row* row = fastest_write())
            recommend("fastest write:", row, fmt::format("{:.0f} frames/s", row->write_rate()));
        if (const Row* row = fastest_random_read())
            recommend("fastest random read:", row, fmt::format("{:.3f} ms a frame", row->random_milliseconds()));
        if (!skipped_.empty()) fmt::print("\n");
        for (const Skipped& skipped : skipped_) fmt::print("not measured: {}: {}\n", skipped.format, skipped.reason);
        if (!keep_.empty()) fmt::print("\nthe encoded samples are in {}\n", keep_);
    }

    static std::string human_bytes_of(const Row& row) {
        return human_bytes(static_cast<uint64_t>(std::llround(row.bytes_per_frame())));
    }

    void print_json() const {
        Json runs = Json::array();
        for (const IndexRun& run : sample_.runs) runs.push_back({run.first, run.last});
        Json formats = Json::array();
        for (const Row& row : rows_) {
            const FormatFigures& figures = row.figures;
            Json entry = {{"format", figures.format},
                          {"lossless", row.format->info().lossless},
                          {"decoded", row.decoded},
                          {"bytes_per_frame", row.bytes_per_frame()},
                          {"ratio", ratio(row)},
                          {"write_frames_per_second", row.write_rate()},
                          {"write_megabytes_per_second", row.megabytes_per_second()},
                          {"random_read_milliseconds", row.random_milliseconds()},
                          {"sequential_read_frames_per_second", row.sequential_rate()},
                          {"exact", figures.exact},
                          {"psnr", figures.exact ? Json() : Json(figures.psnr)},
                          {"ssim", figures.exact  ? Json(1.0)
                                   : figures.ssim ? Json(*figures.ssim)
                                                  : Json()}};
            formats.push_back(std::move(entry));
        }
        Json skipped = Json::array();
        for (const Skipped& one : skipped_) skipped.push_back({{"format", one.format}, {"reason", one.reason}});
        const auto named = [](const Row* row) { return row ? Json(row->figures.format) : Json(); };
        const Json json = {{"sample",
                            {{"frames", sample_.frames.size()},
                             {"damaged", sample_.damaged},
                             {"runs", runs},
                             {"image_shape", sample_.type.shape()},
                             {"dtype", dtype_name(sample_.type.depth)},
                             {"encoding", encoding_.empty() ? Json() : Json(encoding_)},
                             {"bytes_per_frame", sample_.type.bytes()}}},
                           {"formats", formats},
                           {"skipped", skipped},
                           {"recommended",
                            {{"smallest_lossless", named(smallest_lossless())},
                             {"smallest", named(smallest())},
                             {"fastest_write", named(fastest_write())},
                             {"fastest_random_read", named(fastest_random_read())}}}};
        fmt::print("{}\n", json.dump(-1, ' ', false, Json::error_handler_t::replace));
    }

    std::string recording_;
    int64_t frames_ = 100;
    std::string index_;
    std::vector<std::string> formats_;
    std::vector<std::string> codec_;
    bool deep_ = false;
    std::string keep_;
    bool json_ = false;

    FormatSample sample_;
    std::vector<cv::Mat> decoded_;  ///< the same frames, for a recording with an encoding
    std::string encoding_;
    std::vector<Row> rows_;
    std::vector<Skipped> skipped_;
};

}  // namespace

void add_verbs_bench_formats(VerbTable& table) {
    table.push_back(std::make_unique<BenchFormatsVerb>());
}

}  // namespace reelstore
