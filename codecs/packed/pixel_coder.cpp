#include "codecs/packed/pixel_coder.h"

#include <algorithm>
#include <cstring>
#include <new>

#include <fmt/format.h>
// For ZSTD_c_literalCompressionMode and the sizes of frames that are cut off.
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>
#include <zstd_errors.h>

#include "base/error.h"
#include "codecs/packed/pixel_choice.h"
#include "codecs/packed/residual_groups.h"
#include "codecs/packed/zstd_frame.h"

namespace reelstore {

namespace {

constexpr uint32_t kMagic = 0x184D2A57;
/// Of the skippable frame: magic, size, and what follows.
constexpr size_t kHeaderBytes = 28;
constexpr size_t kFixedBytes = 8;
constexpr uint8_t kVersion = 1;
constexpr uint8_t kGreenSubtracted = 1;
constexpr uint8_t kGrouped = 2;
/// The most zstd frames that follow one header.
constexpr size_t kMostStreams = kResidualGroups;
/// Bits for a byte, from which on repetitions are found by chance only, and cost more than they save. In a group
/// there are fewer areas that hold nothing.
constexpr double kNoise = 2;
constexpr double kNoiseOfGroup = 1.5;
/// More than a byte can have: pixels as they are may repeat whatever their statistics.
constexpr double kNever = 9;

uint32_t get_32(const uint8_t* bytes) {
    return static_cast<uint32_t>(bytes[0]) | static_cast<uint32_t>(bytes[1]) << 8 |
           static_cast<uint32_t>(bytes[2]) << 16 | static_cast<uint32_t>(bytes[3]) << 24;
}

void put_32(uint8_t* bytes, uint32_t value) {
    for (int i = 0; i < 4; ++i) bytes[i] = static_cast<uint8_t>(value >> (8 * i));
}

/// That of zlib and PNG, so that readers in other languages have it at hand.
uint32_t crc_32(std::span<const uint8_t> bytes) {
    uint32_t crc = 0xffffffff;
    for (const uint8_t byte : bytes) {
        crc ^= byte;
        for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
    }
    return ~crc;
}

/// Numpy's letter of an element's kind.
char kind_of(int depth) {
    switch (depth) {
        case CV_8U:
        case CV_16U:
            return 'u';
        case CV_8S:
        case CV_16S:
        case CV_32S:
            return 'i';
        default:
            return 'f';
    }
}

struct Header {
    PixelFilter filter;
    ImageType type;
};

void write_header(const Header& header, uint8_t* bytes) {
    put_32(bytes, kMagic);
    put_32(bytes + 4, kHeaderBytes - kFixedBytes);
    bytes[8] = kVersion;
    bytes[9] = static_cast<uint8_t>(header.filter.predictor);
    bytes[10] = header.filter.step;
    bytes[11] = static_cast<uint8_t>((header.filter.subtract_green ? kGreenSubtracted : 0) |
                                     (header.filter.grouped ? kGrouped : 0));
    put_32(bytes + 12, static_cast<uint32_t>(header.type.height));
    put_32(bytes + 16, static_cast<uint32_t>(header.type.width));
    bytes[20] = static_cast<uint8_t>(header.type.channels);
    bytes[21] = static_cast<uint8_t>(header.type.channels >> 8);
    bytes[22] = static_cast<uint8_t>(kind_of(header.type.depth));
    bytes[23] = static_cast<uint8_t>(CV_ELEM_SIZE1(header.type.depth));
    put_32(bytes + 24, crc_32({bytes + kFixedBytes, kHeaderBytes - kFixedBytes - 4}));
}

Error damaged(const std::string& what) {
    return Error(ErrorCode::corrupt, what);
}

/// Why these bytes, as many as a header has, are none; empty when they are one.
std::string reason_against_header(const uint8_t* bytes) {
    if (get_32(bytes) != kMagic || get_32(bytes + 4) != kHeaderBytes - kFixedBytes) {
        return "does not begin like a frame of predicted pixels";
    }
    if (crc_32({bytes + kFixedBytes, kHeaderBytes - kFixedBytes - 4}) != get_32(bytes + 24)) {
        return "the header of the predicted pixels is damaged: its checksum does not fit";
    }
    if (bytes[8] != kVersion) {
        return fmt::format("predicted pixels of version {}, this program knows version {}", bytes[8], kVersion);
    }
    return {};
}

/// The filter that a frame was made with; everything else in its header must be that of `type`.
PixelFilter read_header(std::span<const uint8_t> bytes, const ImageType& type) {
    if (bytes.size() < kHeaderBytes) throw damaged("the frame is cut off in its header");
    if (const std::string reason = reason_against_header(bytes.data()); !reason.empty()) throw damaged(reason);
    Header header;
    header.filter.predictor = static_cast<Predictor>(bytes[9]);
    header.filter.step = bytes[10];
    header.filter.subtract_green = bytes[11] & kGreenSubtracted;
    header.filter.grouped = bytes[11] & kGrouped;
    header.type = type;
    uint8_t expected[kHeaderBytes];
    write_header(header, expected);
    if (std::memcmp(expected + 12, bytes.data() + 12, 12) != 0) {
        throw damaged(fmt::format("the frame's pixels are {}x{}x{} {}{} and not {}", get_32(&bytes[12]),
                                  get_32(&bytes[16]), bytes[20] + 256 * bytes[21],
                                  bytes[22] >= 'a' && bytes[22] <= 'z' ? static_cast<char>(bytes[22]) : '?',
                                  8 * bytes[23], type.text()));
    }
    if (bytes[11] > (kGreenSubtracted | kGrouped) || !filter_fits(header.filter, type)) {
        throw damaged(fmt::format("unknown filter {}, {}, {} for {}", bytes[9], bytes[10], bytes[11], type.text()));
    }
    return header.filter;
}

/// The zstd frames behind a sound header.
size_t stream_count(const uint8_t* header) {
    if (static_cast<Predictor>(header[9]) == Predictor::stored) return 1;
    return header[11] & kGrouped ? kResidualGroups : std::min<size_t>(header[23], kMostStreams);
}

/// Length of the zstd frame that these bytes begin with; 0 as predicted_frame_bytes() has it.
size_t stream_bytes(std::span<const uint8_t> bytes, std::string* reason) {
    const auto refuse = [&](const std::string& why) {
        if (reason) *reason = why;
        return size_t{0};
    };
    // zstd's magic number and the descriptor of the frame's header.
    if (bytes.size() < 5) return 0;
    if (get_32(bytes.data()) != ZSTD_MAGICNUMBER) return refuse("no zstd frame is where pixels should be");
    constexpr uint8_t kContentChecksum = 4;
    if (!(bytes[4] & kContentChecksum)) return refuse("the pixels carry no checksum");
    const size_t size = ZSTD_findFrameCompressedSize(bytes.data(), bytes.size());
    if (!ZSTD_isError(size)) return size;
    if (ZSTD_getErrorCode(size) == ZSTD_error_srcSize_wrong) return 0;
    return refuse(fmt::format("the pixels are damaged: {}", ZSTD_getErrorName(size)));
}

const ImageType& checked(const ImageType& type) {
    if (!plausible(type)) throw Error(ErrorCode::invalid_argument, "no image can be " + type.text());
    return type;
}

}  // namespace

void PixelEncoder::FreeContext::operator()(ZSTD_CCtx_s* context) const {
    ZSTD_freeCCtx(context);
}

void PixelDecoder::FreeContext::operator()(ZSTD_DCtx_s* context) const {
    ZSTD_freeDCtx(context);
}

PixelEncoder::PixelEncoder(const ImageType& type, PixelEffort effort, int level)
    : type_(checked(type)), effort_(effort), context_(ZSTD_createCCtx()) {
    if (level < 1 || level > 19) {
        throw Error(ErrorCode::invalid_argument, fmt::format("the level is 1 to 19, not {}", level));
    }
    const auto set = [](const Context& context, ZSTD_cParameter parameter, int value) {
        if (!context) throw std::bad_alloc();
        const size_t result = ZSTD_CCtx_setParameter(context.get(), parameter, value);
        if (ZSTD_isError(result)) {
            throw Error(ErrorCode::internal,
                        fmt::format("zstd takes no parameter {} = {}: {}", static_cast<int>(parameter), value,
                                    ZSTD_getErrorName(result)));
        }
    };
    set(context_, ZSTD_c_compressionLevel, level);
    set(context_, ZSTD_c_checksumFlag, 1);
    if (level == 1) {
        noise_context_.reset(ZSTD_createCCtx());
        set(noise_context_, ZSTD_c_compressionLevel, 1);
        set(noise_context_, ZSTD_c_checksumFlag, 1);
        // Steps so long that hardly any repetition is looked for, and entropy coding all the same.
        set(noise_context_, ZSTD_c_targetLength, ZSTD_TARGETLENGTH_MAX);
        set(noise_context_, ZSTD_c_literalCompressionMode, ZSTD_ps_enable);
    }
    filtered_.resize(type_.bytes());
    encoded_.resize(kHeaderBytes + ZSTD_compressBound(type_.bytes()) + kMostStreams * ZSTD_compressBound(0));
}

void PixelEncoder::append_stream(const uint8_t* bytes, size_t count, double noise_bits) {
    const bool noise = noise_context_ && sampled_entropy(bytes, count) >= noise_bits;
    const size_t size = ZSTD_compress2(noise ? noise_context_.get() : context_.get(), encoded_.data() + encoded_bytes_,
                                       encoded_.size() - encoded_bytes_, bytes, count);
    if (ZSTD_isError(size)) {
        throw Error(ErrorCode::internal, fmt::format("zstd failed: {}", ZSTD_getErrorName(size)));
    }
    encoded_bytes_ += size;
}

std::span<const uint8_t> PixelEncoder::encode(const cv::Mat& image) {
    if (ImageType::of(image) != type_) {
        throw Error(ErrorCode::wrong_type,
                    fmt::format("the image is {} and not {}", ImageType::of(image).text(), type_.text()));
    }
    PixelFilter filter = choose_filter(image);
    const bool filters = filter.predictor != Predictor::stored;
    const size_t sample_bytes = image.elemSize1();
    filter.grouped = effort_ == PixelEffort::small && filters && sample_bytes == 1;
    write_header({filter, type_}, encoded_.data());
    encoded_bytes_ = kHeaderBytes;
    filter_pixels(image, filter, filtered_.data(), memory_);
    if (filter.grouped) {
        grouped_.resize(type_.bytes());
        const GroupSizes sizes =
            group_residuals(filtered_.data(), sample_planes(type_, filter.step), grouped_.data(), group_of_pieces_);
        const uint8_t* bytes = grouped_.data();
        for (const size_t size : sizes) {
            append_stream(bytes, size, kNoiseOfGroup);
            bytes += size;
        }
    } else {
        const size_t streams = filters ? sample_bytes : 1;
        const size_t size = type_.bytes() / streams;
        for (size_t i = 0; i < streams; ++i) {
            append_stream(filtered_.data() + i * size, size, filters ? kNoise : kNever);
        }
    }
    return {encoded_.data(), encoded_bytes_};
}

PixelDecoder::PixelDecoder(const ImageType& type) : type_(checked(type)), context_(ZSTD_createDCtx()) {
    if (!context_) throw std::bad_alloc();
    filtered_.resize(type_.bytes() + 2 * kFilterMargin);
}

void PixelDecoder::decode(std::span<const uint8_t> bytes, cv::Mat& image, bool verified) {
    ignore_zstd_checksums(context_.get(), verified);
    const PixelFilter filter = read_header(bytes, type_);
    const size_t streams = stream_count(bytes.data());
    if (filter.grouped) grouped_.resize(type_.bytes());
    uint8_t* const filtered = filtered_.data() + kFilterMargin;
    uint8_t* const unpacked = filter.grouped ? grouped_.data() : filtered;
    GroupSizes sizes{};
    size_t done = 0;
    std::span<const uint8_t> rest = bytes.subspan(kHeaderBytes);
    for (size_t i = 0; i < streams; ++i) {
        std::string reason;
        const size_t compressed = stream_bytes(rest, &reason);
        if (compressed == 0) throw damaged(reason.empty() ? "the frame's pixels are cut off" : reason);
        const unsigned long long size = ZSTD_getFrameContentSize(rest.data(), compressed);
        if (size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR) {
            throw damaged("the frame does not say how many bytes it unpacks to");
        }
        if (size > type_.bytes() - done) {
            throw damaged(
                fmt::format("the frame unpacks to more than the {} bytes of {}", type_.bytes(), type_.text()));
        }
        const size_t result =
            ZSTD_decompressDCtx(context_.get(), unpacked + done, static_cast<size_t>(size), rest.data(), compressed);
        if (ZSTD_isError(result)) {
            throw damaged(fmt::format("the frame's pixels cannot be unpacked: {}", ZSTD_getErrorName(result)));
        }
        if (result != size || (!filter.grouped && size != type_.bytes() / streams)) {
            throw damaged(fmt::format("a part of the frame unpacks to {} bytes", result));
        }
        if (filter.grouped) sizes[i] = result;
        done += result;
        rest = rest.subspan(compressed);
    }
    if (done != type_.bytes()) {
        throw damaged(fmt::format("the frame unpacks to {} bytes, {} needs {}", done, type_.text(), type_.bytes()));
    }
    if (!rest.empty()) throw damaged(fmt::format("{} bytes follow the frame's pixels", rest.size()));
    if (filter.grouped && !ungroup_residuals(unpacked, sizes, sample_planes(type_, filter.step), filtered)) {
        throw damaged("the frame's groups of pixels contradict each other");
    }
    image.create(type_.height, type_.width, type_.cv_type());
    restore_pixels(filtered, filter, image, memory_);
}

size_t predicted_frame_bytes(std::span<const uint8_t> bytes, std::string* reason) {
    const auto refuse = [&](const std::string& why) {
        if (reason) *reason = why;
        return size_t{0};
    };
    if (reason) reason->clear();
    uint8_t magic[4];
    put_32(magic, kMagic);
    if (!std::equal(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(std::min<size_t>(4, bytes.size())), magic)) {
        return refuse("does not begin like a frame of predicted pixels");
    }
    if (bytes.size() < kHeaderBytes) return 0;
    if (const std::string why = reason_against_header(bytes.data()); !why.empty()) return refuse(why);
    size_t total = kHeaderBytes;
    for (size_t i = 0; i < stream_count(bytes.data()); ++i) {
        const size_t size = stream_bytes(bytes.subspan(total), reason);
        if (size == 0) return 0;
        total += size;
    }
    return total;
}

}  // namespace reelstore
