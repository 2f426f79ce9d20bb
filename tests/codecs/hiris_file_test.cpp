#include <fmt/format.h>

#include "base/numbered_frames.h"
#include "tests/codecs/foreign_kit.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

constexpr int kPerBin = 3;

/// A recording; every member is what its description says.
struct Recording {
    ImageType type = {6, 20, 1, CV_8U};
    int frames = 8;
    std::string prefix = "Trial_";
    double time_unit = 1;  ///< of the time stamps, in seconds
    int first_bin = 0;
    /// Images do not follow each other: some bytes are between them, and they are in another order.
    bool scattered = false;
    std::string more = {};  ///< lines of the description

    cv::Mat image(int frame) const { return make_numbered_image(type, 500 + frame); }
    std::vector<cv::Mat> images() const {
        std::vector<cv::Mat> images;
        for (int frame = 0; frame < frames; ++frame) images.push_back(image(frame));
        return images;
    }
    static double time(int frame) { return 12.5 + frame * 0.01 + (frame == 5 ? 0.002 : 0); }
    std::vector<double> times() const {
        std::vector<double> times;
        for (int frame = 0; frame < frames; ++frame) times.push_back(time(frame));
        return times;
    }
    int bins() const { return (frames + kPerBin - 1) / kPerBin; }
    std::string bin_name(int bin) const { return fmt::format("{}{:05d}.bin", prefix, bin + first_bin); }

    std::string seq() const {
        return fmt::format(
            "[Sequence Settings]\r\nSequence name=test\r\nCommentSize=11\r\nComment=a=b; c: d\r\n"
            "Number of files={}\r\nWidth={}\r\nHeight={}\r\nBytesPerPixel={}\r\nBitsPerPixel={}\r\n"
            "Bin repertoire=C:\\data\\bins\\\r\nBin File={}\r\nStart Time=05/03/2019 14:07:09\r\n"
            "FramePerSecond=100\r\n{}",
            frames, type.width, type.height, type.depth == CV_8U ? 1 : 2, type.depth == CV_8U ? 8 : 12, prefix, more);
    }

    ForeignFiles files() const {
        const std::string text = seq();
        ForeignFiles files = {{"rec.seq", {text.begin(), text.end()}}};
        std::vector<BytesMaker> contents(static_cast<size_t>(bins()));
        std::vector<std::pair<int, int>> places(static_cast<size_t>(frames));
        for (int i = 0; i < frames; ++i) {
            const int frame = scattered ? frames - 1 - i : i;
            const int bin = i / kPerBin;
            if (scattered) contents[size_t(bin)].add(uint32_t{0xDEADBEEF});
            places[size_t(frame)] = {bin, static_cast<int>(contents[size_t(bin)].size())};
            contents[size_t(bin)].image(image(frame));
        }
        BytesMaker records;
        for (int frame = 0; frame < frames; ++frame) {
            const auto [bin, offset] = places[size_t(frame)];
            records.add(int32_t{offset}).add(uint32_t{0xCCCCCCCC}).add(time(frame) / time_unit);
            records.add(int32_t{bin + first_bin}).add(uint32_t{0xCCCCCCCC});
        }
        files["rec.sqb"] = records.get();
        for (int bin = 0; bin < bins(); ++bin) files[bin_name(bin)] = contents[size_t(bin)].get();
        return files;
    }
};

struct Opened {
    explicit Opened(const ForeignFiles& files, const std::string& name = "rec.seq", const CodecOptions& format = {}) {
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

}  // namespace

TEST_CASE("hiris: places and times come from the .sqb") {
    for (const int depth : {CV_8U, CV_16U}) {
        for (const bool scattered : {false, true}) {
            for (const int first_bin : {0, 1}) {
                CAPTURE(depth);
                CAPTURE(scattered);
                CAPTURE(first_bin);
                const Recording recording{.type = {6, 20, 1, depth}, .first_bin = first_bin, .scattered = scattered};
                check_foreign_files(recording.files(), "rec.seq",
                                    {.images = recording.images(), .times = recording.times()});
            }
        }
    }
    const Recording recording;
    CHECK(Opened(recording.files()).source->warnings().empty());
}

TEST_CASE("hiris: the frame rate tells the unit of the times") {
    for (const double unit : {1.0, 1e-3, 1e-6, 1e-9}) {
        CAPTURE(unit);
        const Recording recording{.time_unit = unit};
        const Opened opened(recording.files());
        CHECK(opened.source->user_metadata().at("time_stamp_unit_seconds") == unit);
        check_foreign_source(*opened.source, {.images = recording.images(), .times = recording.times()});
    }
}

TEST_CASE("hiris: the description is in the metadata") {
    const Opened opened(Recording{.type = {6, 20, 1, CV_16U}}.files());
    const SourceInfo& info = opened.source->info();
    CHECK(info.format == "HIRIS");
    CHECK(info.image_type == ImageType{6, 20, 1, CV_16U});
    CHECK(info.frame_rate == 100);
    CHECK(info.has_times);
    CHECK_FALSE(info.times_are_absolute);
    CHECK(info.creation_time == 1551794829);
    const Json& metadata = opened.source->user_metadata();
    CHECK(metadata.at("sequence_name") == "test");
    CHECK(metadata.at("comment") == "a=b; c: d");
    CHECK(metadata.at("bitsperpixel") == 12);
    CHECK(metadata.at("start_time") == "05/03/2019 14:07:09");
}

TEST_CASE("hiris: without .sqb the images are taken as they follow each other") {
    for (const int depth : {CV_8U, CV_16U}) {
        const Recording recording{.type = {6, 20, 1, depth}};
        ForeignFiles files = recording.files();
        files.erase("rec.sqb");
        const Opened opened(files);
        CHECK(opened.warns_of("rec.sqb is missing"));
        CHECK(opened.source->warnings().size() == 1);
        CHECK_FALSE(opened.source->info().has_times);
        CHECK(opened.source->info().frame_rate == 100);
        check_foreign_source(*opened.source, {.images = recording.images()});
    }
    const Recording recording;
    const Opened raw(recording.files(), "rec.seq", {{"positions", "raw"}});
    CHECK(raw.source->warnings().empty());
    check_foreign_source(*raw.source, {.images = recording.images()});
    CHECK(error_of([&] { Opened(recording.files(), "rec.seq", {{"positions", "x"}}); }) == ErrorCode::invalid_argument);
    // Nor is one believed that points nowhere.
    ForeignFiles files = recording.files();
    files["rec.sqb"].assign(files["rec.sqb"].size(), 0xFF);
    const Opened garbage(files);
    CHECK(garbage.warns_of("points to no image"));
    check_foreign_source(*garbage.source, {.images = recording.images()});
}

TEST_CASE("hiris: the images are found by prefix, by the description's name, in the folder they were written to") {
    const Recording recording;
    const ForeignFiles files = recording.files();
    const ExpectedFrames expected{.images = recording.images(), .times = recording.times()};
    for (const std::string beginning : {"rec", "rec_", "REC_", "bins/Trial_", "TRIAL_"}) {
        CAPTURE(beginning);
        ForeignFiles moved;
        for (const auto& [name, bytes] : files) {
            const bool is_bin = name.ends_with(".bin");
            moved[is_bin ? beginning + name.substr(recording.prefix.size()) : name] = bytes;
        }
        const Opened opened(moved);
        check_foreign_source(*opened.source, expected);
    }
    // Names of another recording in the same folder are left alone.
    ForeignFiles more = files;
    more["Trial_2_00000.bin"] = files.at("Trial_00000.bin");
    more["Other_00007.bin"] = files.at("Trial_00000.bin");
    check_foreign_source(*Opened(more, "rec.seq", {{"positions", "raw"}}).source, {.images = recording.images()});
}

TEST_CASE("hiris: images of a missing .bin stay listed") {
    const Recording recording;
    for (const bool with_records : {true, false}) {
        for (const int missing : {0, 1, 2}) {
            CAPTURE(with_records);
            CAPTURE(missing);
            ForeignFiles files = recording.files();
            files.erase(recording.bin_name(missing));
            if (!with_records) files.erase("rec.sqb");
            const Opened opened(files);
            RandomAccess* const access = opened.source->random_access();
            if (!with_records && missing == 2) {
                // Nothing but the count tells of a last file that is gone.
                CHECK(access->frame_count() == 6);
                CHECK(opened.warns_of("announces 8 images"));
                continue;
            }
            CHECK(opened.warns_of(recording.bin_name(missing) + " is missing"));
            REQUIRE(access->frame_count() == recording.frames);
            for (int frame = 0; frame < recording.frames; ++frame) {
                if (frame / kPerBin == missing) {
                    const Error error = expected_error([&] { access->at_index(frame); });
                    CHECK(error.code() == ErrorCode::not_found);
                    CHECK(error.place().path.ends_with(recording.bin_name(missing)));
                } else {
                    CHECK(equal_pixels(access->at_index(frame).image, recording.image(frame)));
                }
            }
        }
    }
    ForeignFiles none = recording.files();
    for (int bin = 0; bin < recording.bins(); ++bin) none.erase(recording.bin_name(bin));
    const Error error = expected_error([&] { Opened{none}; });
    CHECK(error.code() == ErrorCode::not_found);
    CHECK(error.place().path.ends_with("Trial_00000.bin"));
}

TEST_CASE("hiris: a missing .bin moves no other where the description does not say how they are called") {
    const Recording recording{.prefix = "rec_"};
    ForeignFiles files = recording.files();
    std::string text = recording.seq();
    const std::string named = "Bin File=rec_\r\n";
    text.erase(text.find(named), named.size());
    files["rec.seq"] = {text.begin(), text.end()};
    files.erase("rec_00001.bin");
    const Opened opened(files);
    CHECK(opened.warns_of("rec_00001.bin is missing"));
    CHECK(equal_pixels(opened.source->random_access()->at_index(7).image, recording.image(7)));
    CHECK(error_of([&] { opened.source->random_access()->at_index(3); }) == ErrorCode::not_found);
}

TEST_CASE("hiris: times that do not rise are none") {
    const Recording recording;
    ForeignFiles files = recording.files();
    for (int frame = 0; frame < recording.frames; ++frame)
        std::fill_n(files["rec.sqb"].begin() + frame * 24 + 8, sizeof(double), uint8_t{0});
    const Opened opened(files);
    CHECK(opened.warns_of("times in rec.sqb"));
    CHECK_FALSE(opened.source->info().has_times);
    check_foreign_source(*opened.source, {.images = recording.images()});
}

TEST_CASE("hiris: without the bytes of a pixel its bits tell") {
    const Recording recording{.type = {6, 20, 1, CV_16U}};
    ForeignFiles files = recording.files();
    std::string text = recording.seq();
    const std::string bytes = "BytesPerPixel=2\r\n";
    text.erase(text.find(bytes), bytes.size());
    files["rec.seq"] = {text.begin(), text.end()};
    check_foreign_source(*Opened(files).source, {.images = recording.images(), .times = recording.times()});
}

TEST_CASE("hiris: what is left of a damaged recording is given") {
    const Recording recording;
    ForeignFiles files = recording.files();
    files["Trial_00002.bin"].resize(files["Trial_00002.bin"].size() - 1);
    const Opened cut(files);
    CHECK(error_of([&] { cut.source->random_access()->at_index(7); }) == ErrorCode::corrupt);
    CHECK(equal_pixels(cut.source->random_access()->at_index(6).image, recording.image(6)));
    files.erase("rec.sqb");
    const Opened raw(files);
    CHECK(raw.warns_of("end within an image"));
    CHECK(raw.source->info().frame_count == 7);

    files = recording.files();
    files["rec.sqb"].resize(24 * 5 + 11);
    const Opened short_records(files);
    CHECK(short_records.warns_of("cut off within a record"));
    CHECK(short_records.warns_of("room for 8 images, rec.sqb lists 5"));
    std::vector<cv::Mat> images = recording.images();
    std::vector<double> times = recording.times();
    images.resize(5);
    times.resize(5);
    check_foreign_source(*short_records.source, {.images = images, .times = times});
}

TEST_CASE("hiris: truncated and absurd headers give an error or frames") {
    const Recording recording;
    const ForeignFiles files = recording.files();
    check_truncated(files, "rec.seq", "rec.seq", 1000, 200, 1);
    check_truncated(files, "rec.seq", "rec.sqb", 200, 8, 1);
    check_truncated(files, "rec.seq", "Trial_00000.bin", 400, 8, 7);
    check_absurd_headers(files, "rec.seq", "rec.sqb", 96, 2);
    check_absurd_headers(files, "rec.seq", "rec.seq", 300, 4);
    const auto readable = [&](const std::string& from, const std::string& to) {
        const TemporaryFolder folder;
        ForeignFiles changed = files;
        std::string text = recording.seq();
        text.replace(text.find(from), from.size(), to);
        changed["rec.seq"] = {text.begin(), text.end()};
        write_foreign_files(folder.path(), changed);
        return readable_frames(folder / "rec.seq").value_or(-1);
    };
    CHECK(readable("Width=20", "Width=0") == -1);
    CHECK(readable("Width=20", "Width=-20") == -1);
    CHECK(readable("Width=20", "Width=65535") == -1);
    CHECK(readable("Width=20", "Width=99999999999999999999") == -1);
    CHECK(readable("BytesPerPixel=1", "BytesPerPixel=3") == -1);
    CHECK(readable("BytesPerPixel=1", "BytesPerPixel=2") == 5);
    CHECK(readable("Number of files=8", "Number of files=9223372036854775807") == 8);
    CHECK(readable("Bin File=Trial_", "Bin File=../Trial_") == 8);
    CHECK(readable("Bin repertoire=C:\\data\\bins\\", "Bin repertoire=../..") == 8);
}

TEST_CASE("hiris: NorPix's .seq and other content are not taken for it") {
    const TemporaryFolder folder;
    BytesMaker norpix;
    norpix.add(uint32_t{0xFEED});
    for (const char character : std::string("Norpix seq")) norpix.add(static_cast<uint16_t>(character));
    norpix.pad_to(2000);
    const std::string words = "Dear diary, [today] there was width=5 only.\n";
    write_foreign_files(folder.path(),
                        {{"norpix.seq", norpix.get()}, {"empty.seq", {}}, {"words.seq", {words.begin(), words.end()}}});
    for (const auto& format : file_formats()) {
        if (format->info().name != "HIRIS") continue;
        CHECK_FALSE(format->recognises(folder / "norpix.seq", norpix.get()));
        CHECK_FALSE(format->recognises(folder / "empty.seq", {}));
        CHECK_FALSE(
            format->recognises(folder / "words.seq", {reinterpret_cast<const uint8_t*>(words.data()), words.size()}));
    }
    for (const char* name : {"empty.seq", "words.seq"}) {
        CAPTURE(name);
        CHECK(error_of([&] { open_file_source(folder / name); }) == ErrorCode::unsupported);
    }
}

}  // namespace reelstore
