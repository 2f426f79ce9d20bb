#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace reelstore {

/// Extra data as read from a file beside a chunk.
struct ExtraDataFile {
    /// Objects with the user's keys and, where the writer gave them, frame_index, frame_number and frame_time.
    std::vector<Json> records;
    std::optional<double> sample_rate;  ///< Motif's HDF5 files only
    std::vector<std::string> warnings;  ///< damage that was passed over, one sentence each
};

/// Reads an extra data file by its name:
///
/// - `.extra.json` (imgstore's): a JSON array of objects, perhaps cut off anywhere (a killed writer): every complete
///   record is returned; a warning names the file and the byte of what is not. Behind damage, reading goes on at the
///   next record that has a frame_number or frame_time. Python's NaN and Infinity become null.
/// - `.extra_data.json` (Motif's): the same; records with a negative frame_number are unused slots and dropped, the
///   rest is sorted by frame_index, then sensor_time.
/// - `.extra_data.h5` (Motif's, HDF5): the root attribute `datasets` names the data sets (channels x samples), each
///   with the attribute `column_names` and perhaps `samplerate`; data set `camera` holds frame_number, frame_time (and
///   frame_index) of every sample. One record a sample; samples with a negative frame_number are unused and dropped.
///
/// Throws Error(corrupt) naming the file when nothing can be made of it or it is larger than 1 GiB (JSON),
/// Error(unsupported) when data sets have different sample rates, Error(invalid_argument) for any other name.
ExtraDataFile read_extra_data_file(const std::filesystem::path& path);

/// What read_extra_data_file() finds beside the records.
struct ExtraDataFacts {
    std::optional<double> sample_rate = {};
    std::vector<std::string> warnings = {};
};
/// The same, handing over one record after the other; of imgstore's files no more than one is in memory as JSON.
ExtraDataFacts visit_extra_data_file(const std::filesystem::path& path, const std::function<void(Json&)>& visit);

/// Whether a JSON file of extra data has its closing bracket, without which other programs cannot read it.
bool extra_data_is_closed(const std::filesystem::path& path);

/// Why a record cannot be kept, given its JSON text; empty when it can. Readers bound what they take from a file: 16
/// MiB, 10,000 keys and 64 levels a record.
std::optional<std::string> refuses_extra_data(std::string_view record);
/// A record as an index keeps it; nothing when it is refused or no JSON object.
std::optional<Json> parse_extra_data(const std::string& record);

/// The text of an `.extra.json`: records separated by ", " between brackets, as imgstore writes it.
class ExtraDataText {
public:
    /// Adds a record: the user's keys, then frame_time, frame_number and frame_index. Doubles keep every bit; NaN and
    /// infinity become null. Throws Error(invalid_argument), leaving the text as it was, unless `data` is an object
    /// with valid UTF-8.
    void add(const Json& data, double time, int64_t number, int64_t index);
    bool empty() const { return text_.empty(); }
    /// The whole text with brackets.
    std::string finish() const;

private:
    std::string text_;
};

}  // namespace reelstore
