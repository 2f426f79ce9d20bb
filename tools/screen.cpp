#include "tools/screen.h"

#include <X11/Xlib.h>

namespace reelstore {

std::optional<std::pair<int, int>> screen_size() {
    Display* display = XOpenDisplay(nullptr);
    if (!display) return std::nullopt;
    const int screen = DefaultScreen(display);
    const std::pair<int, int> size(DisplayWidth(display, screen), DisplayHeight(display, screen));
    XCloseDisplay(display);
    return size;
}

}  // namespace reelstore
