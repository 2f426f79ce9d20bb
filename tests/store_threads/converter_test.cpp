// Several chunks encoded at once, each by a thread with readers of its own, while the store that they go into is
// written and the one they come from is asked.
#include <doctest/doctest.h>

#include <stop_token>
#include <string>

#include "store/convert.h"
#include "tests/store/store_fixture.h"
#include "tests/temporary_folder.h"

using namespace reelstore;

TEST_SUITE_BEGIN("threads");

TEST_CASE("a store is converted on several threads") {
    const TemporaryFolder folder(memory_folder());
    constexpr int kFrames = 60;
    write_numbered_store(folder / "source", {.format = "npy", .chunk_frames = 9}, gray_type(), kFrames, 100);
    StoreReader source(folder / "source");
    for (const std::string format : {"png", "npy"}) {
        StoreConverter converter({{&source, {{{0, kFrames}}}}}, {.format = format, .chunk_frames = 4, .threads = 4});
        StoreWriter writer(folder / format, converter.writer_options());
        CHECK(converter.convert_to(writer).frames == kFrames);
        writer.close();
        StoreReader store(folder / format);
        REQUIRE(store.frame_count() == kFrames);
        for (int i = 0; i < kFrames; ++i) {
            const Frame frame = store.at_index(i);
            CHECK(read_image_number(frame.image) == i);
            CHECK(frame.number == 100 + i);
        }
    }
}

TEST_CASE("and stopped in the midst of it") {
    const TemporaryFolder folder(memory_folder());
    write_numbered_store(folder / "source", {.format = "npy"}, gray_type(), 60);
    StoreReader source(folder / "source");
    std::stop_source stop;
    ConvertOptions options{.format = "png", .chunk_frames = 2, .threads = 4};
    options.stop = stop.get_token();
    options.progress = [&](int64_t) { stop.request_stop(); };
    StoreConverter converter({{&source, {{{0, 60}}}}}, options);
    StoreWriter writer(folder / "out", converter.writer_options());
    const ConvertResult result = converter.convert_to(writer);
    writer.close();
    CHECK(StoreReader(folder / "out").frame_count() == result.frames);
}

TEST_SUITE_END();
