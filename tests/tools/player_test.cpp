#include <algorithm>

#include <doctest/doctest.h>

#include "tools/player.h"

using namespace reelstore;

namespace {

/// Positions that a player shows, with the instants at which it moves, while nobody touches a key.
std::vector<std::pair<int64_t, double>> play(Player& player, double until) {
    std::vector<std::pair<int64_t, double>> shown = {{player.position(), 0}};
    for (double now = 0; now < until && !player.finished(); now += 0.001) {
        player.advance(now);
        if (player.position() != shown.back().first) shown.emplace_back(player.position(), now);
    }
    return shown;
}

}  // namespace

TEST_CASE("frames are shown by their recorded times") {
    const std::vector<double> times = {100, 100.1, 100.15, 100.55};
    Player player(
        4, [&](int64_t i) { return times[static_cast<size_t>(i)]; }, std::nullopt);
    const auto shown = play(player, 2);
    REQUIRE(shown.size() == 4);
    for (size_t i = 0; i < 4; ++i) CHECK(shown[i].second == doctest::Approx(times[i] - 100).epsilon(0.02));
    CHECK(player.finished());
}

TEST_CASE("a fixed rate, and as fast as possible") {
    const auto no_times = [](int64_t) { return 0.0; };
    Player fixed(11, no_times, 10.0);
    CHECK(play(fixed, 5).back().second == doctest::Approx(1.0).epsilon(0.02));
    Player fast(100, no_times, 0.0);
    CHECK(play(fast, 5).back().second == doctest::Approx(0.099).epsilon(0.05));
}

TEST_CASE("a hole in the recording is not sat through, and times that go back do not stop it") {
    const std::vector<double> times = {0, 1000, 999, 999.1};
    Player player(
        4, [&](int64_t i) { return times[static_cast<size_t>(i)]; }, std::nullopt);
    const auto shown = play(player, 10);
    CHECK(shown.back().first == 3);
    CHECK(shown.back().second < 2.5);
}

TEST_CASE("keys pause, step and quit") {
    Player player(
        3, [](int64_t) { return 0.0; }, 10.0);
    CHECK(command_of_key(' ') == ViewCommand::toggle_pause);
    CHECK(command_of_key(27) == ViewCommand::quit);
    CHECK(command_of_key('q') == ViewCommand::quit);
    CHECK(command_of_key(65363) == ViewCommand::step_forward);
    CHECK(command_of_key(65361) == ViewCommand::step_back);
    CHECK(command_of_key('x') == ViewCommand::none);
    CHECK(command_of_key(-1) == ViewCommand::none);

    player.command(ViewCommand::toggle_pause, 0);
    CHECK(player.paused());
    CHECK_FALSE(player.wait(0));
    player.advance(100);
    CHECK(player.position() == 0);
    player.command(ViewCommand::step_forward, 100);
    player.command(ViewCommand::step_forward, 100);
    player.command(ViewCommand::step_forward, 100);
    CHECK(player.position() == 2);
    player.command(ViewCommand::step_back, 100);
    CHECK(player.position() == 1);
    CHECK(player.paused());
    player.command(ViewCommand::toggle_pause, 100);
    player.advance(100.05);
    CHECK(player.position() == 1);
    player.advance(100.2);
    CHECK(player.position() == 2);
    player.command(ViewCommand::quit, 101);
    CHECK(player.finished());
}

namespace {

/// A recording at 100 frames a second that is seen in pieces of a second, and a player that follows it.
struct Followed {
    explicit Followed(std::optional<double> rate = std::nullopt)
        : player(
              500, [](int64_t i) { return static_cast<double>(i) / 100; }, rate) {
        player.grow(500, true, 0);
        player.command(ViewCommand::toggle_follow, 0);
    }

    /// Lets it run to `until`; frames that were shown, and the longest time that one stayed.
    void run(double until) {
        for (; now < until; now += 0.002) {
            if (now >= next_piece) {
                frames += 100;
                player.grow(frames, true, now);
                next_piece += 1;
            }
            player.advance(now);
            if (player.position() == shown) continue;
            if (shown >= 0 && player.position() != shown + 1) ++jumps;
            longest = std::max(longest, now - since);
            since = now;
            shown = player.position();
        }
    }

    Player player;
    int64_t frames = 500;
    double now = 0;
    double next_piece = 1;
    int64_t shown = -1;
    double since = 0;
    double longest = 0;
    int jumps = 0;
};

}  // namespace

TEST_CASE("following jumps to the newest frame and plays what comes in pieces evenly") {
    Followed live;
    CHECK(live.player.position() == 499);
    CHECK(live.player.following());
    live.run(2.0);
    live.longest = 0;
    live.run(10.5);
    CHECK(live.jumps == 0);
    CHECK(live.longest < 0.1);
    CHECK(live.frames - live.player.position() < 200);
    CHECK_FALSE(live.player.finished());
}

TEST_CASE("a player that cannot keep up jumps to the newest frame") {
    Followed live(50.0);
    live.run(20.5);
    CHECK(live.jumps >= 3);
    CHECK(live.frames - live.player.position() < 300);
}

TEST_CASE("following can be left and taken up; pausing keeps the frame") {
    Followed live;
    live.run(3.5);
    live.player.command(command_of_key(' '), live.now);
    CHECK_FALSE(live.player.following());
    const int64_t paused_at = live.player.position();
    live.run(9.5);
    CHECK(live.player.position() == paused_at);
    live.player.command(command_of_key(' '), live.now);
    CHECK(live.player.following());
    live.run(11.5);
    CHECK(live.frames - live.player.position() < 300);

    live.player.command(command_of_key('f'), live.now);
    CHECK_FALSE(live.player.following());
    live.player.command(ViewCommand::step_back, live.now);
    live.player.command(ViewCommand::toggle_pause, live.now);
    const int64_t left_at = live.player.position();
    const double left_when = live.now;
    live.run(live.now + 4);
    CHECK(live.player.position() ==
          doctest::Approx(static_cast<double>(left_at) + (live.now - left_when) * 100).epsilon(0.2));
    live.player.command(command_of_key('f'), live.now);
    CHECK(live.player.position() == live.frames - 1);

    // The end of the recording is played to, and ends the player.
    live.player.grow(live.frames + 50, false, live.now);
    CHECK_FALSE(live.player.following());
    for (double now = live.now; now < live.now + 2; now += 0.001) live.player.advance(now);
    CHECK(live.player.position() == live.frames + 49);
    CHECK(live.player.finished());
}

TEST_CASE("without following, the last frame of a recording that grows is waited at") {
    Player player(
        3, [](int64_t i) { return static_cast<double>(i); }, 10.0);
    player.grow(3, true, 0);
    CHECK(play(player, 5).back().first == 2);
    CHECK_FALSE(player.finished());
    CHECK_FALSE(player.wait(5));
    player.grow(5, true, 5);
    CHECK_FALSE(player.following());
    player.advance(5.001);
    CHECK(player.position() == 3);
}

TEST_CASE("an empty store is finished at once") {
    CHECK(Player(
              0, [](int64_t) { return 0.0; }, std::nullopt)
              .finished());
}
