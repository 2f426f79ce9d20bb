#include "codecs/foreign/hdf5_file.h"

#include <algorithm>
#include <cstring>

#include "codecs/foreign/header_bytes.h"

namespace reelstore {

struct Hdf5File::Storage : std::enable_shared_from_this<Storage> {
    /// Null when the Hdf5File is gone. The library keeps a file that it failed to close, and tries again at exit.
    File* file = nullptr;
    std::optional<Error> error;  ///< of the last call that failed
};

namespace {

constexpr haddr_t kMostAddress = (haddr_t{1} << 62) - 1;

/// The library's view of an open file; it must begin with H5FD_t.
struct DriverFile {
    H5FD_t common = {};
    std::shared_ptr<Hdf5File::Storage> storage;
    haddr_t end_of_addresses = 0;
};

/// What the library copies from the property list of an opened file.
struct DriverInfo {
    Hdf5File::Storage* storage = nullptr;
};

DriverFile& driver_file(H5FD_t* file) {
    return *reinterpret_cast<DriverFile*>(file);
}

const DriverFile& driver_file(const H5FD_t* file) {
    return *reinterpret_cast<const DriverFile*>(file);
}

/// No exception may pass through the library.
template <typename Action>
herr_t guarded(H5FD_t* file, Action action) {
    Hdf5File::Storage& storage = *driver_file(file).storage;
    if (!storage.file) return 0;
    try {
        action(*storage.file);
        return 0;
    } catch (const Error& error) {
        storage.error = error;
    } catch (const std::exception& error) {
        storage.error = Error(ErrorCode::internal, error.what());
    }
    return -1;
}

H5FD_t* open_driver(const char*, unsigned, hid_t access, haddr_t) {
    const auto* const info = static_cast<const DriverInfo*>(H5Pget_driver_info(access));
    if (!info) return nullptr;
    auto* const file = new DriverFile;
    file->storage = info->storage->shared_from_this();
    return &file->common;
}

herr_t close_driver(H5FD_t* file) {
    delete &driver_file(file);
    return 0;
}

herr_t query_driver(const H5FD_t*, unsigned long* flags) {
    *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
             H5FD_FEAT_AGGREGATE_SMALLDATA;
    return 0;
}

haddr_t end_of_addresses(const H5FD_t* file, H5FD_mem_t) {
    return driver_file(file).end_of_addresses;
}

herr_t set_end_of_addresses(H5FD_t* file, H5FD_mem_t, haddr_t address) {
    driver_file(file).end_of_addresses = address;
    return 0;
}

haddr_t end_of_file(const H5FD_t* file, H5FD_mem_t) {
    uint64_t size = HADDR_UNDEF;
    guarded(const_cast<H5FD_t*>(file), [&](File& bytes) { size = bytes.size(); });
    return size;
}

herr_t read_driver(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t address, size_t size, void* buffer) {
    return guarded(file, [&](File& bytes) {
        // What has addresses but was never written is zeros.
        const size_t got = bytes.read_at(buffer, size, address);
        std::memset(static_cast<uint8_t*>(buffer) + got, 0, size - got);
    });
}

herr_t write_driver(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t address, size_t size, const void* buffer) {
    return guarded(file, [&](File& bytes) { bytes.write_at(buffer, size, address); });
}

herr_t truncate_driver(H5FD_t* file, hid_t, hbool_t) {
    return guarded(file, [&](File& bytes) {
        if (bytes.size() != driver_file(file).end_of_addresses) bytes.truncate(driver_file(file).end_of_addresses);
    });
}

hid_t driver_id() {
    static const hid_t id = [] {
        static H5FD_class_t driver = {};
        driver.name = "reelstore";
        driver.maxaddr = kMostAddress;
        driver.fc_degree = H5F_CLOSE_STRONG;
        driver.fapl_size = sizeof(DriverInfo);
        driver.open = open_driver;
        driver.close = close_driver;
        driver.query = query_driver;
        driver.get_eoa = end_of_addresses;
        driver.set_eoa = set_end_of_addresses;
        driver.get_eof = end_of_file;
        driver.read = read_driver;
        driver.write = write_driver;
        driver.truncate = truncate_driver;
        const H5FD_mem_t map[] = H5FD_FLMAP_DICHOTOMY;
        std::copy(std::begin(map), std::end(map), driver.fl_map);
        return H5FDregister(&driver);
    }();
    return id;
}

}  // namespace

Hdf5File::Hdf5File(std::filesystem::path path, std::unique_ptr<File> file)
    : path_(std::move(path)), file_(std::move(file)), storage_(std::make_shared<Storage>()) {
    storage_->file = file_.get();
}

Hdf5File::~Hdf5File() {
    const QuietHdf5 quiet;
    id_ = Hdf5Id();
    storage_->file = nullptr;
}

Hdf5Id Hdf5File::access() const {
    Hdf5Id access = checked(H5Pcreate(H5P_FILE_ACCESS), "set up HDF5");
    const DriverInfo info{storage_.get()};
    check(H5Pset_driver(access, driver_id(), &info), "set up HDF5");
    return access;
}

std::unique_ptr<Hdf5File> Hdf5File::open(const std::filesystem::path& path) {
    std::unique_ptr<Hdf5File> file(new Hdf5File(path, file_system().open(path, OpenMode::read)));
    const QuietHdf5 quiet;
    file->id_ = file->checked(H5Fopen(path.c_str(), H5F_ACC_RDONLY, file->access()), "open it as HDF5");
    return file;
}

std::unique_ptr<Hdf5File> Hdf5File::create(const std::filesystem::path& path, std::unique_ptr<File> bytes,
                                           uint64_t user_block) {
    std::unique_ptr<Hdf5File> file(new Hdf5File(path, std::move(bytes)));
    const QuietHdf5 quiet;
    const Hdf5Id creation = file->checked(H5Pcreate(H5P_FILE_CREATE), "set up HDF5");
    file->check(H5Pset_userblock(creation, user_block), "set up HDF5");
    file->id_ =
        file->checked(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation, file->access()), "make an HDF5 file of it");
    return file;
}

void Hdf5File::close() {
    if (id_ < 0) return;
    const QuietHdf5 quiet;
    check(H5Fflush(id_, H5F_SCOPE_GLOBAL), "write it");
    const hid_t id = id_.release();
    check(H5Fclose(id), "close it");
}

Hdf5Id Hdf5File::checked(hid_t id, const std::string& action) const {
    check(id < 0 ? -1 : 0, action);
    return Hdf5Id(id);
}

void Hdf5File::check(herr_t result, const std::string& action) const {
    if (result >= 0) return;
    if (storage_->error) {
        const Error error = *storage_->error;
        storage_->error.reset();
        throw error;
    }
    const std::string reason = utf8_of_foreign_text(hdf5_message());
    throw Error(ErrorCode::corrupt, {path_.string(), {}, {}},
                "cannot " + action + (reason.empty() ? "" : ": " + reason));
}

}  // namespace reelstore
