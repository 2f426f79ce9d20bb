#include "tests/test_data.h"

namespace reelstore {

std::filesystem::path test_data() {
    return REELSTORE_TEST_DATA;
}

}  // namespace reelstore
