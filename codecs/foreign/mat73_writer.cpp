#include <fmt/format.h>

#include "base/error.h"
#include "codecs/foreign/hdf5_file.h"
#include "codecs/foreign/mat_file.h"
#include "codecs/foreign/mat_writer.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

hid_t file_type(const std::string& class_name) {
    switch (*depth_of_mat_class(class_name)) {
        case CV_8U:
            return H5T_STD_U8LE;
        case CV_8S:
            return H5T_STD_I8LE;
        case CV_16U:
            return H5T_STD_U16LE;
        case CV_16S:
            return H5T_STD_I16LE;
        case CV_32S:
            return H5T_STD_I32LE;
        case CV_32F:
            return H5T_IEEE_F32LE;
        default:
            return H5T_IEEE_F64LE;
    }
}

class Mat73Writer final : public MatWriter {
public:
    explicit Mat73Writer(const fs::path& path) {
        std::unique_ptr<File> file = file_system().open(path, OpenMode::create_exclusive);
        const std::lock_guard lock(hdf5_mutex());
        hdf5_ = Hdf5File::create(path, std::move(file), kMatUserBlockBytes);
    }

    ~Mat73Writer() override {
        const std::lock_guard lock(hdf5_mutex());
        const QuietHdf5 quiet;
        images_ = Hdf5Id();
        hdf5_.reset();
    }

    void begin_images(const std::string& name, const std::string& class_name, const ImageType& type) override {
        type_ = type;
        size_ = {0, static_cast<hsize_t>(type.width), static_cast<hsize_t>(type.height)};
        if (type.channels > 1) size_.insert(size_.begin() + 1, static_cast<hsize_t>(type.channels));
        std::vector<hsize_t> chunk = size_;
        chunk[0] = 1;
        std::vector<hsize_t> most = size_;
        most[0] = H5S_UNLIMITED;
        const std::lock_guard lock(hdf5_mutex());
        const QuietHdf5 quiet;
        const int rank = static_cast<int>(size_.size());
        const Hdf5Id space = checked(H5Screate_simple(rank, size_.data(), most.data()), "make the images");
        const Hdf5Id creation = checked(H5Pcreate(H5P_DATASET_CREATE), "make the images");
        check(H5Pset_chunk(creation, rank, chunk.data()), "make the images");
        images_ = checked(
            H5Dcreate2(hdf5_->id(), name.c_str(), file_type(class_name), space, H5P_DEFAULT, creation, H5P_DEFAULT),
            "make the images");
        add_class(images_, class_name);
    }

    void add_image(const uint8_t* pixels) override {
        const std::lock_guard lock(hdf5_mutex());
        const QuietHdf5 quiet;
        std::vector<hsize_t> start(size_.size(), 0);
        start[0] = size_[0]++;
        check(H5Dset_extent(images_, size_.data()), "write a frame");
        check(H5Dwrite_chunk(images_, H5P_DEFAULT, 0, start.data(), type_.bytes(), pixels), "write a frame");
    }

    void end_images() override {
        const std::lock_guard lock(hdf5_mutex());
        images_ = Hdf5Id();
    }

    void add_column(const std::string& name, const std::vector<double>& values) override {
        const std::lock_guard lock(hdf5_mutex());
        const QuietHdf5 quiet;
        const hsize_t size[] = {1, values.size()};
        const Hdf5Id space = checked(H5Screate_simple(2, size, nullptr), "write a column");
        const Hdf5Id column =
            checked(H5Dcreate2(hdf5_->id(), name.c_str(), H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                    "write a column");
        check(H5Dwrite(column, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), "write a column");
        add_class(column, "double");
    }

    void close() override {
        const std::lock_guard lock(hdf5_mutex());
        hdf5_->close();
        std::vector<uint8_t> header = make_mat_header("7.3");
        header.resize(kMatUserBlockBytes);
        hdf5_->file().write_at(header.data(), header.size(), 0);
        hdf5_->file().close();
    }

private:
    Hdf5Id checked(hid_t id, const std::string& action) const { return hdf5_->checked(id, action); }
    void check(herr_t result, const std::string& action) const { hdf5_->check(result, action); }

    void add_class(hid_t object, const std::string& class_name) const {
        const Hdf5Id type = checked(H5Tcopy(H5T_C_S1), "write a class");
        check(H5Tset_size(type, class_name.size()), "write a class");
        const Hdf5Id space = checked(H5Screate(H5S_SCALAR), "write a class");
        const Hdf5Id attribute =
            checked(H5Acreate2(object, "MATLAB_class", type, space, H5P_DEFAULT, H5P_DEFAULT), "write a class");
        check(H5Awrite(attribute, type, class_name.data()), "write a class");
    }

    std::unique_ptr<Hdf5File> hdf5_;
    Hdf5Id images_;
    ImageType type_;
    std::vector<hsize_t> size_;
};

}  // namespace

std::unique_ptr<MatWriter> create_mat73(const fs::path& path) {
    return std::make_unique<Mat73Writer>(path);
}

}  // namespace reelstore
