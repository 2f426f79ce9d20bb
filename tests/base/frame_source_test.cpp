#include "base/frame_source.h"

#include <doctest/doctest.h>

namespace reelstore {

namespace {

class EmptySource final : public FrameSource {
public:
    const SourceInfo& info() const override { return info_; }
    std::optional<Frame> next() override { return std::nullopt; }

private:
    SourceInfo info_;
};

class CountingSink final : public FrameSink {
public:
    void write(const Frame&) override { ++frames; }
    void close() override {}
    int frames = 0;
};

}  // namespace

TEST_CASE("frame_source: a plain source is forward only and carries nothing beside its frames") {
    EmptySource source;
    CHECK(source.random_access() == nullptr);
    CHECK(source.extra_data().empty());
    CHECK(source.user_metadata().is_object());
    CHECK(source.user_metadata().empty());
}

TEST_CASE("frame_source: a plain sink ignores extra data") {
    CountingSink sink;
    sink.write({});
    sink.write_extra_data({{"temperature", 42.5}});
    CHECK(sink.frames == 1);
}

}  // namespace reelstore
