#include "codecs/packed/packed_writer.h"

#include <utility>

#include <fmt/format.h>

#include "base/error.h"
#include "base/retry_with_room.h"
#include "codecs/checksum.h"
#include "codecs/packed/seek_table.h"

namespace reelstore {

namespace fs = std::filesystem;

namespace {

std::span<const uint8_t> pixels_of(const cv::Mat& continuous) {
    return {continuous.data, continuous.total() * continuous.elemSize()};
}

}  // namespace

PackedWriter::PackedWriter(const fs::path& path, const PackedContainer& container, const ImageType& type,
                           const MakeEncoder& make_encoder, int threads, const ChunkWriteOptions& options)
    : path_(path), container_(container), type_(type), options_(options) {
    if (make_encoder && threads == 1) encoder_ = make_encoder();
    file_ = retry_with_room(options.make_room, [&] { return file_system().open(path, OpenMode::create_exclusive); });
    try {
        begin_file();
        if (make_encoder && threads > 1) start_threads(make_encoder, threads);
    } catch (const Error&) {
        // A file that this call has made and that holds nothing; whoever made the call takes it for not begun.
        try {
            file_->close();
            file_system().remove(path_);
        } catch (const Error&) {
            // The error that led here says more.
        }
        throw;
    }
}

PackedWriter::~PackedWriter() {
    stop_threads();
}

void PackedWriter::begin_file() {
    const std::vector<uint8_t> header = container_.begin(type_, 0);
    write_at(header, 0);
    end_ = header.size();
}

void PackedWriter::start_threads(const MakeEncoder& make_encoder, int threads) {
    try {
        for (int i = 0; i < threads; ++i) {
            threads_.emplace_back([this, encoder = std::shared_ptr<PackedEncoder>(make_encoder())] { work(*encoder); });
        }
    } catch (const std::exception& error) {
        stop_threads();
        const auto* own = dynamic_cast<const Error*>(&error);
        throw own ? own->at({path_.string(), {}, {}})
                  : Error(ErrorCode::internal, {path_.string(), {}, {}},
                          fmt::format("cannot start a thread: {}", error.what()));
    }
}

void PackedWriter::stop_threads() noexcept {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
}

void PackedWriter::rethrow_failure() const {
    if (failure_) std::rethrow_exception(failure_);
}

/// Called with the mutex held. Exceptions of libraries become Errors that name the file.
void PackedWriter::fail(std::exception_ptr failure) {
    if (failure_) return;
    try {
        std::rethrow_exception(std::move(failure));
    } catch (const Error& error) {
        failure_ = std::make_exception_ptr(error.at({path_.string(), {}, {}}));
    } catch (const std::exception& error) {
        failure_ = std::make_exception_ptr(Error(ErrorCode::internal, {path_.string(), {}, {}},
                                                 fmt::format("cannot encode a frame: {}", error.what())));
    }
}

void PackedWriter::write_at(std::span<const uint8_t> bytes, uint64_t offset) {
    retry_with_room(options_.make_room, [&] { file_->write_at(bytes.data(), bytes.size(), offset); });
}

void PackedWriter::write(const cv::Mat& image) {
    if (finished_)
        throw Error(ErrorCode::invalid_argument, {path_.string(), {}, {}}, "is finished; no frame can be added");
    const ImageType type = ImageType::of(image);
    if (type != type_) {
        throw Error(ErrorCode::wrong_type, {path_.string(), {}, {}},
                    fmt::format("the frame is {}, the chunk holds {}", type.text(), type_.text()));
    }
    std::unique_lock lock(mutex_);
    rethrow_failure();
    if (static_cast<int64_t>(entries_.size() + jobs_.size()) >= kMostSeekEntries) {
        throw Error(ErrorCode::unsupported, {path_.string(), {}, {}},
                    fmt::format("a file holds up to {} frames", kMostSeekEntries));
    }
    if (!threads_.empty()) {
        changed_.wait(lock, [&] { return failure_ || jobs_.size() < kFramesHeldPerThread * threads_.size(); });
        rethrow_failure();
        std::unique_ptr<Job> job = std::make_unique<Job>();
        if (!spare_jobs_.empty()) {
            job = std::move(spare_jobs_.back());
            spare_jobs_.pop_back();
        }
        lock.unlock();
        std::exception_ptr problem;
        try {
            image.copyTo(job->image);
        } catch (...) {
            problem = std::current_exception();
        }
        job->encoded = false;
        lock.lock();
        if (problem) fail(problem);
        rethrow_failure();
        jobs_.push_back(std::move(job));
        lock.unlock();
        changed_.notify_all();
        return;
    }
    lock.unlock();
    try {
        if (encoder_) {
            encoder_->encode(image, buffer_);
            append(buffer_);
        } else {
            append(pixels_of(image.isContinuous() ? image : image.clone()));
        }
    } catch (...) {
        // Part of the frame may be in the file.
        lock.lock();
        fail(std::current_exception());
        rethrow_failure();
    }
}

void PackedWriter::work(PackedEncoder& encoder) {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [&] { return stopping_ || (!failure_ && taken_ < jobs_.size()); });
        if (stopping_) return;
        Job& job = *jobs_[taken_++];
        lock.unlock();
        try {
            encoder.encode(job.image, job.bytes);
        } catch (...) {
            lock.lock();
            fail(std::current_exception());
            changed_.notify_all();
            continue;
        }
        lock.lock();
        job.encoded = true;
        append_encoded(lock);
    }
}

/// Appends what is encoded, as far as no earlier frame is missing, unless another thread is at it.
void PackedWriter::append_encoded(std::unique_lock<std::mutex>& lock) {
    if (appending_) return;
    appending_ = true;
    while (!failure_ && !jobs_.empty() && jobs_.front()->encoded) {
        const std::span<const uint8_t> bytes = jobs_.front()->bytes;
        lock.unlock();
        std::exception_ptr problem;
        try {
            append(bytes);
        } catch (...) {
            problem = std::current_exception();
        }
        lock.lock();
        if (problem) {
            fail(problem);
        } else {
            spare_jobs_.push_back(std::move(jobs_.front()));
            jobs_.pop_front();
            --taken_;
        }
        changed_.notify_all();
    }
    appending_ = false;
    changed_.notify_all();
}

/// By one thread at a time, without the mutex.
void PackedWriter::append(std::span<const uint8_t> bytes) {
    const auto position = static_cast<int64_t>(entries_.size());
    Packet packet = packed_packet(position, end_, bytes.size());
    packet.checksum = frame_checksum(bytes);
    write_at(bytes, packet.offset);
    const SeekEntry entry = container_.entry_of(packet.size, bytes, type_);
    const std::lock_guard lock(mutex_);
    entries_.push_back(entry);
    end_ += bytes.size();
    stored_.push_back(
        {.position = position, .bytes = bytes.size(), .packet = packet, .decode_position = position, .checksum = {}});
}

std::vector<StoredFrame> PackedWriter::take_stored() {
    const std::lock_guard lock(mutex_);
    return std::exchange(stored_, {});
}

void PackedWriter::drain() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return failure_ || (jobs_.empty() && !appending_); });
    rethrow_failure();
}

void PackedWriter::finish() {
    {
        const std::lock_guard lock(mutex_);
        rethrow_failure();
    }
    if (finished_) return;
    drain();
    finished_ = true;
    stop_threads();
    const std::vector<uint8_t> tail = container_.end(type_, entries_);
    try {
        if (!tail.empty()) write_at(tail, end_);
        write_at(container_.begin(type_, static_cast<int64_t>(entries_.size())), 0);
    } catch (...) {
        const std::lock_guard lock(mutex_);
        fail(std::current_exception());
        rethrow_failure();
    }
    const std::lock_guard lock(mutex_);
    end_ += tail.size();
}

uint64_t PackedWriter::bytes_written() const {
    const std::lock_guard lock(mutex_);
    return end_;
}

void PackedWriter::sync() {
    // A second sync of the same file would succeed without the bytes that the first has lost.
    if (sync_failure_) std::rethrow_exception(sync_failure_);
    try {
        file_->sync();
        if (std::exchange(file_is_new_, false)) {
            const fs::path folder = path_.parent_path();
            file_system().sync_folder(folder.empty() ? fs::path(".") : folder);
        }
    } catch (...) {
        sync_failure_ = std::current_exception();
        throw;
    }
}

}  // namespace reelstore
