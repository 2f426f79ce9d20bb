#include "base/npy.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string_view>

#include "base/error.h"
#include "base/utf8.h"

namespace reelstore {

static_assert(std::endian::native == std::endian::little, "arrays are written in the machine's byte order");

namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kMaxHeader = size_t{64} << 10;
constexpr size_t kAlignment = 64;
/// numpy leaves room for the first dimension to grow to this many digits.
constexpr size_t kGrowthDigits = 21;

[[noreturn]] void fail(const std::string& message) {
    throw Error(ErrorCode::corrupt, "npy: " + message);
}

/// Product of two sizes; empty on overflow of an int64.
std::optional<int64_t> product(int64_t a, int64_t b) {
    int64_t result = 0;
    if (__builtin_mul_overflow(a, b, &result)) return std::nullopt;
    return result;
}

/// Reads the Python dictionary of a header: exactly the three keys, literals only.
class HeaderParser {
public:
    explicit HeaderParser(std::string_view text) : text_(text) {}

    NpyHeader parse() {
        NpyHeader header;
        bool has_descr = false;
        bool has_order = false;
        bool has_shape = false;
        expect('{');
        while (!accept('}')) {
            std::string key = quoted();
            expect(':');
            if (key == "descr" && !has_descr) {
                has_descr = true;
                if (peek() == '[') throw Error(ErrorCode::unsupported, "npy: records of several fields are not read");
                header.descr = quoted();
            } else if (key == "fortran_order" && !has_order) {
                has_order = true;
                header.fortran_order = boolean();
            } else if (key == "shape" && !has_shape) {
                has_shape = true;
                header.shape = tuple();
            } else {
                fail("unexpected key in the header");
            }
            if (!accept(',') && peek() != '}') fail("malformed header");
        }
        if (peek() != '\0') fail("something follows the header's dictionary");
        if (!has_descr || !has_order || !has_shape) fail("a key is missing in the header");
        return header;
    }

private:
    /// The next character that is no white space; '\0' at the end.
    char peek() {
        position_ = std::min(text_.find_first_not_of(" \t\r\n", position_), text_.size());
        if (position_ == text_.size()) return '\0';
        if (text_[position_] == '\0') fail("malformed header");
        return text_[position_];
    }

    bool accept(char c) {
        if (peek() != c) return false;
        ++position_;
        return true;
    }

    void expect(char c) {
        if (!accept(c)) fail("malformed header");
    }

    std::string quoted() {
        char quote = peek();
        if (quote != '\'' && quote != '"') fail("malformed header");
        size_t end = text_.find(quote, position_ + 1);
        if (end == std::string_view::npos) fail("malformed header");
        std::string value(text_.substr(position_ + 1, end - position_ - 1));
        if (value.find('\\') != std::string::npos) fail("malformed header");
        position_ = end + 1;
        return value;
    }

    bool boolean() {
        peek();
        for (std::string_view word : {"True", "False"}) {
            if (text_.substr(position_, word.size()) == word) {
                position_ += word.size();
                return word == "True";
            }
        }
        fail("malformed header");
    }

    int64_t integer() {
        if (peek() == '-') fail("negative size in the shape");
        int64_t value = 0;
        size_t start = position_;
        for (; position_ < text_.size() && text_[position_] >= '0' && text_[position_] <= '9'; ++position_) {
            std::optional<int64_t> shifted = product(value, 10);
            if (!shifted || __builtin_add_overflow(*shifted, text_[position_] - '0', &value)) {
                fail("impossible size in the shape");
            }
        }
        if (position_ == start) fail("malformed shape");
        if (position_ < text_.size() && text_[position_] == 'L') ++position_;
        return value;
    }

    std::vector<int64_t> tuple() {
        constexpr size_t kMaxDimensions = 64;
        std::vector<int64_t> values;
        bool comma = true;
        expect('(');
        while (!accept(')')) {
            if (!comma || values.size() == kMaxDimensions) fail("malformed shape");
            values.push_back(integer());
            comma = accept(',');
        }
        if (values.size() == 1 && !comma) fail("malformed shape");
        return values;
    }

    std::string_view text_;
    size_t position_ = 0;
};

/// The elements that `header` announces at the beginning of `rest`; throws when the bytes end too early.
std::span<const uint8_t> elements_of(const NpyHeader& header, std::span<const uint8_t> rest) {
    if (rest.size() < header.data_bytes()) {
        fail("cut off: " + std::to_string(rest.size()) + " of " + std::to_string(header.data_bytes()) +
             " bytes of data are there");
    }
    return rest.first(header.data_bytes());
}

template <typename T>
T load(const uint8_t* bytes, bool swap) {
    std::array<uint8_t, sizeof(T)> raw;
    std::copy_n(bytes, sizeof(T), raw.begin());
    if (swap) std::reverse(raw.begin(), raw.end());
    return std::bit_cast<T>(raw);
}

float half_to_float(uint16_t bits) {
    int exponent = (bits >> 10) & 0x1f;
    float mantissa = static_cast<float>(bits & 0x3ff);
    float value;
    if (exponent == 0x1f) {
        value = mantissa == 0 ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
    } else if (exponent == 0) {
        value = std::ldexp(mantissa, -24);
    } else {
        value = std::ldexp(mantissa + 1024, exponent - 25);
    }
    return bits & 0x8000 ? -value : value;
}

/// Calls `take` with every element of a one-dimensional array as int64_t, uint64_t or double.
template <typename Take>
void for_each_value(std::span<const uint8_t> bytes, Take take) {
    NpyHeader header = parse_npy_header(bytes);
    if (header.shape.size() != 1) fail("an array of one dimension is expected here");
    std::span<const uint8_t> data = elements_of(header, bytes.subspan(header.data_offset));
    size_t item = header.item_bytes();
    bool swap = header.big_endian();
    std::string type = std::string(1, header.kind()) + std::to_string(item);
    auto walk = [&](auto convert) {
        for (size_t offset = 0; offset < data.size(); offset += item) take(convert(data.data() + offset));
    };
    if (type == "i8") {
        walk([&](const uint8_t* p) { return load<int64_t>(p, swap); });
    } else if (type == "f8") {
        walk([&](const uint8_t* p) { return load<double>(p, swap); });
    } else if (type == "i4") {
        walk([&](const uint8_t* p) { return int64_t{load<int32_t>(p, swap)}; });
    } else if (type == "u4") {
        walk([&](const uint8_t* p) { return int64_t{load<uint32_t>(p, swap)}; });
    } else if (type == "u8") {
        walk([&](const uint8_t* p) { return load<uint64_t>(p, swap); });
    } else if (type == "f4") {
        walk([&](const uint8_t* p) { return double{load<float>(p, swap)}; });
    } else if (type == "i2") {
        walk([&](const uint8_t* p) { return int64_t{load<int16_t>(p, swap)}; });
    } else if (type == "u2") {
        walk([&](const uint8_t* p) { return int64_t{load<uint16_t>(p, swap)}; });
    } else if (type == "f2") {
        walk([&](const uint8_t* p) { return double{half_to_float(load<uint16_t>(p, swap))}; });
    } else if (type == "i1") {
        walk([&](const uint8_t* p) { return int64_t{static_cast<int8_t>(*p)}; });
    } else if (type == "u1") {
        walk([&](const uint8_t* p) { return int64_t{*p}; });
    } else {
        fail("numbers are expected here, not elements of type " + header.descr);
    }
}

int64_t to_int64(int64_t value) {
    return value;
}

int64_t to_int64(uint64_t value) {
    if (value > uint64_t(std::numeric_limits<int64_t>::max())) fail("an integer does not fit into 64 bits");
    return static_cast<int64_t>(value);
}

int64_t to_int64(double value) {
    constexpr double kLimit = 9223372036854775808.0;
    if (!(value >= -kLimit && value < kLimit) || value != std::trunc(value)) fail("a number is not an integer");
    return static_cast<int64_t>(value);
}

void append(std::vector<uint8_t>& bytes, const void* data, size_t size) {
    const auto* begin = static_cast<const uint8_t*>(data);
    bytes.insert(bytes.end(), begin, begin + size);
}

std::u32string decode_utf8(std::string_view text) {
    std::u32string points;
    for (size_t position = 0; position < text.size();) {
        std::optional<char32_t> point = next_code_point(text, position);
        if (!point) throw Error(ErrorCode::invalid_argument, "npy: text is not valid UTF-8");
        points.push_back(*point);
    }
    return points;
}

}  // namespace

size_t NpyHeader::item_bytes() const {
    char type = kind();
    if (type == 'O') return 0;
    size_t count = 0;
    for (size_t i = 2; i < descr.size() && descr[i] >= '0' && descr[i] <= '9'; ++i) {
        count = count * 10 + static_cast<size_t>(descr[i] - '0');
    }
    return type == 'U' ? count * 4 : count;
}

int64_t NpyHeader::element_count() const {
    int64_t count = 1;
    for (int64_t size : shape) count *= size;
    return count;
}

size_t NpyHeader::data_bytes() const {
    return static_cast<size_t>(element_count()) * item_bytes();
}

std::optional<int> NpyHeader::cv_depth() const {
    std::string type = descr.substr(std::min<size_t>(1, descr.size()));
    if (type == "b1") return CV_8U;
    for (int depth : {CV_8U, CV_8S, CV_16U, CV_16S, CV_32S, CV_32F, CV_64F, CV_16F}) {
        if (type == npy_descr(depth).substr(1)) return depth;
    }
    return std::nullopt;
}

int NpyHeader::pixel_depth() const {
    if (const std::optional<int> depth = cv_depth()) return *depth;
    throw Error(
        ErrorCode::unsupported,
        "npy: elements of type \"" + descr +
            "\" are not read as pixels; convert the array to uint8, int8, uint16, int16, int32, float16, float32 or "
            "float64 first");
}

void check_npy_header(const NpyHeader& header) {
    constexpr size_t kMaxItemDigits = 9;
    const std::string& descr = header.descr;
    size_t digits = 0;
    while (2 + digits < descr.size() && descr[2 + digits] >= '0' && descr[2 + digits] <= '9') ++digits;
    if (descr.size() < 2 || std::string_view("<>|=").find(descr[0]) == std::string_view::npos ||
        std::string_view("biufcmMOSaUV").find(descr[1]) == std::string_view::npos || digits > kMaxItemDigits) {
        fail("unknown element type");
    }
    bool has_unit = descr[1] == 'm' || descr[1] == 'M';
    if (!has_unit && 2 + digits != descr.size()) fail("unknown element type");
    // Sizes of zero are left out of the product, so that the others may not overflow behind them.
    std::optional<int64_t> total = std::max<int64_t>(1, static_cast<int64_t>(header.item_bytes()));
    for (int64_t size : header.shape) {
        if (size < 0) fail("negative size in the shape");
        if (size > 0 && total) total = product(*total, size);
    }
    if (!total) fail("the shape is impossibly large");
}

NpyHeader parse_npy_header(std::span<const uint8_t> bytes) {
    constexpr size_t kPrefix = 8;
    if (bytes.size() < kPrefix || std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0) {
        fail("this is no npy file");
    }
    int version = bytes[6];
    if (version < 1 || version > 3) fail("unknown version " + std::to_string(version));
    size_t length_bytes = version == 1 ? 2 : 4;
    if (bytes.size() < kPrefix + length_bytes) fail("cut off in the header");
    size_t length = version == 1 ? load<uint16_t>(&bytes[kPrefix], false) : load<uint32_t>(&bytes[kPrefix], false);
    if (length > kMaxHeader) fail("the header is too long");
    size_t start = kPrefix + length_bytes;
    if (bytes.size() - start < length) fail("cut off in the header");

    NpyHeader header = HeaderParser(std::string_view(reinterpret_cast<const char*>(&bytes[start]), length)).parse();
    header.data_offset = start + length;
    check_npy_header(header);
    return header;
}

std::vector<uint8_t> make_npy_header(const std::string& descr, const std::vector<int64_t>& shape) {
    std::string text = "{'descr': '" + descr + "', 'fortran_order': False, 'shape': (";
    for (size_t i = 0; i < shape.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
    text += shape.size() == 1 ? ",), }" : "), }";
    if (!shape.empty()) text.append(kGrowthDigits - std::to_string(shape[0]).size(), ' ');

    constexpr size_t kBefore = 10;  // magic, version, length
    size_t with_newline = kBefore + text.size() + 1;
    // numpy adds a whole block where none is needed; so do we, for equal bytes.
    text.append(kAlignment - with_newline % kAlignment, ' ');
    text += '\n';

    std::vector<uint8_t> bytes;
    append(bytes, kMagic.data(), kMagic.size());
    bytes.push_back(1);
    bytes.push_back(0);
    bytes.push_back(static_cast<uint8_t>(text.size() & 0xff));
    bytes.push_back(static_cast<uint8_t>(text.size() >> 8));
    append(bytes, text.data(), text.size());
    return bytes;
}

std::string npy_descr(int depth) {
    switch (depth) {
        case CV_8U:
            return "|u1";
        case CV_8S:
            return "|i1";
        case CV_16U:
            return "<u2";
        case CV_16S:
            return "<i2";
        case CV_32S:
            return "<i4";
        case CV_32F:
            return "<f4";
        case CV_64F:
            return "<f8";
        case CV_16F:
            return "<f2";
        default:
            throw Error(ErrorCode::invalid_argument, "unknown pixel depth " + std::to_string(depth));
    }
}

ImageType image_type_of_array(const NpyHeader& header) {
    const int depth = header.pixel_depth();
    const std::vector<int64_t>& shape = header.shape;
    if (shape.size() != 2 && shape.size() != 3) {
        throw Error(ErrorCode::unsupported,
                    "npy: an image has 2 or 3 dimensions, this array has " + std::to_string(shape.size()));
    }
    int64_t channels = shape.size() == 3 ? shape[2] : 1;
    if (channels > CV_CN_MAX) {
        throw Error(ErrorCode::unsupported,
                    "npy: an image of " + std::to_string(channels) + " channels is not supported");
    }
    ImageType type{.depth = depth};
    type.channels = static_cast<int>(channels);
    type.height = static_cast<int>(std::min<int64_t>(shape[0], int64_t{kMaxImageSide} + 1));
    type.width = static_cast<int>(std::min<int64_t>(shape[1], int64_t{kMaxImageSide} + 1));
    if (!plausible(type)) fail("the shape makes no image");
    return type;
}

cv::Mat image_from_array(const NpyHeader& header, std::span<const uint8_t> data) {
    ImageType type = image_type_of_array(header);
    data = elements_of(header, data);
    size_t item = header.item_bytes();
    cv::Mat image(type.height, type.width, type.cv_type());
    if (!header.fortran_order) {
        std::memcpy(image.data, data.data(), data.size());
    } else {
        const uint8_t* source = data.data();
        for (int channel = 0; channel < type.channels; ++channel) {
            for (int column = 0; column < type.width; ++column) {
                size_t offset = (static_cast<size_t>(column) * size_t(type.channels) + size_t(channel)) * item;
                for (int row = 0; row < type.height; ++row, source += item) {
                    std::memcpy(image.ptr(row) + offset, source, item);
                }
            }
        }
    }
    if (header.big_endian() && item > 1) {
        for (uint8_t* element = image.data; element != image.data + data.size(); element += item) {
            std::reverse(element, element + item);
        }
    }
    if (header.kind() == 'b') {
        std::transform(image.data, image.data + data.size(), image.data, [](uint8_t value) { return value != 0; });
    }
    return image;
}

cv::Mat image_from_npy(std::span<const uint8_t> bytes) {
    NpyHeader header = parse_npy_header(bytes);
    return image_from_array(header, bytes.subspan(header.data_offset));
}

std::vector<uint8_t> npy_from_image(const cv::Mat& image) {
    if (image.dims != 2 || image.empty()) throw Error(ErrorCode::invalid_argument, "npy: this is no image");
    ImageType type = ImageType::of(image);
    std::vector<uint8_t> bytes = make_npy_header(npy_descr(type.depth), type.shape());
    bytes.reserve(bytes.size() + type.bytes());
    for (int row = 0; row < image.rows; ++row) append(bytes, image.ptr(row), size_t(image.cols) * image.elemSize());
    return bytes;
}

std::vector<int64_t> int64_from_npy(std::span<const uint8_t> bytes) {
    std::vector<int64_t> values;
    for_each_value(bytes, [&](auto value) { values.push_back(to_int64(value)); });
    return values;
}

std::vector<double> double_from_npy(std::span<const uint8_t> bytes) {
    std::vector<double> values;
    for_each_value(bytes, [&](auto value) { values.push_back(static_cast<double>(value)); });
    return values;
}

std::vector<uint8_t> npy_from_int64(std::span<const int64_t> values) {
    std::vector<uint8_t> bytes = make_npy_header("<i8", {static_cast<int64_t>(values.size())});
    append(bytes, values.data(), values.size_bytes());
    return bytes;
}

std::vector<uint8_t> npy_from_double(std::span<const double> values) {
    std::vector<uint8_t> bytes = make_npy_header("<f8", {static_cast<int64_t>(values.size())});
    append(bytes, values.data(), values.size_bytes());
    return bytes;
}

std::vector<uint8_t> npy_from_scalar(int64_t value) {
    std::vector<uint8_t> bytes = make_npy_header("<i8", {});
    append(bytes, &value, sizeof value);
    return bytes;
}

std::vector<uint8_t> npy_from_text(std::string_view text) {
    std::u32string points = decode_utf8(text);
    if (points.empty()) points.push_back(0);  // numpy has no text of no characters
    std::vector<uint8_t> bytes = make_npy_header("<U" + std::to_string(points.size()), {});
    append(bytes, points.data(), points.size() * sizeof(char32_t));
    return bytes;
}

std::vector<uint8_t> npy_none() {
    constexpr std::string_view kPickledNone{
        "\x80\x03"
        "cnumpy.core.multiarray\n_reconstruct\nq\x00"
        "cnumpy\nndarray\nq\x01K\x00\x85q\x02"
        "C\x01"
        "bq\x03\x87q\x04Rq\x05(K\x01)cnumpy\ndtype\nq\x06X\x02\x00\x00\x00O8q\x07\x89\x88\x87q\x08Rq\t("
        "K\x03X\x01\x00\x00\x00|q\nNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tq\x0b"
        "b\x89]q\x0cNatq\rb.",
        150};
    std::vector<uint8_t> bytes = make_npy_header("|O", {});
    append(bytes, kPickledNone.data(), kPickledNone.size());
    return bytes;
}

}  // namespace reelstore
