#include "store/salvage_chunk.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <memory>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file_name.h"
#include "base/file_system.h"
#include "base/json.h"
#include "base/median.h"
#include "codecs/image_chunk_format.h"
#include "codecs/media_file.h"
#include "codecs/video/decoder.h"
#include "codecs/video/demuxer.h"
#include "store/chunk_sidecar.h"
#include "store/extra_data_file.h"
#include "store/finish_chunk.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

constexpr double kNominalRate = 25.0;

/// Leaves out the frames at the end that cannot be decoded; how many, and how many others cannot.
struct DecodeCheck {
    int64_t at_end = 0;
    int64_t elsewhere = 0;
};

DecodeCheck drop_undecodable_end(PacketTable& table, const std::function<void(int64_t)>& read) {
    DecodeCheck check;
    const int64_t frames = table.frame_count();
    for (int64_t position = 0; position < frames; ++position) {
        try {
            read(position);
            check.elsewhere += check.at_end;
            check.at_end = 0;
        } catch (const Error& error) {
            if (error.code() == ErrorCode::io) throw;
            ++check.at_end;
        }
    }
    if (check.at_end == 0) return check;
    std::vector<bool> keep(table.packets.size(), true);
    for (int64_t position = frames - check.at_end; position < frames; ++position)
        keep[table.display_order[static_cast<size_t>(position)]] = false;
    PacketTable part;
    part.stream = table.stream;
    for (size_t place = 0; place < keep.size(); ++place) {
        if (keep[place]) part.packets.push_back(table.packets[place]);
    }
    part.sort_display_order();
    table = std::move(part);
    return check;
}

/// Decodes a frame by its position.
std::function<void(int64_t)> decoder_of(const fs::path& media, const StoreMetadata& metadata,
                                        std::shared_ptr<const PacketTable> table) {
    if (!completes_in_place(container_of(media))) {
        // Of any size: what it was recorded in may not be known.
        const auto decoder = std::make_shared<VideoDecoder>(media, std::move(table),
                                                            VideoDecoderOptions{.any_size = false, .cache_bytes = 0});
        return [decoder](int64_t position) { decoder->read(position); };
    }
    const std::shared_ptr<ChunkReader> reader = reading_format(metadata)->open(
        media, metadata.stored_type, {.packets = [table](std::optional<int64_t>) { return table; }, .cache_bytes = 0});
    return [reader](int64_t position) { reader->read(position); };
}

SalvageableChunk find_in_file(const fs::path& media, const StoreMetadata& metadata, const SalvageHints& hints) {
    SalvageableChunk found;
    SalvagedVideo video = salvage_media(media, hints.like);
    found.media_complete = video.complete;
    if (!video.complete && !video.table.packets.empty()) {
        const DecodeCheck check = drop_undecodable_end(
            video.table, decoder_of(media, metadata, std::make_shared<const PacketTable>(video.table)));
        if (check.at_end > 0) found.left_over = fmt::format("{} frames that cannot be decoded", check.at_end);
        if (check.elsewhere > 0)
            found.left_over +=
                fmt::format("{}{} damaged frames among the others", check.at_end > 0 ? ", " : "", check.elsewhere);
    }
    if (video.bytes_left > 0 && !video.stopped_by.empty()) {
        found.left_over +=
            fmt::format("{}{} ({} bytes)", found.left_over.empty() ? "" : ", ", video.stopped_by, video.bytes_left);
    }
    found.frames = video.table.frame_count();
    found.table = std::move(video.table);
    return found;
}

/// The position that an image file's name stands for.
std::optional<int64_t> position_of(const std::string& name, const std::string& extension) {
    const fs::path path = name;
    const std::string stem = path.stem().string();
    if (path.extension() != extension || stem.size() < 6 || stem.size() > 15) return std::nullopt;
    if (!std::all_of(stem.begin(), stem.end(), [](char c) { return c >= '0' && c <= '9'; })) return std::nullopt;
    const int64_t position = std::stoll(stem);
    return image_file_name(position, extension) == name ? std::optional(position) : std::nullopt;
}

SalvageableChunk find_images(const fs::path& media, const StoreMetadata& metadata) {
    const ChunkFormat* format = reading_format(metadata);
    const auto reader = format->open(media, metadata.stored_type);
    std::vector<int64_t> positions;
    for (const std::string& name : file_system().list(media)) {
        if (const auto position = position_of(name, metadata.extension)) positions.push_back(*position);
    }
    std::sort(positions.begin(), positions.end());
    // Missing ones stay listed, but a stray file with a large number does not make a million of them.
    while (!positions.empty() && positions.back() > 2 * static_cast<int64_t>(positions.size()) + 16)
        positions.pop_back();
    SalvageableChunk found;
    found.media_complete = true;
    int64_t damaged = 0;
    int64_t whole = 0;
    for (const int64_t position : positions) {
        try {
            reader->read(position);
            found.frames = position + 1;
            ++whole;
            damaged += static_cast<int64_t>(found.torn.size());
            found.torn.clear();
        } catch (const Error& error) {
            if (error.code() == ErrorCode::io) throw;
            found.torn.push_back(image_file_name(position, metadata.extension));
        }
    }
    if (!found.torn.empty()) found.left_over = fmt::format("{} torn image files at the end", found.torn.size());
    if (damaged > 0)
        found.left_over +=
            fmt::format("{}{} damaged image files among the others", found.left_over.empty() ? "" : ", ", damaged);
    if (const int64_t missing = found.frames - whole - damaged; missing > 0)
        found.left_over +=
            fmt::format("{}{} missing image files among the others", found.left_over.empty() ? "" : ", ", missing);
    return found;
}

/// Numbers and times of the frames around a chunk.
struct Neighbours {
    std::optional<std::pair<int64_t, double>> before;  ///< of the last frame before
    std::optional<std::pair<int64_t, double>> behind;  ///< of the first frame behind
    std::optional<double> interval;
    int64_t frames_before = 0;
};

std::optional<double> interval_of(const ChunkSidecar& sidecar) {
    std::vector<double> intervals;
    for (size_t i = 1; i < sidecar.times.size(); ++i) {
        const double interval = sidecar.times[i] - sidecar.times[i - 1];
        if (interval > 0) intervals.push_back(interval);
    }
    return intervals.empty() ? std::nullopt : std::optional(median(std::move(intervals)));
}

Neighbours neighbours_of(const StoreLayout& layout, int64_t chunk) {
    Neighbours around;
    std::optional<double> behind_interval;
    for (const StoreLayout::Chunk& other : layout.chunks()) {
        std::optional<ChunkSidecar> sidecar;
        try {
            if (other.number != chunk) sidecar = read_chunk_sidecar(layout, other.number);
        } catch (const Error& error) {
            if (error.code() == ErrorCode::io) throw;
        }
        if (!sidecar || sidecar->numbers.empty() || !std::isfinite(sidecar->times.front()) ||
            !std::isfinite(sidecar->times.back()))
            continue;
        if (other.number < chunk) {
            around.before.emplace(sidecar->numbers.back(), sidecar->times.back());
            if (const auto interval = interval_of(*sidecar)) around.interval = interval;
            around.frames_before += static_cast<int64_t>(sidecar->numbers.size());
        } else if (!around.behind) {
            around.behind.emplace(sidecar->numbers.front(), sidecar->times.front());
            behind_interval = interval_of(*sidecar);
        }
    }
    if (!around.interval) around.interval = behind_interval;
    return around;
}

/// Numbers and times that the chunk's extra data name, by position.
std::map<int64_t, std::pair<int64_t, double>> known_stamps(const StoreLayout& layout, int64_t chunk,
                                                           int64_t first_index, int64_t frames) {
    std::map<int64_t, std::pair<int64_t, double>> stamps;
    const fs::path path = layout.extra_data(chunk);
    if (!is_file(path)) return stamps;
    ExtraDataFile file;
    try {
        file = read_extra_data_file(path);
    } catch (const Error& error) {
        if (error.code() == ErrorCode::io) throw;
        return stamps;
    }
    for (const Json& record : file.records) {
        const auto index = record.find("frame_index");
        const auto number = record.find("frame_number");
        const auto time = record.find("frame_time");
        if (index == record.end() || number == record.end() || time == record.end()) continue;
        if (!index->is_number_integer() || !number->is_number_integer() || !time->is_number()) continue;
        int64_t position = 0;
        if (__builtin_sub_overflow(index->get<int64_t>(), first_index, &position)) continue;
        if (position >= 0 && position < frames) stamps[position] = {number->get<int64_t>(), time->get<double>()};
    }
    return stamps;
}

/// The nearest number there is: a camera may count up to the last one.
int64_t sum_of_numbers(int64_t number, int64_t distance) {
    int64_t sum = 0;
    if (!__builtin_add_overflow(number, distance, &sum)) return sum;
    return distance > 0 ? std::numeric_limits<int64_t>::max() : std::numeric_limits<int64_t>::min();
}

ChunkSidecar guessed_sidecar(const StoreLayout& layout, const StoreMetadata& metadata, int64_t chunk,
                             const SalvageableChunk& found, size_t& known_count) {
    const Neighbours around = neighbours_of(layout, chunk);
    const double rate = found.table.stream.frame_rate > 0 ? found.table.stream.frame_rate : kNominalRate;
    const double interval = around.interval.value_or(1 / rate);
    std::pair<int64_t, double> first(0, metadata.created);
    if (around.before) {
        first = {sum_of_numbers(around.before->first, 1), around.before->second + interval};
    } else if (around.behind) {
        first = {sum_of_numbers(around.behind->first, -found.frames),
                 around.behind->second - interval * static_cast<double>(found.frames)};
    }
    const auto known = known_stamps(layout, chunk, around.frames_before, found.frames);
    known_count = known.size();
    ChunkSidecar sidecar;
    sidecar.synthetic = known.size() < static_cast<size_t>(found.frames);
    for (int64_t position = 0; position < found.frames; ++position) {
        // From the nearest frame that is known before this one, else behind it.
        std::pair<int64_t, double> base = first;
        int64_t distance = position;
        const auto behind = known.upper_bound(position);
        if (behind != known.begin()) {
            base = std::prev(behind)->second;
            distance = position - std::prev(behind)->first;
        } else if (behind != known.end()) {
            base = behind->second;
            distance = position - behind->first;
        }
        sidecar.numbers.push_back(sum_of_numbers(base.first, distance));
        sidecar.times.push_back(base.second + interval * static_cast<double>(distance));
    }
    return sidecar;
}

bool has_sidecar(const StoreLayout& layout, int64_t chunk) {
    try {
        return read_chunk_sidecar(layout, chunk).has_value();
    } catch (const Error& error) {
        if (error.code() == ErrorCode::io) throw;
        return false;
    }
}

}  // namespace

SalvageableChunk find_salvageable(const StoreLayout& layout, const StoreMetadata& metadata, int64_t chunk,
                                  const SalvageHints& hints) {
    try {
        if (layout.kind() == ChunkKind::folder) return find_images(layout.media(chunk), metadata);
        return find_in_file(layout.media(chunk), metadata, hints);
    } catch (const Error& error) {
        throw error.at({layout.media(chunk).string(), chunk, {}});
    }
}

std::vector<std::string> salvage_chunk(const StoreLayout& layout, const StoreMetadata& metadata, int64_t chunk,
                                       const SalvageableChunk& found) {
    const fs::path media = layout.media(chunk);
    std::vector<std::string> notes;
    const auto note = [&](const std::string& text) {
        notes.push_back(fmt::format("{}: chunk {}: {}", media.string(), chunk, text));
    };
    for (const std::string& name : found.torn) set_aside(media / name);
    if (!found.torn.empty()) file_system().sync_folder(media);
    if (found.frames == 0 && layout.kind() == ChunkKind::file) {
        const fs::path aside = set_aside(media);
        file_system().sync_folder(layout.folder());
        note("holds no whole frame; what was written is kept as " + aside.filename().string());
        return notes;
    }
    if (completes_in_place(container_of(media)) && !found.media_complete) {
        const Packet& last = found.table.packets.back();
        if (file_system().status(media).size > last.offset + last.size) {
            note(fmt::format("what it held behind the last whole frame is kept as {}",
                             keep_copy(media, last.offset + last.size).filename().string()));
        }
        complete_media(media, found.table);
        file_system().sync_folder(layout.folder());
    } else if (layout.kind() == ChunkKind::file && !found.media_complete) {
        const fs::path temporary = with_suffix(media, ".tmp");
        if (is_file(temporary)) file_system().remove(temporary);
        remux(media, found.table, temporary, metadata.extension);
        note(fmt::format("the file as it was is kept as {}", keep_copy(media).filename().string()));
        file_system().rename(temporary, media);
        file_system().sync_folder(layout.folder());
    }
    // Of an mp4 without its end the numbers and times may be there.
    if (has_sidecar(layout, chunk)) return notes;
    for (const char* extension : {".npz", ".yaml"}) {
        const fs::path sidecar = layout.sidecar(chunk, extension);
        if (is_file(sidecar))
            note(fmt::format("the damaged sidecar is kept as {}", keep_copy(sidecar).filename().string()));
    }
    size_t known = 0;
    const ChunkSidecar sidecar = guessed_sidecar(layout, metadata, chunk, found, known);
    write_chunk_sidecar(layout, chunk, metadata, sidecar);
    if (sidecar.synthetic) {
        note(fmt::format("the numbers and times of {} of its {} frames are guesses",
                         found.frames - static_cast<int64_t>(known), found.frames));
    } else {
        note("numbers and times of all its frames are taken from its extra data");
    }
    return notes;
}

std::optional<VideoStream> sibling_stream(const StoreLayout& layout) {
    if (layout.kind() != ChunkKind::file) return std::nullopt;
    for (const StoreLayout::Chunk& chunk : layout.chunks()) {
        if (!chunk.has_media) continue;
        const fs::path media = layout.media(chunk.number);
        // Packed arrays describe themselves.
        if (completes_in_place(container_of(media))) return std::nullopt;
        try {
            return Demuxer(media, demuxer_of_extension(media)).stream();
        } catch (const Error& error) {
            if (error.code() == ErrorCode::io) throw;
        }
    }
    return std::nullopt;
}

}  // namespace reelstore
