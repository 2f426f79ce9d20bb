#include "tools/text_output.h"

#include <cstdio>

namespace reelstore {

void TextOutput::line(std::string_view text) {
    buffer_.append(text);
    buffer_.push_back('\n');
    line_done();
}

bool TextOutput::flush() {
    write();
    return std::fflush(stdout) == 0;
}

void TextOutput::write() {
    // Whether it worked, main() asks at the end.
    std::fwrite(buffer_.data(), 1, buffer_.size(), stdout);
    buffer_.clear();
}

}  // namespace reelstore
