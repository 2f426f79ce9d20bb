// Every kind of file in a store is cut off, changed, removed and replaced: only the frames whose bytes were touched are
// affected, and what is read is what was recorded.
//
// REELSTORE_TEST_SEED=N makes other damages than usual.

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <numeric>
#include <random>
#include <set>
#include <stdexcept>
#include <thread>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "base/clock.h"
#include "base/error.h"
#include "codecs/chunk_format.h"
#include "store/chunk_sidecar.h"
#include "store/frame_index.h"
#include "store/layout.h"
#include "store/verify.h"
#include "tests/sanitized.h"
#include "tests/store/crash_formats.h"
#include "tests/store/store_fixture.h"
#include "tests/temporary_folder.h"

using namespace reelstore;

namespace fs = std::filesystem;

namespace {

/// Damages of one file, of each kind, at most; smaller files are damaged at every offset.
constexpr size_t kMostFlips = kSanitized ? 12 : 32;
constexpr size_t kMostCuts = kSanitized ? 6 : 12;
constexpr size_t kWorkers = 2;
constexpr double kLongestCase = kSanitized ? 60 : 10;
constexpr long kMostMemory = long{2} << 20;  ///< KiB
constexpr int64_t kFirstNumber = 100;

using Bytes = std::vector<uint8_t>;

/// A store to be damaged.
struct Kind {
    std::string format;
    CodecOptions codec = {};
    bool killed = false;  ///< as a writer leaves it that is killed after a commit

    std::string name() const {
        return format + (codec.contains("bframes") ? " with B-frames" : "") + (killed ? ", killed" : "");
    }
    bool video() const { return find_chunk_format(format)->info().video; }
    bool one_file() const { return find_chunk_format(format)->info().kind == ChunkKind::file; }
    /// Pixels are looked at where they lie in the file; comparing them with a checksum would take longer than that.
    bool unchecked_at_read() const { return format == "raw/npy"; }
    ImageType type() const {
        const ChunkFormat& chunk_format = *find_chunk_format(format);
        const ImageType gray{24, 32, 1, CV_8U};
        return chunk_format.refuses(gray) ? ImageType{24, 32, 3, CV_8U} : gray;
    }
    int chunk_frames() const { return video() ? 12 : 4; }
    /// The last chunk is not full.
    int frames() const { return 2 * chunk_frames() + chunk_frames() / 2; }
};

Json extra_data_of(int64_t number) {
    return {{"value", number}};
}

Bytes read_bytes(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

void write_bytes(const fs::path& path, const Bytes& bytes) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

bool same_pixels(const cv::Mat& a, const cv::Mat& b) {
    return a.size() == b.size() && a.type() == b.type() && a.isContinuous() && b.isContinuous() &&
           std::memcmp(a.data, b.data, a.total() * a.elemSize()) == 0;
}

void write_store(const Kind& kind, const fs::path& path, const fs::path& workshop) {
    StoreWriterOptions options;
    options.format = kind.format;
    options.codec = kind.codec;
    options.chunk_frames = kind.chunk_frames();
    options.commit_interval = std::nullopt;
    const fs::path written = kind.killed ? workshop / "live" : path;
    StoreWriter writer(written, options);
    for (int i = 0; i < kind.frames(); ++i) {
        const int64_t number = kFirstNumber + i;
        writer.add(make_numbered_image(kind.type(), static_cast<int>(number)), number, fixture_time(i));
        if (i % 2 == 0) writer.add_extra_data(extra_data_of(number));
    }
    if (!kind.killed) return writer.close();
    writer.commit();
    while (writer.stats().chunks_completed < 2) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    fs::copy(written, path, fs::copy_options::recursive);
    // It is in the way of reading whole files, and as long as the writer says.
    fs::resize_file(StoreLayout::reserve(path), 5000);
}

enum class Change { flip, cut, empty, noise, removed, folder };

/// One change of one file.
struct Damage {
    Change change = Change::flip;
    size_t offset = 0;
    uint8_t mask = 0;

    std::string text() const {
        switch (change) {
            case Change::flip:
                return fmt::format("byte {} ^ {:#x}", offset, mask);
            case Change::cut:
                return fmt::format("cut off at {}", offset);
            case Change::empty:
                return "made empty";
            case Change::noise:
                return "replaced by noise";
            case Change::removed:
                return "removed";
            case Change::folder:
                return "replaced by a folder";
        }
        return {};
    }
    /// Whether the bytes begin..end-1 are no longer what they were.
    bool touches(size_t begin, size_t end) const {
        if (change == Change::flip) return begin <= offset && offset < end;
        if (change == Change::cut) return end > offset;
        return true;
    }
};

class DamagedFile {
public:
    DamagedFile(const fs::path& path, const Bytes& original, const Damage& damage, std::mt19937& random)
        : path_(path), original_(original) {
        Bytes bytes = original;
        switch (damage.change) {
            case Change::flip:
                bytes[damage.offset] ^= damage.mask;
                break;
            case Change::cut:
                bytes.resize(damage.offset);
                break;
            case Change::empty:
                bytes.clear();
                break;
            case Change::noise:
                for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
                break;
            case Change::removed:
                fs::remove(path);
                return;
            case Change::folder:
                fs::remove(path);
                fs::create_directory(path);
                return;
        }
        write_bytes(path, bytes);
    }
    ~DamagedFile() {
        if (fs::is_directory(path_)) fs::remove_all(path_);
        write_bytes(path_, original_);
    }
    DamagedFile(const DamagedFile&) = delete;
    DamagedFile& operator=(const DamagedFile&) = delete;

private:
    const fs::path path_;
    const Bytes& original_;
};

/// Of the damages of media, every so many-th is shown to verify() too.
constexpr int64_t kVerifyEvery = 4;

/// What verify() says of damage; empty when it finds none.
std::string damage_found(const fs::path& path, VerifyLevel level) {
    for (const Finding& finding : verify(path, level, {.threads = 1}).findings) {
        if (finding.severity == Severity::error) return finding.path.string() + ": " + finding.message;
    }
    return "";
}

/// What a damaged store may do.
struct Expected {
    /// Of these frames reading may fail; of the others it must not.
    std::set<int64_t> may_fail = {};
    /// Of these it must fail: their bytes are not those that were recorded.
    std::set<int64_t> must_fail = {};
    bool may_not_open = false;
    /// Frames at the end may be missing: as many must be there at least.
    int64_t least_frames = 0;
    /// Chunks may be left out, so that a frame is known by its number alone.
    bool by_number = false;
    /// Rows, whose bytes nothing protects, that may have another number or time.
    int64_t changed_rows = 0;
    /// Extra data may be lost or changed.
    bool extra_data_touched = false;
};

struct Summary {
    std::mutex mutex;
    int64_t cases = 0;
    int64_t frames_read = 0;
    int64_t frames_refused = 0;
    int64_t not_opened = 0;
    int64_t rows_changed = 0;
    double longest = 0;
    std::vector<std::string> faults;
};

/// One store that is damaged in many ways, one after the other.
class Sweep {
public:
    Sweep(const Kind& kind, uint32_t seed, Summary& summary)
        : kind_(kind), random_(seed), summary_(summary), path_(folder_ / "store") {
        write_store(kind, path_, folder_.path());
        StoreReader store(path_);
        for (int64_t i = 0; i < store.frame_count(); ++i) {
            frames_.push_back(store.at_index(i));
            rows_.push_back(store.row(i).value());
            if (read_image_number(frames_.back().image) != static_cast<int>(kFirstNumber + i))
                throw std::runtime_error(fmt::format("{}: frame {} of the sound store is wrong", kind.name(), i));
            if (find_chunk_format(kind.format)->info().lossless &&
                !same_pixels(frames_.back().image,
                             make_numbered_image(kind.type(), static_cast<int>(kFirstNumber + i))))
                throw std::runtime_error(fmt::format("{}: frame {} is not lossless", kind.name(), i));
        }
        extra_data_ = store.all_extra_data().size();
        for (const auto& entry : fs::directory_iterator(path_)) {
            if (entry.is_regular_file() && !entry.path().string().ends_with("-shm"))
                files_[entry.path()] = read_bytes(entry.path());
        }
        layout_.emplace(path_, store.metadata().kind, store.metadata().extension);
        const auto index = FrameIndex::open(StoreLayout::index(path_), store.metadata().uuid);
        for (const ChunkRow& chunk : chunk_rows(*index)) {
            chunks_.push_back(chunk);
            tables_.push_back(index->packet_table(chunk.chunk));
        }
        if (static_cast<int>(frames_.size()) != kind.frames() || chunks_.size() != 3)
            throw std::runtime_error(
                fmt::format("{}: {} frames in {} chunks", kind.name(), frames_.size(), chunks_.size()));
    }

    void run() {
        damage_media();
        damage_sidecars();
        damage_metadata();
        damage_index();
        if (kind_.killed) damage_log();
        if (!kind_.killed && kind_.one_file()) damage_packet_rows();
        damage_bystanders();
        const fs::path index = StoreLayout::index(path_);
        if (!kind_.killed) {
            // As imgstore's stores are.
            fs::rename(index, folder_ / "index");
            indexed_ = false;
            damage_sidecars();
            fs::rename(folder_ / "index", index);
            indexed_ = true;
        }
        check(path_, Damage{Change::removed}, {.least_frames = frame_count()}, "nothing");
        for (const VerifyLevel level : {VerifyLevel::frames, VerifyLevel::hash}) {
            if (const std::string damage = damage_found(path_, level); !damage.empty())
                throw std::runtime_error("verify finds damage where there is none: " + damage);
        }
    }

private:
    int64_t frame_count() const { return static_cast<int64_t>(frames_.size()); }

    std::vector<Damage> damages(size_t size) {
        std::vector<Damage> damages;
        for (const size_t offset : offsets(size, kMostFlips)) {
            const bool bit = random_() % 2 == 0;
            const auto mask = static_cast<uint8_t>(bit ? 1U << (random_() % 8) : 1 + random_() % 255);
            damages.push_back({Change::flip, offset, mask});
        }
        for (const size_t offset : offsets(size, kMostCuts)) damages.push_back({Change::cut, offset});
        if (size > 0) damages.push_back({Change::empty});
        if (size > 0) damages.push_back({Change::noise});
        damages.push_back({Change::removed});
        damages.push_back({Change::folder});
        return damages;
    }

    std::vector<size_t> offsets(size_t size, size_t most) {
        std::vector<size_t> all(size);
        std::iota(all.begin(), all.end(), size_t{0});
        if (size <= most) return all;
        std::shuffle(all.begin(), all.end(), random_);
        // Beginning and end of a file say more than the rest.
        std::vector<size_t> some(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(most));
        for (size_t i = 0; i < most / 4; ++i) {
            some[2 * i] = i;
            some[2 * i + 1] = size - 1 - i;
        }
        std::sort(some.begin(), some.end());
        some.erase(std::unique(some.begin(), some.end()), some.end());
        return some;
    }

    /// Every damage of the file at `path`; what is then expected says `expected`.
    template <typename Expectation>
    void sweep(const fs::path& path, Expectation expected) {
        const Bytes original = read_bytes(path);
        for (const Damage& damage : damages(original.size())) {
            {
                const DamagedFile damaged(path, original, damage, random_);
                check(path, damage, expected(damage), fs::relative(path, path_).string());
            }
            // Made by reading in write-ahead mode; it would hide the next change of the log.
            fs::remove(path_ / "index.sqlite-shm");
        }
    }

    // ---- what is expected of which damage

    void damage_media() {
        for (const size_t chunk : {size_t{0}, chunks_.size() - 1}) {
            if (layout_->kind() == ChunkKind::file) {
                sweep(layout_->media(chunks_[chunk].chunk),
                      [&](const Damage& damage) { return of_file(chunk, damage); });
            } else {
                damage_images(chunk);
            }
        }
    }

    std::set<int64_t> frames_of(const ChunkRow& chunk) const {
        std::set<int64_t> frames;
        for (int64_t i = 0; i < chunk.frame_count; ++i) frames.insert(chunk.first_index + i);
        return frames;
    }

    /// A frame whose packet is touched cannot be read, and those that are decoded from it neither.
    Expected of_file(size_t number, const Damage& damage) const {
        const ChunkRow& chunk = chunks_[number];
        const PacketTable& table = *tables_[number];
        Expected expected{.least_frames = frame_count()};
        bool touched = false;
        std::vector<int64_t> shown(table.packets.size());
        for (size_t i = 0; i < table.display_order.size(); ++i)
            shown[table.display_order[i]] = chunk.first_index + static_cast<int64_t>(i);
        for (size_t place = 0; place < table.packets.size(); ++place) {
            const Packet& packet = table.packets[place];
            const bool intra = kind_.format == "mjpeg/avi";
            if (packet.key || intra) touched = false;
            if (damage.touches(packet.offset, packet.offset + packet.size)) {
                touched = true;
                expected.must_fail.insert(shown[place]);
            }
            if (touched) expected.may_fail.insert(shown[place]);
        }
        return expected;
    }

    void damage_images(size_t number) {
        const ChunkRow& chunk = chunks_[number];
        const int64_t position = 1;
        const fs::path media = layout_->media(chunk.chunk);
        const fs::path path =
            media / fmt::format("{:06}{}", position, find_chunk_format(kind_.format)->info().extension);
        const int64_t index = chunk.first_index + position;
        sweep(path, [&](const Damage&) {
            return Expected{.may_fail = {index}, .must_fail = {index}, .least_frames = frame_count()};
        });
        // The whole folder.
        const Expected all{.may_fail = frames_of(chunk), .must_fail = frames_of(chunk), .least_frames = frame_count()};
        fs::rename(media, folder_ / "away");
        check(media, Damage{Change::removed}, all, media.filename().string());
        write_bytes(media, Bytes(100, 7));
        check(media, Damage{Change::noise}, all, media.filename().string());
        fs::remove(media);
        fs::rename(folder_ / "away", media);
    }

    /// With an index nothing is taken from them; without, they cost their own chunk.
    void damage_sidecars() {
        const ChunkRow& chunk = chunks_.front();
        Expected expected{.least_frames = frame_count()};
        sweep(layout_->extra_data(chunk.chunk), [&](const Damage&) {
            expected.extra_data_touched = !indexed_;
            return expected;
        });
        sweep(layout_->sidecar(chunk.chunk), [&](const Damage&) {
            if (!indexed_) {
                expected.by_number = true;
                expected.extra_data_touched = true;
                expected.least_frames = frame_count() - chunk.frame_count;
            }
            return expected;
        });
    }

    void damage_metadata() {
        sweep(StoreLayout::metadata(path_), [&](const Damage&) {
            return Expected{.may_fail = every_frame(),
                            .may_not_open = true,
                            .least_frames = kind_.killed ? in_closed_chunks() : frame_count(),
                            .extra_data_touched = true};
        });
    }

    std::set<int64_t> every_frame() const {
        std::set<int64_t> frames;
        for (int64_t i = 0; i < frame_count(); ++i) frames.insert(i);
        return frames;
    }

    int64_t in_closed_chunks() const {
        int64_t count = 0;
        for (const ChunkRow& chunk : chunks_) count += chunk.closed ? chunk.frame_count : 0;
        return count;
    }

    /// What the index alone knows may be lost: the frames of the open chunk.
    void damage_index() {
        sweep(StoreLayout::index(path_), [&](const Damage&) {
            return Expected{.may_fail = every_frame(),
                            .least_frames = kind_.killed ? in_closed_chunks() : frame_count(),
                            .changed_rows = 1,
                            .extra_data_touched = true};
        });
    }

    /// What the index says of how to decode, which the checksums of the packets do not cover: every byte of it.
    void damage_packet_rows() {
        const fs::path path = StoreLayout::index(path_);
        const Bytes original = read_bytes(path);
        const Expected expected{.may_fail = every_frame(), .least_frames = frame_count(), .extra_data_touched = true};
        const std::string text(original.begin(), original.end());
        const size_t begin = text.find("{\"codec\"");
        if (begin == std::string::npos) throw std::runtime_error("no stream parameters in the index");
        for (size_t offset = begin; text[offset - 1] != '}'; ++offset) {
            const Damage damage{Change::flip, offset, static_cast<uint8_t>(1U << (random_() % 8))};
            const DamagedFile damaged(path, original, damage, random_);
            check(path, damage, expected, fmt::format("stream parameters '{}'", text.substr(offset - 10, 20)));
        }
        // Without its key every chunk would have the number 0.
        const std::string column = "chunk             INTEGER PRIMARY KEY";
        const size_t key = text.find(column);
        if (key == std::string::npos) throw std::runtime_error("no schema in the index");
        {
            const Damage damage{Change::flip, key + column.size() - 1, 8};
            const DamagedFile damaged(path, original, damage, random_);
            check(path, damage, expected, "schema");
        }
        for (const char* change :
             {"packet_flags = (packet_flags | 1) - (packet_flags & 1)",
              "packet_flags = (packet_flags | 2) - (packet_flags & 2)",
              "packet_flags = (packet_flags | 4) - (packet_flags & 4)",
              "packet_flags = (packet_flags | 8) - (packet_flags & 8)", "packet_pts = packet_pts + 1",
              "packet_pts = packet_pts - 3", "decode_position = 0", "byte_offset = byte_offset + 1",
              "byte_size = byte_size - 1", "checksum = checksum + 4",
              "decode_position = frame_index - (SELECT MAX(first_index) FROM chunks WHERE first_index <= "
              "frame_index)"}) {
            for (int64_t index = 0; index < frame_count(); ++index) {
                {
                    const Database database(path, Database::Mode::read_write);
                    database.execute(fmt::format("UPDATE frames SET {} WHERE frame_index = {}", change, index));
                }
                check(path, {Change::noise}, expected, fmt::format("{} of frame {}", change, index));
                write_bytes(path, original);
            }
        }
    }

    /// The log has checksums: commits behind the damage are lost, but nothing is believed that was not committed.
    void damage_log() {
        fs::path log = StoreLayout::index(path_);
        log += "-wal";
        sweep(log, [&](const Damage& damage) {
            return Expected{.may_not_open = damage.change == Change::folder,
                            .least_frames = in_closed_chunks(),
                            .extra_data_touched = true};
        });
    }

    /// Files that reading has nothing to do with.
    void damage_bystanders() {
        for (const char* name : {".lock", ".reserve", "index.sqlite-shm"}) {
            const fs::path path = path_ / name;
            for (const Damage& damage : {Damage{Change::noise}, Damage{Change::empty}, Damage{Change::folder}}) {
                const Bytes some(5000, 3);
                {
                    const DamagedFile damaged(path, some, damage, random_);
                    check(path, damage, {.least_frames = frame_count()}, name);
                }
                fs::remove(path);
            }
            if (const auto original = files_.find(path); original != files_.end()) write_bytes(path, original->second);
        }
    }

    // ---- looking

    /// What reading has done to files that were not damaged; they are as they were afterwards.
    std::string changed_files(const fs::path& damaged) const {
        std::string changed;
        for (const auto& [path, bytes] : files_) {
            if (path == damaged || (path == StoreLayout::index(path_) && !indexed_)) continue;
            std::error_code gone;
            if (fs::file_size(path, gone) == bytes.size() && !gone) continue;
            changed += fmt::format("reading has changed {}; ", path.filename().string());
            write_bytes(path, bytes);
        }
        return changed;
    }

    void check(const fs::path& path, const Damage& damage, const Expected& expected, const std::string& name) {
        const double begin = now_monotonic();
        std::string fault;
        try {
            fault = look(expected);
        } catch (const std::exception& error) {
            fault = std::string("an exception: ") + error.what();
        }
        const double seconds = now_monotonic() - begin;
        const bool only_verify_finds_it = kind_.unchecked_at_read();
        if (fault.empty() && !expected.must_fail.empty() && (only_verify_finds_it || checks_++ % kVerifyEvery == 0)) {
            if (damage_found(path_, VerifyLevel::hash).empty()) fault = "verify finds no damage";
        }
        if (fault.empty()) fault = changed_files(path);
        if (fault.empty() && seconds > kLongestCase) fault = fmt::format("takes {:.1f} s", seconds);
        const std::lock_guard lock(summary_.mutex);
        ++summary_.cases;
        summary_.longest = std::max(summary_.longest, seconds);
        if (!fault.empty())
            summary_.faults.push_back(fmt::format("{}: {} {}: {}", kind_.name(), name, damage.text(), fault));
    }

    /// What is wrong; empty when everything is as expected.
    std::string look(const Expected& expected) {
        std::optional<StoreReader> store;
        try {
            store.emplace(path_, StoreReaderOptions{.threads = 1});
        } catch (const Error& error) {
            const std::lock_guard lock(summary_.mutex);
            ++summary_.not_opened;
            return expected.may_not_open ? "" : std::string("does not open: ") + error.what();
        }
        const int64_t count = store->frame_count();
        if (count < expected.least_frames || count > frame_count())
            return fmt::format("{} frames; {} to {} are right", count, expected.least_frames, frame_count());
        if (std::string fault = look_at_frames(*store, expected); !fault.empty()) return fault;
        return look_at_extra_data(*store, expected);
    }

    std::string look_at_frames(StoreReader& store, const Expected& expected) {
        std::vector<int64_t> order(static_cast<size_t>(store.frame_count()));
        std::iota(order.begin(), order.end(), int64_t{0});
        std::shuffle(order.begin(), order.end(), random_);
        int64_t changed = 0;
        int64_t refused = 0;
        std::string fault;
        for (const int64_t index : order) {
            std::optional<Frame> frame;
            std::string reason;
            try {
                frame = store.at_index(index);
            } catch (const Error& error) {
                reason = error.what();
            }
            if (!frame) {
                ++refused;
                if (!expected.by_number && !expected.may_fail.contains(index))
                    return fmt::format("frame {} cannot be read: {}", index, reason);
                if (expected.by_number)
                    return fmt::format("frame {}, which is listed, cannot be read: {}", index, reason);
                continue;
            }
            const bool touched = expected.must_fail.contains(index);
            if (touched && !kind_.unchecked_at_read()) return fmt::format("frame {} is read from changed bytes", index);
            if (frame->index != index) return fmt::format("frame {} came for frame {}", frame->index, index);
            const int64_t original = expected.by_number ? frame->number - kFirstNumber : index;
            if (original < 0 || original >= frame_count())
                return fmt::format("frame {} has the number {}", index, frame->number);
            const Frame& right = frames_[static_cast<size_t>(original)];
            if (!touched && !same_pixels(frame->image, right.image)) {
                const std::optional<int> shown = read_image_number(frame->image);
                if (frame->image.size() == right.image.size() || !expected.may_not_open)
                    return fmt::format("frame {} has wrong pixels ({} of {}x{})", index, shown.value_or(-1),
                                       frame->image.cols, frame->image.rows);
            }
            if (frame->number != right.number || frame->time != right.time) ++changed;
        }
        if (changed > expected.changed_rows) return fmt::format("{} frames have another number or time", changed);
        const std::lock_guard lock(summary_.mutex);
        summary_.frames_read += store.frame_count() - refused;
        summary_.frames_refused += refused;
        summary_.rows_changed += changed;
        return fault;
    }

    std::string look_at_extra_data(StoreReader& store, const Expected& expected) const {
        std::vector<ExtraRecord> records;
        try {
            records = store.all_extra_data();
        } catch (const Error& error) {
            return expected.extra_data_touched ? "" : std::string("extra data: ") + error.what();
        }
        if (expected.extra_data_touched) return "";
        if (records.size() != extra_data_) return fmt::format("{} records of extra data", records.size());
        for (const ExtraRecord& record : records) {
            if (record.data != extra_data_of(kFirstNumber + record.frame_index))
                return fmt::format("frame {} has the record {}", record.frame_index, record.data.dump());
        }
        return "";
    }

    const Kind kind_;
    std::mt19937 random_;
    Summary& summary_;
    const TemporaryFolder folder_;
    const fs::path path_;
    std::optional<StoreLayout> layout_;
    std::vector<Frame> frames_;
    std::vector<FrameRow> rows_;
    std::vector<ChunkRow> chunks_;
    std::vector<std::shared_ptr<const PacketTable>> tables_;
    size_t extra_data_ = 0;
    bool indexed_ = true;
    int64_t checks_ = 0;
    std::map<fs::path, Bytes> files_;  ///< that stand in the store's folder
};

uint32_t first_seed() {
    const char* text = std::getenv("REELSTORE_TEST_SEED");
    return text ? static_cast<uint32_t>(std::strtoul(text, nullptr, 10)) : 0;
}

std::vector<Kind> kinds() {
    std::vector<Kind> kinds;
    for (const bool killed : {false, true}) {
        for (const auto& format : chunk_formats()) {
            const ChunkFormatInfo& info = format->info();
            if (!crash_tested(info)) continue;
            Kind kind{info.name, {}, killed};
            if (info.name == "avc1/mp4" || info.name == "h264/mkv")
                kind.codec = {{"gop", "4"}, {"tune", "zerolatency"}};
            kinds.push_back(kind);
            if (info.name == "avc1/mp4" && !killed) {
                kind.codec = {{"gop", "6"}, {"bframes", "2"}, {"threads", "1"}};
                kinds.push_back(kind);
            }
        }
    }
    return kinds;
}

}  // namespace

TEST_SUITE_BEGIN("crash");

TEST_CASE("damage in any file of a store costs the frames that it touches, and no others") {
    const std::vector<Kind> all = kinds();
    Summary summary;
    std::atomic<size_t> next = 0;
    const double begin = now_monotonic();
    const auto work = [&] {
        for (size_t i = next++; i < all.size(); i = next++) {
            try {
                Sweep(all[i], first_seed() + static_cast<uint32_t>(i), summary).run();
            } catch (const std::exception& error) {
                const std::lock_guard lock(summary.mutex);
                summary.faults.push_back(all[i].name() + ": " + error.what());
            }
        }
    };
    std::vector<std::thread> workers;
    for (size_t i = 0; i < kWorkers; ++i) workers.emplace_back(work);
    for (std::thread& worker : workers) worker.join();

    rusage usage = {};
    ::getrusage(RUSAGE_SELF, &usage);
    fmt::print(
        "corruption: {} damages of {} stores in {:.0f} s; {} frames read, {} refused, {} stores did not open, {} "
        "rows "
        "changed; the longest case {:.2f} s; {} MiB at most; {} faults\n",
        summary.cases, all.size(), now_monotonic() - begin, summary.frames_read, summary.frames_refused,
        summary.not_opened, summary.rows_changed, summary.longest, usage.ru_maxrss / 1024, summary.faults.size());
    for (size_t i = 0; i < std::min<size_t>(summary.faults.size(), 60); ++i) FAIL_CHECK(summary.faults[i]);
    CHECK(summary.faults.empty());
    CHECK(summary.cases >= (kSanitized ? 1500 : 5000));
    CHECK(usage.ru_maxrss < kMostMemory);
}

TEST_CASE("a store whose log was left behind is read from its complete chunks, and nothing is appended to it") {
    for (const std::string format : {"avc1/mp4", "png"}) {
        CAPTURE(format);
        const TemporaryFolder folder;
        const Kind kind{.format = format, .killed = true};
        const fs::path path = folder / "store";
        write_store(kind, path, folder.path());
        fs::remove(path / "index.sqlite-wal");
        {
            StoreReader store(path);
            CHECK(store.frame_count() == 2 * kind.chunk_frames());
            REQUIRE(store.warnings().size() == 2);
            CHECK(store.warnings().front().find("index.sqlite-wal was left behind") != std::string::npos);
            for (int64_t i = 0; i < store.frame_count(); ++i)
                CHECK(read_image_number(store.at_index(i).image) == kFirstNumber + i);
        }
        const Error error = expected_error([&] { StoreWriter writer(path, {.append = true}); });
        CHECK(error.code() == ErrorCode::corrupt);
        CHECK(std::string(error.what()).find("store repair") != std::string::npos);
    }
}

TEST_CASE("an empty index does not cost the log that has its rows") {
    for (const size_t size : {0, 1, 100}) {
        const TemporaryFolder folder;
        const Kind kind{.format = "pgm", .killed = true};
        const fs::path path = folder / "store";
        write_store(kind, path, folder.path());
        const Bytes log = read_bytes(path / "index.sqlite-wal");
        REQUIRE(log.size() > 1000);
        fs::resize_file(StoreLayout::index(path), size);
        CHECK(StoreReader(path).frame_count() == 2 * kind.chunk_frames());
        CHECK(error_of([&] { StoreWriter writer(path, {.append = true}); }) == ErrorCode::corrupt);
        CHECK(read_bytes(path / "index.sqlite-wal") == log);
    }
}
TEST_SUITE_END();
