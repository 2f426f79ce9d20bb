#include <atomic>
#include <thread>

#include <fmt/format.h>

#include "base/numbered_frames.h"
#include "tests/codecs/foreign_kit.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

int16_t input_value(int column, int frame, int sample) {
    return static_cast<int16_t>(column * 1000 - frame * 37 + sample * 3 - 9000);
}

/// Sum and difference of 16-bit pixels, running over.
cv::Mat combined(const cv::Mat& one, const cv::Mat& other, int sign, int type) {
    cv::Mat result(one.rows, one.cols, type);
    for (int row = 0; row < one.rows; ++row) {
        for (int column = 0; column < one.cols; ++column) {
            result.at<uint16_t>(row, column) =
                static_cast<uint16_t>(one.at<uint16_t>(row, column) + sign * other.at<uint16_t>(row, column));
        }
    }
    return result;
}

/// A recording of small images; every member is what its description says.
struct Recording {
    int columns = 43;
    int rows = 80;
    int left = 20;
    int right = 7;
    int block = 4;
    int frames = 10;  ///< of both cameras together
    int padding = 0;  ///< frames behind them in the last file
    bool dual = false;
    char kind = 'M';
    bool first_is_difference = false;
    bool two_backgrounds = false;  ///< the .rsm holds that of the second camera too
    std::string line_end = "\r\n";

    cv::Rect region() const { return {left, 0, columns - left - right, rows}; }
    ImageType type() const { return {rows, region().width, 1, CV_16U}; }
    cv::Mat image(int frame) const {
        // With U the first frame of a camera is its background; with M that of the second camera, for which the
        // .rsm has no room.
        return is_background(frame) ? background(frame % 2) : make_numbered_image(type(), 600 + frame);
    }
    bool is_background(int frame) const {
        if (frame == 0) return kind == 'U';
        return frame == 1 && dual && !two_backgrounds;
    }
    cv::Mat background(int camera) const { return make_numbered_image(type(), dual && camera == 1 ? 9000 : 40503); }
    cv::Mat difference(int frame) const {
        return combined(image(frame), background(dual ? frame % 2 : 0), -1, CV_16SC1);
    }

    std::vector<cv::Mat> images(int camera = 0, int step = 1) const {
        std::vector<cv::Mat> images;
        for (int frame = camera; frame < frames; frame += step) images.push_back(image(frame));
        return images;
    }

    /// An image with the columns that are none.
    cv::Mat stored(const cv::Mat& image, int frame) const {
        cv::Mat whole(rows, columns, image.type());
        whole.setTo(cv::Scalar(111));
        image.copyTo(whole(region()));
        for (const int column : {8, 12, 14}) {
            for (int row = 0; row < rows; ++row) {
                if (column >= left) continue;
                whole.at<int16_t>(row, column) =
                    row < 80 && row % 4 == 0 ? input_value(column, frame, row / 4) : int16_t{-1};
            }
        }
        return whole;
    }

    std::string rsh(const std::string& more = "") const {
        const std::vector<std::string> lines = {fmt::format("00{} recorded by hand", kind),
                                                fmt::format("x={}/y={}/lskp={}/rskp={}/", columns, rows, left, right),
                                                fmt::format("blk={}/trig=1", block),
                                                "acquisition_date=2019/03/05 14:07:09",
                                                fmt::format("page_frames={}", frames),
                                                "sample_time=2.0msec",
                                                "sample_mode=DIF",
                                                fmt::format("dual_cam={}", dual ? 1 : 0),
                                                "cmnt=dose=3/4 mg, x=1/y=2"};
        std::string text;
        for (const std::string& line : lines) text += line + line_end;
        if (!more.empty()) text += more + line_end;
        text += "Data-File-List" + line_end + "rec.rsm" + line_end;
        for (int file = 0; file < files_count(); ++file) text += fmt::format("rec({}).rsd", file) + line_end;
        return text;
    }

    int files_count() const { return (frames + block - 1) / block; }

    ForeignFiles files(const std::string& more = "") const {
        const std::string text = rsh(more);
        ForeignFiles files = {{"rec.rsh", {text.begin(), text.end()}}};
        BytesMaker rsm;
        rsm.image(stored(background(0), 0));
        if (two_backgrounds) rsm.image(stored(background(1), 0));
        files["rec.rsm"] = rsm.get();
        for (int file = 0; file < files_count(); ++file) {
            BytesMaker maker;
            for (int frame = file * block; frame < std::min(frames, (file + 1) * block); ++frame) {
                const bool whole = frame < (dual ? 2 : 1) && !first_is_difference;
                maker.image(stored(whole ? image(frame) : difference(frame), frame));
            }
            if (file + 1 == files_count()) maker.pad_to(maker.size() + size_t(padding * rows * columns * 2));
            files[fmt::format("rec({}).rsd", file)] = maker.get();
        }
        return files;
    }
};

struct Opened {
    explicit Opened(const ForeignFiles& files, const std::string& name = "rec.rsh", const CodecOptions& format = {}) {
        write_foreign_files(folder.path(), files);
        SourceOptions options;
        options.format = format;
        source = open_file_source(folder / name, options);
    }

    bool warns_of(const std::string& words) const {
        for (const std::string& warning : source->warnings()) {
            if (warning.find(words) != std::string::npos) return true;
        }
        return false;
    }

    TemporaryFolder folder;
    std::unique_ptr<FrameSource> source;
};

SourceOptions with(const CodecOptions& format) {
    SourceOptions options;
    options.format = format;
    return options;
}

}  // namespace

TEST_CASE("micam_ultima: frames are background and difference, the first one is an image already") {
    for (const char kind : {'M', 'U'}) {
        for (const int right : {7, 0}) {
            for (const char* line_end : {"\n", "\r\n", "\r"}) {
                CAPTURE(kind);
                CAPTURE(right);
                CAPTURE(line_end);
                const Recording recording{.right = right, .kind = kind, .line_end = line_end};
                const ForeignFiles files = recording.files();
                const ExpectedFrames expected{.images = recording.images()};
                for (const char* name : {"rec.rsh", "rec.rsm", "rec(0).rsd", "rec(2).rsd"})
                    check_foreign_source(*Opened(files, name).source, expected);
                const Opened opened(files);
                CHECK(opened.source->warnings().empty());
                CHECK(opened.source->info().image_type == recording.type());
            }
        }
    }
    const Recording recording;
    check_foreign_files(recording.files(), "rec.rsh", {.images = recording.images()});
}

TEST_CASE("micam_ultima: the description is in the metadata") {
    const Opened opened(Recording{}.files());
    const SourceInfo& info = opened.source->info();
    CHECK(info.format == "MiCAM ULTIMA");
    CHECK(info.frame_rate == 500);
    CHECK(info.creation_time == 1551794829);
    CHECK_FALSE(info.has_times);
    CHECK_FALSE(info.has_numbers);
    const Json& metadata = opened.source->user_metadata();
    CHECK(metadata.at("comment") == "dose=3/4 mg, x=1/y=2");
    CHECK(metadata.at("title") == "00M recorded by hand");
    CHECK(metadata.at("acquisition_date") == "2019/03/05 14:07:09");
    CHECK(metadata.at("sample_mode") == "DIF");
    CHECK(metadata.at("trig") == 1);
    CHECK(metadata.at("useful_region") == Json::parse(R"({"x":20,"y":0,"width":16,"height":80})"));
    CHECK(metadata.at("analog_sample_rate") == 10000);
}

TEST_CASE("micam_ultima: other names of the keys and capital letters are understood") {
    const Recording recording;
    ForeignFiles files = recording.files();
    std::string text =
        "ab M\nDataXsize=43/DataYsize=80\nlskp=20/rskp=7/blk=4\nsample_time=500 usec\nframe_number=10\n"
        "Data-File-List\nC:\\data\\REC.RSM\n";
    for (int file = 0; file < 3; ++file) text += fmt::format("C:\\data\\REC({}).RSD\n", file);
    text[2] = 'M';
    files["rec.rsh"] = {text.begin(), text.end()};
    const Opened opened(files);
    CHECK(opened.source->info().frame_rate == 2000);
    CHECK(opened.source->warnings().empty());
    check_foreign_source(*opened.source, {.images = recording.images()});

    ForeignFiles shouting;
    for (const auto& [name, bytes] : files) {
        std::string upper = name;
        for (char& character : upper) character = static_cast<char>(std::toupper(character));
        shouting[upper] = bytes;
    }
    for (const char* name : {"REC.RSH", "REC(1).RSD", "REC.RSM"})
        check_foreign_source(*Opened(shouting, name).source, {.images = recording.images()});
}

TEST_CASE("micam_ultima: the inputs in the skipped columns are extra data") {
    for (const bool dual : {false, true}) {
        const Recording recording{.dual = dual};
        for (const int camera : {1, 2}) {
            if (camera == 2 && !dual) continue;
            const Opened opened(recording.files(), "rec.rsh", {{"camera", std::to_string(camera)}});
            RandomAccess* const access = opened.source->random_access();
            for (int64_t index = access->frame_count(); index-- > 0;) {
                const int frame = dual ? int(2 * index) + camera - 1 : int(index);
                const std::vector<Json> records = access->extra_data_of(index);
                REQUIRE(records.size() == 1);
                REQUIRE(records[0].size() == 3);
                for (const auto& [name, column] :
                     std::map<std::string, int>{{"analog1", 12}, {"analog2", 14}, {"stimulus", 8}}) {
                    const Json& samples = records[0].at(name);
                    REQUIRE(samples.size() == 20);
                    for (int sample = 0; sample < 20; ++sample)
                        CHECK(samples[sample] == input_value(column, frame, sample));
                }
            }
        }
    }
    // Where the columns belong to the image there are no inputs, and of few rows only those that there are.
    const Opened without(Recording{.left = 5}.files());
    CHECK(without.source->random_access()->extra_data_of(1).empty());
    const Opened some(Recording{.rows = 9, .left = 13}.files());
    const Json record = some.source->random_access()->extra_data_of(1)[0];
    CHECK(record.size() == 2);
    CHECK(record.at("analog1").size() == 3);
    CHECK(record.at("stimulus")[2] == input_value(8, 1, 2));
}

TEST_CASE("micam_ultima: two cameras are two sources whose frames keep their numbers") {
    for (const char kind : {'M', 'U'}) {
        for (const int frames : {9, 10}) {
            CAPTURE(kind);
            CAPTURE(frames);
            const Recording recording{.frames = frames, .dual = true, .kind = kind};
            for (const int camera : {1, 2}) {
                CAPTURE(camera);
                std::vector<int64_t> numbers;
                for (int frame = camera - 1; frame < frames; frame += 2) numbers.push_back(frame);
                const Opened opened(recording.files(), "rec.rsh", {{"camera", std::to_string(camera)}});
                CHECK(opened.warns_of(fmt::format("camera={}", 3 - camera)));
                CHECK(opened.source->warnings().size() == 1);
                CHECK(opened.source->info().has_numbers);
                CHECK(opened.source->info().frame_rate == 500);
                check_foreign_source(*opened.source, {.images = recording.images(camera - 1, 2), .numbers = numbers});
            }
            const Opened first(recording.files());
            CHECK(first.source->random_access()->stamp(1).number == 2);
        }
    }
    const Recording single;
    CHECK(error_of([&] { Opened{single.files(), "rec.rsh", {{"camera", "2"}}}; }) == ErrorCode::not_found);
    CHECK(error_of([&] { Opened{single.files(), "rec.rsh", {{"camera", "3"}}}; }) == ErrorCode::invalid_argument);
    const Recording two{.dual = true, .two_backgrounds = true};
    const Opened second(two.files(), "rec.rsh", {{"camera", "2"}});
    check_foreign_source(*second.source, {.images = two.images(1, 2), .numbers = {1, 3, 5, 7, 9}});
    // Some descriptions count the frames of one camera.
    const Recording dual{.padding = 2, .dual = true};
    ForeignFiles files = dual.files();
    std::string text = dual.rsh();
    text.replace(text.find("page_frames=10"), 14, "page_frames=5");
    files["rec.rsh"] = {text.begin(), text.end()};
    CHECK(Opened(files).source->info().frame_count == 5);
}

TEST_CASE("micam_ultima: frames of a missing file stay listed, so that the others keep their places") {
    const Recording recording;
    for (const int missing : {0, 1, 2}) {
        CAPTURE(missing);
        ForeignFiles files = recording.files();
        const std::string name = fmt::format("rec({}).rsd", missing);
        files.erase(name);
        const Opened opened(files);
        CHECK(opened.warns_of(name + " is missing"));
        RandomAccess* const access = opened.source->random_access();
        REQUIRE(access->frame_count() == recording.frames);
        for (int frame = 0; frame < recording.frames; ++frame) {
            CAPTURE(frame);
            if (frame / recording.block == missing) {
                const Error error = expected_error([&] { access->at_index(frame); });
                CHECK(error.code() == ErrorCode::not_found);
                CHECK(error.place().path.ends_with(name));
                CHECK(error.place().frame_index == frame);
                CHECK(access->extra_data_of(frame).empty());
            } else {
                CHECK(equal_pixels(access->at_index(frame).image, recording.image(frame)));
            }
        }
    }
    // The list itself leaves the file out.
    ForeignFiles files = recording.files();
    std::string text = recording.rsh();
    text.erase(text.find("rec(1).rsd"), std::string("rec(1).rsd\r\n").size());
    files["rec.rsh"] = {text.begin(), text.end()};
    check_foreign_source(*Opened(files).source, {.images = recording.images()});
    files.erase("rec(1).rsd");
    const Opened hole(files);
    CHECK(hole.source->info().frame_count == recording.frames);
    CHECK(equal_pixels(hole.source->random_access()->at_index(9).image, recording.image(9)));
    CHECK(error_of([&] { hole.source->random_access()->at_index(4); }) == ErrorCode::not_found);
}

TEST_CASE("micam_ultima: the last file may be short or filled up") {
    const Recording padded{.padding = 2};
    const Opened dropped(padded.files());
    CHECK(dropped.warns_of("announces 10 frames; the 2 behind them"));
    check_foreign_source(*dropped.source, {.images = padded.images()});
    CHECK(Opened(padded.files(), "rec.rsh", {{"padding", "keep"}}).source->info().frame_count == 12);

    const Recording recording;
    ForeignFiles files = recording.files();
    files["rec(2).rsd"].resize(files["rec(2).rsd"].size() - 100);
    const Opened cut(files);
    CHECK(cut.warns_of("rec(2).rsd is cut off"));
    CHECK(cut.warns_of("announces 10 frames, 9 are there"));
    std::vector<cv::Mat> images = recording.images();
    images.pop_back();
    check_foreign_source(*cut.source, {.images = images});

    // A file in the middle keeps its room.
    files = recording.files();
    files["rec(1).rsd"].resize(files["rec(1).rsd"].size() / 2);
    const Opened middle(files);
    CHECK(middle.warns_of("rec(1).rsd is too short: frames 6 to 7"));
    CHECK(equal_pixels(middle.source->random_access()->at_index(8).image, recording.image(8)));
    CHECK(equal_pixels(middle.source->random_access()->at_index(5).image, recording.image(5)));
    CHECK(error_of([&] { middle.source->random_access()->at_index(6); }) == ErrorCode::corrupt);

    // A count that cannot be one of all files takes nothing away.
    files = recording.files();
    std::string text = recording.rsh();
    text.replace(text.find("page_frames=10"), 14, "page_frames=3");
    files["rec.rsh"] = {text.begin(), text.end()};
    const Opened small(files);
    CHECK(small.warns_of("which are all given"));
    check_foreign_source(*small.source, {.images = recording.images()});
    // Nor does a number of frames a file that none of them has.
    text = recording.rsh();
    text.replace(text.find("blk=4"), 5, "blk=256");
    files["rec.rsh"] = {text.begin(), text.end()};
    const Opened lying(files);
    CHECK(lying.warns_of("256 frames a file, the files have 4"));
    check_foreign_source(*lying.source, {.images = recording.images()});
}

TEST_CASE("micam_ultima: hundreds of damaged files are a few warnings") {
    const Recording recording{.rows = 10, .block = 1, .frames = 60};
    ForeignFiles files = recording.files();
    for (int file = 0; file < 60; ++file) files[fmt::format("rec({}).rsd", file)].push_back(0);
    const Opened opened(files);
    CHECK(opened.source->warnings().size() == 21);
    CHECK(opened.warns_of("40 more files are cut off within a frame"));
    CHECK(opened.source->info().frame_count == 60);
}

TEST_CASE("micam_ultima: without .rsm the first frame does, without .rsh nothing does") {
    const Recording recording{.kind = 'M'};
    ForeignFiles files = recording.files();
    // As the camera writes it: the first image is the background.
    files["rec(0).rsd"] = [&] {
        std::vector<uint8_t> bytes = BytesMaker().image(recording.stored(recording.background(0), 0)).get();
        const std::vector<uint8_t>& old = files["rec(0).rsd"];
        bytes.insert(bytes.end(), old.begin() + ptrdiff_t(bytes.size()), old.end());
        return bytes;
    }();
    std::vector<cv::Mat> images = recording.images();
    images[0] = recording.background(0);
    for (const size_t left : {size_t{0}, size_t{77}}) {
        ForeignFiles damaged = files;
        if (left == 0) damaged.erase("rec.rsm");
        if (left > 0) damaged["rec.rsm"].resize(left);
        const Opened opened(damaged);
        CHECK(opened.warns_of(left == 0 ? "rec.rsm is missing" : "rec.rsm is cut off"));
        check_foreign_source(*opened.source, {.images = images});
    }
    ForeignFiles neither = files;
    neither.erase("rec.rsm");
    neither.erase("rec(0).rsd");
    const Error no_background = expected_error([&] { Opened{neither}; });
    CHECK(no_background.code() == ErrorCode::not_found);
    CHECK(no_background.place().path.ends_with("rec.rsm"));
    ForeignFiles bare = files;
    bare.erase("rec.rsh");
    for (const char* name : {"rec.rsm", "rec(1).rsd"}) {
        const Error error = expected_error([&] { Opened(bare, name); });
        CHECK(error.code() == ErrorCode::not_found);
        CHECK(error.place().path.ends_with("rec.rsh"));
    }
    // The files were renamed together, the list was not changed.
    ForeignFiles renamed;
    for (const auto& [name, bytes] : files) renamed["new" + name.substr(3)] = bytes;
    const Opened found(renamed, "new.rsh");
    CHECK(found.warns_of("the 3 that have its name"));
    check_foreign_source(*found.source, {.images = images});
}

TEST_CASE("micam_ultima: whether the first frame is an image can be told, and is seen where it clearly is none") {
    // Differences of a real camera are small.
    Recording recording{.frames = 3};
    const auto files_with_first = [&](const cv::Mat& first) {
        ForeignFiles files = recording.files();
        const std::vector<uint8_t> bytes = BytesMaker().image(recording.stored(first, 0)).get();
        std::copy(bytes.begin(), bytes.end(), files["rec(0).rsd"].begin());
        return files;
    };
    cv::Mat small(recording.rows, recording.region().width, CV_16SC1);
    cv::randu(small, -20, 20);
    const cv::Mat sum = combined(recording.background(0), small, 1, CV_16UC1);
    const Opened seen(files_with_first(small));
    CHECK(seen.warns_of("looks like a difference"));
    CHECK(equal_pixels(seen.source->random_access()->at_index(0).image, sum));
    const Opened absolute(files_with_first(small), "rec.rsh", {{"first_frame", "absolute"}});
    cv::Mat unsigned_image(small.rows, small.cols, CV_16UC1, small.data, small.step);
    CHECK(equal_pixels(absolute.source->random_access()->at_index(0).image, unsigned_image));

    // The second camera's, where the one background is for both.
    recording.dual = true;
    for (const CodecOptions& format :
         {CodecOptions{{"camera", "2"}}, CodecOptions{{"camera", "2"}, {"first_frame", "difference"}}}) {
        ForeignFiles files = recording.files();
        const std::vector<uint8_t> bytes = BytesMaker().image(recording.stored(small, 1)).get();
        std::copy(bytes.begin(), bytes.end(), files["rec(0).rsd"].begin() + ptrdiff_t(bytes.size()));
        const Opened both(files, "rec.rsh", format);
        CHECK(both.warns_of("looks like a difference") == (format.size() == 1));
        CHECK(equal_pixels(both.source->random_access()->at_index(0).image, sum));
    }

    Recording differs{.first_is_difference = true};
    check_foreign_files(differs.files(), "rec.rsh", {.images = differs.images()},
                        with({{"first_frame", "difference"}}));
}

TEST_CASE("micam_ultima: all columns, the background and the differences are there on demand") {
    const Recording recording;
    std::vector<cv::Mat> differences;
    for (int frame = 0; frame < recording.frames; ++frame) differences.push_back(recording.difference(frame));
    check_foreign_files(recording.files(), "rec.rsh", {.images = differences}, with({{"image", "difference"}}));
    check_foreign_files(recording.files(), "rec.rsh", {.images = {recording.background(0)}},
                        with({{"image", "background"}}));
    const Recording dual{.dual = true};
    check_foreign_files(dual.files(), "rec.rsh", {.images = {dual.background(1)}},
                        with({{"image", "background"}, {"camera", "2"}}));
    const Opened whole(recording.files(), "rec.rsh", {{"region", "stored"}});
    CHECK(whole.source->info().image_type == ImageType{80, 43, 1, CV_16U});
    const Frame frame = whole.source->random_access()->at_index(5);
    CHECK(equal_pixels(frame.image(recording.region()).clone(), recording.image(5)));
    CHECK(frame.image.at<uint16_t>(3, 0) == 222);
}

TEST_CASE("micam_ultima: a recording of more files than stay open is read by several threads") {
    const Recording recording{.rows = 10, .block = 1, .frames = 70};
    const Opened opened(recording.files());
    check_foreign_source(*opened.source, {.images = recording.images()});
    std::atomic<int> wrong = 0;
    std::vector<std::thread> threads;
    for (unsigned seed = 0; seed < 4; ++seed) {
        threads.emplace_back([&, seed, access = opened.source->random_access()->clone_access()] {
            std::mt19937 random(seed);
            for (int i = 0; i < 200; ++i) {
                const int frame = static_cast<int>(random() % 70);
                if (!equal_pixels(access->at_index(frame).image, recording.image(frame))) ++wrong;
                if (access->extra_data_of(frame)[0]["stimulus"][0] != input_value(8, frame, 0)) ++wrong;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == 0);
}

TEST_CASE("micam_ultima: truncated and absurd headers give an error or frames") {
    const Recording recording{.rows = 10, .frames = 6};
    const ForeignFiles files = recording.files();
    check_truncated(files, "rec.rsh", "rec.rsh", 2000, 6);
    check_truncated(files, "rec.rsh", "rec.rsm", 2000, 6, 29);
    check_truncated(files, "rec.rsh", "rec(1).rsd", 2000, 6, 29);
    check_absurd_headers(files, "rec.rsh", "rec.rsh", 120, 2);
    const auto readable = [&](const std::string& from, const std::string& to) {
        const TemporaryFolder folder;
        ForeignFiles changed = files;
        std::string text = recording.rsh();
        text.replace(text.find(from), from.size(), to);
        changed["rec.rsh"] = {text.begin(), text.end()};
        write_foreign_files(folder.path(), changed);
        return readable_frames(folder / "rec.rsh").value_or(-1);
    };
    CHECK(readable("x=43", "x=99999999999999999999") == -1);
    CHECK(readable("x=43", "x=-43") == -1);
    CHECK(readable("x=43", "x=65535") == -1);
    CHECK(readable("x=43/y=10", "x=65535/y=65535") == -1);
    CHECK(readable("x=43", "z=43") == -1);
    CHECK(readable("rskp=7", "rskp=23") == -1);
    CHECK(readable("rskp=7", "rskp=-1") == -1);
    CHECK(readable("blk=4", "blk=0") == 6);
    CHECK(readable("blk=4", "blk=9000000000000000000") == 6);
    CHECK(readable("page_frames=6", "page_frames=9223372036854775807") == 6);
    CHECK(readable("page_frames=6", "page_frames=-5") == 6);
    CHECK(readable("rec(0)", "../rec(0)") == 6);
}

TEST_CASE("micam_ultima: other content under its names is not taken for it") {
    const TemporaryFolder folder;
    const std::vector<uint8_t> noise(3000, 0xFF);
    write_foreign_files(folder.path(), {{"empty.rsh", {}}, {"empty.rsd", {}}, {"noise.rsh", noise}});
    for (const char* name : {"empty.rsh", "empty.rsd", "noise.rsh"}) {
        CAPTURE(name);
        CHECK(error_of([&] { open_file_source(folder / name); }) == ErrorCode::unsupported);
    }
    const std::string pgm = "P5 2 1 255\nab";
    write_foreign_files(folder.path(), {{"picture.rsd", {pgm.begin(), pgm.end()}}});
    CHECK(open_file_source(folder / "picture.rsd")->info().format != "MiCAM ULTIMA");
}

}  // namespace reelstore
