#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <opencv2/core/mat.hpp>

#include "base/pixel_type.h"

namespace reelstore {

/// Header of numpy's .npy format, versions 1.0, 2.0 and 3.0
/// (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
struct NpyHeader {
    std::string descr;  ///< "<u2", "|u1", ">f8", "<U7", "|O", ...
    bool fortran_order = false;
    std::vector<int64_t> shape;  ///< empty for a 0-d array
    size_t data_offset = 0;      ///< of the first element in the file

    char kind() const { return descr.size() > 1 ? descr[1] : '?'; }  ///< u i f b U S O ...
    bool big_endian() const { return !descr.empty() && descr[0] == '>'; }
    size_t item_bytes() const;      ///< size of one element; 0 for objects
    int64_t element_count() const;  ///< product of the shape
    size_t data_bytes() const;      ///< element_count() * item_bytes()
    /// OpenCV's depth; empty when a cv::Mat cannot hold this type.
    std::optional<int> cv_depth() const;
    /// The same, or Error(unsupported) that says which types can be pixels.
    int pixel_depth() const;
};

/// Reads the header at the beginning of `bytes`. Throws Error(corrupt) (without a path) on anything malformed: wrong
/// magic, cut off, longer than 64 KiB, negative sizes, a product that overflows. Error(unsupported) for arrays of
/// records with several fields.
NpyHeader parse_npy_header(std::span<const uint8_t> bytes);

/// Throws Error(corrupt) unless the element type is one of numpy's, no size is negative and the product does not
/// overflow: what parse_npy_header() checks, for headers that come from elsewhere.
void check_npy_header(const NpyHeader& header);

/// Magic, version 1.0 and header, padded with spaces to a multiple of 64 as numpy does.
std::vector<uint8_t> make_npy_header(const std::string& descr, const std::vector<int64_t>& shape);

/// numpy's descr of an OpenCV depth on a little-endian machine ("<u2", "|u1").
std::string npy_descr(int depth);

/// One image from the bytes of a .npy file: shape (h, w) or (h, w, c); Fortran order and big endian are read right;
/// bool becomes uint8 0/1. Throws Error(corrupt) when cut off and Error(unsupported) for a type no cv::Mat holds.
cv::Mat image_from_npy(std::span<const uint8_t> bytes);
/// The type of the image that an array with this header is; throws like image_from_npy().
ImageType image_type_of_array(const NpyHeader& header);
/// The image whose elements are `data`, laid out as the header says; its data_offset is not used. Throws like
/// image_from_npy().
cv::Mat image_from_array(const NpyHeader& header, std::span<const uint8_t> data);
/// The bytes of a .npy file holding this image.
std::vector<uint8_t> npy_from_image(const cv::Mat& image);

/// Values of a one-dimensional integer or float array of any width and byte order. Integers: float values must be
/// whole. Throws Error(corrupt) when cut off, out of range or of another kind.
std::vector<int64_t> int64_from_npy(std::span<const uint8_t> bytes);
std::vector<double> double_from_npy(std::span<const uint8_t> bytes);

/// A .npy of one kind each: 1-D int64 / float64, 0-d int64, 0-d unicode text, 1-D int64 shape.
std::vector<uint8_t> npy_from_int64(std::span<const int64_t> values);
std::vector<uint8_t> npy_from_double(std::span<const double> values);
std::vector<uint8_t> npy_from_scalar(int64_t value);
/// `text` is UTF-8; stored as '<U..' as numpy does.
std::vector<uint8_t> npy_from_text(std::string_view text);
/// A 0-d object array holding None, as numpy pickles it: what imgstore writes for a missing encoding. Only written, for
/// an identical layout; members of this kind are never read.
std::vector<uint8_t> npy_none();

}  // namespace reelstore
