#include "codecs/foreign/micam_ultima_frames.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file_system.h"
#include "base/natural_order.h"
#include "base/text.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

using Block = UltimaFrames::Block;

constexpr int64_t kUsualBlockFrames = 256;
constexpr size_t kMostFiles = 200000;
/// A hole in the numbers of the files that is longer is taken for two recordings in one list.
constexpr int64_t kLongestHole = 1000;

/// The .rsd of a recording in order, also those that are named but missing.
std::vector<std::string> complete_list(const fs::path& description_path, const FolderFiles& folder,
                                       std::vector<std::string> names, std::vector<std::string>& warnings) {
    const bool some_are_there =
        std::any_of(names.begin(), names.end(), [&](const std::string& name) { return folder.find(name); });
    if (!some_are_there) {
        std::vector<std::string> others;
        const std::string stem = lower_case(description_path.stem().string());
        for (const std::string& name : folder.names()) {
            if (lower_case_extension(name) == ".rsd" && lower_case(ultima_recording_stem(name)) == stem)
                others.push_back(name);
        }
        if (!others.empty()) {
            warnings.push_back(fmt::format("the description lists {}; the {} that have its name are taken",
                                           names.empty() ? "no .rsd" : "only .rsd that are missing", others.size()));
            std::sort(others.begin(), others.end(), natural_less);
            names = std::move(others);
        }
    }
    std::vector<std::string> complete;
    std::vector<std::string> left_out;
    std::optional<int64_t> previous;
    for (const std::string& name : names) {
        const std::optional<int64_t> number = ultima_file_number(name);
        const int64_t hole = number && previous ? *number - *previous - 1 : 0;
        const bool fits = complete.size() + static_cast<size_t>(std::max<int64_t>(hole, 0)) < kMostFiles;
        for (int64_t missing = 0; hole <= kLongestHole && fits && missing < hole; ++missing) {
            left_out.push_back(
                fmt::format("{}({}).rsd", ultima_recording_stem(last_part(name)), *previous + 1 + missing));
            complete.push_back(left_out.back());
        }
        previous = number;
        complete.push_back(name);
    }
    if (!left_out.empty()) {
        warnings.push_back(fmt::format("the description's list leaves out {}{}", left_out.front(),
                                       left_out.size() > 1 ? fmt::format(" and {} more", left_out.size() - 1) : ""));
    }
    return complete;
}

class BlockFinder {
public:
    BlockFinder(const UltimaDescription& description, const FolderFiles& folder, const std::vector<std::string>& names,
                bool keep_padding, std::vector<std::string>& warnings)
        : description_(description), folder_(folder), keep_padding_(keep_padding), warnings_(warnings) {
        for (const std::string& name : names) add(name);
        place_blocks();
        fit_announced_count();
        warn();
    }

    std::vector<Block> take_blocks() { return std::move(blocks_); }
    std::vector<fs::path> take_paths() { return std::move(paths_); }

private:
    static constexpr int kMostWarnings = 20;

    int64_t total() const { return blocks_.empty() ? 0 : blocks_.back().first + blocks_.back().count; }

    void add(const std::string& name) {
        Block block;
        const std::optional<fs::path> path = folder_.find(name);
        paths_.push_back(path ? *path : folder_.path_of(name));
        block.missing = !path;
        if (path) {
            const uint64_t size = file_system().status(*path).size;
            block.there = frames_in_file(size, 0, description_.frame_bytes(), description_.frame_bytes());
            if (size % description_.frame_bytes() != 0) {
                if (++cut_off_ <= kMostWarnings) {
                    warnings_.push_back(
                        fmt::format("{} is cut off within a frame, which is left out", path->filename().string()));
                }
            }
        }
        blocks_.push_back(block);
    }

    /// Frames that every file but the last one should have.
    int64_t block_frames() {
        std::vector<int64_t> counts;
        for (size_t i = 0; i + 1 < blocks_.size(); ++i) {
            if (blocks_[i].there > 0) counts.push_back(blocks_[i].there);
        }
        if (!description_.block_frames)
            return counts.empty() ? kUsualBlockFrames : *std::max_element(counts.begin(), counts.end());
        const int64_t announced = *description_.block_frames;
        // One file can be cut off; several of one length that is not the announced one contradict the description.
        const bool all_shorter =
            counts.size() > 1 && counts.front() < announced &&
            std::count(counts.begin(), counts.end(), counts.front()) == static_cast<ptrdiff_t>(counts.size());
        if (!all_shorter) return announced;
        warnings_.push_back(
            fmt::format("the description says {} frames a file, the files have {}", announced, counts.front()));
        return counts.front();
    }

    void place_blocks() {
        const int64_t expected = block_frames();
        int64_t first = 0;
        for (size_t i = 0; i < blocks_.size(); ++i) {
            Block& block = blocks_[i];
            const bool is_last = i + 1 == blocks_.size();
            const bool shortened = block.there < expected && (!is_last || block.missing);
            block.first = first;
            block.count = shortened ? expected : block.there;
            first += block.count;
        }
    }

    /// Frames behind the announced count, all of them in the last file, fill that up.
    void fit_announced_count() {
        if (!description_.frames || blocks_.empty()) return;
        Block& last = blocks_.back();
        int64_t announced = *description_.frames;
        const auto is_in_last = [&](int64_t count) { return count > last.first && count <= total(); };
        // With two cameras some count the frames of one.
        const bool counts_one_camera =
            description_.dual_camera && announced <= INT32_MAX && !is_in_last(announced) && is_in_last(2 * announced);
        if (counts_one_camera) announced *= 2;
        const std::string said = fmt::format("the description announces {} frames", *description_.frames);
        if (announced > total()) {
            warnings_.push_back(fmt::format("{}, {} are there", said, total()));
        } else if (!is_in_last(announced)) {
            warnings_.push_back(fmt::format("{}, the files hold {}, which are all given", said, total()));
        } else if (announced < total() && (last.missing || !keep_padding_)) {
            if (!last.missing) {
                warnings_.push_back(fmt::format("{}; the {} behind them that fill up the last file are left out", said,
                                                total() - announced));
            }
            last.count = announced - last.first;
        }
    }

    void warn() {
        int unreadable = 0;
        for (size_t i = 0; i < blocks_.size(); ++i) {
            const Block& block = blocks_[i];
            if (block.there >= block.count || ++unreadable > kMostWarnings) continue;
            warnings_.push_back(fmt::format("{} {}: frames {} to {} of the recording cannot be read",
                                            paths_[i].filename().string(),
                                            block.missing ? "is missing" : "is too short", block.first + block.there,
                                            block.first + block.count - 1));
        }
        if (unreadable > kMostWarnings)
            warnings_.push_back(fmt::format("{} more files are missing or too short", unreadable - kMostWarnings));
        if (cut_off_ > kMostWarnings)
            warnings_.push_back(fmt::format("{} more files are cut off within a frame", cut_off_ - kMostWarnings));
    }

    const UltimaDescription& description_;
    const FolderFiles& folder_;
    bool keep_padding_;
    std::vector<std::string>& warnings_;
    std::vector<Block> blocks_;
    std::vector<fs::path> paths_;
    int cut_off_ = 0;
};

}  // namespace

UltimaFrames::UltimaFrames(const fs::path& description_path, const UltimaDescription& description,
                           const FolderFiles& folder, bool keep_padding, bool map, std::vector<std::string>& warnings)
    : type_{description.rows, description.columns, 1, CV_16S} {
    const std::vector<std::string> names = complete_list(description_path, folder, description.frame_files, warnings);
    BlockFinder finder(description, folder, names, keep_padding, warnings);
    blocks_ = finder.take_blocks();
    files_.emplace(finder.take_paths(), map);
}

SequenceImage UltimaFrames::read(int64_t index) const {
    const auto behind = std::upper_bound(blocks_.begin(), blocks_.end(), index,
                                         [](int64_t value, const Block& block) { return value < block.first; });
    // Empty files share their first frame with the one behind them.
    const auto place = static_cast<size_t>(behind - blocks_.begin()) - 1;
    const Block& block = blocks_[place];
    const std::string path = files_->path(place).string();
    if (block.missing) {
        throw Error(ErrorCode::not_found, {path, {}, {}},
                    "the file that holds this frame is missing; put it beside the others");
    }
    const int64_t in_block = index - block.first;
    if (in_block >= block.there) {
        throw Error(ErrorCode::corrupt, {path, {}, {}},
                    fmt::format("the file is cut off: it has {} frames, not {}", block.there, block.count));
    }
    return raw_image(*files_->open(place), static_cast<uint64_t>(in_block) * type_.bytes(), type_);
}

}  // namespace reelstore
