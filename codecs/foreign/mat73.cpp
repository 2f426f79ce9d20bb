/// Layout: as MATLAB's `save -v7.3` leaves it. Every variable is a data set or, for structs, a group; the attribute
/// MATLAB_class tells its class. HDF5 counts the last axis as the densest, so the sizes stand there in reverse.

#include "codecs/foreign/mat73.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include <fmt/format.h>

#include "base/error.h"
#include "codecs/foreign/hdf5_file.h"
#include "codecs/foreign/header_bytes.h"

namespace reelstore {

namespace {

constexpr size_t kMostDimensions = 32;
constexpr size_t kMostVariables = 10000;
constexpr size_t kMostTextBytes = size_t{1} << 16;
constexpr int64_t kMostNumbers = int64_t{1} << 25;
constexpr int kDeepestValue = 8;
constexpr hsize_t kMostChunkBytes = hsize_t{1} << 30;
constexpr size_t kSmallestCache = size_t{1} << 20;
constexpr size_t kLargestCache = size_t{256} << 20;

/// HDF5's type of a pixel in memory.
hid_t memory_type(int depth) {
    switch (depth) {
        case CV_8U:
            return H5T_NATIVE_UINT8;
        case CV_8S:
            return H5T_NATIVE_INT8;
        case CV_16U:
            return H5T_NATIVE_UINT16;
        case CV_16S:
            return H5T_NATIVE_INT16;
        case CV_32S:
            return H5T_NATIVE_INT32;
        case CV_32F:
            return H5T_NATIVE_FLOAT;
        default:
            return H5T_NATIVE_DOUBLE;
    }
}

int64_t product_of(const std::vector<int64_t>& shape) {
    int64_t product = 1;
    for (const int64_t size : shape) product *= size;
    return product;
}

/// The file and what must go before it, under the lock.
struct OpenHdf5 {
    std::unique_ptr<Hdf5File> file;
    ~OpenHdf5() {
        const std::lock_guard lock(hdf5_mutex());
        file.reset();
    }
};

/// A member of the file or of a struct.
struct Member {
    Hdf5Id object;
    bool is_dataset = false;
    std::string class_name;  ///< empty when the attribute is missing
    bool empty = false;
    bool sparse = false;
};

/// The part of each frame that is read at once, with what is needed to read it.
class Mat73Images : public ImageSequence {
public:
    Mat73Images(std::shared_ptr<const OpenHdf5> hdf5, Hdf5Id dataset, std::vector<int64_t> shape,
                const std::string& axes, const ArrayLayout& layout, ArrayStamps stamps)
        : hdf5_(std::move(hdf5)),
          dataset_(std::move(dataset)),
          sizes_(shape.rbegin(), shape.rend()),
          frames_(layout.frames),
          stamps_(std::move(stamps)) {
        if (const size_t axis = axes.find('n'); axis != std::string::npos) {
            frame_axis_ = shape.size() - 1 - axis;
            shape[axis] = 1;
            sizes_[*frame_axis_] = 1;
        }
        // One frame in memory, its axes as in MATLAB.
        frame_layout_ = array_layout(shape, fortran_strides(shape), axes, layout.type.depth);
        frame_layout_.stored = layout.stored;
        frame_layout_.negated = layout.negated;
        frame_layout_.blue_is_last = layout.blue_is_last;
        frame_layout_.bools = layout.bools;
        frame_layout_.frames = 1;
        stored_ = layout.stored;
    }

    ~Mat73Images() override {
        const std::lock_guard lock(hdf5_mutex());
        dataset_ = Hdf5Id();
    }

    int64_t frame_count() const override { return frames_; }

    SequenceImage read(int64_t index) const override {
        size_t count = element_bytes(stored_);
        for (const hsize_t size : sizes_) count *= size;
        const std::shared_ptr<uint8_t[]> elements(new uint8_t[count]);
        read_elements(index, elements.get());
        return {gather_image(frame_layout_, 0, elements.get())};
    }

    FrameStamp stamp(int64_t index) const override { return stamp_of(stamps_, index); }

private:
    void read_elements(int64_t index, uint8_t* target) const {
        const std::lock_guard lock(hdf5_mutex());
        const QuietHdf5 quiet;
        const Hdf5File& file = *hdf5_->file;
        const char* const action = "read a frame";
        std::vector<hsize_t> start(sizes_.size(), 0);
        if (frame_axis_) start[*frame_axis_] = static_cast<hsize_t>(index);
        const int rank = static_cast<int>(sizes_.size());
        const Hdf5Id memory = file.checked(H5Screate_simple(rank, sizes_.data(), nullptr), action);
        const Hdf5Id space = file.checked(H5Dget_space(dataset_), action);
        file.check(H5Sselect_hyperslab(space, H5S_SELECT_SET, start.data(), nullptr, sizes_.data(), nullptr), action);
        file.check(H5Dread(dataset_, memory_type(pixel_depth()), memory, space, H5P_DEFAULT, target), action);
    }

    int pixel_depth() const { return *depth_of_element(stored_); }

    std::shared_ptr<const OpenHdf5> hdf5_;
    Hdf5Id dataset_;
    std::vector<hsize_t> sizes_;  ///< of one frame, in HDF5's order
    std::optional<size_t> frame_axis_;
    int64_t frames_;
    ArrayLayout frame_layout_;
    ElementKind stored_ = ElementKind::float64;
    ArrayStamps stamps_;
};

class Mat73 final : public MatFile {
public:
    explicit Mat73(std::shared_ptr<const FileBytes> bytes)
        : bytes_(std::move(bytes)), hdf5_(std::make_shared<OpenHdf5>()) {
        description_ = HeaderBytes(bytes_->read(0, kMatHeaderBytes)).text(0, kMatTextBytes);
        const std::lock_guard lock(hdf5_mutex());
        const QuietHdf5 quiet;
        hdf5_->file = Hdf5File::open(bytes_->path());
        for (const std::string& name : names_in(hdf5_->file->id())) {
            try {
                add(name);
            } catch (const Error& error) {
                warnings_.push_back(
                    fmt::format("variable \"{}\" is damaged: {}", utf8_of_foreign_text(name), error.message()));
            }
        }
    }

    const std::vector<MatVariable>& variables() const override { return variables_; }
    Json values() const override { return values_; }
    const std::string& description() const override { return description_; }
    const std::vector<std::string>& warnings() const override { return warnings_; }

    std::shared_ptr<const ImageSequence> images(const MatVariable& variable, const std::string& axes,
                                                const ArrayLayout& asked, ArrayStamps stamps,
                                                std::vector<std::string>& warnings) const override;
    std::vector<double> numbers(const MatVariable& variable) const override;

private:
    Hdf5File& file() const { return *hdf5_->file; }

    std::vector<std::string> names_in(hid_t group) const {
        std::vector<std::string> names;
        const auto add_name = [](hid_t, const char* name, const H5L_info_t* link, void* list) -> herr_t {
            auto& all = *static_cast<std::vector<std::string>*>(list);
            // "#refs#" and "#subsystem#" are MATLAB's own.
            if (link->type == H5L_TYPE_HARD && name[0] != '#') all.emplace_back(name);
            return all.size() >= kMostVariables;
        };
        file().check(H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, nullptr, add_name, &names), "list its variables");
        return names;
    }

    Member open_member(hid_t group, const std::string& name) const {
        Member member;
        member.object = file().checked(H5Oopen(group, name.c_str(), H5P_DEFAULT), "open it");
        member.is_dataset = H5Iget_type(member.object) == H5I_DATASET;
        member.empty = H5Aexists(member.object, "MATLAB_empty") > 0;
        member.sparse = H5Aexists(member.object, "MATLAB_sparse") > 0;
        if (H5Aexists(member.object, "MATLAB_class") > 0) {
            const Hdf5Id attribute =
                file().checked(H5Aopen(member.object, "MATLAB_class", H5P_DEFAULT), "read its class");
            const Hdf5Id type = file().checked(H5Aget_type(attribute), "read its class");
            const size_t size = H5Tget_size(type);
            const Hdf5Id space = file().checked(H5Aget_space(attribute), "read its class");
            const bool is_text = H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0;
            if (is_text && size > 0 && size < kMostTextBytes && H5Sget_simple_extent_npoints(space) == 1) {
                std::string text(size, '\0');
                file().check(H5Aread(attribute, type, text.data()), "read its class");
                text.resize(std::min(text.find('\0'), text.size()));
                member.class_name = utf8_of_foreign_text(text);
            }
        }
        return member;
    }

    /// MATLAB's class of elements of this HDF5 type; nothing for text, records and so on.
    static std::optional<std::string> class_of_type(hid_t type) {
        const size_t bytes = H5Tget_size(type);
        if (H5Tget_class(type) == H5T_FLOAT) return bytes == 4 ? "single" : "double";
        if (H5Tget_class(type) != H5T_INTEGER) return std::nullopt;
        return fmt::format("{}int{}", H5Tget_sign(type) == H5T_SGN_NONE ? "u" : "", bytes * 8);
    }

    std::vector<int64_t> shape_of(hid_t dataset) const {
        const Hdf5Id space = file().checked(H5Dget_space(dataset), "read its size");
        const int rank = H5Sget_simple_extent_ndims(space);
        if (rank < 0 || static_cast<size_t>(rank) > kMostDimensions)
            throw Error(ErrorCode::corrupt, fmt::format("it has {} dimensions", rank));
        std::vector<hsize_t> sizes(static_cast<size_t>(rank));
        if (rank > 0) file().check(H5Sget_simple_extent_dims(space, sizes.data(), nullptr), "read its size");
        std::vector<int64_t> shape;
        int64_t product = 8;
        for (size_t i = sizes.size(); i-- > 0;) {
            const auto size = static_cast<int64_t>(sizes[i]);
            if (size < 0 || (size > 0 && __builtin_mul_overflow(product, size, &product)))
                throw Error(ErrorCode::corrupt, "its sizes are absurd");
            shape.push_back(size);
        }
        while (shape.size() < 2) shape.push_back(1);
        return shape;
    }

    void add(const std::string& name) {
        const Member member = open_member(file().id(), name);
        MatVariable variable;
        variable.name = utf8_of_foreign_text(name);
        variable.class_name = member.class_name;
        variable.shape = {1, 1};
        if (member.is_dataset) {
            variable.shape = shape_of(member.object);
            const Hdf5Id type = file().checked(H5Dget_type(member.object), "read its type");
            const std::optional<std::string> natural = class_of_type(type);
            variable.real = natural && !member.empty && variable.class_name != "char";
            if (variable.class_name.empty()) variable.class_name = natural.value_or("unknown");
            if (!natural) {
                variable.objection = H5Tget_class(type) == H5T_COMPOUND
                                         ? "is complex or a record"
                                         : fmt::format("is of class {}, not made of numbers", variable.class_name);
            }
        } else if (variable.class_name.empty() || member.sparse) {
            variable.class_name = member.sparse ? "sparse" : "struct";
        }
        if (variable.objection.empty() && !depth_of_mat_class(variable.class_name)) {
            variable.objection = fmt::format("is of class {}", variable.class_name);
            if (variable.class_name.find("int") != std::string::npos)
                variable.objection += "; convert it to double, single, int32 or a shorter one";
        }
        if (variable.objection.empty() && member.empty) variable.objection = "is empty";
        if (const std::optional<Json> value = value_of(member, 0)) values_[variable.name] = *value;
        variables_.push_back(std::move(variable));
        names_.push_back(name);
    }

    std::optional<Json> value_of(const Member& member, int depth) {
        if (depth > kDeepestValue || ++value_count_ > kMostVariables || member.sparse) return std::nullopt;
        if (!member.is_dataset) {
            if (!member.class_name.empty() && member.class_name != "struct") return std::nullopt;
            Json object = Json::object();
            for (const std::string& name : names_in(member.object)) {
                const std::optional<Json> value = value_of(open_member(member.object, name), depth + 1);
                if (value) object[utf8_of_foreign_text(name)] = *value;
            }
            if (object.empty()) return std::nullopt;
            return object;
        }
        const std::vector<int64_t> shape = shape_of(member.object);
        const Hdf5Id type = file().checked(H5Dget_type(member.object), "read its type");
        if (!class_of_type(type)) return std::nullopt;
        if (member.class_name == "char") return member.empty ? Json("") : text_of(member.object, shape);
        if (member.empty || product_of(shape) != 1) return std::nullopt;
        double value = 0;
        file().check(H5Dread(member.object, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, &value), "read it");
        if (member.class_name == "logical") return Json(value != 0);
        constexpr double kLargestWhole = 9007199254740992.0;
        if (value == std::trunc(value) && std::abs(value) <= kLargestWhole) return Json(static_cast<int64_t>(value));
        return std::isfinite(value) ? Json(value) : Json(nullptr);
    }

    std::optional<Json> text_of(hid_t dataset, const std::vector<int64_t>& shape) const {
        const int64_t length = product_of(shape);
        if (shape.size() != 2 || shape[0] != 1 || length > static_cast<int64_t>(kMostTextBytes)) return std::nullopt;
        std::vector<uint16_t> text(static_cast<size_t>(length));
        file().check(H5Dread(dataset, H5T_NATIVE_UINT16, H5S_ALL, H5S_ALL, H5P_DEFAULT, text.data()), "read it");
        const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(text.data()), text.size() * 2);
        return Json(HeaderBytes(bytes, std::endian::native).utf16_text(0, bytes.size()));
    }

    const std::string& name_of(const MatVariable& variable) const {
        return names_[static_cast<size_t>(&variable - variables_.data())];
    }

    std::shared_ptr<const FileBytes> bytes_;
    std::shared_ptr<OpenHdf5> hdf5_;
    std::string description_;
    std::vector<MatVariable> variables_;
    std::vector<std::string> names_;
    Json values_ = Json::object();
    std::vector<std::string> warnings_;
    size_t value_count_ = 0;
};

std::shared_ptr<const ImageSequence> Mat73::images(const MatVariable& variable, const std::string& axes,
                                                   const ArrayLayout& asked, ArrayStamps stamps,
                                                   std::vector<std::string>& warnings) const {
    ArrayLayout layout = asked;
    layout.bools = variable.class_name == "logical";
    const int class_depth = *depth_of_mat_class(variable.class_name);
    layout.stored = element_kind(class_depth);
    const std::unique_lock lock(hdf5_mutex());
    const QuietHdf5 quiet;
    const std::string& name = name_of(variable);
    Hdf5Id dataset = file().checked(H5Dopen2(file().id(), name.c_str(), H5P_DEFAULT), "open the images");
    const Hdf5Id creation = file().checked(H5Dget_create_plist(dataset), "read the layout of the images");
    const Hdf5Id type = file().checked(H5Dget_type(dataset), "read the type of the images");
    const H5D_layout_t kind = H5Pget_layout(creation);
    if (kind == H5D_VIRTUAL || H5Pget_external_count(creation) != 0) {
        throw Error(ErrorCode::unsupported, fmt::format("variable \"{}\" lies in another file", variable.name));
    }
    const haddr_t offset = kind == H5D_CONTIGUOUS ? H5Dget_offset(dataset) : HADDR_UNDEF;
    if (offset != HADDR_UNDEF && H5Tequal(type, memory_type(class_depth)) > 0) {
        const uint64_t wanted = static_cast<uint64_t>(variable.element_count()) * element_bytes(layout.stored);
        const uint64_t there = bytes_->size() > offset ? bytes_->size() - offset : 0;
        return array_sequence({bytes_, offset, std::min(wanted, there)}, layout, std::move(stamps), warnings);
    }
    if (kind != H5D_CHUNKED &&
        H5Dget_storage_size(dataset) / H5Tget_size(type) < static_cast<hsize_t>(variable.element_count()))
        throw Error(ErrorCode::corrupt, fmt::format("variable \"{}\" is not all there", variable.name));
    if (kind == H5D_CHUNKED) {
        std::vector<hsize_t> chunk(kMostDimensions);
        const int rank = H5Pget_chunk(creation, static_cast<int>(chunk.size()), chunk.data());
        if (rank != static_cast<int>(variable.shape.size()))
            throw Error(ErrorCode::corrupt,
                        "the layout of the images contradicts their size, or they have one dimension only");
        // Every chunk that holds a part of a frame is kept, so that it is not unpacked again for the next one.
        const size_t frame_axis = axes.find('n');
        hsize_t bytes = H5Tget_size(type);
        hsize_t layer = bytes;
        hsize_t chunks = 1;
        for (int i = 0; i < rank; ++i) {
            const hsize_t size = chunk[static_cast<size_t>(i)];
            if (size == 0 || bytes > kMostChunkBytes / size)
                throw Error(ErrorCode::unsupported, "the images are kept in pieces too large to read");
            bytes *= size;
            const auto axis = static_cast<size_t>(rank - 1 - i);
            const auto whole = static_cast<hsize_t>(variable.shape[axis]);
            const hsize_t across = axis == frame_axis ? 1 : (whole + size - 1) / size;
            chunks = std::min<hsize_t>(chunks * across, kLargestCache);
            layer = std::min<hsize_t>(layer * size, kLargestCache);
            layer = std::min<hsize_t>(layer * across, kLargestCache);
        }
        // Pieces that were never written have no room in the file, so that any number of frames could be announced.
        hsize_t written = 0;
        const Hdf5Id space = file().checked(H5Dget_space(dataset), "read the size of the images");
        file().check(H5Dget_num_chunks(dataset, space, &written), "count the pieces of the images");
        const hsize_t deep = frame_axis == std::string::npos ? 1 : chunk[static_cast<size_t>(rank) - 1 - frame_axis];
        const auto most = static_cast<int64_t>(std::min<hsize_t>(written * deep, INT64_MAX));
        if (layout.frames > most) {
            if (most == 0) throw Error(ErrorCode::corrupt, "the file holds none of its frames");
            warnings.push_back(fmt::format("at most {} of {} frames are there", most, layout.frames));
            layout.frames = most;
        }
        const Hdf5Id access = file().checked(H5Pcreate(H5P_DATASET_ACCESS), "set up HDF5");
        // More slots than chunks, a prime number of them, so that they do not push each other out.
        constexpr size_t kSlots[] = {521, 10007, 100003, 1000003};
        const auto* slots =
            std::find_if(std::begin(kSlots), std::end(kSlots) - 1, [&](size_t count) { return count > chunks * 10; });
        file().check(H5Pset_chunk_cache(access, *slots, std::max<size_t>(layer, kSmallestCache), 0.0), "set up HDF5");
        dataset = Hdf5Id();
        dataset = file().checked(H5Dopen2(file().id(), name.c_str(), access), "open the images");
    }
    return std::make_shared<Mat73Images>(hdf5_, std::move(dataset), variable.shape, axes, layout, std::move(stamps));
}

std::vector<double> Mat73::numbers(const MatVariable& variable) const {
    if (variable.element_count() > kMostNumbers) throw Error(ErrorCode::unsupported, "it is longer than any recording");
    const std::lock_guard lock(hdf5_mutex());
    const QuietHdf5 quiet;
    const Hdf5Id dataset = file().checked(H5Dopen2(file().id(), name_of(variable).c_str(), H5P_DEFAULT), "open it");
    std::vector<double> values(static_cast<size_t>(variable.element_count()));
    file().check(H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), "read it");
    return values;
}

}  // namespace

std::unique_ptr<MatFile> open_mat73(std::shared_ptr<const FileBytes> file) {
    return std::make_unique<Mat73>(std::move(file));
}

}  // namespace reelstore
