// The ten lines of the README as a program: record a store, add extra data, read frames back.

#include <cstdio>

#include <reelstore/base/numbered_frames.h>
#include <reelstore/store/store_reader.h>
#include <reelstore/store/store_writer.h>

int main(int argc, char** argv) {
    using namespace reelstore;
    const std::string path = argc > 1 ? argv[1] : "mystore";

    StoreWriter out(path, {.format = "avc1/mp4", .metadata = "genotype: wt\nrig: 3"});
    for (int i = 0; i < 250; ++i) {
        out.add(make_numbered_image({480, 640, 1, CV_8U}, i), i, 1577836800 + i / 25.0);
        if (i % 25 == 0) out.add_extra_data({{"temperature", 20 + i / 100.0}});
    }
    out.close();

    StoreReader store(path);
    const Frame by_index = store.at_index(42);
    const std::optional<Frame> by_number = store.at_number(200, Match::exact);
    const std::optional<Frame> by_time = store.at_time(1577836800.5, Match::nearest);
    std::printf("%lld frames; asked for 42, 200 and 12 and got %d, %d and %d\n",
                static_cast<long long>(store.frame_count()), read_image_number(by_index.image).value(),
                read_image_number(by_number->image).value(), read_image_number(by_time->image).value());
    return 0;
}
