// Video chunks that are read while they are written: what is known of their packets grows.

#include <algorithm>
#include <optional>

#include <doctest/doctest.h>

#include "base/error.h"
#include "codecs/video/video_chunk_format.h"
#include "tests/codecs/video_kit.h"
#include "tests/temporary_folder.h"
#include "tests/thrown_error.h"

using namespace reelstore;

namespace {

constexpr int kFrames = 300;
constexpr int kGop = 10;

/// Gives the packets of the first `count` frames of a video out as an index does, and counts them.
class GrowingTable {
public:
    GrowingTable(std::shared_ptr<const PacketTable> all, bool in_parts) : all_(std::move(all)), in_parts_(in_parts) {}

    std::shared_ptr<const PacketTable> packets(std::optional<int64_t> position) {
        if (position && (!in_parts_ || *position >= count)) return nullptr;
        int64_t first = 0;
        if (position) {
            first = *position;
            while (!all_->packets[static_cast<size_t>(first)].key) --first;
        }
        auto table = std::make_shared<PacketTable>();
        table->stream = all_->stream;
        table->first_position = first;
        table->packets.assign(all_->packets.begin() + first, all_->packets.begin() + count);
        table->sort_display_order();
        packets_given += count - first;
        return table;
    }

    int64_t count = 1;
    int64_t packets_given = 0;

private:
    std::shared_ptr<const PacketTable> all_;
    bool in_parts_;
};

struct Growing {
    explicit Growing(const ChunkFormat& format, bool in_parts = true, CodecOptions options = {})
        : type(image_type(48, 64, 1)),
          video(write_video(format, folder / ("video" + format.info().extension), type, kFrames,
                            format.info().name == "mjpeg/avi" ? options : with_gop(std::move(options)))),
          table(video.table, in_parts),
          reader(open_video_chunk(video.path, type, {.packets = [this](std::optional<int64_t> position) {
                                      return table.packets(position);
                                  }})) {}

    static CodecOptions with_gop(CodecOptions options) {
        options["gop"] = std::to_string(kGop);
        return options;
    }

    void check(int64_t position) { REQUIRE(read_image_number(reader->read(position)) == static_cast<int>(position)); }

    TemporaryFolder folder;
    ImageType type;
    WrittenVideo video;
    GrowingTable table;
    std::unique_ptr<ChunkReader> reader;
};

}  // namespace

TEST_CASE("each frame read when it has come: every packet is sent once, and few are asked for") {
    for (const auto& format : video_formats()) {
        CAPTURE(format->info().name);
        Growing growing(*format);
        for (int64_t position = 0; position < kFrames; ++position) {
            growing.table.count = position + 1;
            growing.check(position);
        }
        const DecodeCounters counters = growing.reader->counters();
        CHECK(counters.packets_sent <= kFrames + kGop);
        CHECK(counters.demux_scans == 0);
        CHECK(counters.decoder_opens <= 2);
        CHECK(growing.table.packets_given <= int64_t{kFrames} * kGop);
    }
}

TEST_CASE("several frames come at a time, and older ones are looked at in between") {
    for (const auto& format : video_formats()) {
        CAPTURE(format->info().name);
        Growing growing(*format);
        int64_t next = 0;
        int64_t growths = 0;
        for (const int64_t count : {1, 7, 10, 11, 40, 41, 155, 156, 299, 300}) {
            growing.table.count = count;
            ++growths;
            for (; next < count; ++next) growing.check(next);
            for (const int64_t position : {count / 2, count - 1, int64_t{0}, count - 1}) growing.check(position);
            CHECK(growing.reader->entry_position(count - 1) <= count - 1);
            CHECK(error_of([&] { growing.reader->read(count); }) == ErrorCode::not_found);
        }
        // Jumps back and to the end again, each at most a group of pictures.
        CHECK(growing.reader->counters().packets_sent <= kFrames + growths * 5 * kGop);
        // To look whether the file has the frames that are asked for too early; that is done once.
        CHECK(growing.reader->counters().demux_scans <= 1);
    }
}

TEST_CASE("frames to be read together that have come at different times") {
    Growing growing(*video_formats().front());
    growing.table.count = 25;
    growing.check(22);
    growing.check(3);
    growing.check(24);
    growing.table.count = 28;
    const std::vector<int64_t> positions = {21, 24, 26, 27};
    growing.reader->will_read(positions);
    for (const int64_t position : positions) growing.check(position);
}

TEST_CASE("packets that are only known all together") {
    Growing growing(*video_formats().front(), false);
    for (int64_t position = 0; position < kFrames; position += 3) {
        growing.table.count = std::min<int64_t>(position + 3, kFrames);
        for (int64_t i = position; i < growing.table.count; ++i) growing.check(i);
    }
    CHECK(growing.reader->counters().demux_scans == 0);
}

TEST_CASE("pictures on their way when the table grows come under their own numbers") {
    for (const char* bframes : {"1", "3"}) {
        CAPTURE(bframes);
        Growing growing(*video_formats().front(), false, {{"bframes", bframes}});
        const PacketTable& all = *growing.video.table;
        int64_t next = 0;
        for (int64_t count = 1; count <= kFrames; ++count) {
            // Frames are committed in groups that need no later ones.
            const auto shown = all.display_order.begin();
            if (*std::max_element(shown, shown + count) >= count) continue;
            growing.table.count = count;
            for (; next < count; ++next) growing.check(next);
        }
        CHECK(next == kFrames);
    }
}
