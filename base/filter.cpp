#include "base/filter.h"

namespace reelstore {

void Filter::finish(const Receiver&) {}

}  // namespace reelstore
