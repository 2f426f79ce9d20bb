#include "tools/new_store.h"

#include <exception>
#include <filesystem>
#include <optional>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file_system.h"
#include "store/layout.h"
#include "tools/replaced_output.h"
#include "tools/verb.h"

namespace reelstore {

namespace {

void keep_what_there_is(const NewStore& output, int64_t frames, ReplacedOutput& replaced) {
    if (frames > 0) {
        fmt::print(stderr, "the frames {} so far are in {}\n", output.done, output.path);
        const std::filesystem::path old = replaced.keep_both();
        if (!old.empty()) fmt::print(stderr, "the store that was to be replaced is now {}\n", old.string());
    } else {
        std::error_code ignored;
        std::filesystem::remove_all(output.path, ignored);
    }
}

}  // namespace

NewStoreResult make_new_store(const NewStore& output, const StoreWriterOptions& options,
                              const std::function<int(StoreWriter&)>& fill, const std::function<int()>& check) {
    if (output.force && file_system().status(output.path).kind != FileKind::missing && !is_store(output.path)) {
        throw Error(ErrorCode::already_exists, {output.path, {}, {}}, "is not a store; --force only replaces stores");
    }
    for (const std::string& source : output.sources) {
        if (output.force && lies_in(source, output.path))
            throw UsageError("the source lies in the store that would be replaced");
    }
    ReplacedOutput replaced(output.path, output.force);
    std::optional<StoreWriter> writer(std::in_place, output.path, options);
    NewStoreResult result;
    try {
        result.code = fill(*writer);
        result.frames = writer->frame_count();
        writer->close();
        if (result.code == kExitDone && check) result.code = check();
        if (result.code == kExitDone) {
            replaced.commit();
        } else {
            keep_what_there_is(output, result.frames, replaced);
        }
    } catch (const std::exception& error) {
        fmt::print(stderr, "store {}: {}\n", output.verb, error.what());
        result.code = kExitFailed;
        result.frames = writer->frame_count();
        writer.reset();
        keep_what_there_is(output, result.frames, replaced);
    }
    return result;
}

}  // namespace reelstore
