#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace reelstore {

// What a run of the program ends with.
inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitDataLost = 3;  ///< done, but data was lost or damaged data skipped
inline constexpr int kExitInterrupted = 130;

/// What verbs that look frames up take, for their help.
inline constexpr const char* kRecordingHelp =
    "a store (its folder or metadata.yaml), a video, a folder of images, an image stack or another file of `store "
    "formats`";

/// The command line makes no sense; the message says what would.
class UsageError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// One verb of the program: `store NAME ...`, also `store-NAME ...`.
class Verb {
public:
    virtual ~Verb() = default;
    virtual std::string name() const = 0;
    /// One line for `store help`.
    virtual std::string summary() const = 0;
    /// Lines that can be typed as they are, for `store help NAME`.
    virtual std::string examples() const = 0;
    /// Declares options and arguments, bound to members.
    virtual void declare(CLI::App& app) = 0;
    /// Does the work; returns one of the exit codes above. Errors are thrown.
    virtual int run() = 0;
};

using VerbTable = std::vector<std::unique_ptr<Verb>>;

/// Every verb, in order of name. Generated from tools/verbs: NAME.cpp defines `void add_verbs_NAME(VerbTable& table)`.
const VerbTable& verbs();

/// Prints what `store help` or `store help VERB` prints; false when there is no such verb.
bool print_help(const std::string& verb_name);

}  // namespace reelstore
