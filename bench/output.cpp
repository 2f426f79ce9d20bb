#include "bench/output.h"

#include <stdlib.h>

#include <fstream>

#include "base/error.h"

namespace reelstore::bench {

TemporaryFolder::TemporaryFolder(const std::filesystem::path& parent) {
    std::string path = (parent / "reelstore_bench_XXXXXX").string();
    if (!::mkdtemp(path.data())) throw Error(ErrorCode::io, {path, {}, {}}, "cannot make a temporary folder");
    path_ = path;
}

TemporaryFolder::~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

void write_text(const std::filesystem::path& path, const std::string& text) {
    std::ofstream file(path);
    file << text;
    file.close();
    if (!file) throw Error(ErrorCode::io, {path.string(), {}, {}}, "cannot write the file");
}

}  // namespace reelstore::bench
