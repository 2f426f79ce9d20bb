#include "store/motif_hdf5.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <hdf5.h>

#include "base/error.h"
#include "base/file_system.h"
#include "codecs/foreign/hdf5_id.h"

namespace reelstore {
namespace {

constexpr size_t kMaxAttributeBytes = size_t{1} << 20;
constexpr hsize_t kMaxChunkBytes = hsize_t{256} << 20;
constexpr size_t kChunkCacheBytes = size_t{64} << 20;
constexpr hsize_t kMaxSamples = hsize_t{1} << 28;
constexpr size_t kMaxKeys = 4096;               // of a record
constexpr size_t kMaxValues = size_t{1} << 26;  // in all records together: about 3 GiB in memory
constexpr size_t kBlockValues = size_t{1} << 20;

struct Attribute {
    std::string action;  ///< for messages: "read the attribute..."
    Hdf5Id id;
    Hdf5Id type;
    Hdf5Id space;
};

enum class ValueKind { integer, unsigned_integer, real };

hid_t native_type(ValueKind kind) {
    if (kind == ValueKind::real) return H5T_NATIVE_DOUBLE;
    return kind == ValueKind::integer ? H5T_NATIVE_INT64 : H5T_NATIVE_UINT64;
}

/// One data set being read block by block: `keys.size()` values a sample, each in one 64-bit word.
struct Table {
    std::string name;
    Hdf5Id dataset;
    Hdf5Id memory_type;
    std::vector<hsize_t> shape;  ///< samples last
    std::vector<std::string> keys;
    std::vector<ValueKind> kinds;
    bool interleaved = false;  ///< the words of one sample lie side by side (compound), not those of one channel
    std::vector<uint64_t> words;
    size_t samples_in_block = 0;

    uint64_t word(size_t channel, size_t sample) const {
        return interleaved ? words[sample * keys.size() + channel] : words[channel * samples_in_block + sample];
    }
    Json value(size_t channel, size_t sample) const {
        const uint64_t bits = word(channel, sample);
        if (kinds[channel] == ValueKind::unsigned_integer) return bits;
        if (kinds[channel] == ValueKind::integer) return std::bit_cast<int64_t>(bits);
        const double real = std::bit_cast<double>(bits);
        return std::isfinite(real) ? Json(real) : Json(nullptr);
    }
};

std::vector<std::string> split_names(std::string_view text) {
    constexpr std::string_view kBlanks = " \t\r\n";
    std::vector<std::string> names;
    while (true) {
        const size_t comma = std::min(text.find(','), text.size());
        std::string_view name = text.substr(0, comma);
        name.remove_prefix(std::min(name.find_first_not_of(kBlanks), name.size()));
        name.remove_suffix(name.size() - (name.find_last_not_of(kBlanks) + 1));
        names.emplace_back(name);
        if (comma == text.size()) return names;
        text.remove_prefix(comma + 1);
    }
}

class MotifFile {
public:
    explicit MotifFile(const std::filesystem::path& path) : path_(path.string()), file_(open(path)) {}

    ExtraDataFile read();

private:
    Hdf5Id open(const std::filesystem::path& path) const;
    Table open_table(const std::string& name) const;
    Table open_camera() const;
    Table open_columns(const std::string& name, hsize_t samples, std::optional<double>& rate) const;
    std::optional<Table> open_delay(hsize_t samples, ExtraDataFile& result) const;
    ValueKind value_kind(hid_t type, const std::string& what) const;
    std::optional<Attribute> attribute(hid_t object, const char* name, const std::string& owner) const;
    std::optional<std::string> text_attribute(hid_t object, const char* name, const std::string& owner) const;
    std::optional<double> number_attribute(hid_t object, const char* name, const std::string& owner) const;
    void read_block(Table& table, hsize_t start, hsize_t count) const;
    void read_records(Table& camera, std::vector<Table>& tables, ExtraDataFile& result) const;

    [[noreturn]] void fail(const std::string& message) const {
        throw Error(ErrorCode::corrupt, {path_, {}, {}}, message);
    }
    [[noreturn]] void refuse(const std::string& message) const {
        throw Error(ErrorCode::unsupported, {path_, {}, {}}, message);
    }
    [[noreturn]] void fail_in_library(const std::string& action) const {
        const std::string reason = hdf5_message();
        fail("cannot " + action + (reason.empty() ? "" : ": " + reason));
    }
    Hdf5Id checked(hid_t id, const std::string& action) const {
        if (id < 0) fail_in_library(action);
        return Hdf5Id(id);
    }

    std::string path_;
    Hdf5Id file_;
};

Hdf5Id MotifFile::open(const std::filesystem::path& path) const {
    file_system().open(path, OpenMode::read);  // a missing or unreadable file is not a damaged one
    const Hdf5Id access = checked(H5Pcreate(H5P_FILE_ACCESS), "set up HDF5");
    // Without a lock a file on a read-only disk or a network share opens too.
    H5Pset_file_locking(access, false, true);
    H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
    return checked(H5Fopen(path_.c_str(), H5F_ACC_RDONLY, access), "open it as HDF5");
}

Table MotifFile::open_table(const std::string& name) const {
    const std::string what = "data set '" + name + "'";
    H5L_info_t link;
    if (name.find('/') != std::string::npos) refuse(what + " lies in a group");
    if (H5Lget_info(file_, name.c_str(), &link, H5P_DEFAULT) < 0) fail(what + " is missing");
    if (link.type != H5L_TYPE_HARD) refuse(what + " is a link to somewhere else");

    const Hdf5Id access = checked(H5Pcreate(H5P_DATASET_ACCESS), "set up HDF5");
    H5Pset_chunk_cache(access, H5D_CHUNK_CACHE_NSLOTS_DEFAULT, kChunkCacheBytes, H5D_CHUNK_CACHE_W0_DEFAULT);
    Table table;
    table.name = name;
    table.dataset = checked(H5Dopen2(file_, name.c_str(), access), "open " + what);

    const Hdf5Id space = checked(H5Dget_space(table.dataset), "read the size of " + what);
    const int rank = H5Sget_simple_extent_ndims(space);
    if (rank < 1 || rank > 2) fail(what + " has " + std::to_string(rank) + " dimensions instead of one or two");
    table.shape.resize(rank);
    if (H5Sget_simple_extent_dims(space, table.shape.data(), nullptr) < 0) fail_in_library("read the size of " + what);
    if (table.shape.back() > kMaxSamples) refuse(what + " has " + std::to_string(table.shape.back()) + " samples");

    const Hdf5Id creation = checked(H5Dget_create_plist(table.dataset), "read the layout of " + what);
    const H5D_layout_t layout = H5Pget_layout(creation);
    if (layout == H5D_VIRTUAL || H5Pget_external_count(creation) != 0) refuse(what + " lies in another file");
    if (layout == H5D_CHUNKED) {
        hsize_t chunk[3] = {};
        const int chunk_rank = H5Pget_chunk(creation, 3, chunk);
        if (chunk_rank != rank) fail(what + " has a layout that contradicts its size");
        const Hdf5Id type = checked(H5Dget_type(table.dataset), "read the type of " + what);
        // The format keeps a chunk's sides and a type's size in 32 bits, but their product may wrap.
        hsize_t bytes = H5Tget_size(type);
        for (int i = 0; i < rank; ++i) {
            if (chunk[i] == 0 || bytes > kMaxChunkBytes / chunk[i]) refuse(what + " has pieces too large to read");
            bytes *= chunk[i];
        }
    }
    return table;
}

ValueKind MotifFile::value_kind(hid_t type, const std::string& what) const {
    switch (H5Tget_class(type)) {
        case H5T_FLOAT:
            return ValueKind::real;
        case H5T_ENUM:
            return ValueKind::integer;  // how h5py keeps booleans
        case H5T_INTEGER:
            return H5Tget_sign(type) == H5T_SGN_NONE && H5Tget_size(type) >= sizeof(uint64_t)
                       ? ValueKind::unsigned_integer
                       : ValueKind::integer;
        default:
            fail(what + " does not hold numbers");
    }
}

Table MotifFile::open_camera() const {
    Table camera = open_table("camera");
    camera.interleaved = true;
    const Hdf5Id type = checked(H5Dget_type(camera.dataset), "read the type of data set 'camera'");
    if (H5Tget_class(type) != H5T_COMPOUND || camera.shape.size() != 1) fail("data set 'camera' is no list of samples");
    const int members = H5Tget_nmembers(type);
    if (members < 1 || static_cast<size_t>(members) > kMaxKeys) fail("data set 'camera' has no usable members");

    std::vector<std::string> names = {"frame_number", "frame_time", "frame_index"};
    for (int i = 0; i < members; ++i) {
        char* text = H5Tget_member_name(type, i);
        const std::string name = text ? text : "";
        H5free_memory(text);
        const H5T_class_t kind = H5Tget_member_class(type, i);
        const bool number = kind == H5T_INTEGER || kind == H5T_FLOAT || kind == H5T_ENUM;
        if (number && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
    for (const std::string& name : names) {
        const std::string what = "member '" + name + "' of data set 'camera'";
        const int member = H5Tget_member_index(type, name.c_str());
        if (member < 0 && name == "frame_index") continue;
        if (member < 0) fail(what + " is missing");
        ValueKind kind = value_kind(checked(H5Tget_member_type(type, member), "read " + what), what);
        if (name == "frame_number" || name == "frame_index") kind = ValueKind::integer;
        if (name == "frame_time") kind = ValueKind::real;
        camera.keys.push_back(name);
        camera.kinds.push_back(kind);
    }

    camera.memory_type = checked(H5Tcreate(H5T_COMPOUND, camera.keys.size() * sizeof(uint64_t)), "set up HDF5");
    for (size_t i = 0; i < camera.keys.size(); ++i) {
        if (H5Tinsert(camera.memory_type, camera.keys[i].c_str(), i * sizeof(uint64_t), native_type(camera.kinds[i])) <
            0)
            fail_in_library("read the members of data set 'camera'");
    }
    return camera;
}

Table MotifFile::open_columns(const std::string& name, hsize_t samples, std::optional<double>& rate) const {
    Table table = open_table(name);
    const std::string what = "data set '" + name + "'";
    const auto columns = text_attribute(table.dataset, "column_names", what);
    if (!columns) fail(what + " lacks the attribute 'column_names'");
    table.keys = split_names(*columns);
    if (table.keys.size() > kMaxKeys) refuse(what + " has " + std::to_string(table.keys.size()) + " columns");
    if (table.shape.size() != 2 || table.shape[0] != table.keys.size())
        fail(what + " has " + std::to_string(table.keys.size()) + " column names, but not as many channels");
    if (table.shape[1] != samples)
        fail(what + " has " + std::to_string(table.shape[1]) + " samples, but 'camera' has " + std::to_string(samples));
    const Hdf5Id type = checked(H5Dget_type(table.dataset), "read the type of " + what);
    const ValueKind kind = value_kind(type, what);
    table.kinds.assign(table.keys.size(), kind);
    table.memory_type = checked(H5Tcopy(native_type(kind)), "set up HDF5");

    const auto own_rate = number_attribute(table.dataset, "samplerate", what);
    if (own_rate && !(std::isfinite(*own_rate) && *own_rate > 0)) fail(what + " has an impossible sample rate");
    if (own_rate && rate && *own_rate != *rate)
        refuse("its data sets have different sample rates (" + Json(*rate).dump() + " and " + Json(*own_rate).dump() +
               ")");
    if (own_rate) rate = own_rate;
    return table;
}

std::optional<Table> MotifFile::open_delay(hsize_t samples, ExtraDataFile& result) const {
    const std::string name = "sample_delay";
    if (H5Lexists(file_, name.c_str(), H5P_DEFAULT) <= 0) return std::nullopt;
    Table table = open_table(name);
    if (table.shape.back() != samples || (table.shape.size() == 2 && table.shape[0] != 1)) {
        result.warnings.push_back(path_ + ": data set 'sample_delay' does not fit the samples and was left out");
        return std::nullopt;
    }
    const Hdf5Id type = checked(H5Dget_type(table.dataset), "read the type of data set 'sample_delay'");
    table.keys = {name};
    table.kinds = {value_kind(type, "data set 'sample_delay'")};
    table.memory_type = checked(H5Tcopy(native_type(table.kinds[0])), "set up HDF5");
    return table;
}

std::optional<Attribute> MotifFile::attribute(hid_t object, const char* name, const std::string& owner) const {
    const std::string action = std::string("read the attribute '") + name + "' of " + owner;
    const htri_t exists = H5Aexists(object, name);
    if (exists < 0) fail_in_library(action);
    if (exists == 0) return std::nullopt;
    Hdf5Id id = checked(H5Aopen(object, name, H5P_DEFAULT), action);
    Hdf5Id type = checked(H5Aget_type(id), action);
    Hdf5Id space = checked(H5Aget_space(id), action);
    if (H5Sget_simple_extent_npoints(space) != 1) fail("cannot " + action + ": it is not a single value");
    return Attribute{action, std::move(id), std::move(type), std::move(space)};
}

std::optional<std::string> MotifFile::text_attribute(hid_t object, const char* name, const std::string& owner) const {
    const auto found = attribute(object, name, owner);
    if (!found) return std::nullopt;
    const auto& [action, id, type, space] = *found;
    if (H5Tget_class(type) != H5T_STRING) fail("cannot " + action + ": it is not text");
    if (H5Tis_variable_str(type) > 0) {
        const Hdf5Id memory_type = checked(H5Tcopy(H5T_C_S1), action);
        char* value = nullptr;
        if (H5Tset_size(memory_type, H5T_VARIABLE) < 0 || H5Tset_cset(memory_type, H5Tget_cset(type)) < 0 ||
            H5Aread(id, memory_type, &value) < 0)
            fail_in_library(action);
        std::string text = value ? value : "";
        H5Dvlen_reclaim(memory_type, space, H5P_DEFAULT, &value);
        return text;
    }
    std::string text(H5Tget_size(type), '\0');
    if (text.empty() || text.size() > kMaxAttributeBytes) fail("cannot " + action + ": it is empty or too long");
    if (H5Aread(id, type, text.data()) < 0) fail_in_library(action);
    text.resize(std::min(text.find('\0'), text.size()));
    return text;
}

std::optional<double> MotifFile::number_attribute(hid_t object, const char* name, const std::string& owner) const {
    const auto found = attribute(object, name, owner);
    if (!found) return std::nullopt;
    value_kind(found->type, std::string("the attribute '") + name + "' of " + owner);
    double value = 0;
    if (H5Aread(found->id, H5T_NATIVE_DOUBLE, &value) < 0) fail_in_library(found->action);
    return value;
}

void MotifFile::read_block(Table& table, hsize_t start, hsize_t count) const {
    const std::string action = "read data set '" + table.name + "' at sample " + std::to_string(start);
    std::vector<hsize_t> offset(table.shape.size(), 0);
    std::vector<hsize_t> size = table.shape;
    offset.back() = start;
    size.back() = count;
    const Hdf5Id file_space = checked(H5Dget_space(table.dataset), action);
    const Hdf5Id memory_space = checked(H5Screate_simple(static_cast<int>(size.size()), size.data(), nullptr), action);
    if (H5Sselect_hyperslab(file_space, H5S_SELECT_SET, offset.data(), nullptr, size.data(), nullptr) < 0)
        fail_in_library(action);
    table.samples_in_block = count;
    table.words.resize(table.keys.size() * count);
    if (H5Dread(table.dataset, table.memory_type, memory_space, file_space, H5P_DEFAULT, table.words.data()) < 0)
        fail_in_library(action);
}

void MotifFile::read_records(Table& camera, std::vector<Table>& tables, ExtraDataFile& result) const {
    size_t keys = camera.keys.size();
    for (const Table& table : tables) keys += table.keys.size();
    if (keys > kMaxKeys) refuse("a sample has " + std::to_string(keys) + " values");
    const hsize_t samples = camera.shape[0];
    const hsize_t block = std::max<hsize_t>(1, kBlockValues / keys);
    for (hsize_t start = 0; start < samples; start += block) {
        const hsize_t count = std::min(block, samples - start);
        read_block(camera, start, count);
        // A recording can end before its slots are full; those unused have a negative number.
        auto used = [&](size_t sample) { return std::bit_cast<int64_t>(camera.word(0, sample)) >= 0; };
        bool any_used = false;
        for (size_t sample = 0; sample < count && !any_used; ++sample) any_used = used(sample);
        if (!any_used) continue;
        for (Table& table : tables) read_block(table, start, count);
        for (size_t sample = 0; sample < count; ++sample) {
            if (!used(sample)) continue;
            if ((result.records.size() + 1) * keys > kMaxValues)
                refuse("it holds more values than can be read at once");
            Json::object_t record;
            record.reserve(keys);
            for (const Table& table : tables)
                for (size_t i = 0; i < table.keys.size(); ++i)
                    record.emplace_back(table.keys[i], table.value(i, sample));
            for (size_t i = 0; i < camera.keys.size(); ++i)
                record.emplace_back(camera.keys[i], camera.value(i, sample));
            result.records.emplace_back(std::move(record));
        }
    }
}

ExtraDataFile MotifFile::read() {
    ExtraDataFile result;
    const auto names = text_attribute(file_, "datasets", "the file");
    if (!names) fail("the attribute 'datasets' is missing");
    Table camera = open_camera();
    std::vector<Table> tables;
    if (names->find_first_not_of(" ,") != std::string::npos) {
        for (const std::string& name : split_names(*names)) {
            if (tables.size() == kMaxKeys) refuse("it has too many data sets");
            tables.push_back(open_columns(name, camera.shape[0], result.sample_rate));
        }
    }
    const bool delay_listed =
        std::any_of(tables.begin(), tables.end(), [](const Table& t) { return t.name == "sample_delay"; });
    if (!delay_listed) {
        if (auto delay = open_delay(camera.shape[0], result)) tables.push_back(std::move(*delay));
    }

    std::set<std::string> taken(camera.keys.begin(), camera.keys.end());
    for (Table& table : tables) {
        for (std::string& key : table.keys) {
            if (taken.contains(key)) key = table.name + "." + key;
            if (!taken.insert(key).second) fail("the column '" + key + "' is there twice");
        }
    }
    for (const std::string& key : taken) {
        try {
            Json(key).dump();
        } catch (const Json::exception&) {
            fail("the name of a column is not valid UTF-8");
        }
    }
    read_records(camera, tables, result);
    return result;
}

}  // namespace

ExtraDataFile read_motif_hdf5(const std::filesystem::path& path) {
    const std::lock_guard lock(hdf5_mutex());
    const QuietHdf5 quiet;
    return MotifFile(path).read();
}

}  // namespace reelstore
