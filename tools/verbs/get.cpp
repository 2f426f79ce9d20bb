#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <cmath>
#include <cstdio>

#include "base/error.h"
#include "base/file_system.h"
#include "base/npy.h"
#include "codecs/image_chunk_format.h"
#include "codecs/pixel_hash.h"
#include "store/open_source.h"
#include "tools/console.h"
#include "tools/frame_json.h"
#include "tools/match.h"
#include "tools/ranges.h"
#include "tools/replaced_output.h"
#include "tools/source_options.h"
#include "tools/verb.h"

namespace reelstore {

namespace {

std::vector<uint8_t> raw_bytes(const cv::Mat& image) {
    const cv::Mat packed = image.isContinuous() ? image : image.clone();
    return {packed.data, packed.data + packed.total() * packed.elemSize()};
}

std::vector<uint8_t> file_bytes(const cv::Mat& image, const std::string& extension) {
    if (extension == ".npy") return npy_from_image(image);
    if (extension == ".raw") return raw_bytes(image);
    const ImageFolderFormat* format = find_image_format(extension);
    if (!format)
        throw UsageError(fmt::format(
            "no image is written as \"{}\"; known are .png .npy .bpk .jpg .tif .bmp .ppm .pgm .raw", extension));
    // Without this, OpenCV would reduce 16-bit and float pixels to 8 bits and say nothing.
    if (const auto reason = format->refuses(ImageType::of(image))) throw Error(ErrorCode::wrong_type, *reason);
    return format->kind().encode(image, {});
}

class GetVerb : public Verb {
public:
    std::string name() const override { return "get"; }
    std::string summary() const override { return "one frame by index, number or time"; }
    std::string examples() const override {
        return "  store get mystore --index 42 -o frame.png\n"
               "  store get mystore --number 6056 --match nearest --json\n"
               "  store get mystore --time 2026-11-20T09:21:30 -o - --as npy > frame.npy\n"
               "  store get video.mp4 --index 42 -o frame.png\n"
               "  store get video.mp4 --time 83.4 --gray -o frame.png\n"
               "  store get mystore --index 42 --filter 8bit,colormap=viridis -o frame.png\n";
    }
    void declare(CLI::App& app) override {
        app.add_option("RECORDING", recording_, kRecordingHelp)->required();
        CLI::Option_group* which = app.add_option_group("which frame (one of these)");
        which->add_option("--index", index_, "place in the recording; negative values count from the end");
        which->add_option("--number", number_, "the camera's number");
        which->add_option("--time", time_,
                          "seconds, for a store also a date such as 2026-11-20T09:21:30 (UTC unless it names a zone)");
        which->require_option(1);
        app.add_option("--match", match_,
                       "exact, nearest, previous or next (default: exact for numbers, nearest for times)");
        app.add_option("-o,--output", output_,
                       "file to write (.png .npy .bpk .jpg .tif .bmp .ppm .pgm .raw), - for stdout");
        app.add_option("--as", as_, "kind of file for stdout: png, npy, jpg, tif, raw (default png)");
        source_.declare_pixels(app);
        source_.declare_filter(app);
        app.add_flag("--force", force_, "overwrite the file");
        app.add_flag("--json", json_, "print index, number, time, shape, dtype and the pixels' sha256");
    }
    int run() override {
        const std::unique_ptr<Recording> recording = source_.open_filtered(recording_);
        const SourceNotes notes(*recording);
        const std::optional<FrameRow> row = find(*recording);
        if (!row) {
            fmt::print(stderr, "store get: {}: {}\n", recording_, what_there_is(*recording));
            return kExitFailed;
        }
        const Frame frame = recording->at_index(row->index);
        if (!output_.empty() && output_ != "-" && lies_in(output_, recording->path()))
            throw UsageError("the output lies in the recording itself");
        if (!output_.empty()) write(frame);
        if (json_) print_json(frame);
        if (output_.empty() && !json_)
            fmt::print("index {} number {} time {}: {}\n", frame.index, frame.number,
                       std::isnan(frame.time) ? "none" : exact_text(frame.time), ImageType::of(frame.image).text());
        return kExitDone;
    }

private:
    std::optional<FrameRow> find(const Recording& recording) const {
        if (!index_.empty()) {
            const int64_t index = parse_integer(index_, "frame index");
            return recording.row(index < 0 ? index + recording.frame_count() : index);
        }
        if (!number_.empty())
            return recording.find_number(parse_integer(number_, "frame number"), parse_match(match_, Match::exact));
        refuse_dates(recording.info(), time_);
        return recording.find_time(parse_time(time_), parse_match(match_, Match::nearest));
    }

    /// Why no frame was found.
    std::string what_there_is(const Recording& recording) const {
        const auto numbers = recording.number_range();
        const auto times = recording.time_range();
        if (!numbers) return "there are no frames";
        if (!index_.empty())
            return fmt::format("there is no frame {}; the frames are 0 to {}", index_, recording.frame_count() - 1);
        if (!number_.empty())
            return fmt::format("no frame matches the number {}; the numbers are {} to {} (try --match nearest)",
                               number_, numbers->first, numbers->second);
        if (!times) return "the frames have no times";
        return fmt::format("no frame matches the time {}; the times are {} to {} (try --match nearest)", time_,
                           exact_text(times->first), exact_text(times->second));
    }

    void write(const Frame& frame) const {
        const bool to_stdout = output_ == "-";
        if (to_stdout && json_) throw UsageError("--json and -o - both write to stdout; choose one");
        const std::string extension = to_stdout ? "." + as_ : std::filesystem::path(output_).extension().string();
        const std::vector<uint8_t> bytes = file_bytes(frame.image, extension);
        if (to_stdout) {
            if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size())
                throw Error(ErrorCode::io, "cannot write to stdout");
            return;
        }
        if (file_system().status(output_).kind != FileKind::missing && !force_) {
            throw Error(ErrorCode::already_exists, {output_, {}, {}}, "exists already; --force overwrites it");
        }
        write_file_atomically(output_, bytes.data(), bytes.size());
    }

    static void print_json(const Frame& frame) {
        const ImageType type = ImageType::of(frame.image);
        Json facts;
        facts["index"] = frame.index;
        facts["number"] = frame.number;
        facts["time"] = finite_or_null(frame.time);
        facts["shape"] = type.shape();
        facts["dtype"] = dtype_name(type.depth);
        facts["sha256"] = pixel_sha256(frame.image);
        fmt::print("{}\n", facts.dump());
    }

    std::string recording_;
    std::string index_;
    std::string number_;
    std::string time_;
    std::string match_;
    std::string output_;
    std::string as_ = "png";
    SourceOptionGroup source_;
    bool force_ = false;
    bool json_ = false;
};

}  // namespace

void add_verbs_get(VerbTable& table) {
    table.push_back(std::make_unique<GetVerb>());
}

}  // namespace reelstore
