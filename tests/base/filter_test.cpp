#include "base/filter.h"

#include <doctest/doctest.h>

namespace reelstore {

namespace {

class PassingFilter final : public Filter {
public:
    void push(Frame frame, const Receiver& receiver) override { receiver(std::move(frame)); }
};

}  // namespace

TEST_CASE("filter: one that holds nothing back has nothing to finish") {
    PassingFilter filter;
    int frames = 0;
    Filter::Receiver count = [&](Frame) { ++frames; };
    filter.push({}, count);
    filter.finish(count);
    CHECK(frames == 1);
}

}  // namespace reelstore
