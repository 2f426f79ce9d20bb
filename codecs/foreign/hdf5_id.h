#pragma once

#include <mutex>
#include <string>
#include <utility>

#include <hdf5.h>

namespace reelstore {

/// To be held by whoever calls HDF5: not every build of the library may be called from several threads.
inline std::mutex& hdf5_mutex() {
    static std::mutex mutex;
    return mutex;
}

/// Keeps HDF5 from printing its errors to stderr while it lives; the caller's setting comes back at the end.
class QuietHdf5 {
public:
    QuietHdf5() {
        saved_ = H5Eget_auto2(H5E_DEFAULT, &function_, &data_) >= 0;
        H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    }
    ~QuietHdf5() {
        if (saved_) H5Eset_auto2(H5E_DEFAULT, function_, data_);
    }
    QuietHdf5(const QuietHdf5&) = delete;
    QuietHdf5& operator=(const QuietHdf5&) = delete;

private:
    H5E_auto2_t function_ = nullptr;
    void* data_ = nullptr;
    bool saved_ = false;
};

/// Owns an HDF5 id of any kind; a negative one owns nothing.
class Hdf5Id {
public:
    Hdf5Id() = default;
    explicit Hdf5Id(hid_t id) : id_(id) {}
    Hdf5Id(Hdf5Id&& other) noexcept : id_(std::exchange(other.id_, H5I_INVALID_HID)) {}
    Hdf5Id& operator=(Hdf5Id&& other) noexcept {
        std::swap(id_, other.id_);
        return *this;
    }
    ~Hdf5Id() {
        if (id_ >= 0) H5Idec_ref(id_);
    }
    operator hid_t() const { return id_; }
    /// Gives the id away.
    hid_t release() { return std::exchange(id_, H5I_INVALID_HID); }

private:
    hid_t id_ = H5I_INVALID_HID;
};

/// Why the last call failed, in HDF5's own words; empty when it left none.
inline std::string hdf5_message() {
    std::string message;
    auto first = [](unsigned, const H5E_error2_t* error, void* data) -> herr_t {
        auto& text = *static_cast<std::string*>(data);
        if (text.empty() && error->desc) text = error->desc;
        return 0;
    };
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, first, &message);
    return message;
}

}  // namespace reelstore
