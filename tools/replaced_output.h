#pragma once

#include <filesystem>

namespace reelstore {

/// Makes room for an output under a name that may be taken. With `force` what is there is moved aside, and comes back
/// unless commit() says that the new output is good; without it, its presence is an Error(already_exists). Empty
/// folders count as room; devices and pipes are left as they are.
class ReplacedOutput {
public:
    ReplacedOutput(const std::filesystem::path& path, bool force);
    /// Puts the old output back if commit() was not called; what stands under the name then is removed.
    ~ReplacedOutput();
    ReplacedOutput(const ReplacedOutput&) = delete;
    ReplacedOutput& operator=(const ReplacedOutput&) = delete;

    /// The new output is good: the old one goes.
    void commit();
    /// Both stay; the name under which the old one does, empty when there was none.
    std::filesystem::path keep_both();

private:
    std::filesystem::path path_;
    std::filesystem::path aside_;  ///< empty when nothing was there
};

/// Whether `path` is `folder` or lies in it, links resolved.
bool lies_in(const std::filesystem::path& path, const std::filesystem::path& folder);

}  // namespace reelstore
