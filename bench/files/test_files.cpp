#include <fstream>

#include <fmt/format.h>
#include <opencv2/imgcodecs.hpp>

#include "base/error.h"
#include "base/npy.h"
#include "bench/files/files.h"
#include "bench/footage.h"
#include "codecs/foreign/norpix_frames.h"
#include "codecs/foreign/norpix_header.h"

namespace reelstore::bench {

namespace fs = std::filesystem;

namespace {

constexpr int kJpegQuality = 90;

/// Writes `head` and behind it the pixels of all images. Gives the bytes of the head.
uint64_t write_raw(const fs::path& path, std::span<const uint8_t> head, const Images& images) {
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(head.data()), static_cast<std::streamsize>(head.size()));
    for (const cv::Mat& image : images.images) {
        file.write(reinterpret_cast<const char*>(image.data), static_cast<std::streamsize>(images.type.bytes()));
    }
    file.close();
    if (!file) throw Error(ErrorCode::io, {path.string(), {}, {}}, "cannot write the file");
    return head.size();
}

void write_sink(const fs::path& path, const Images& images, const CodecOptions& options) {
    const auto sink = create_file_sink(path, {.codec = options});
    for (size_t i = 0; i < images.images.size(); ++i) {
        Frame frame;
        frame.image = images.images[i];
        frame.index = frame.number = static_cast<int64_t>(i);
        frame.time = static_cast<double>(i) / 25;
        sink->write(frame);
    }
    sink->close();
}

std::vector<uint8_t> npy_head(const Images& images) {
    std::vector<int64_t> shape = images.type.shape();
    shape.insert(shape.begin(), static_cast<int64_t>(images.images.size()));
    return make_npy_header(npy_descr(images.type.depth), shape);
}

uint64_t size_of(const fs::path& path) {
    if (!fs::is_directory(path)) return fs::file_size(path);
    uint64_t sum = 0;
    for (const auto& entry : fs::directory_iterator(path)) sum += entry.file_size();
    return sum;
}

Contender opencv_pages(const fs::path& path) {
    return {.name = "OpenCV imreadmulti", .open = [path](Order order) { return open_opencv_pages(path, order); }};
}

Contender python(const std::string& name) {
    return {.name = name, .python = name};
}

}  // namespace

TestFiles::TestFiles(int width, int height, int count, const fs::path& folder) : folder_(folder) {
    gray_.type = {.height = height, .width = width};
    floats_.type = {.height = height, .width = width, .channels = 1, .depth = CV_32F};
    jpegs_.type = gray_.type;
    const auto footage = synthetic_footage(gray_.type);
    for (int i = 0; i < count; ++i) {
        cv::Mat image = footage->next().clone();
        draw_number(image, i);
        gray_.images.push_back(image);
        cv::Mat floating;
        image.convertTo(floating, CV_32F, 1.0 / 256, 0.5);
        floats_.images.push_back(floating);
    }
    write_raw(array(), npy_head(gray_), gray_);
    const Json written = ask_python({{"do", "write"}, {"array", array().string()}, {"folder", folder.string()}});
    add_mapped(written.at("tiff_start"));
    add_tiff();
    add_images();
    add_mat();
    add_norpix_jpeg();
}

FileCase& TestFiles::add(const std::string& name, const fs::path& path, const Images& images,
                         const SourceOptions& options) {
    FileCase& file = cases_.emplace_back();
    file.name = name;
    file.path = path;
    file.images = &images;
    file.frame_bytes = static_cast<double>(size_of(path)) / static_cast<double>(images.images.size());
    file.contenders.push_back(
        {.name = kReelstore, .open = [=](Order order) { return open_reelstore(path, options, order); }});
    return file;
}

void TestFiles::add_mapped(uint64_t tiff_start) {
    const auto beside_memcpy = [this](const std::string& name, const fs::path& path, const Images& images,
                                      uint64_t start, uint64_t stride) {
        FileCase& file = add(name, path, images);
        const ImageType type = images.type;
        file.contenders.push_back(
            {.name = kMemcpy, .open = [=](Order) { return open_memcpy(path, start, stride, type); }});
        file.targets.push_back({kReelstore, kMemcpy, 0.9});
        return &file;
    };
    beside_memcpy("npy", array(), gray_, npy_head(gray_).size(), gray_.type.bytes());

    const fs::path dat =
        folder_ / fmt::format("clip_{}x{}x{}.dat", floats_.type.width, floats_.type.height, floats_.images.size());
    write_raw(dat, {}, floats_);
    beside_memcpy("float dat", dat, floats_, 0, floats_.type.bytes());

    const fs::path sequence = folder_ / "raw.seq";
    write_sink(sequence, gray_, {});
    std::vector<uint8_t> head(kNorpixHeaderBytes);
    std::ifstream(sequence, std::ios::binary).read(reinterpret_cast<char*>(head.data()), kNorpixHeaderBytes);
    const NorpixHeader header = parse_norpix_header(head);
    const uint64_t start =
        header.version >= kNorpixMicrosecondVersion ? kNorpixLaterStart : uint64_t{kNorpixHeaderBytes};
    beside_memcpy("NorPix, raw", sequence, gray_, start, header.true_size);

    // tifffile puts the pixels of all pages behind each other.
    const fs::path plain = folder_ / "plain.tif";
    FileCase* const tiff = beside_memcpy("tiff, not compressed", plain, gray_, tiff_start, gray_.type.bytes());
    tiff->contenders.push_back(python("tifffile"));
    tiff->contenders.push_back(opencv_pages(plain));
    tiff->targets.push_back({kReelstore, "tifffile", 1});
    tiff->targets.push_back({kReelstore, "OpenCV imreadmulti", 1});
}

void TestFiles::add_tiff() {
    for (const std::string name : {"lzw", "deflate"}) {
        const fs::path path = folder_ / (name + ".tif");
        FileCase& file = add("tiff, " + name, path, gray_);
        // Without its imagecodecs, which Debian does not have, tifffile decodes no LZW.
        if (name == "deflate") {
            file.contenders.push_back(python("tifffile"));
            file.targets.push_back({kReelstore, "tifffile", 1});
        }
        file.contenders.push_back(opencv_pages(path));
        file.targets.push_back({kReelstore, "OpenCV imreadmulti", 1});
    }
}

void TestFiles::add_images() {
    const fs::path folder = folder_ / "png";
    fs::create_directories(folder);
    std::vector<fs::path> paths;
    for (size_t i = 0; i < gray_.images.size(); ++i) {
        paths.push_back(folder / fmt::format("frame_{:06d}.png", i));
        if (!cv::imwrite(paths.back().string(), gray_.images[i])) {
            throw Error(ErrorCode::io, {paths.back().string(), {}, {}}, "cannot write the file");
        }
    }
    FileCase& images = add("folder of png", folder, gray_);
    images.contenders.push_back(
        {.name = "OpenCV imread", .open = [paths](Order) { return open_opencv_images(paths); }});
    images.targets.push_back({kReelstore, "OpenCV imread", 1});

    const fs::path gif = folder_ / "clip.gif";
    SourceOptions gray;
    gray.gray = true;
    FileCase& animation = add("gif", gif, gray_, gray);
    animation.contenders.push_back(python("PIL"));
    animation.contenders.push_back(
        {.name = "OpenCV VideoCapture", .open = [gif](Order) { return open_opencv_video(gif); }, .shuffled = false});
    animation.targets.push_back({kReelstore, "PIL", 1});
    animation.targets.push_back({kReelstore, "OpenCV VideoCapture", 1});
}

void TestFiles::add_mat() {
    const auto beside = [this](const std::string& name, const std::string& file_name, const std::string& peer) {
        SourceOptions options;
        // Nothing in the file says it, and these images are larger than their number.
        options.format["layout"] = "hwn";
        FileCase& file = add(name, folder_ / file_name, gray_, options);
        file.contenders.push_back(python(peer));
        file.targets.push_back({kReelstore, peer, 1});
    };
    beside("mat, version 5", "version5.mat", "scipy");
    beside("mat, version 7.3", "version73.mat", "h5py");
    beside("mat, version 7.3, gzip", "version73_gzip.mat", "h5py");
}

void TestFiles::add_norpix_jpeg() {
    const fs::path path = folder_ / "jpeg.seq";
    write_sink(path, gray_, {{"compression", "jpeg"}, {"quality", fmt::format("{}", kJpegQuality)}});
    std::vector<std::string> warnings;
    const NorpixFrames frames = find_compressed_frames(path, kNorpixHeaderBytes, kNorpixShortStampBytes, warnings);
    std::vector<std::pair<uint64_t, size_t>> places;
    for (int64_t i = 0; i < frames.count; ++i) places.emplace_back(frames.offset(i), frames.size(i));
    const auto reader = open_opencv_jpegs(path, places);
    for (int64_t i = 0; i < frames.count; ++i) jpegs_.images.push_back(reader->read(i).clone());
    FileCase& file = add("NorPix, JPEG", path, jpegs_);
    file.contenders.push_back(
        {.name = "OpenCV imdecode", .open = [=](Order) { return open_opencv_jpegs(path, places); }});
    file.targets.push_back({kReelstore, "OpenCV imdecode", 1});
}

}  // namespace reelstore::bench
