#include "codecs/video/packet_cache.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <memory>
#include <span>
#include <type_traits>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file_system.h"
#include "base/npy.h"
#include "base/npz.h"
#include "codecs/checksum.h"
#include "codecs/video/libav.h"

namespace reelstore {

namespace {

constexpr int64_t kVersion = 1;
constexpr uint64_t kMaxFactsBytes = uint64_t{16} << 20;
constexpr size_t kNpyHeaderRoom = size_t{64} << 10;
/// Of one packet in all members together.
constexpr uint64_t kBytesPerPacket = 8 + 4 + 8 + 1 + 4;

constexpr int64_t kKeyFlag = 1;
constexpr int64_t kDisposableFlag = 2;
constexpr int64_t kHiddenFlag = 4;

/// Pieces of the file that are compared at opening, besides the first and the last.
constexpr size_t kSpreadProbes = 16;
/// Most bytes that those may have together.
constexpr uint64_t kMaxProbeBytes = uint64_t{64} << 20;
/// Size of a piece where packets are no pieces of the file.
constexpr uint64_t kBlockBytes = 4096;

/// A piece of the video file and what it must hold.
struct Probe {
    uint64_t offset = 0;
    uint64_t size = 0;
    uint32_t checksum = 0;
};

struct Cache {
    VideoScan scan;
    uint64_t file_size = 0;
    std::vector<Probe> probes;
};

template <typename T>
const char* descr_of() {
    static_assert(std::is_unsigned_v<T> || sizeof(T) == 8);
    if constexpr (sizeof(T) == 1) return "|u1";
    if constexpr (sizeof(T) == 4) return "<u4";
    return std::is_signed_v<T> ? "<i8" : "<u8";
}

template <typename T>
std::vector<uint8_t> to_npy(std::span<const T> values) {
    std::vector<uint8_t> bytes = make_npy_header(descr_of<T>(), {static_cast<int64_t>(values.size())});
    const size_t header = bytes.size();
    bytes.resize(header + values.size_bytes());
    if (!values.empty()) std::memcpy(bytes.data() + header, values.data(), values.size_bytes());
    return bytes;
}

/// One member of the array made of each packet.
template <typename T, typename Member>
std::vector<uint8_t> column(const std::vector<Packet>& packets, const Member& member) {
    std::vector<T> values;
    values.reserve(packets.size());
    for (const Packet& packet : packets) values.push_back(static_cast<T>(member(packet)));
    return to_npy<T>(values);
}

/// `count` places among 0..all-1, spread evenly, with the first and the last.
std::vector<uint64_t> spread_places(uint64_t all) {
    std::vector<uint64_t> places;
    if (all == 0) return places;
    const uint64_t steps = std::min<uint64_t>(kSpreadProbes + 1, all - 1);
    for (uint64_t step = 0; step < steps; ++step) places.push_back(step * (all - 1) / steps);
    places.push_back(all - 1);
    return places;
}

std::vector<Probe> packet_probes(const PacketTable& table) {
    std::vector<Probe> probes;
    uint64_t bytes = 0;
    const std::vector<uint64_t> places = spread_places(table.packets.size());
    for (const uint64_t place : places) {
        const Packet& packet = table.packets[place];
        const bool end = place == places.front() || place == places.back();
        if (!end && bytes + packet.size > kMaxProbeBytes) continue;
        bytes += packet.size;
        probes.push_back({packet.offset, packet.size, packet.checksum.value_or(0)});
    }
    return probes;
}

uint32_t checksum_of(File& file, const Probe& probe) {
    std::vector<uint8_t> bytes(probe.size);
    bytes.resize(file.read_at(bytes.data(), bytes.size(), probe.offset));
    return frame_checksum(bytes);
}

/// What lies before and behind the packets: the container's headers and index.
std::vector<Probe> surroundings(File& file, const PacketTable& table) {
    uint64_t begin = file.size();
    uint64_t end = 0;
    for (const Packet& packet : table.packets) {
        begin = std::min(begin, packet.offset);
        end = std::max(end, packet.offset + packet.size);
    }
    std::vector<Probe> probes;
    if (begin > 0) probes.push_back({0, std::min(begin, kMaxProbeBytes), 0});
    if (end < file.size()) probes.push_back({end, std::min(file.size() - end, kMaxProbeBytes), 0});
    for (Probe& probe : probes) probe.checksum = checksum_of(file, probe);
    return probes;
}

/// Pieces of a file whose packets lie scattered in it.
std::vector<Probe> block_probes(File& file) {
    std::vector<Probe> probes;
    const uint64_t size = file.size();
    for (const uint64_t block : spread_places((size + kBlockBytes - 1) / kBlockBytes)) {
        Probe probe{block * kBlockBytes, std::min(kBlockBytes, size - block * kBlockBytes), 0};
        probe.checksum = checksum_of(file, probe);
        probes.push_back(probe);
    }
    return probes;
}

Json facts_of(const VideoScan& scan, uint64_t file_size, const std::vector<Probe>& blocks) {
    Json facts{{"version", kVersion},
               {"file_size", file_size},
               {"packets", scan.table.packets.size()},
               {"frames", scan.table.display_order.size()},
               {"container", scan.table.container},
               {"contiguous", scan.table.contiguous},
               {"in_cells", scan.table.in_cells},
               {"creation_time", scan.creation_time ? Json(*scan.creation_time) : Json()},
               {"warnings", scan.warnings},
               {"stream", scan.table.stream.to_json()}};
    facts["blocks"] = Json::array();
    for (const Probe& probe : blocks)
        facts["blocks"].push_back(Json::array({probe.offset, probe.size, probe.checksum}));
    return facts;
}

using Members = std::vector<std::pair<std::string, std::vector<uint8_t>>>;

constexpr const char* kDigest = "digest";
constexpr std::array<const char*, 6> kArrays = {"offset", "size", "pts", "flags", "checksum", "display_order"};

/// Of the arrays, as members of the archive in the order of kArrays, and of the facts without the digest.
uint32_t digest_of(Json facts, const std::vector<std::vector<uint8_t>>& arrays) {
    facts.erase(kDigest);
    const std::string text = facts.dump();
    std::vector<uint8_t> all(text.begin(), text.end());
    for (const std::vector<uint8_t>& array : arrays) all.insert(all.end(), array.begin(), array.end());
    return frame_checksum(all);
}

std::vector<uint8_t> to_bytes(const VideoScan& scan, uint64_t file_size, const std::vector<Probe>& blocks) {
    const std::vector<Packet>& packets = scan.table.packets;
    const auto flags = [](const Packet& packet) {
        return (packet.key ? kKeyFlag : 0) | (packet.disposable ? kDisposableFlag : 0) |
               (packet.hidden ? kHiddenFlag : 0);
    };
    const std::vector<std::vector<uint8_t>> arrays = {
        column<uint64_t>(packets, [](const Packet& packet) { return packet.offset; }),
        column<uint32_t>(packets, [](const Packet& packet) { return packet.size; }),
        column<int64_t>(packets, [](const Packet& packet) { return packet.pts; }),
        column<uint8_t>(packets, flags),
        column<uint32_t>(packets, [](const Packet& packet) { return packet.checksum.value_or(0); }),
        to_npy<uint32_t>(scan.table.display_order)};
    Json facts = facts_of(scan, file_size, blocks);
    facts[kDigest] = digest_of(facts, arrays);
    const std::string text = facts.dump(1);
    Members members = {{"facts", to_npy<uint8_t>({reinterpret_cast<const uint8_t*>(text.data()), text.size()})}};
    for (size_t i = 0; i < kArrays.size(); ++i) members.emplace_back(kArrays[i], arrays[i]);
    return make_npz(members);
}

[[noreturn]] void malformed(const std::string& what) {
    throw Error(ErrorCode::corrupt, what);
}

/// Reads a packet cache; everything in it may be made up by somebody.
class CacheParser {
public:
    CacheParser(const std::filesystem::path& path, uint64_t cache_size) : archive_(path), cache_size_(cache_size) {}

    Cache parse() {
        try {
            facts_ = Json::parse(facts_text(), nullptr, false);
            if (!facts_.is_object()) malformed("its facts are no JSON object");
            if (facts_.at("version").get<int64_t>() != kVersion) malformed("it has a version that is not known here");
            read_facts();
        } catch (const Json::exception&) {
            malformed("one of its facts is missing or of the wrong kind");
        }
        read_packets();
        read_display_order();
        if (cache_.scan.table.contiguous) {
            const std::vector<Probe> packets = packet_probes(cache_.scan.table);
            cache_.probes.insert(cache_.probes.end(), packets.begin(), packets.end());
        }
        for (const Probe& probe : cache_.probes) check_piece(probe.offset, probe.size);
        check_digest();
        return std::move(cache_);
    }

private:
    void check_digest() const {
        std::vector<std::vector<uint8_t>> arrays;
        for (const char* name : kArrays) arrays.push_back(archive_.member(name, cache_size_));
        const auto digest = facts_.find(kDigest);
        if (digest == facts_.end() || *digest != digest_of(facts_, arrays)) malformed("it was changed");
    }

    std::string facts_text() const {
        const std::vector<uint8_t> bytes = archive_.member("facts", kMaxFactsBytes);
        const NpyHeader header = parse_npy_header(bytes);
        if (header.descr != "|u1" || bytes.size() != header.data_offset + header.data_bytes())
            malformed("its facts are no bytes");
        return {bytes.begin() + static_cast<std::ptrdiff_t>(header.data_offset), bytes.end()};
    }

    void read_facts() {
        PacketTable& table = cache_.scan.table;
        cache_.file_size = facts_.at("file_size").get<uint64_t>();
        packets_ = facts_.at("packets").get<uint64_t>();
        frames_ = facts_.at("frames").get<uint64_t>();
        table.container = facts_.at("container").get<std::string>();
        table.contiguous = facts_.at("contiguous").get<bool>();
        table.in_cells = !table.contiguous && facts_.at("in_cells").get<bool>();
        table.stream = VideoStream::from_json(facts_.at("stream"));
        cache_.scan.warnings = facts_.at("warnings").get<std::vector<std::string>>();
        const Json& created = facts_.at("creation_time");
        if (!created.is_null()) cache_.scan.creation_time = created.get<double>();
        if (!avcodec_descriptor_get_by_name(table.stream.codec.c_str()) ||
            !av_find_input_format(table.container.c_str()))
            malformed("it names a codec or container that is not known here");
        // The arrays are not compressed, so they cannot be longer than the file is.
        if (packets_ == 0 || packets_ > cache_size_ / kBytesPerPacket || frames_ == 0 || frames_ > packets_)
            malformed("its number of packets or frames is impossible");
        const uint64_t longest = table.contiguous ? kMaxProbeBytes : kBlockBytes;
        if (facts_.at("blocks").size() > kSpreadProbes + 2) malformed("it names too many blocks");
        for (const Json& block : facts_.at("blocks")) {
            const auto values = block.get<std::vector<uint64_t>>();
            if (values.size() != 3 || values[1] > longest || values[2] > std::numeric_limits<uint32_t>::max())
                malformed("one of its facts is missing or of the wrong kind");
            cache_.probes.push_back({values[0], values[1], static_cast<uint32_t>(values[2])});
        }
        if (cache_.probes.empty() || cache_.probes.size() > kSpreadProbes + 2)
            malformed("it has an impossible number of blocks to compare");
    }

    std::vector<int64_t> values(const char* name, uint64_t count) const {
        std::vector<int64_t> values = int64_from_npy(archive_.member(name, count * sizeof(int64_t) + kNpyHeaderRoom));
        if (values.size() != count)
            malformed(fmt::format("its {} has {} values instead of {}", name, values.size(), count));
        return values;
    }

    std::vector<int64_t> values(const char* name, uint64_t count, int64_t largest) const {
        std::vector<int64_t> checked = values(name, count);
        for (const int64_t value : checked) {
            if (value < 0 || value > largest) malformed(fmt::format("its {} holds an impossible value", name));
        }
        return checked;
    }

    void check_piece(uint64_t offset, uint64_t size) const {
        if (size == 0 || offset > cache_.file_size || size > cache_.file_size - offset)
            malformed("it puts packets outside of the file");
    }

    void read_packets() {
        PacketTable& table = cache_.scan.table;
        std::vector<Packet>& packets = table.packets;
        packets.resize(packets_);
        const auto fill = [&](const std::vector<int64_t>& column, auto set) {
            for (size_t place = 0; place < packets.size(); ++place) set(packets[place], column[place]);
        };
        constexpr int64_t kAny = std::numeric_limits<int64_t>::max();
        constexpr int64_t kMost32 = std::numeric_limits<uint32_t>::max();
        fill(values("offset", packets_, kAny),
             [](Packet& packet, int64_t value) { packet.offset = static_cast<uint64_t>(value); });
        fill(values("size", packets_, std::numeric_limits<int32_t>::max()),
             [](Packet& packet, int64_t value) { packet.size = static_cast<uint32_t>(value); });
        fill(values("pts", packets_), [](Packet& packet, int64_t value) { packet.pts = value; });
        fill(values("flags", packets_, kKeyFlag | kDisposableFlag | kHiddenFlag), [](Packet& packet, int64_t value) {
            packet.key = (value & kKeyFlag) != 0;
            packet.disposable = (value & kDisposableFlag) != 0;
            packet.hidden = (value & kHiddenFlag) != 0;
        });
        fill(values("checksum", packets_, kMost32),
             [](Packet& packet, int64_t value) { packet.checksum = static_cast<uint32_t>(value); });
        if (!packets.front().key) malformed("its first packet is no key packet");
        if (!table.contiguous) return;
        for (const Packet& packet : packets) check_piece(packet.offset, packet.size);
    }

    void read_display_order() {
        PacketTable& table = cache_.scan.table;
        std::vector<bool> taken(packets_, false);
        table.display_order.reserve(frames_);
        for (const int64_t place : values("display_order", frames_, static_cast<int64_t>(packets_) - 1)) {
            if (taken[static_cast<size_t>(place)] || table.packets[static_cast<size_t>(place)].hidden)
                malformed("its order of display shows a packet twice or one that is hidden");
            taken[static_cast<size_t>(place)] = true;
            table.display_order.push_back(static_cast<uint32_t>(place));
        }
    }

    NpzReader archive_;
    uint64_t cache_size_;
    Json facts_;
    uint64_t packets_ = 0;
    uint64_t frames_ = 0;
    Cache cache_;
};

/// Whether the file still holds what the cache says.
bool fits(File& file, Cache& cache) {
    if (file.size() != cache.file_size) return false;
    for (const Probe& probe : cache.probes) {
        cache.scan.bytes_read += static_cast<int64_t>(probe.size);
        if (checksum_of(file, probe) != probe.checksum) return false;
    }
    return true;
}

}  // namespace

std::filesystem::path packet_cache_path(const std::filesystem::path& video) {
    std::filesystem::path path = video;
    path += ".packets.npz";
    return path;
}

PacketCacheResult write_packet_cache(const std::filesystem::path& video,
                                     const std::function<void(int64_t, int64_t)>& progress) {
    const std::unique_ptr<File> file = file_system().open(video, OpenMode::read);
    const uint64_t file_size = file->size();
    const VideoScan scan = scan_packets(video, {}, progress);
    const VideoStream& stream = scan.table.stream;
    if (scan.table.frame_count() == 0 || stream.width <= 0 || stream.height <= 0) {
        throw Error(ErrorCode::unsupported, {video.string(), {}, {}},
                    "holds no frame that can be shown, so there is nothing to remember");
    }
    const std::vector<Probe> blocks = scan.table.contiguous ? surroundings(*file, scan.table) : block_probes(*file);
    if (file->size() != file_size)
        throw Error(ErrorCode::io, {video.string(), {}, {}},
                    "changed while it was read; try again when it is complete");
    const std::vector<uint8_t> bytes = to_bytes(scan, file_size, blocks);
    const std::filesystem::path path = packet_cache_path(video);
    write_file_atomically(path, bytes.data(), bytes.size());
    return {.path = path, .frame_count = scan.table.frame_count()};
}

std::optional<VideoScan> load_packet_cache(const std::filesystem::path& video, std::vector<std::string>& warnings) {
    const std::filesystem::path path = packet_cache_path(video);
    const FileStatus status = file_system().status(path);
    if (status.kind != FileKind::file) return std::nullopt;
    const std::unique_ptr<File> file = file_system().open(video, OpenMode::read);
    try {
        Cache cache = CacheParser(path, status.size).parse();
        cache.scan.bytes_read = static_cast<int64_t>(status.size);
        if (fits(*file, cache)) return std::move(cache.scan);
        warnings.push_back(fmt::format("{0} has changed since {1} was made; scanned anew (`store index {0}` renews it)",
                                       video.string(), path.filename().string()));
    } catch (const Error& error) {
        warnings.push_back(fmt::format("{1} cannot be used ({2}); {0} is scanned anew (`store index {0}` renews it)",
                                       video.string(), path.string(), error.message()));
    }
    return std::nullopt;
}

}  // namespace reelstore
