#pragma once

namespace reelstore {

/// Whether AddressSanitizer or ThreadSanitizer slow the program down: long tests then do less.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace reelstore
