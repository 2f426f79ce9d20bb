#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace reelstore::bench {

/// What was measured (bench/index/experiments.h), with `machine`, `quick` and, where measured, `stores`, `peer`,
/// `sidecars`, `schema` and `courses`; adds `targets`.
void add_targets(Json& report);
std::string markdown_report(const Json& report);
/// What is not as it must be, in words: wrong answers, and lookups that read too much.
std::vector<std::string> wrong_results(const Json& report);

}  // namespace reelstore::bench
