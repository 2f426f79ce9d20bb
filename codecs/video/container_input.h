#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/file_system.h"
#include "codecs/video/libav.h"

namespace reelstore {

/// FFmpeg's first name of a demuxer ("mov" of "mov,mp4,m4a,3gp,3g2,mj2").
std::string demuxer_name(const AVInputFormat& format);

/// What FFmpeg takes `head`, the first bytes of a file, for; null when it has no idea. `score` says how sure it is.
const AVInputFormat* probe_head(std::span<const uint8_t> head, int& score);

/// The score below which FFmpeg itself would ask for more data.
inline constexpr int kLeastProbeScore = AVPROBE_SCORE_RETRY + 1;

/// The demuxer for what the file holds, if it is one of `allowed`. `kind` completes "is not ..." ("a video file").
/// Throws Error(unsupported), naming what the content looks like where that is known.
const AVInputFormat* find_demuxer(File& file, const std::string& path, std::span<const std::string_view> allowed,
                                  std::string_view kind);

/// Opens the file behind `input` with this demuxer, which can open nothing else: no protocol is allowed and every
/// request for another file is refused. `flags` (AVFMT_FLAG_...) are set besides. Throws Error naming `path`.
UniqueInputFormat open_container(FileInput& input, const std::string& path, const AVInputFormat& demuxer,
                                 int flags = 0);

}  // namespace reelstore
