/// TIFF files of one or many pages: TIFF 6.0 and BigTIFF as the Library of Congress and libtiff describe them,
/// ImageJ's, tifffile's and MetaMorph's habit of keeping stacks behind a single page, Micro-Manager's JSON in every
/// page.
///
/// The pages are found by our own reading of their chain; what is not plain pixels is decoded by libtiff. Values are
/// given as the file holds them (also where white is 0, as tifffile does), but for images of 1 bit, palettes and colour
/// spaces other than RGB, which are given as they are seen.

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file_system.h"
#include "base/text.h"
#include "codecs/file_format.h"
#include "codecs/foreign/image_sequence.h"
#include "codecs/foreign/tiff_directory.h"
#include "codecs/foreign/tiff_library.h"
#include "codecs/foreign/tiff_metadata.h"
#include "codecs/foreign/tiff_stack_writer.h"
#include "codecs/option_values.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

const char* const kName = "TIFF";

class TiffSequence : public ImageSequence {
public:
    TiffSequence(std::shared_ptr<const FileBytes> file, bool palette_indices)
        : file_(std::move(file)), palette_indices_(palette_indices), found_(find_tiff_pages(*file_)), decoder_(file_) {
        choose_pages();
        const TiffDirectory first = directory_of(0);
        metadata_ = read_tiff_metadata(first);
        has_times_ = micro_manager_time(first).has_value();
        choose_type();
        find_frames_without_pages();
    }

    int64_t frame_count() const override { return frames_without_pages_.value_or(page_count()); }

    SequenceImage read(int64_t index) const override {
        if (frames_without_pages_) {
            const TiffPage& first = found_.pages.front();
            return in_one_piece(first.pixels + static_cast<uint64_t>(index) * type_.bytes(), first_pixels_);
        }
        const TiffPage& page = found_.pages[static_cast<size_t>(index)];
        const TiffLayout& layout = found_.layout_of(page);
        const TiffPixels pixels = pixels_of(layout, palette_indices_);
        if (pixels.type != type_) {
            throw Error(ErrorCode::wrong_type,
                        fmt::format("the page is {}, the first one is {}", pixels.type.text(), type_.text()));
        }
        if (page.pixels != 0 && pixels.decoding == TiffDecoding::samples) return in_one_piece(page.pixels, pixels);
        return {decoder_.decode(page, layout, pixels)};
    }

    FrameStamp stamp(int64_t index) const override {
        FrameStamp stamp{.number = index};
        if (!has_times_ || frames_without_pages_) return stamp;
        if (const auto time = micro_manager_time(directory_of(index))) stamp.time = *time;
        return stamp;
    }

    std::vector<Json> extra_data_of(int64_t index) const override {
        if (!has_times_ || frames_without_pages_) return {};
        Json fields = micro_manager_metadata(directory_of(index));
        if (!fields.is_object()) return {};
        return {Json{{"micro_manager", std::move(fields)}}};
    }

    const ImageType& type() const { return type_; }
    const TiffMetadata& metadata() const { return metadata_; }
    bool has_times() const { return has_times_; }
    const std::vector<std::string>& warnings() const { return found_.warnings; }
    bool big() const { return found_.header.big; }

private:
    int64_t page_count() const { return static_cast<int64_t>(found_.pages.size()); }

    TiffDirectory directory_of(int64_t index) const {
        return {*file_, found_.header, found_.pages[static_cast<size_t>(index)].directory};
    }

    /// Without thumbnails, and without the page at the end whose pixels are cut off.
    void choose_pages() {
        std::vector<TiffPage>& pages = found_.pages;
        const auto reduced =
            std::stable_partition(pages.begin(), pages.end(), [](const TiffPage& page) { return !page.reduced; });
        if (reduced == pages.begin() && found_.has_images_elsewhere) {
            throw Error(ErrorCode::unsupported,
                        "holds only a small preview as a page, as raw files of cameras (DNG, NEF, ARW) do; convert it "
                        "to an ordinary TIFF first");
        }
        if (reduced != pages.begin()) pages.erase(reduced, pages.end());
        size_t cut_off = 0;
        for (; !pages.empty() && !pages.back().complete; ++cut_off) pages.pop_back();
        if (pages.empty()) throw Error(ErrorCode::corrupt, "the file is cut off: it ends before the first image does");
        if (cut_off > 0) {
            found_.warnings.push_back(fmt::format(
                "the file is cut off: it ends before the pixels of the last {} pages do, which are left out", cut_off));
        }
    }

    /// That of the first page that is an image at all.
    void choose_type() {
        std::optional<Error> first_error;
        for (const TiffPage& page : found_.pages) {
            try {
                first_pixels_ = pixels_of(found_.layout_of(page), palette_indices_);
                type_ = first_pixels_.type;
                return;
            } catch (const Error& error) {
                if (!first_error) first_error = error;
            }
        }
        throw *first_error;
    }

    void find_frames_without_pages() {
        const TiffPage& first = found_.pages.front();
        if (page_count() != 1 || first.pixels == 0 || first_pixels_.decoding != TiffDecoding::samples) return;
        int64_t said = metadata_.images.value_or(1);
        const auto elements = static_cast<int64_t>(type_.height) * type_.width * type_.channels;
        if (metadata_.elements && *metadata_.elements % elements == 0) said = *metadata_.elements / elements;
        if (said <= 1) return;
        const int64_t there = frames_in_file(file_->size(), first.pixels, type_.bytes(), type_.bytes());
        if (there < said) {
            found_.warnings.push_back(
                fmt::format("the file is cut off: it says that it holds {} images, {} are there", said, there));
        }
        frames_without_pages_ = std::min(said, there);
    }

    SequenceImage in_one_piece(uint64_t offset, const TiffPixels& pixels) const {
        SequenceImage raw = raw_image(*file_, offset, pixels.type, found_.header.order);
        if (!pixels.swap_colors && !pixels.unsigned_32) return raw;
        cv::Mat finished = finish_pixels(raw.image, pixels);
        return finished.data == raw.image.data ? std::move(raw) : SequenceImage{std::move(finished)};
    }

    std::shared_ptr<const FileBytes> file_;
    bool palette_indices_;
    TiffPages found_;
    TiffDecoder decoder_;
    TiffMetadata metadata_;
    TiffPixels first_pixels_;
    ImageType type_;
    bool has_times_ = false;
    std::optional<int64_t> frames_without_pages_;
};

class TiffSink : public FrameSink {
public:
    TiffSink(fs::path path, const SinkOptions& options) : path_(std::move(path)) {
        const std::string compression =
            choice_option(options.codec, "compression", "none", {"none", "lzw", "deflate", "zstd"});
        options_.compression = compression == "lzw"       ? TiffCompression::lzw
                               : compression == "deflate" ? TiffCompression::deflate
                               : compression == "zstd"    ? TiffCompression::zstd
                                                          : TiffCompression::none;
        if (!can_compress(options_.compression)) {
            throw Error(ErrorCode::unsupported, place(),
                        "libtiff of this system does not compress with " + compression);
        }
        options_.predictor = choice_option(options.codec, "predictor", "yes", {"yes", "no"}) == "yes";
        const std::string big = choice_option(options.codec, "bigtiff", "auto", {"auto", "yes", "no"});
        if (big != "auto") options_.big = big == "yes";
        options_.expected_frames = options.expected_frames;
        if (file_system().status(path_).kind != FileKind::missing) {
            throw Error(ErrorCode::already_exists, place(), "the file exists already");
        }
    }

    ~TiffSink() override {
        try {
            close();
        } catch (const Error&) {
            // Only close() itself can report it.
        }
    }

    void write(const Frame& frame) override {
        if (closed_) throw Error(ErrorCode::invalid_argument, place(), "the output is closed");
        const ImageType type = ImageType::of(frame.image);
        if (!writer_) {
            if (!plausible(type) || (type.channels != 1 && type.channels != 3 && type.channels != 4)) {
                throw Error(
                    ErrorCode::wrong_type, place(),
                    fmt::format("TIFF stacks hold 1, 3 or 4 channels, not {}; .npy files hold any", type.text()));
            }
            type_ = type;
            writer_ = std::make_unique<TiffStackWriter>(path_, type, options_);
        }
        if (type != type_) {
            throw Error(ErrorCode::wrong_type, place(),
                        fmt::format("the frame is {}, those before it are {}", type.text(), type_.text()));
        }
        writer_->write(frame.image);
    }

    void close() override {
        if (closed_) return;
        closed_ = true;
        if (!writer_) return;
        writer_->close();
        if (writer_->big()) notes_.push_back(path_.string() + " is a BigTIFF, which old programs do not read");
    }

    const std::vector<std::string>& notes() const override { return notes_; }

private:
    ErrorPlace place() const { return {path_.string(), {}, {}}; }

    fs::path path_;
    TiffStackOptions options_;
    ImageType type_;
    std::unique_ptr<TiffStackWriter> writer_;
    std::vector<std::string> notes_;
    bool closed_ = false;
};

class TiffFile : public FileFormat {
public:
    TiffFile() {
        info_.name = kName;
        info_.extensions = {".tif", ".tiff", ".btf", ".tf8", ".stk", ".lsm"};
        info_.reads = true;
        info_.writes = true;
        info_.lossless = true;
        info_.types =
            "one or many pages, also BigTIFF; read: whole numbers of 1 to 16 and 32 bits, floats of 16, 32 and 64, any "
            "number of channels, every compression of libtiff; written: every element type with 1, 3 or 4 channels";
        info_.tested = "files of tifffile, Pillow and OpenCV";
        info_.options = {{"compression", "none", "none, lzw, deflate or zstd"},
                         {"predictor", "yes", "yes or no: compressed values are differences of neighbours"},
                         {"bigtiff", "auto", "auto, yes or no; auto: only files above 4 GB"}};
        info_.source_options = {{"palette", "color", "color or index: what palette images are given as"}};
    }

    const FileFormatInfo& info() const override { return info_; }

    bool recognises(const fs::path&, std::span<const uint8_t> head) const override { return is_tiff(head); }

    bool writes_to(const fs::path& path) const override {
        const std::string extension = lower_case_extension(path);
        const bool is_known = extension == ".tif" || extension == ".tiff" || extension == ".btf";
        return is_known && path.filename().string().find_first_of("{}") == std::string::npos;
    }

    std::unique_ptr<FrameSource> open(const fs::path& path, const SourceOptions& options) const override {
        try {
            const bool indices = choice_option(options.format, "palette", "color", {"color", "index"}) == "index";
            const auto frames =
                std::make_shared<TiffSequence>(std::make_shared<const FileBytes>(path, options.map), indices);
            OpenedSequence opened;
            opened.frames = frames;
            opened.info.name = path.string();
            opened.info.format = frames->big() ? "BigTIFF" : kName;
            opened.info.image_type = frames->type();
            opened.info.frame_rate = frames->metadata().frame_rate;
            opened.info.has_times = frames->has_times();
            opened.info.creation_time = frames->metadata().creation_time;
            opened.user_metadata = frames->metadata().user_metadata;
            for (const std::string& warning : frames->warnings()) {
                opened.warnings.push_back(path.string() + ": " + warning);
            }
            return sequence_source(std::move(opened), options);
        } catch (const Error& error) {
            throw error.at({path.string(), {}, {}});
        }
    }

    std::unique_ptr<FrameSink> create(const fs::path& path, const SinkOptions& options) const override {
        check_option_names("TIFF", info_.options, options.codec);
        return std::make_unique<TiffSink>(path, options);
    }

private:
    FileFormatInfo info_;
};

}  // namespace

void add_file_formats_tiff(FileFormatTable& table) {
    table.push_back(std::make_unique<TiffFile>());
}

}  // namespace reelstore
