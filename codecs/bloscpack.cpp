#include "codecs/bloscpack.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <sstream>
#include <type_traits>

#include <blosc.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <zlib.h>
#include <nlohmann/json.hpp>

extern "C" {
#include <libavutil/hash.h>
}

#include "base/error.h"
#include "base/npy.h"

namespace reelstore {

namespace {

constexpr std::string_view kMagic = "blpk";
constexpr uint8_t kVersion = 3;
constexpr size_t kHeaderBytes = 32;
constexpr size_t kOffsetBytes = 8;
constexpr uint8_t kHasOffsets = 1;
constexpr uint8_t kHasMetadata = 2;
constexpr uint8_t kMetadataZlib = 1;

/// bloscpack's defaults.
constexpr size_t kChunkBytes = size_t{1} << 20;
constexpr size_t kRoomToGrow = 10;  // chunks and bytes of metadata for which space is left, in times those there are
constexpr int kMetadataLevel = 6;

/// Far more than the metadata of any image; it is the only part whose size is not known from the image.
constexpr size_t kMostMetadata = size_t{64} << 10;
constexpr int kMostForeignChannels = 4;

enum class Checksum : uint8_t { none, adler32, crc32, md5, sha1, sha224, sha256, sha384, sha512 };

struct ChecksumKind {
    size_t bytes;
    const char* ffmpeg_name;  // null: zlib's
};

constexpr std::array<ChecksumKind, 9> kChecksums{{{0, nullptr},
                                                  {4, nullptr},
                                                  {4, nullptr},
                                                  {16, "MD5"},
                                                  {20, "SHA160"},
                                                  {28, "SHA224"},
                                                  {32, "SHA256"},
                                                  {48, "SHA384"},
                                                  {64, "SHA512"}}};

[[noreturn]] void fail(const std::string& message) {
    throw Error(ErrorCode::corrupt, "bloscpack: " + message);
}

[[noreturn]] void not_supported(const std::string& message) {
    throw Error(ErrorCode::unsupported, "bloscpack: " + message);
}

template <typename T>
void append_number(std::vector<uint8_t>& bytes, T value) {
    static_assert(std::is_arithmetic_v<T>);
    const auto* begin = reinterpret_cast<const uint8_t*>(&value);
    bytes.insert(bytes.end(), begin, begin + sizeof value);
}

void append(std::vector<uint8_t>& bytes, std::span<const uint8_t> more) {
    bytes.insert(bytes.end(), more.begin(), more.end());
}

template <typename T>
T load(const uint8_t* bytes) {
    T value;
    std::memcpy(&value, bytes, sizeof value);
    return value;
}

std::vector<uint8_t> digest_of(Checksum checksum, std::span<const uint8_t> bytes) {
    const ChecksumKind& kind = kChecksums[size_t(checksum)];
    std::vector<uint8_t> digest;
    if (checksum == Checksum::none) return digest;
    if (!kind.ffmpeg_name) {
        const uLong start = checksum == Checksum::adler32 ? 1 : 0;
        const auto sum = checksum == Checksum::adler32 ? adler32_z : crc32_z;
        append_number(digest, static_cast<uint32_t>(sum(start, bytes.data(), bytes.size())));
        return digest;
    }
    struct Free {
        void operator()(AVHashContext* context) const { av_hash_freep(&context); }
    };
    AVHashContext* allocated = nullptr;
    if (av_hash_alloc(&allocated, kind.ffmpeg_name) < 0) {
        not_supported(fmt::format("checksums of kind {} cannot be computed here", kind.ffmpeg_name));
    }
    const std::unique_ptr<AVHashContext, Free> context(allocated);
    av_hash_init(context.get());
    av_hash_update(context.get(), bytes.data(), bytes.size());
    digest.resize(kind.bytes);
    av_hash_final_bin(context.get(), digest.data(), static_cast<int>(digest.size()));
    return digest;
}

/// Takes a file apart from the front; every part is checked to be there.
class Parts {
public:
    explicit Parts(std::span<const uint8_t> bytes) : rest_(bytes) {}

    std::span<const uint8_t> take(size_t size, const char* what) {
        if (rest_.size() < size) fail(fmt::format("the file is cut off in {}", what));
        const std::span<const uint8_t> part = rest_.first(size);
        rest_ = rest_.subspan(size);
        return part;
    }
    std::span<const uint8_t> rest() const { return rest_; }

    void check(Checksum checksum, std::span<const uint8_t> bytes, const char* what) {
        const std::span<const uint8_t> recorded = take(kChecksums[size_t(checksum)].bytes, what);
        const std::vector<uint8_t> digest = digest_of(checksum, bytes);
        if (!std::equal(digest.begin(), digest.end(), recorded.begin(), recorded.end())) {
            fail(fmt::format("the checksum of {} is wrong", what));
        }
    }

private:
    std::span<const uint8_t> rest_;
};

Checksum checksum_kind(uint8_t number) {
    if (number >= kChecksums.size()) not_supported(fmt::format("unknown checksum {}", number));
    return Checksum(number);
}

struct Header {
    bool offsets = false;
    bool metadata = false;
    Checksum checksum = Checksum::none;
    int64_t chunks = 0;
    int64_t room = 0;  ///< chunks that could be appended: they have offsets already
};

Header read_header(Parts& parts) {
    const uint8_t* bytes = parts.take(kHeaderBytes, "its header").data();
    if (!is_bloscpack({bytes, kHeaderBytes})) fail("this is no bloscpack file");
    if (bytes[4] != kVersion) not_supported(fmt::format("version {} of the format is not read", bytes[4]));
    if (bytes[5] & ~(kHasOffsets | kHasMetadata)) not_supported("unknown options in the header");
    Header header;
    header.offsets = bytes[5] & kHasOffsets;
    header.metadata = bytes[5] & kHasMetadata;
    header.checksum = checksum_kind(bytes[6]);
    header.chunks = load<int64_t>(bytes + 16);
    header.room = load<int64_t>(bytes + 24);
    const auto most = static_cast<int64_t>(parts.rest().size());  // no chunk is empty
    if (header.chunks < 1 || header.chunks > most || header.room < 0 || header.room > most) {
        fail("the number of chunks is impossible");
    }
    return header;
}

std::string inflate_metadata(std::span<const uint8_t> compressed, size_t size) {
    std::string text(size, '\0');
    uLongf written = size;
    const int result =
        uncompress(reinterpret_cast<Bytef*>(text.data()), &written, compressed.data(), compressed.size());
    if (result != Z_OK || written != size) fail("the metadata cannot be decompressed");
    return text;
}

std::string read_metadata_text(Parts& parts) {
    const uint8_t* bytes = parts.take(kHeaderBytes, "its metadata").data();
    std::string format(reinterpret_cast<const char*>(bytes), 8);
    format.erase(format.find_last_not_of(std::string_view(" \0", 2)) + 1);
    if (format != "JSON") not_supported("the metadata is not JSON");
    const Checksum checksum = checksum_kind(bytes[9]);
    const uint8_t codec = bytes[10];
    const size_t size = load<uint32_t>(bytes + 12);
    const size_t room = load<uint32_t>(bytes + 16);
    const size_t stored_size = load<uint32_t>(bytes + 20);
    if (codec > kMetadataZlib) not_supported(fmt::format("unknown compression {} of the metadata", codec));
    if (size > kMostMetadata || stored_size > room || (codec == 0 && stored_size != size)) {
        fail("the size of the metadata is impossible");
    }
    const std::span<const uint8_t> section = parts.take(room, "its metadata");
    const std::span<const uint8_t> stored = section.first(stored_size);
    parts.check(checksum, stored, "the metadata");
    if (codec == kMetadataZlib) return inflate_metadata(stored, size);
    return {stored.begin(), stored.end()};
}

/// The element type as numpy writes it. bloscpack keeps its Python text with the quotes; before 0.7.2 without.
std::string element_type(const nlohmann::json& dtype) {
    if (!dtype.is_string()) not_supported("arrays of records are not read");
    std::string text = dtype.get<std::string>();
    if (text.starts_with('[')) not_supported("arrays of records are not read");
    if (text.size() >= 2 && (text.front() == '\'' || text.front() == '"') && text.back() == text.front()) {
        text = text.substr(1, text.size() - 2);
    }
    return text;
}

NpyHeader read_array_header(const std::string& metadata) {
    const nlohmann::json json = nlohmann::json::parse(metadata, nullptr, false);
    if (!json.is_object()) fail("the metadata is malformed");
    const auto value = [&](const char* key) -> const nlohmann::json& {
        const auto found = json.find(key);
        if (found == json.end()) not_supported(fmt::format("this is no numpy array: there is no {}", key));
        return *found;
    };
    if (value("container") != "numpy") not_supported("this is no numpy array");
    NpyHeader array;
    array.descr = element_type(value("dtype"));
    const nlohmann::json& order = value("order");
    if (order != "C" && order != "F") fail("the order of the array is neither C nor F");
    array.fortran_order = order == "F";
    const nlohmann::json& shape = value("shape");
    if (!shape.is_array()) fail("the shape is malformed");
    for (const nlohmann::json& size : shape) {
        const bool fits =
            size.is_number_integer() && (!size.is_number_unsigned() || size.get<uint64_t>() <= uint64_t(INT64_MAX));
        if (!fits) fail("the shape is malformed");
        array.shape.push_back(size.get<int64_t>());
    }
    check_npy_header(array);
    return array;
}

void check_type(const ImageType& type, const NpyHeader& array, const std::optional<ImageType>& expected) {
    if (expected && type != *expected) {
        fail(fmt::format("the array of shape ({}) and type {} is not the store's {}", fmt::join(array.shape, ", "),
                         array.descr, expected->text()));
    }
    if (!expected && type.channels > kMostForeignChannels) {
        not_supported(fmt::format("an array of shape ({}) is not read as an image; those of up to {} channels are",
                                  fmt::join(array.shape, ", "), kMostForeignChannels));
    }
}

/// One chunk of the file, as it is stored.
struct Chunk {
    std::span<const uint8_t> stored;
    size_t bytes = 0;  ///< of elements
};

/// All chunks, which together hold `expected` bytes, so that memory is spent on no other size.
std::vector<Chunk> read_chunks(Parts& parts, const Header& header, size_t expected) {
    std::vector<Chunk> chunks;
    size_t total = 0;
    for (int64_t number = 0; number < header.chunks; ++number) {
        constexpr size_t kPlaceOfSize = 12;
        if (parts.rest().size() < BLOSC_MIN_HEADER_LENGTH) fail("the file is cut off in a chunk");
        Chunk chunk;
        chunk.stored = parts.take(load<uint32_t>(parts.rest().data() + kPlaceOfSize), "a chunk");
        if (blosc_cbuffer_validate(chunk.stored.data(), chunk.stored.size(), &chunk.bytes) != 0) {
            fail(fmt::format("the header of chunk {} is damaged", number));
        }
        parts.check(header.checksum, chunk.stored, "a chunk");
        total += chunk.bytes;
        if (total > expected) break;
        chunks.push_back(chunk);
    }
    if (total != expected) {
        fail(fmt::format("the chunks hold {} bytes{}, the array has {}", total, total > expected ? " or more" : "",
                         expected));
    }
    return chunks;
}

void unpack(const std::vector<Chunk>& chunks, uint8_t* target) {
    for (const Chunk& chunk : chunks) {
        const int written = blosc_decompress_ctx(chunk.stored.data(), target, chunk.bytes, 1);
        if (written < 0 || static_cast<size_t>(written) != chunk.bytes) {
            constexpr int kNoSuchCodec = -5;
            if (written != kNoSuchCodec) fail("a chunk cannot be decompressed");
            const char* library = blosc_cbuffer_complib(chunk.stored.data());
            not_supported(
                fmt::format("this machine's libblosc cannot decompress {}", library ? library : "this codec"));
        }
        target += chunk.bytes;
    }
}

}  // namespace

std::vector<std::string> bloscpack_codecs() {
    std::istringstream list(blosc_list_compressors());
    std::vector<std::string> codecs;
    for (std::string codec; std::getline(list, codec, ',');) codecs.push_back(codec);
    return codecs;
}

bool is_bloscpack(std::span<const uint8_t> head) {
    return head.size() >= kMagic.size() && std::memcmp(head.data(), kMagic.data(), kMagic.size()) == 0;
}

std::vector<uint8_t> bloscpack_from_image(const cv::Mat& given, const BloscpackOptions& options) {
    if (given.dims != 2 || given.empty()) throw Error(ErrorCode::invalid_argument, "bloscpack: this is no image");
    const cv::Mat image = given.isContinuous() ? given : given.clone();
    const ImageType type = ImageType::of(image);
    const size_t size = type.bytes();
    const size_t chunk_size = std::min(kChunkBytes, size);
    const size_t chunks = (size + chunk_size - 1) / chunk_size;
    const size_t last_size = size - (chunks - 1) * chunk_size;
    const size_t item = image.elemSize1();

    std::vector<uint8_t> bytes(kMagic.begin(), kMagic.end());
    bytes.push_back(kVersion);
    bytes.push_back(kHasOffsets | kHasMetadata);
    bytes.push_back(uint8_t(Checksum::adler32));
    bytes.push_back(static_cast<uint8_t>(item));
    append_number(bytes, static_cast<int32_t>(chunk_size));
    append_number(bytes, static_cast<int32_t>(last_size));
    append_number(bytes, static_cast<int64_t>(chunks));
    append_number(bytes, static_cast<int64_t>(kRoomToGrow * chunks));

    const std::string metadata = fmt::format(R"({{"dtype":"'{}'","shape":[{}],"order":"C","container":"numpy"}})",
                                             npy_descr(type.depth), fmt::join(type.shape(), ","));
    std::vector<uint8_t> stored(compressBound(metadata.size()));
    uLongf stored_size = stored.size();
    const bool packed = compress2(stored.data(), &stored_size, reinterpret_cast<const Bytef*>(metadata.data()),
                                  metadata.size(), kMetadataLevel) == Z_OK &&
                        stored_size <= metadata.size();
    if (packed) {
        stored.resize(stored_size);
    } else {
        stored.assign(metadata.begin(), metadata.end());
    }
    const size_t metadata_room = kRoomToGrow * metadata.size();
    append(bytes, std::array<uint8_t, 8>{'J', 'S', 'O', 'N'});
    bytes.push_back(0);
    bytes.push_back(uint8_t(Checksum::adler32));
    bytes.push_back(packed ? kMetadataZlib : 0);
    bytes.push_back(packed ? kMetadataLevel : 0);
    append_number(bytes, static_cast<uint32_t>(metadata.size()));
    append_number(bytes, static_cast<uint32_t>(metadata_room));
    append_number(bytes, static_cast<uint32_t>(stored.size()));
    append(bytes, std::array<uint8_t, 8>{});
    append(bytes, stored);
    bytes.resize(bytes.size() + metadata_room - stored.size());
    append(bytes, digest_of(Checksum::adler32, stored));

    size_t offset_place = bytes.size();
    bytes.insert(bytes.end(), (1 + kRoomToGrow) * chunks * kOffsetBytes, uint8_t{0xff});  // -1: unknown
    std::vector<uint8_t> packed_chunk;
    for (size_t chunk = 0; chunk < chunks; ++chunk) {
        const size_t plain_size = chunk + 1 < chunks ? chunk_size : last_size;
        packed_chunk.resize(plain_size + BLOSC_MAX_OVERHEAD);
        const int shuffle = options.shuffle == BloscpackOptions::Shuffle::none   ? BLOSC_NOSHUFFLE
                            : options.shuffle == BloscpackOptions::Shuffle::byte ? BLOSC_SHUFFLE
                                                                                 : BLOSC_BITSHUFFLE;
        const int written =
            blosc_compress_ctx(options.level, shuffle, item, plain_size, image.data + chunk * chunk_size,
                               packed_chunk.data(), packed_chunk.size(), options.codec.c_str(), 0, 1);
        if (written <= 0) {
            throw Error(ErrorCode::internal,
                        fmt::format("libblosc cannot compress with {} (error {})", options.codec, written));
        }
        packed_chunk.resize(static_cast<size_t>(written));
        const auto offset = static_cast<int64_t>(bytes.size());
        std::memcpy(&bytes[offset_place], &offset, sizeof offset);
        offset_place += sizeof offset;
        append(bytes, packed_chunk);
        append(bytes, digest_of(Checksum::adler32, packed_chunk));
    }
    return bytes;
}

cv::Mat image_from_bloscpack(std::span<const uint8_t> bytes, const std::optional<ImageType>& expected) {
    Parts parts(bytes);
    const Header header = read_header(parts);
    if (!header.metadata) not_supported("this is no numpy array: there is no metadata");
    const NpyHeader array = read_array_header(read_metadata_text(parts));
    const ImageType type = image_type_of_array(array);
    check_type(type, array, expected);
    if (header.offsets) parts.take(size_t(header.chunks + header.room) * kOffsetBytes, "its offsets");

    const std::vector<Chunk> chunks = read_chunks(parts, header, array.data_bytes());

    // Pixels as OpenCV has them are unpacked in their place.
    if (!array.fortran_order && !array.big_endian() && array.kind() != 'b') {
        cv::Mat image(type.height, type.width, type.cv_type());
        unpack(chunks, image.data);
        return image;
    }
    std::vector<uint8_t> elements(array.data_bytes());
    unpack(chunks, elements.data());
    return image_from_array(array, elements);
}

}  // namespace reelstore
