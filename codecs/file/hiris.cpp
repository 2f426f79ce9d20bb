/// Recordings of the program HIRIS (R&D Vision): NAME.seq with a description, the images in .bin, their places and
/// times in NAME.sqb.
///
/// NAME.seq is INI text. Width, Height and BytesPerPixel say how large an image is; "Bin File" is what the names of the
/// .bin begin with, and five digits follow. It has nothing in common with the .seq of NorPix.
///
/// A .bin is images one after another, rows of 8-bit or little-endian 16-bit numbers. NAME.sqb holds 24 bytes for every
/// image: where it begins in its .bin, four bytes without meaning, a time stamp (float64), the number of the .bin and
/// again four bytes. Without it the images are taken as they follow each other.

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file_name.h"
#include "base/natural_order.h"
#include "base/text.h"
#include "codecs/file_format.h"
#include "codecs/foreign/file_bytes.h"
#include "codecs/foreign/folder_files.h"
#include "codecs/foreign/frame_rate.h"
#include "codecs/foreign/header_bytes.h"
#include "codecs/foreign/header_text.h"
#include "codecs/foreign/image_sequence.h"
#include "codecs/foreign/source_format.h"
#include "codecs/option_values.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

const char* const kName = "HIRIS";
const char* const kSection = "[sequence settings]";

constexpr uint64_t kLongestDescription = uint64_t{1} << 20;
constexpr size_t kRecordBytes = 24;
constexpr size_t kOffsetAt = 0;
constexpr size_t kTimeAt = 8;
constexpr size_t kBinAt = 16;
/// Records looked at to find out what the .sqb is worth and in which unit its times are.
constexpr int64_t kSample = 1000;
/// A longer hole in the numbers of the .bin is none of this recording.
constexpr int64_t kLongestHole = 10000;
const char* const kMissing = "the file that holds this image is missing; put it beside the others";
/// Rates whose quotient is below this are one rate in the same unit.
constexpr double kSimilar = 3;

HeaderEntries parse_description(std::string_view text) {
    HeaderEntries entries;
    for (const std::string_view line : header_lines(text)) {
        const std::string_view content = trimmed(line);
        if (content.starts_with(';') || content.starts_with('#') || content.starts_with('[')) continue;
        if (const auto entry = split_entry(content, "=:")) entries.add(entry->first, entry->second);
    }
    return entries;
}

/// One .bin; `path` is where it should be if it is missing.
struct Bin {
    fs::path path;
    int64_t number = 0;
    bool missing = false;
    int64_t first = 0;  ///< frame, where they are taken as they follow each other
    int64_t there = 0;
    int64_t count = 0;
    uint64_t size = 0;
};

/// The digits of "Trial_00012.bin" behind `prefix`.
std::optional<int64_t> bin_number(const std::string& name, const std::string& prefix) {
    const std::string stem = fs::path(name).stem().string();
    if (stem.size() <= prefix.size() || !lower_case(stem).starts_with(lower_case(prefix))) return std::nullopt;
    int64_t number = 0;
    const auto [end, error] = std::from_chars(stem.data() + prefix.size(), stem.data() + stem.size(), number);
    const bool whole = error == std::errc{} && end == stem.data() + stem.size();
    return whole && number >= 0 && number <= INT32_MAX ? std::optional(number) : std::nullopt;
}

/// Where the .bin of another number should be.
fs::path sibling(const Bin& bin, int64_t number) {
    std::string stem = bin.path.stem().string();
    while (!stem.empty() && is_digit(stem.back())) stem.pop_back();
    return bin.path.parent_path() / fmt::format("{}{:05d}.bin", stem, number);
}

/// The .bin of a recording in order, holes in their numbers included.
class BinFinder {
public:
    BinFinder(const fs::path& description, const HeaderEntries& entries, std::vector<std::string>& warnings)
        : description_(description), warnings_(warnings) {
        const std::string stem = description.stem().string();
        const std::string named(trimmed(entries.text({"bin_file"}).value_or("")));
        // The numbers count: a .bin that is missing must not move those behind it to other places.
        std::vector<std::string> prefixes = {std::string(last_part(named)), stem, stem + "_"};
        std::erase(prefixes, "");
        for (const fs::path& folder : folders(entries)) {
            for (const std::string& prefix : prefixes) {
                if (bins_.empty()) find_numbered(folder, prefix);
            }
            if (bins_.empty()) find_by_stem(folder, stem);
        }
    }

    std::vector<Bin> take() { return std::move(bins_); }

private:
    /// Beside the description, and in a folder beside it that is called as the one in which they were written.
    std::vector<fs::path> folders(const HeaderEntries& entries) const {
        std::vector<fs::path> result = {description_};
        for (const char* key : {"bin_directory", "bin_repertoire"}) {
            std::string directory(trimmed(entries.text({key}).value_or("")));
            while (directory.ends_with('/') || directory.ends_with('\\')) directory.pop_back();
            const std::string name(last_part(directory));
            if (name.empty() || name == "." || name == ".." || name.find('\0') != std::string::npos) continue;
            const fs::path folder = description_.parent_path() / name;
            // FolderFiles takes a file and looks in its folder.
            if (file_system().status(folder).kind == FileKind::folder)
                result.push_back(folder / description_.filename());
        }
        return result;
    }

    static bool is_bin(const std::string& name) { return lower_case_extension(name) == ".bin"; }

    void find_numbered(const fs::path& beside, const std::string& prefix) {
        const FolderFiles folder(beside);
        std::map<int64_t, std::string> names;
        for (const std::string& name : folder.names()) {
            if (!is_bin(name)) continue;
            if (const auto number = bin_number(name, prefix)) names.emplace(*number, name);
        }
        for (const auto& [number, name] : names) {
            const int64_t next = bins_.empty() ? number : bins_.back().number + 1;
            if (number - next <= kLongestHole) add_missing(folder, prefix, next, number);
            bins_.push_back({.path = folder.path_of(name), .number = number});
        }
    }

    void add_missing(const FolderFiles& folder, const std::string& prefix, int64_t first, int64_t end) {
        for (int64_t number = first; number < end; ++number) {
            const std::string name = fmt::format("{}{:05d}.bin", prefix, number);
            bins_.push_back({.path = folder.path_of(name), .number = number, .missing = true});
        }
    }

    /// Names that only begin as the description's, in natural order.
    void find_by_stem(const fs::path& beside, const std::string& stem) {
        const FolderFiles folder(beside);
        std::vector<std::string> names;
        for (const std::string& name : folder.names()) {
            if (is_bin(name) && lower_case(name).starts_with(lower_case(stem))) names.push_back(name);
        }
        std::sort(names.begin(), names.end(), natural_less);
        for (const std::string& name : names)
            bins_.push_back({.path = folder.path_of(name), .number = static_cast<int64_t>(bins_.size())});
        if (names.size() > 1)
            warnings_.push_back("the .bin are not numbered as usual; they are taken in the order of their names");
    }

    fs::path description_;
    std::vector<std::string>& warnings_;
    std::vector<Bin> bins_;
};

struct Record {
    uint64_t offset = 0;
    double time = std::numeric_limits<double>::quiet_NaN();
    int64_t bin = 0;
};

/// NAME.sqb.
class Records {
public:
    Records(const fs::path& path, bool map) : file_(path, map) {}

    const FileBytes& file() const { return file_; }
    int64_t count() const { return static_cast<int64_t>(file_.size() / kRecordBytes); }

    Record at(int64_t index) const {
        uint8_t bytes[kRecordBytes];
        file_.read_into(bytes, static_cast<uint64_t>(index) * kRecordBytes, kRecordBytes);
        const HeaderBytes record{bytes};
        // Files of more than 2 GiB need the sign.
        return {record.at<uint32_t>(kOffsetAt), record.at<double>(kTimeAt), record.at<int32_t>(kBinAt)};
    }

private:
    FileBytes file_;
};

class HirisSequence : public ImageSequence {
public:
    HirisSequence(const ImageType& type, std::vector<Bin> bins, bool map)
        : type_(type), bins_(std::move(bins)), files_(paths_of(bins_), map) {
        for (size_t i = 0; i < bins_.size(); ++i) by_number_.emplace(bins_[i].number, i);
    }

    /// Places and times come from here; `seconds` is the unit of the times, nothing where they are none.
    void use_records(std::shared_ptr<const Records> records, std::optional<double> seconds) {
        records_ = std::move(records);
        seconds_ = seconds;
    }

    int64_t frame_count() const override {
        if (records_) return records_->count();
        return bins_.empty() ? 0 : bins_.back().first + bins_.back().count;
    }

    FrameStamp stamp(int64_t index) const override {
        if (!records_ || !seconds_) return {.number = index};
        const double time = records_->at(index).time * *seconds_;
        return {.number = index, .time = std::isfinite(time) ? time : std::numeric_limits<double>::quiet_NaN()};
    }

    SequenceImage read(int64_t index) const override {
        if (records_) {
            const Record record = records_->at(index);
            const auto found = by_number_.find(record.bin);
            if (found == by_number_.end()) {
                throw Error(ErrorCode::not_found, {sibling(bins_.front(), record.bin).string(), {}, {}}, kMissing);
            }
            return read_from(found->second, record.offset);
        }
        const auto behind = std::upper_bound(bins_.begin(), bins_.end(), index,
                                             [](int64_t value, const Bin& bin) { return value < bin.first; });
        const auto place = static_cast<size_t>(behind - bins_.begin()) - 1;
        return read_from(place, static_cast<uint64_t>(index - bins_[place].first) * type_.bytes());
    }

private:
    static std::vector<fs::path> paths_of(const std::vector<Bin>& bins) {
        std::vector<fs::path> paths;
        for (const Bin& bin : bins) paths.push_back(bin.path);
        return paths;
    }

    SequenceImage read_from(size_t place, uint64_t offset) const {
        if (bins_[place].missing) {
            throw Error(ErrorCode::not_found, {bins_[place].path.string(), {}, {}}, kMissing);
        }
        return raw_image(*files_.open(place), offset, type_);
    }

    ImageType type_;
    std::vector<Bin> bins_;
    FileSeries files_;
    std::map<int64_t, size_t> by_number_;
    std::shared_ptr<const Records> records_;
    std::optional<double> seconds_;
};

ImageType image_type_of(const HeaderEntries& entries) {
    const auto width = entries.integer({"width"});
    const auto height = entries.integer({"height"});
    const auto bytes = entries.integer({"bytesperpixel", "bytes_per_pixel"});
    if (!width || !height) throw Error(ErrorCode::corrupt, "the description has no Width and Height");
    const int64_t bytes_per_pixel =
        bytes.value_or(entries.integer({"bitsperpixel", "bits_per_pixel"}).value_or(8) > 8 ? 2 : 1);
    if (bytes_per_pixel != 1 && bytes_per_pixel != 2) {
        throw Error(ErrorCode::unsupported,
                    fmt::format("pixels of {} bytes cannot be read; those of 1 and 2 can", bytes_per_pixel));
    }
    const bool fits = *width > 0 && *height > 0 && *width <= kMaxImageSide && *height <= kMaxImageSide;
    const ImageType type{fits ? static_cast<int>(*height) : 0, fits ? static_cast<int>(*width) : 0, 1,
                         bytes_per_pixel == 1 ? CV_8U : CV_16U};
    if (!plausible(type)) {
        throw Error(ErrorCode::corrupt, fmt::format("images of {}x{} pixels are not plausible", *width, *height));
    }
    return type;
}

class HirisOpener {
public:
    HirisOpener(const fs::path& path, const SourceOptions& options, OpenedSequence& opened)
        : path_(path), options_(options), opened_(opened) {}

    void open() {
        const bool wants_records = choice_option(options_.format, "positions", "sqb", {"sqb", "raw"}) == "sqb";
        entries_ = parse_description(read_text_file(path_, kLongestDescription));
        type_ = image_type_of(entries_);
        announced_ = entries_.integer({"number_of_files"});
        find_bins();
        sequence_ = std::make_shared<HirisSequence>(type_, bins_, options_.map);
        if (wants_records) use_records();
        if (!has_records_) warn_of_raw_frames();
        opened_.frames = sequence_;
        opened_.info.format = kName;
        opened_.info.image_type = type_;
        opened_.info.frame_rate = frame_rate();
        opened_.info.has_times = has_times_;
        const std::string start = entries_.text({"start_time"}).value_or("");
        opened_.info.creation_time = parse_utc(start);
        if (!opened_.info.creation_time) opened_.info.creation_time = parse_header_date(start);
        const Json more = opened_.user_metadata;
        opened_.user_metadata = entries_.metadata();
        opened_.user_metadata.update(more);
    }

private:
    std::optional<double> frame_rate() const {
        return sensible_rate(entries_.number({"framepersecond", "frame_per_second", "framespersecond"}));
    }

    void find_bins() {
        bins_ = BinFinder(path_, entries_, opened_.warnings).take();
        int64_t longest = 0;
        for (Bin& bin : bins_) {
            if (bin.missing) continue;
            bin.size = file_system().status(bin.path).size;
            bin.there = frames_in_file(bin.size, 0, type_.bytes(), type_.bytes());
            longest = std::max(longest, bin.there);
        }
        add_missing_beginning(longest);
        int64_t first = 0;
        for (Bin& bin : bins_) {
            bin.first = first;
            bin.count = bin.missing ? longest : bin.there;
            first += bin.count;
        }
        if (bins_.empty() || longest == 0) {
            const std::string named = entries_.text({"bin_file"}).value_or(path_.stem().string());
            const fs::path expected = path_.parent_path() / fmt::format("{}00000.bin", last_part(named));
            throw Error(ErrorCode::not_found, {expected.string(), {}, {}},
                        bins_.empty() ? "the files with the images are missing; they belong beside the description"
                                      : "there is no whole image in any .bin");
        }
    }

    /// The numbers begin with 0 where that makes as many frames as there should be.
    void add_missing_beginning(int64_t longest) {
        if (bins_.empty() || bins_.front().number == 0 || bins_.front().number > kLongestHole || !announced_) return;
        int64_t there = 0;
        for (const Bin& bin : bins_) there += bin.missing ? longest : bin.there;
        if (longest == 0 || *announced_ < there + bins_.front().number * longest) return;
        std::vector<Bin> beginning;
        for (int64_t number = 0; number < bins_.front().number; ++number)
            beginning.push_back({.path = sibling(bins_.front(), number), .number = number, .missing = true});
        bins_.insert(bins_.begin(), beginning.begin(), beginning.end());
    }

    void use_records() {
        const std::string name = path_.stem().string() + ".sqb";
        const auto path = FolderFiles(path_).find(name);
        if (!path) {
            opened_.warnings.push_back(
                fmt::format("{} is missing: the images are taken as they follow each other, without times", name));
            return;
        }
        const auto records = std::make_shared<const Records>(*path, options_.map);
        if (!points_into_bins(*records)) {
            opened_.warnings.push_back(fmt::format(
                "{} points to no image: the images are taken as they follow each other, without times", name));
            return;
        }
        has_records_ = true;
        const std::optional<double> unit = unit_of_times(*records);
        has_times_ = unit.has_value();
        if (!unit) opened_.warnings.push_back(fmt::format("the times in {} do not rise; they are left out", name));
        sequence_->use_records(records, unit);
        warn_of_records(*records, name);
    }

    bool points_into_bins(const Records& records) const {
        for (int64_t index = 0; index < std::min(records.count(), kSample); ++index) {
            const Record record = records.at(index);
            for (const Bin& bin : bins_) {
                const bool has_it = bin.number == record.bin && !bin.missing && record.offset <= bin.size &&
                                    bin.size - record.offset >= type_.bytes();
                if (has_it) return true;
            }
        }
        return false;
    }

    /// The format does not say in which unit its times are. The frame rate tells; without one they are seconds. Nothing
    /// where they are no times: a program without a clock leaves zeros.
    std::optional<double> unit_of_times(const Records& records) {
        std::vector<double> times;
        for (int64_t index = 0; index < std::min(records.count(), kSample); ++index)
            times.push_back(records.at(index).time);
        const std::optional<double> rate = frame_rate();
        const std::optional<double> rate_in_unit = rate_of_times(times);
        if (!rate_in_unit && (times.size() > 1 || !std::isfinite(times.front()))) return std::nullopt;
        double unit = 1;
        if (rate && rate_in_unit) {
            for (const double candidate : {1e-3, 1e-6, 1e-9}) {
                const double ratio = *rate * candidate / *rate_in_unit;
                if (ratio > 1 / kSimilar && ratio < kSimilar) unit = candidate;
            }
        }
        opened_.user_metadata["time_stamp_unit_seconds"] = unit;
        return unit;
    }

    void warn_of_records(const Records& records, const std::string& name) {
        if (records.file().size() % kRecordBytes != 0)
            opened_.warnings.push_back(fmt::format("{} is cut off within a record, which is left out", name));
        if (announced_ && *announced_ != records.count()) {
            opened_.warnings.push_back(
                fmt::format("the description announces {} images, {} lists {}", *announced_, name, records.count()));
        }
        int64_t there = 0;
        for (const Bin& bin : bins_) there += bin.there;
        if (there > records.count()) {
            opened_.warnings.push_back(fmt::format(
                "the .bin have room for {} images, {} lists {}, which are given; open with positions=raw for all",
                there, name, records.count()));
        }
        warn_of_missing_bins();
        const int64_t last_bin = records.count() > 0 ? records.at(records.count() - 1).bin : 0;
        if (last_bin > bins_.back().number) {
            opened_.warnings.push_back(fmt::format("{} is missing: its images cannot be read",
                                                   sibling(bins_.back(), last_bin).filename().string()));
        }
    }

    void warn_of_missing_bins() {
        constexpr int kMostWarnings = 20;
        int missing = 0;
        for (const Bin& bin : bins_) {
            if (!bin.missing || ++missing > kMostWarnings) continue;
            opened_.warnings.push_back(
                fmt::format("{} is missing: its images cannot be read", bin.path.filename().string()));
        }
        if (missing > kMostWarnings)
            opened_.warnings.push_back(fmt::format("{} more .bin are missing", missing - kMostWarnings));
    }

    void warn_of_raw_frames() {
        warn_of_missing_bins();
        int cut_off = 0;
        for (const Bin& bin : bins_) cut_off += bin.size % type_.bytes() != 0 ? 1 : 0;
        if (cut_off > 0) {
            opened_.warnings.push_back(
                fmt::format("{} of {} .bin end within an image, which is left out", cut_off, bins_.size()));
        }
        const int64_t count = sequence_->frame_count();
        if (announced_ && *announced_ != count) {
            opened_.warnings.push_back(
                fmt::format("the description announces {} images, the .bin have {}", *announced_, count));
        }
    }

    fs::path path_;
    SourceOptions options_;
    OpenedSequence& opened_;
    HeaderEntries entries_;
    ImageType type_;
    std::optional<int64_t> announced_;
    std::vector<Bin> bins_;
    std::shared_ptr<HirisSequence> sequence_;
    bool has_records_ = false;
    bool has_times_ = false;
};

FileFormatInfo hiris_info() {
    FileFormatInfo info;
    info.name = kName;
    info.extensions = {".seq"};
    info.lossless = true;
    info.types = "8-bit and 16-bit gray";
    info.tested = "made from its description";
    info.source_options = {
        {"positions", "sqb", "sqb: places and times from the .sqb; raw: the images as they follow each other"}};
    return info;
}

class HirisFile : public SourceFormat {
public:
    HirisFile() : SourceFormat(hiris_info()) {}

    bool recognises(const fs::path&, std::span<const uint8_t> head) const override {
        const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
        if (!looks_like_text(text)) return false;
        if (lower_case(text).find(kSection) != std::string::npos) return true;
        const HeaderEntries entries = parse_description(text);
        return entries.integer({"width"}) && entries.integer({"height"}) &&
               entries.integer({"bytesperpixel", "bytes_per_pixel"}) && entries.text({"bin_file", "number_of_files"});
    }

    std::unique_ptr<FrameSource> open(const fs::path& path, const SourceOptions& options) const override {
        OpenedSequence opened;
        try {
            HirisOpener(path, options, opened).open();
        } catch (const Error& error) {
            throw error.at({path.string(), {}, {}});
        }
        opened.info.name = path.string();
        return sequence_source(std::move(opened), options);
    }
};

}  // namespace

void add_file_formats_hiris(FileFormatTable& table) {
    table.push_back(std::make_unique<HirisFile>());
}

}  // namespace reelstore
