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

TEST_CASE("an empty store is finished at once") {
    CHECK(Player(
              0, [](int64_t) { return 0.0; }, std::nullopt)
              .finished());
}
