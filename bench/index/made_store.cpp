#include "bench/index/made_store.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "base/file_system.h"
#include "bench/index/child_process.h"
#include "bench/output.h"
#include "bench/stopwatch.h"
#include "codecs/checksum.h"
#include "store/chunk_sidecar.h"
#include "store/frame_index.h"
#include "store/layout.h"
#include "store/metadata.h"
#include "store/schema.h"
#include "store/store_contents.h"

namespace reelstore::bench {

namespace {

/// Rows in a transaction.
constexpr int64_t kCommitRows = 100000;
constexpr int64_t kKeyEvery = 15;
constexpr int64_t kTicks = 128;

StoreMetadata metadata_of(const FramePlan& plan) {
    StoreMetadata metadata;
    metadata.class_name = "VideoImgStore";
    metadata.format = "avc1/mp4";
    metadata.extension = ".mp4";
    metadata.kind = ChunkKind::file;
    metadata.stored_type = {.height = 1024, .width = 1280};
    metadata.recorded_type = metadata.stored_type;
    metadata.chunk_frames = plan.chunk_frames();
    metadata.created = plan.time(0);
    metadata.time_zone = "Etc/UTC";
    metadata.uuid = kUuid;
    metadata.writer = "reelstore";
    return metadata;
}

VideoStream stream() {
    VideoStream stream;
    stream.codec = "h264";
    stream.width = 1280;
    stream.height = 1024;
    stream.pixel_format = "gray";
    stream.color_range = "pc";
    stream.color_space = "unknown";
    stream.time_base_num = 1;
    stream.time_base_den = 100 * kTicks;
    stream.frame_rate = 100;
    // avcC of x264's gray, High profile.
    stream.extradata = {0x01, 0x64, 0x00, 0x28, 0xff, 0xe1, 0x00, 0x1b, 0x67, 0x64, 0x00, 0x28, 0xac, 0xe4, 0x06,
                        0x00, 0x93, 0x4d, 0xc0, 0x80, 0x81, 0x90, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03,
                        0x03, 0x20, 0xf1, 0x83, 0x2a, 0x01, 0x00, 0x05, 0x68, 0xce, 0x06, 0xf2, 0xc0};
    return stream;
}

/// Frames of one chunk as a video writer hands them over.
class PacketMaker {
public:
    NewFrame next(const FramePlan& plan, int64_t index, int64_t position) {
        random_ = random_ * 6364136223846793005ull + 1442695040888963407ull;
        const bool key = position % kKeyEvery == 0;
        Packet packet;
        // A fragment, which begins with its own header, a key frame.
        packet.offset = offset_ += key ? 420 : 0;
        packet.size = static_cast<uint32_t>((key ? 60000 : 8000) + (random_ >> 52));
        packet.pts = position * kTicks;
        packet.key = key;
        packet.checksum = static_cast<uint32_t>(random_ >> 32);
        offset_ += packet.size;
        NewFrame frame;
        frame.number = plan.number(index);
        frame.time = plan.time(index);
        frame.stored.position = position;
        frame.stored.bytes = packet.size;
        frame.stored.decode_position = position;
        frame.stored.packet = packet;
        return frame;
    }
    void begin_chunk() { offset_ = 48; }

private:
    uint64_t offset_ = 0;
    uint64_t random_ = 20240607;
};

/// Makes the sidecars and media; seconds that it took.
double make_chunks(const FramePlan& plan, const StoreLayout& layout, const StoreMetadata& metadata) {
    const Stopwatch watch;
    for (int64_t chunk = 0; chunk < plan.chunks(); ++chunk) {
        ChunkSidecar sidecar;
        for (int64_t index = plan.first_of(chunk); index < plan.end_of(chunk); ++index) {
            sidecar.numbers.push_back(plan.number(index));
            sidecar.times.push_back(plan.time(index));
        }
        write_chunk_sidecar(layout, chunk, metadata, sidecar);
        write_new_file(layout.media(chunk), nullptr, 0);
    }
    return watch.seconds();
}

/// Makes the index as a writer does, live; seconds that its calls took.
double make_index(const FramePlan& plan, const StoreLayout& layout) {
    double seconds = 0;
    const auto timed = [&](auto call) {
        const Stopwatch watch;
        call();
        seconds += watch.seconds();
    };
    std::unique_ptr<FrameIndex> index;
    std::optional<Transaction> transaction;
    timed([&] {
        index = FrameIndex::create(StoreLayout::index(layout.folder()), kUuid);
        index->use_write_ahead_log(true);
        transaction.emplace(index->database());
    });
    PacketMaker packets;
    int64_t rows = 0;
    std::vector<NewFrame> frames;
    for (int64_t chunk = 0; chunk < plan.chunks(); ++chunk) {
        packets.begin_chunk();
        const int64_t first = plan.first_of(chunk);
        const int64_t end = plan.end_of(chunk);
        for (int64_t begin = first; begin < end; begin += kCommitRows) {
            frames.clear();
            for (int64_t i = begin; i < std::min(end, begin + kCommitRows); ++i)
                frames.push_back(packets.next(plan, i, i - first));
            timed([&] {
                if (begin == first) {
                    index->add_chunk(chunk, false);
                    index->set_stream(stream());
                }
                index->add_frames(frames);
            });
            rows += static_cast<int64_t>(frames.size());
        }
        timed([&] {
            record_complete_chunk(*index, layout, chunk);
            if (rows < kCommitRows) return;
            transaction->commit();
            transaction.emplace(index->database());
            rows = 0;
        });
    }
    timed([&] {
        index->set_closed(true);
        transaction->commit();
        transaction.reset();
        index->use_write_ahead_log(false);
        index.reset();
    });
    return seconds;
}

Json make(const FramePlan& plan, const std::filesystem::path& folder) {
    const StoreMetadata metadata = metadata_of(plan);
    const StoreLayout layout(folder, metadata.kind, metadata.extension);
    write_file_atomically(StoreLayout::metadata(folder), metadata_text(metadata));
    const double sidecar_seconds = make_chunks(plan, layout, metadata);
    const double index_seconds = make_index(plan, layout);
    const auto frames = static_cast<double>(plan.frames());
    const auto bytes = std::filesystem::file_size(StoreLayout::index(folder));
    return {{"rows_per_second", frames / index_seconds},
            {"sidecar_rows_per_second", frames / sidecar_seconds},
            {"index_bytes", bytes},
            {"index_bytes_per_frame", static_cast<double>(bytes) / frames},
            {"largest_memory_mb", process_memory().largest}};
}

}  // namespace

std::filesystem::path MadeStore::index() const {
    return StoreLayout::index(folder);
}

MadeStore make_store(const FramePlan& plan, const std::filesystem::path& parent) {
    // With the schema in its name: one of another schema is not taken for it.
    const std::string_view schema = kIndexSchema;
    const uint32_t checksum = frame_checksum({reinterpret_cast<const uint8_t*>(schema.data()), schema.size()});
    const std::string name = fmt::format("frames_{}_chunks_{}_{}_{:08x}", plan.frames(), plan.chunks(),
                                         static_cast<int>(plan.course()), checksum);
    const std::filesystem::path folder = parent / name;
    // Written last, so that a store which is only half made is not taken for one.
    const std::filesystem::path making = parent / (name + ".json");
    if (std::filesystem::exists(making)) {
        return {plan, folder, Json::parse(read_text_file(making, uint64_t{1} << 20))};
    }
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    MadeStore store = {plan, folder, in_child_process([&] { return make(plan, folder); })};
    write_text(making, store.making.dump());
    return store;
}

void warm_up(const std::filesystem::path& path) {
    const std::unique_ptr<File> file = file_system().open(path, OpenMode::read);
    std::vector<uint8_t> block(size_t{1} << 20);
    for (uint64_t offset = 0;;) {
        const size_t count = file->read_at(block.data(), block.size(), offset);
        if (count == 0) return;
        offset += count;
    }
}

}  // namespace reelstore::bench
