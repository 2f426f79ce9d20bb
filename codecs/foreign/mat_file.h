#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "codecs/foreign/array_images.h"

namespace reelstore {

/// A variable of a MATLAB file.
struct MatVariable {
    std::string name;
    std::string class_name;      ///< MATLAB's: "double", "uint8", "struct"...
    std::vector<int64_t> shape;  ///< at least two sizes, whose product with 8 fits 63 bits; the first axis is densest
    std::string objection = {};  ///< why it cannot be images: "is complex"; empty when it can
    bool real = false;           ///< its values are numbers, of whatever class

    int64_t element_count() const;
    /// "video (uint16, 512x512x1000)", for messages.
    std::string text() const;
};

/// OpenCV's depth for the values of a numeric or logical class; nothing for int64 and others that no image holds.
std::optional<int> depth_of_mat_class(std::string_view class_name);
/// MATLAB's class for images of this depth; nothing when it has none (float16).
std::optional<std::string> mat_class_of_depth(int depth);

/// A MATLAB file opened for reading, of whatever version. Members may be called from any thread.
class MatFile {
public:
    virtual ~MatFile() = default;
    virtual const std::vector<MatVariable>& variables() const = 0;
    /// Frames of a variable without objection, whose axes are `axes` (array_layout()). `layout` is what array_layout()
    /// made for its shape in columns (fortran_strides()), with the depth of its class or a larger one.
    virtual std::shared_ptr<const ImageSequence> images(const MatVariable& variable, const std::string& axes,
                                                        const ArrayLayout& layout, ArrayStamps stamps,
                                                        std::vector<std::string>& warnings) const = 0;
    /// All values of a real variable, first axis densest. For short ones.
    virtual std::vector<double> numbers(const MatVariable& variable) const = 0;
    /// Scalars and texts by name, those of structs and cells in objects and lists.
    virtual Json values() const = 0;
    /// What the file says about itself ("MATLAB 5.0 MAT-file, Platform: GLNXA64, Created on: ...").
    virtual const std::string& description() const = 0;
    /// What was found damaged at opening.
    virtual const std::vector<std::string>& warnings() const = 0;

    const MatVariable* find(std::string_view name) const;
};

/// Bytes of text at the beginning of every MATLAB file of version 5 and 7.3, and of the whole header.
inline constexpr size_t kMatTextBytes = 116;
inline constexpr size_t kMatHeaderBytes = 128;
/// Of 7.3: HDF5 begins behind this block, which begins with the header.
inline constexpr size_t kMatUserBlockBytes = 512;
inline constexpr uint16_t kMat5Version = 0x0100;
inline constexpr uint16_t kMat73Version = 0x0200;

/// The header of a file written now: `what` is "5.0" or "7.3".
std::vector<uint8_t> make_mat_header(std::string_view what);

/// Whether MATLAB takes it for the name of a variable.
bool is_mat_name(std::string_view name);

}  // namespace reelstore
