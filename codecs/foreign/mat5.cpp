/// Layout: MathWorks' "MAT-File Format", Level 5. A header of 128 bytes, then elements, each a tag of type and size and
/// its data; a variable is an element made of elements.

#include "codecs/foreign/mat5.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>

#include <fmt/format.h>

#include "base/error.h"
#include "codecs/foreign/header_bytes.h"
#include "codecs/foreign/inflate.h"

namespace reelstore {

namespace {

constexpr size_t kOrderAt = 126;
constexpr size_t kTagBytes = 8;
constexpr size_t kSmallDataBytes = 4;

/// Types of elements.
enum : uint32_t {
    kInt8 = 1,
    kUint8 = 2,
    kInt16 = 3,
    kUint16 = 4,
    kInt32 = 5,
    kUint32 = 6,
    kSingle = 7,
    kDouble = 9,
    kInt64 = 12,
    kUint64 = 13,
    kMatrix = 14,
    kCompressed = 15,
    kUtf8 = 16,
    kUtf16 = 17,
    kUtf32 = 18
};

/// Classes of arrays.
constexpr const char* kClassNames[] = {"",       "cell",   "struct", "object", "char",     "sparse",
                                       "double", "single", "int8",   "uint8",  "int16",    "uint16",
                                       "int32",  "uint32", "int64",  "uint64", "function", "object"};
constexpr uint32_t kSparseClass = 5;
constexpr uint32_t kFunctionClass = 16;
constexpr uint32_t kOpaqueClass = 17;
constexpr uint32_t kComplexFlag = 0x0800;
constexpr uint32_t kLogicalFlag = 0x0200;

/// So much of every variable is looked at when the file is opened.
constexpr size_t kHeadBytes = size_t{64} << 10;
/// Texts, structs and cells up to this size are put into the metadata.
constexpr size_t kMostValueBytes = size_t{1} << 20;
constexpr size_t kMostStampBytes = size_t{256} << 20;
constexpr size_t kMostDimensions = 32;
constexpr size_t kMostVariables = 100000;
constexpr size_t kMostListElements = 64;
constexpr int kDeepestValue = 8;
constexpr size_t kMostValues = 10000;

struct Element {
    uint32_t type = 0;
    uint64_t size = 0;
    size_t data = 0;  ///< where it begins
    uint64_t next = 0;
};

/// The element at `at`, small ones (up to four bytes within the tag) included.
Element element_at(const HeaderBytes& bytes, uint64_t at) {
    const auto first = bytes.at<uint32_t>(at);
    Element element;
    if (first >> 16 != 0) {
        element = {first & 0xFFFF, first >> 16, at + kSmallDataBytes, at + kTagBytes};
        if (element.size > kSmallDataBytes) throw Error(ErrorCode::corrupt, "a small element is too long");
        return element;
    }
    element.type = first;
    element.size = bytes.at<uint32_t>(at + 4);
    element.data = at + kTagBytes;
    element.next = element.data + (element.size + 7) / 8 * 8;
    return element;
}

std::optional<ElementKind> kind_of(uint32_t type) {
    switch (type) {
        case kInt8:
            return ElementKind::int8;
        case kUint8:
            return ElementKind::uint8;
        case kInt16:
            return ElementKind::int16;
        case kUint16:
            return ElementKind::uint16;
        case kInt32:
            return ElementKind::int32;
        case kUint32:
            return ElementKind::uint32;
        case kSingle:
            return ElementKind::float32;
        case kDouble:
            return ElementKind::float64;
        case kInt64:
            return ElementKind::int64;
        case kUint64:
            return ElementKind::uint64;
        default:
            return std::nullopt;
    }
}

double number_at(const HeaderBytes& bytes, size_t at, ElementKind kind) {
    switch (kind) {
        case ElementKind::int8:
            return bytes.at<int8_t>(at);
        case ElementKind::uint8:
            return bytes.at<uint8_t>(at);
        case ElementKind::int16:
            return bytes.at<int16_t>(at);
        case ElementKind::uint16:
            return bytes.at<uint16_t>(at);
        case ElementKind::int32:
            return bytes.at<int32_t>(at);
        case ElementKind::uint32:
            return bytes.at<uint32_t>(at);
        case ElementKind::float32:
            return static_cast<double>(bytes.at<float>(at));
        case ElementKind::int64:
            return static_cast<double>(bytes.at<int64_t>(at));
        case ElementKind::uint64:
            return static_cast<double>(bytes.at<uint64_t>(at));
        default:
            return bytes.at<double>(at);
    }
}

/// Flags, sizes and name of an array; what is behind them depends on its class.
struct ArrayHead {
    MatVariable variable;
    uint32_t number_of_class = 0;
    uint64_t contents = 0;  ///< of its first part
};

/// `bytes` begin behind the array's own tag.
ArrayHead read_array_head(const HeaderBytes& bytes) {
    const Element flags = element_at(bytes, 0);
    if (flags.type != kUint32 || flags.size != 8) throw Error(ErrorCode::corrupt, "an array has no flags");
    const auto bits = bytes.at<uint32_t>(flags.data);
    ArrayHead head;
    head.number_of_class = bits & 0xFF;
    if (head.number_of_class == 0 || head.number_of_class >= std::size(kClassNames))
        throw Error(ErrorCode::corrupt, fmt::format("an array has the unknown class {}", head.number_of_class));
    MatVariable& variable = head.variable;
    variable.class_name = bits & kLogicalFlag ? "logical" : kClassNames[head.number_of_class];
    uint64_t next = flags.next;
    if (head.number_of_class == kOpaqueClass) {
        variable.shape = {1, 1};
    } else {
        const Element sizes = element_at(bytes, next);
        const size_t count = sizes.size / 4;
        if (sizes.type != kInt32 || count < 2 || count > kMostDimensions)
            throw Error(ErrorCode::corrupt, "an array has no sizes");
        int64_t product = 8;
        for (size_t i = 0; i < count; ++i) {
            const auto size = bytes.at<int32_t>(sizes.data + i * 4);
            if (size < 0) throw Error(ErrorCode::corrupt, "an array has a negative size");
            variable.shape.push_back(size);
            if (size > 0 && __builtin_mul_overflow(product, int64_t{size}, &product))
                throw Error(ErrorCode::corrupt, "the sizes of an array are absurd");
        }
        next = sizes.next;
    }
    const Element name = element_at(bytes, next);
    if (name.type != kInt8) throw Error(ErrorCode::corrupt, "an array has no name");
    variable.name = bytes.text(name.data, name.size);
    head.contents = name.next;
    const bool is_number = head.number_of_class > kSparseClass && head.number_of_class < kFunctionClass;
    variable.real = is_number && !(bits & kComplexFlag);
    if (bits & kComplexFlag) {
        variable.objection = "is complex";
    } else if (head.number_of_class == kSparseClass) {
        variable.objection = "is sparse; make it full";
    } else if (!depth_of_mat_class(variable.class_name)) {
        variable.objection = fmt::format("is of class {}", variable.class_name);
        if (is_number) variable.objection += "; convert it to double, single, int32 or a shorter one";
    }
    return head;
}

/// What scalars, texts, structs and cells say.
class ValueReader {
public:
    /// The value of the array whose parts are `bytes`; nothing when it is none that can be told in short.
    std::optional<Json> value(const HeaderBytes& bytes, const ArrayHead& head, int depth = 0) {
        if (depth > kDeepestValue || ++count_ > kMostValues) return std::nullopt;
        const std::string& kind = head.variable.class_name;
        const int64_t elements = head.variable.element_count();
        if (kind == "char") return text(bytes, head);
        if (kind == "struct" && elements == 1) return fields(bytes, head, depth);
        if (kind == "cell" && elements <= static_cast<int64_t>(kMostListElements)) return list(bytes, head, depth);
        if (elements != 1 || !head.variable.real) return std::nullopt;
        return number(bytes, head);
    }

private:
    static std::optional<Json> number(const HeaderBytes& bytes, const ArrayHead& head) {
        const Element element = element_at(bytes, head.contents);
        const std::optional<ElementKind> kind = kind_of(element.type);
        if (!kind || element.size < element_bytes(*kind)) return std::nullopt;
        const double value = number_at(bytes, element.data, *kind);
        if (head.variable.class_name == "logical") return Json(value != 0);
        constexpr double kLargestWhole = 9007199254740992.0;
        if (value == std::trunc(value) && std::abs(value) <= kLargestWhole) return Json(static_cast<int64_t>(value));
        return std::isfinite(value) ? Json(value) : Json(nullptr);
    }

    static std::optional<Json> text(const HeaderBytes& bytes, const ArrayHead& head) {
        const std::vector<int64_t>& shape = head.variable.shape;
        if (head.variable.element_count() == 0) return Json("");
        if (shape.size() != 2 || shape[0] != 1) return std::nullopt;
        const Element element = element_at(bytes, head.contents);
        if (element.type == kUtf16 || element.type == kUint16)
            return Json(bytes.utf16_text(element.data, element.size));
        if (element.type == kUtf32) return std::nullopt;
        return Json(bytes.text(element.data, element.size));
    }

    /// The array at `at`; moves behind it.
    std::optional<Json> nested(const HeaderBytes& bytes, uint64_t& at, int depth) {
        const Element element = element_at(bytes, at);
        if (element.type != kMatrix) throw Error(ErrorCode::corrupt, "an array is expected");
        at = element.next;
        if (element.size == 0) return std::nullopt;
        const HeaderBytes part(bytes.part(element.data, element.size), bytes.order());
        return value(part, read_array_head(part), depth + 1);
    }

    std::optional<Json> fields(const HeaderBytes& bytes, const ArrayHead& head, int depth) {
        const Element length = element_at(bytes, head.contents);
        const auto name_bytes = bytes.at<uint32_t>(length.data);
        const Element names = element_at(bytes, length.next);
        if (name_bytes == 0 || names.size / name_bytes > kMostValues) return std::nullopt;
        Json object = Json::object();
        uint64_t at = names.next;
        for (size_t i = 0; i < names.size / name_bytes; ++i) {
            const std::string name = bytes.text(names.data + i * name_bytes, name_bytes);
            if (const std::optional<Json> field = nested(bytes, at, depth)) object[name] = *field;
        }
        if (object.empty()) return std::nullopt;
        return object;
    }

    std::optional<Json> list(const HeaderBytes& bytes, const ArrayHead& head, int depth) {
        Json values = Json::array();
        uint64_t at = head.contents;
        for (int64_t i = 0; i < head.variable.element_count(); ++i) {
            const std::optional<Json> element = nested(bytes, at, depth);
            if (!element) return std::nullopt;
            values.push_back(*element);
        }
        return values;
    }

    size_t count_ = 0;
};

/// Where a variable lies.
struct Place {
    uint64_t offset = 0;  ///< of its data in the file: an array, or one that is compressed
    uint64_t size = 0;    ///< as far as the file reaches
    bool compressed = false;
    uint64_t contents = 0;  ///< of the values' element, from the beginning of the (unpacked) array
};

class Mat5 final : public MatFile {
public:
    explicit Mat5(std::shared_ptr<const FileBytes> file) : file_(std::move(file)) {
        const std::vector<uint8_t> header = file_->read(0, kMatHeaderBytes);
        if (header.size() < kMatHeaderBytes) throw Error(ErrorCode::corrupt, "the file ends within its header");
        order_ = header[kOrderAt] == 'M' ? std::endian::big : std::endian::little;
        description_ = HeaderBytes(header).text(0, kMatTextBytes);
        read_directory();
    }

    const std::vector<MatVariable>& variables() const override { return variables_; }
    Json values() const override { return values_; }
    const std::string& description() const override { return description_; }
    const std::vector<std::string>& warnings() const override { return warnings_; }
    /// Behind the last whole variable.
    uint64_t end() const { return end_; }

    std::shared_ptr<const ImageSequence> images(const MatVariable& variable, const std::string&,
                                                const ArrayLayout& asked, ArrayStamps stamps,
                                                std::vector<std::string>& warnings) const override {
        ArrayLayout layout = asked;
        layout.order = order_;
        ArrayBytes bytes = elements(variable, kMaxImageBytes, layout.stored, warnings);
        layout.bools = variable.class_name == "logical";
        return array_sequence(std::move(bytes), layout, std::move(stamps), warnings);
    }

    std::vector<double> numbers(const MatVariable& variable) const override {
        ElementKind kind = ElementKind::float64;
        std::vector<std::string> warnings;
        const ArrayBytes bytes = elements(variable, kMostStampBytes, kind, warnings);
        const size_t item = element_bytes(kind);
        const auto count = static_cast<size_t>(variable.element_count());
        if (bytes.size() / item < count) throw Error(ErrorCode::corrupt, "it is cut off");
        const FileBytes::Part part = bytes.part(0, count * item);
        const HeaderBytes values({part.data, count * item}, order_);
        std::vector<double> numbers(count);
        for (size_t i = 0; i < count; ++i) numbers[i] = number_at(values, i * item, kind);
        return numbers;
    }

private:
    HeaderBytes in_order(std::span<const uint8_t> bytes) const { return HeaderBytes(bytes, order_); }

    /// The values of a variable without objection, whose kind as stored may be narrower than the class.
    ArrayBytes elements(const MatVariable& variable, uint64_t limit, ElementKind& kind,
                        std::vector<std::string>& warnings) const {
        const Place& place = places_[static_cast<size_t>(&variable - variables_.data())];
        std::vector<uint8_t> tag;
        std::unique_ptr<Inflater> inflater;
        // Small values lie within the tag, so that the tag's bytes are also theirs.
        if (place.compressed) {
            inflater =
                std::make_unique<Inflater>(file_->part(place.offset, place.size), place.size, Inflater::Form::zlib);
            std::vector<uint8_t> head = inflater->read(kTagBytes + place.contents);
            if (head.size() != kTagBytes + place.contents) throw Error(ErrorCode::corrupt, inflater->problem());
            tag = inflater->read(kTagBytes);
        } else {
            tag =
                file_->read(place.offset + place.contents, std::min<uint64_t>(kTagBytes, place.size - place.contents));
        }
        const Element element = element_at(in_order(tag), 0);
        const std::optional<ElementKind> stored = kind_of(element.type);
        if (!stored) throw Error(ErrorCode::corrupt, fmt::format("variable \"{}\" holds no numbers", variable.name));
        kind = *stored;
        // Not more than the variable's sizes ask for, whatever the tag says.
        const uint64_t wanted =
            std::min<uint64_t>(element.size, static_cast<uint64_t>(variable.element_count()) * element_bytes(kind));
        if (element.data < kTagBytes) {
            return ArrayBytes({tag.begin() + static_cast<ptrdiff_t>(element.data),
                               tag.begin() + static_cast<ptrdiff_t>(element.data + wanted)});
        }
        if (!inflater) {
            const uint64_t start = place.contents + kTagBytes;
            const uint64_t there = place.size > start ? place.size - start : 0;
            return {file_, place.offset + start, std::min(wanted, there)};
        }
        if (wanted > limit) {
            throw Error(ErrorCode::unsupported,
                        fmt::format("variable \"{}\" is compressed and has {} bytes; such variables are read up to {}: "
                                    "save it in MATLAB with -v6 or -v7.3",
                                    variable.name, wanted, limit));
        }
        if (!inflater->could_hold(wanted)) {
            throw Error(ErrorCode::corrupt, fmt::format("variable \"{}\" announces {} bytes, which {} compressed ones "
                                                        "cannot hold",
                                                        variable.name, wanted, place.size));
        }
        std::vector<uint8_t> bytes = inflater->read(wanted);
        if (!inflater->problem().empty())
            warnings.push_back(fmt::format("variable \"{}\": {}", variable.name, inflater->problem()));
        return ArrayBytes(std::move(bytes));
    }

    void read_directory() {
        end_ = kMatHeaderBytes;
        ValueReader reader;
        while (end_ < file_->size()) {
            const std::vector<uint8_t> tag = file_->read(end_, kTagBytes);
            if (tag.size() < kTagBytes || variables_.size() == kMostVariables) break;
            const Element element = element_at(in_order(tag), 0);
            if (element.type != kMatrix && element.type != kCompressed) break;
            const uint64_t data = end_ + kTagBytes;
            const uint64_t there = file_->size() - data;
            const bool whole = element.size <= there;
            Place place;
            place.offset = data;
            place.size = std::min(element.size, there);
            place.compressed = element.type == kCompressed;
            try {
                read_variable(place, reader);
            } catch (const Error& error) {
                warnings_.push_back(fmt::format("the variable at byte {} is damaged: {}", end_, error.message()));
            }
            if (!whole) {
                warnings_.push_back(fmt::format("the file is cut off within the variable at byte {}", end_));
                return;
            }
            end_ = data + element.size;
        }
        if (end_ < file_->size()) warnings_.push_back(fmt::format("what follows byte {} cannot be read", end_));
    }

    void read_variable(Place& place, ValueReader& reader) {
        std::vector<uint8_t> copy;
        FileBytes::Part part;
        std::span<const uint8_t> bytes;
        if (place.compressed) {
            // Deflated bytes are hardly ever more than the bytes themselves.
            const uint64_t packed = std::min<uint64_t>(place.size, 2 * kMostValueBytes);
            Inflater inflater(file_->part(place.offset, packed), packed, Inflater::Form::zlib);
            copy = inflater.read(kHeadBytes);
            const Element matrix = element_at(in_order(copy), 0);
            if (matrix.type != kMatrix) throw Error(ErrorCode::corrupt, "it holds no array");
            if (copy.size() == kHeadBytes && matrix.size <= kMostValueBytes) {
                const std::vector<uint8_t> rest = inflater.read(matrix.size + kTagBytes - kHeadBytes);
                copy.insert(copy.end(), rest.begin(), rest.end());
            }
            bytes = std::span(copy).subspan(kTagBytes);
        } else {
            const size_t size = std::min<uint64_t>(place.size, place.size <= kMostValueBytes ? place.size : kHeadBytes);
            part = file_->part(place.offset, size);
            bytes = {part.data, size};
        }
        ArrayHead head = read_array_head(in_order(bytes));
        if (head.variable.name.empty()) return;  // MATLAB's own, which belongs to its objects
        place.contents = head.contents;
        try {
            if (std::optional<Json> value = reader.value(in_order(bytes), head))
                values_[head.variable.name] = std::move(*value);
        } catch (const Error&) {
            // Too long to be told in short.
        }
        variables_.push_back(std::move(head.variable));
        places_.push_back(place);
    }

    std::shared_ptr<const FileBytes> file_;
    std::endian order_ = std::endian::little;
    std::string description_;
    std::vector<MatVariable> variables_;
    std::vector<Place> places_;
    Json values_ = Json::object();
    std::vector<std::string> warnings_;
    uint64_t end_ = 0;
};

}  // namespace

std::unique_ptr<MatFile> open_mat5(std::shared_ptr<const FileBytes> file) {
    return std::make_unique<Mat5>(std::move(file));
}

bool is_mat5_header(std::span<const uint8_t> head) {
    if (head.size() < kMatHeaderBytes || head[0] == 0) return false;
    const bool little = head[kOrderAt] == 'I' && head[kOrderAt + 1] == 'M';
    const bool big = head[kOrderAt] == 'M' && head[kOrderAt + 1] == 'I';
    if (!little && !big) return false;
    const HeaderBytes header(head, big ? std::endian::big : std::endian::little);
    return header.at<uint16_t>(kOrderAt - 2) == kMat5Version;
}

uint64_t check_mat5_for_appending(const std::filesystem::path& path, const std::vector<std::string>& names) {
    const ErrorPlace place{path.string(), {}, {}};
    const auto file = std::make_shared<const FileBytes>(path);
    const std::vector<uint8_t> header = file->read(0, kMatHeaderBytes);
    if (!is_mat5_header(header) || header[kOrderAt] != 'I') {
        throw Error(
            ErrorCode::unsupported, place,
            "variables are only added to little-endian MATLAB files of version 5 (save -v6 or -v7); write a new "
            "file");
    }
    const Mat5 mat(file);
    if (mat.end() != file->size()) {
        throw Error(ErrorCode::corrupt, place,
                    fmt::format("what follows byte {} cannot be read, so nothing is added to it", mat.end()));
    }
    for (const std::string& name : names) {
        if (mat.find(name))
            throw Error(ErrorCode::already_exists, place, fmt::format("has a variable \"{}\" already", name));
    }
    return mat.end();
}

}  // namespace reelstore
