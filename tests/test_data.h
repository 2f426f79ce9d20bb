#pragma once

#include <filesystem>

namespace reelstore {

/// The folder tests/ of the sources, with golden/ and fuzz/seeds/ in it.
std::filesystem::path test_data();

}  // namespace reelstore
