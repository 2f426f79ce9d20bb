#include <cmath>

#include <opencv2/imgcodecs.hpp>

#include "base/numbered_frames.h"
#include "codecs/foreign/header_text.h"
#include "tests/codecs/foreign_kit.h"
#include "tests/thrown_error.h"

namespace reelstore {

namespace {

constexpr int kRows = 6;
constexpr int kColumns = 20;
constexpr size_t kHeaderBytes = 972;

int16_t analog_value(int channel, int frame, int sample) {
    return static_cast<int16_t>(channel * 4000 - frame * 300 + sample * 11 - 700);
}

/// A recording; every member is what its header says.
struct Recording {
    int columns = kColumns;
    int rows = kRows;
    int frames = 5;
    cv::Rect useful = {2, 1, 17, 4};
    int channels = 2;
    int samples = 3;
    float sample_time = 2;
    size_t start = kHeaderBytes;
    bool interleaved = false;
    int announced = -1;  ///< frames that the header counts; -1: as many as there are

    ImageType type() const { return {rows, columns, 1, CV_16U}; }
    cv::Mat image(int frame) const { return make_numbered_image(type(), frame & 0xFFFF); }
    cv::Mat background() const { return make_numbered_image(type(), 40503); }

    std::vector<cv::Mat> images() const {
        std::vector<cv::Mat> images;
        for (int frame = 0; frame < frames; ++frame) images.push_back(image(frame));
        return images;
    }

    cv::Mat difference(int frame) const {
        const cv::Mat whole = image(frame);
        const cv::Mat ground = background();
        cv::Mat difference(rows, columns, CV_16SC1);
        for (int row = 0; row < rows; ++row) {
            for (int column = 0; column < columns; ++column) {
                difference.at<int16_t>(row, column) =
                    static_cast<int16_t>(whole.at<uint16_t>(row, column) - ground.at<uint16_t>(row, column));
            }
        }
        return difference;
    }

    std::vector<uint8_t> gsd() const {
        BytesMaker maker;
        maker.text("left atrium, dye A", 256);
        for (const int value : {columns, rows, useful.x, useful.y, useful.width, useful.height})
            maker.add(static_cast<int16_t>(value));
        maker.add(static_cast<uint16_t>(announced < 0 ? frames : announced));
        maker.put<float>(280, 4);
        maker.put<float>(284, sample_time);
        maker.put<int16_t>(328, static_cast<int16_t>(channels));
        maker.put<int16_t>(330, static_cast<int16_t>(samples));
        maker.pad_to(start);
        maker.image(background());
        for (int frame = 0; frame < frames; ++frame) maker.image(difference(frame));
        add_analog(maker);
        return maker.get();
    }

    ForeignFiles files() const { return {{"rec.gsd", gsd()}, {"rec.gsh", gsh()}}; }

    std::vector<uint8_t> gsh() const {
        const std::string text =
            "Date created : 24/12/2025 18:30:05\r\nComment : dose: 3 mg = low\r\n"
            "Number of frames : " +
            std::to_string(frames) + "\r\nImage width : " + std::to_string(columns) +
            "\r\nImage height : " + std::to_string(rows) + "\r\nFrame rate (Hz) : 500\r\n";
        return {text.begin(), text.end()};
    }

private:
    void add_analog(BytesMaker& maker) const {
        if (interleaved) {
            for (int frame = 0; frame < frames; ++frame)
                for (int sample = 0; sample < samples; ++sample)
                    for (int channel = 0; channel < channels; ++channel)
                        maker.add(analog_value(channel, frame, sample));
        } else {
            for (int channel = 0; channel < channels; ++channel)
                for (int frame = 0; frame < frames; ++frame)
                    for (int sample = 0; sample < samples; ++sample) maker.add(analog_value(channel, frame, sample));
        }
    }
};

void check_analog(FrameSource& source, const Recording& recording) {
    for (const int frame : {recording.frames - 1, 0, recording.frames / 2}) {
        const std::vector<Json> records = source.random_access()->extra_data_of(frame);
        REQUIRE(records.size() == 1);
        const Json& analog = records.front().at("analog");
        REQUIRE(analog.size() == size_t(recording.channels));
        for (int channel = 0; channel < recording.channels; ++channel) {
            REQUIRE(analog[channel].size() == size_t(recording.samples));
            for (int sample = 0; sample < recording.samples; ++sample)
                CHECK(analog[channel][sample] == analog_value(channel, frame, sample));
        }
    }
}

/// Writes the files and opens one of them.
struct Opened {
    explicit Opened(const ForeignFiles& files, const std::string& name = "rec.gsd", const CodecOptions& format = {}) {
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

void check_same_pixels(FrameSource& source, const std::vector<cv::Mat>& images) {
    check_foreign_source(source, {.images = images});
}

}  // namespace

TEST_CASE("micam05: frames that are wider than high are right, wherever the images begin") {
    for (const size_t start : {size_t{970}, kHeaderBytes}) {
        for (const int channels : {0, 2}) {
            for (const int frames : {1, 5, 40}) {
                CAPTURE(start);
                CAPTURE(channels);
                CAPTURE(frames);
                const Recording recording{.frames = frames, .channels = channels, .start = start};
                check_foreign_files(recording.files(), "rec.gsd", {.images = recording.images()});
                const Opened opened(recording.files(), "rec.gsh");
                CHECK(opened.source->info().image_type == ImageType{kRows, kColumns, 1, CV_16U});
                CHECK(opened.source->warnings().empty());
                CHECK(opened.source->user_metadata().at("data_start") == start);
                check_same_pixels(*opened.source, recording.images());
                if (channels > 0) check_analog(*opened.source, recording);
                if (channels == 0) CHECK(opened.source->random_access()->extra_data_of(0).empty());
            }
        }
    }
}

TEST_CASE("micam05: sums and differences of rows of any length are right") {
    for (const int columns : {16, 63, 64, 65, 128, 131}) {
        CAPTURE(columns);
        const Recording recording{.columns = columns};
        check_same_pixels(*Opened(recording.files()).source, recording.images());
    }
}

TEST_CASE("micam05: header and description are in the metadata") {
    const Recording recording;
    const Opened opened(recording.files());
    const SourceInfo& info = opened.source->info();
    CHECK(info.format == "MiCAM05");
    CHECK(info.frame_rate == 500);
    CHECK(info.creation_time == 1766601005);
    CHECK_FALSE(info.has_times);
    const Json& metadata = opened.source->user_metadata();
    CHECK(metadata.at("comment") == "dose: 3 mg = low");
    CHECK(metadata.at("date_created") == "24/12/2025 18:30:05");
    CHECK(metadata.at("frame_rate_hz") == 500);
    CHECK(metadata.at("header_text") == "left atrium, dye A");
    CHECK(metadata.at("useful_region") == Json::parse(R"({"x":2,"y":1,"width":17,"height":4})"));
    CHECK(metadata.at("sample_time_milliseconds") == 2);
    CHECK(metadata.at("analog_channels") == 2);
    CHECK(metadata.at("analog_samples_per_frame") == 3);
    CHECK(metadata.at("analog_sample_rate") == 1500);
}

TEST_CASE("micam05: the frame rate comes from the description, else from the header's sample time") {
    const auto rate_with = [](const std::string& description, float sample_time) {
        Recording recording{.sample_time = sample_time};
        ForeignFiles files = recording.files();
        files["rec.gsh"] = {description.begin(), description.end()};
        return Opened(files).source->info().frame_rate;
    };
    CHECK(rate_with("Frame rate (Hz) : 333.5\nSampling time : 9.0msec\n", 2) == 333.5);
    CHECK(rate_with("Sampling time : 0.5 msec\n", 2) == 2000);
    CHECK(rate_with("sample_time=200usec\ndual_cam=0\n", 2) == 5000);
    CHECK(rate_with("Exposure : 1\n", 2) == 500);
    CHECK(rate_with("Exposure : 1\n", 0.1F) == 10000);
    CHECK_FALSE(rate_with("Exposure : 1\n", 0));
    CHECK_FALSE(rate_with("Exposure : 1\n", NAN));
    CHECK_FALSE(rate_with("Frame rate (Hz) : 0\n", INFINITY));
}

TEST_CASE("micam05: the useful region, the background and the differences are there on demand") {
    const Recording recording;
    std::vector<cv::Mat> useful;
    std::vector<cv::Mat> differences;
    for (int frame = 0; frame < recording.frames; ++frame) {
        useful.push_back(recording.image(frame)(recording.useful).clone());
        differences.push_back(recording.difference(frame));
    }
    const auto check = [&](const CodecOptions& format, const std::vector<cv::Mat>& images) {
        SourceOptions options;
        options.format = format;
        check_foreign_files(recording.files(), "rec.gsd", {.images = images}, options);
    };
    check({{"region", "useful"}}, useful);
    check({{"image", "difference"}}, differences);
    check({{"image", "background"}}, {recording.background()});
    check({{"image", "background"}, {"region", "useful"}}, {recording.background()(recording.useful).clone()});
    const Opened opened(recording.files(), "rec.gsd", {{"image", "difference"}});
    check_analog(*opened.source, recording);
    for (const CodecOptions& wrong :
         {CodecOptions{{"region", "all"}}, CodecOptions{{"image", "both"}}, CodecOptions{{"analog_order", "x"}}}) {
        CHECK(error_of([&] { Opened{recording.files(), "rec.gsd", wrong}; }) == ErrorCode::invalid_argument);
    }

    Recording without = recording;
    without.useful = {15, 0, 10, 4};
    const Opened whole(without.files(), "rec.gsd", {{"region", "useful"}});
    CHECK(whole.warns_of("no useful region"));
    check_same_pixels(*whole.source, without.images());
}

TEST_CASE("micam05: analog samples can lie one channel after the other or mixed") {
    const Recording recording{.interleaved = true};
    const Opened opened(recording.files(), "rec.gsd", {{"analog_order", "interleaved"}});
    check_analog(*opened.source, recording);
    const Opened wrong(recording.files());
    CHECK(wrong.source->random_access()->extra_data_of(0)[0]["analog"][1][0] != analog_value(1, 0, 0));
}

TEST_CASE("micam05: frame counts above 32767 and above the field's 65535 are right") {
    for (const int frames : {40000, 65535, 70000}) {
        for (const bool with_description : {true, false}) {
            CAPTURE(frames);
            CAPTURE(with_description);
            const Recording recording{
                .columns = 16, .rows = 2, .frames = frames, .useful = {}, .channels = 1, .samples = 1};
            static std::map<int, std::vector<uint8_t>> made;
            if (!made.contains(frames)) made[frames] = recording.gsd();
            ForeignFiles files = {{"rec.gsd", made[frames]}};
            if (with_description) files["rec.gsh"] = recording.gsh();
            const Opened opened(files);
            REQUIRE(opened.source->info().frame_count == frames);
            for (const int frame : {frames - 1, 0, 32768, 39999}) {
                CHECK(read_image_number(opened.source->random_access()->at_index(frame).image) == (frame & 0xFFFF));
            }
            CHECK(opened.source->random_access()->extra_data_of(39999)[0]["analog"][0][0] == analog_value(0, 39999, 0));
        }
    }
}

TEST_CASE("micam05: a recording of more frames than the field holds is cut off") {
    const Recording recording{.columns = 16, .rows = 1, .frames = 70000, .useful = {}, .channels = 0};
    ForeignFiles files = recording.files();
    files["rec.gsd"].resize(kHeaderBytes + recording.type().bytes() * 66001 + 5);
    const Opened opened(files);
    // The field says 4464.
    CHECK(opened.source->info().frame_count == 66000);
    CHECK(opened.warns_of("does not fit"));
    CHECK(read_image_number(opened.source->random_access()->at_index(65999).image) == (65999 & 0xFFFF));
    files.erase("rec.gsh");
    const Opened alone(files);
    CHECK(alone.source->info().frame_count == 4464);
    CHECK(alone.warns_of("4464 frames are given of 66000 that there is room for"));
}

TEST_CASE("micam05: either file opens the recording, in capital letters too, and missing ones are named") {
    const Recording recording;
    const Opened shouting({{"REC.GSD", recording.gsd()}, {"REC.GSH", recording.gsh()}}, "REC.GSH");
    check_same_pixels(*shouting.source, recording.images());
    const Opened mixed({{"Rec.GSD", recording.gsd()}, {"rec.gsh", recording.gsh()}}, "rec.gsh");
    check_same_pixels(*mixed.source, recording.images());

    const Opened alone({{"rec.gsd", recording.gsd()}});
    CHECK(alone.warns_of("rec.gsh is missing"));
    CHECK(alone.source->info().frame_rate == 500);
    check_same_pixels(*alone.source, recording.images());

    const Error missing = expected_error([&] { Opened({{"rec.gsh", recording.gsh()}}, "rec.gsh"); });
    CHECK(missing.code() == ErrorCode::not_found);
    CHECK(missing.place().path.ends_with("rec.gsd"));

    ForeignFiles files = recording.files();
    files["rec.gsh"] = {};
    const Opened empty(files);
    CHECK(empty.warns_of("says nothing"));
    check_same_pixels(*empty.source, recording.images());
}

TEST_CASE("micam05: what is left of a damaged recording is given") {
    const Recording recording;
    const size_t frame_bytes = recording.type().bytes();
    for (const int left : {0, 1, 3, 4}) {
        CAPTURE(left);
        ForeignFiles files = recording.files();
        files["rec.gsd"].resize(kHeaderBytes + frame_bytes * (size_t(left) + 1) + frame_bytes / 2);
        const Opened opened(files);
        CHECK(opened.warns_of("does not fit"));
        std::vector<cv::Mat> images = recording.images();
        images.resize(size_t(left));
        check_same_pixels(*opened.source, images);
        if (left > 0) CHECK(opened.source->random_access()->extra_data_of(0).empty());
    }
    // The recorder died before it wrote the count, with and without analog data.
    for (const int channels : {0, 2}) {
        Recording died = recording;
        died.announced = 0;
        died.channels = channels;
        const Opened opened({{"rec.gsd", died.gsd()}});
        check_same_pixels(*opened.source, died.images());
    }
    ForeignFiles without_analog = recording.files();
    without_analog["rec.gsd"].resize(kHeaderBytes + frame_bytes * size_t(recording.frames + 1));
    const Opened opened(without_analog);
    CHECK(opened.warns_of("analog data"));
    check_same_pixels(*opened.source, recording.images());
    // Two samples of the last channel's last frame are missing.
    ForeignFiles cut_analog = recording.files();
    cut_analog["rec.gsd"].resize(cut_analog["rec.gsd"].size() - 4);
    const Opened cut(cut_analog);
    CHECK(cut.warns_of("analog data are cut off"));
    check_same_pixels(*cut.source, recording.images());
    const Json analog = cut.source->random_access()->extra_data_of(4)[0]["analog"];
    CHECK(analog[0][2] == analog_value(0, 4, 2));
    CHECK(analog[1][0] == analog_value(1, 4, 0));
    CHECK(analog[1][1].is_null());
    CHECK(analog[1][2].is_null());
    // Bytes behind the end are nothing but a warning.
    ForeignFiles longer = recording.files();
    longer["rec.gsd"].resize(longer["rec.gsd"].size() + 7);
    const Opened more(longer);
    CHECK(more.warns_of("does not fit"));
    check_same_pixels(*more.source, recording.images());
    check_analog(*more.source, recording);
}

TEST_CASE("micam05: sizes in the description that contradict the images are not believed") {
    const Recording recording;
    ForeignFiles files = recording.files();
    const std::string description = "Number of frames : 3000000000\nImage width : 6\nImage height : 20\n";
    files["rec.gsh"] = {description.begin(), description.end()};
    const Opened opened(files);
    CHECK(opened.warns_of("6 columns and 20 rows"));
    check_same_pixels(*opened.source, recording.images());
}

TEST_CASE("micam05: truncated and absurd headers give an error or frames") {
    const Recording recording{.frames = 3};
    const ForeignFiles files = recording.files();
    check_truncated(files, "rec.gsd", "rec.gsd", files.at("rec.gsd").size(), 3, 3);
    check_truncated(files, "rec.gsh", "rec.gsd", 1000, 3, 17);
    check_truncated(files, "rec.gsh", "rec.gsh", 1000, 3, 5);
    check_absurd_headers(files, "rec.gsd", "rec.gsd", 348);
    check_absurd_headers(files, "rec.gsh", "rec.gsh", 200, 5);
}

TEST_CASE("micam05: other content under its names is not taken for it") {
    const TemporaryFolder folder;
    const std::vector<uint8_t> noise(3000, 0xFF);
    write_foreign_files(folder.path(),
                        {{"empty.gsd", {}}, {"empty.gsh", {}}, {"noise.gsd", noise}, {"noise.gsh", noise}});
    for (const char* name : {"empty.gsd", "empty.gsh", "noise.gsd", "noise.gsh"}) {
        CAPTURE(name);
        CHECK(error_of([&] { open_file_source(folder / name); }) == ErrorCode::unsupported);
    }
    // Bytes in the other order: the image would be 5120 columns and 1536 rows large.
    Recording recording;
    std::vector<uint8_t> bytes = recording.gsd();
    for (size_t i = 256; i < 348; i += 2) std::swap(bytes[i], bytes[i + 1]);
    write_foreign_files(folder.path(), {{"other_order.gsd", bytes}});
    CHECK(readable_frames(folder / "other_order.gsd").value_or(0) == 0);
    std::vector<cv::Mat> others = {make_numbered_image({60, 80, 1, CV_16U}, 7)};
    others.front().col(0).setTo(100);
    std::vector<uint8_t> png;
    cv::imencode(".png", others.front(), png);
    BytesMaker pixels;
    for (int i = 0; i < 20000; ++i) pixels.add(static_cast<uint16_t>(100 + i % 3));
    write_foreign_files(folder.path(), {{"png.gsd", png}, {"pixels.gsd", pixels.get()}});
    check_same_pixels(*open_file_source(folder / "png.gsd"), others);
    CHECK(error_of([&] { open_file_source(folder / "pixels.gsd"); }) == ErrorCode::unsupported);
    // Without its extension the size still tells what it is.
    write_foreign_files(folder.path(), {{"renamed.data", recording.gsd()}});
    check_same_pixels(*open_file_source(folder / "renamed.data"), recording.images());
}

TEST_CASE("header_text: lines, keys, dates and intervals") {
    CHECK(header_lines("\xef\xbb\xbf"
                       "a\r\nb\rc\n\nd") == std::vector<std::string_view>{"a", "b", "c", "", "d"});
    CHECK(header_lines("").empty());
    CHECK(metadata_key("Frame rate (Hz)") == "frame_rate_hz");
    CHECK(metadata_key(" --") == "");
    CHECK(parse_header_date("24/12/2025 18:30:05") == 1766601005);
    CHECK(parse_header_date("2025/12/24 18:30:05") == 1766601005);
    CHECK(parse_header_date("2025/1/2 8:03:05") == 1735804985);
    CHECK_FALSE(parse_header_date("24/13/2025 18:30:05"));
    CHECK_FALSE(parse_header_date("24/12/2025"));
    CHECK_FALSE(parse_header_date("yesterday"));
    CHECK_FALSE(parse_header_date(""));
    HeaderEntries entries;
    entries.add("Sample Time", "1.0msec");
    entries.add("sample_time", "3");
    entries.add("Interval (us)", "250");
    entries.add("plain", "4");
    entries.add("comma", "2,5 ms");
    entries.add("never", "0");
    entries.add("text", "007");
    entries.add("empty", "");
    CHECK(entries.rate_of_interval({"sample_time"}) == 1000);
    CHECK(entries.rate_of_interval({"interval_us"}) == 4000);
    CHECK(entries.rate_of_interval({"plain"}) == 250);
    CHECK(entries.rate_of_interval({"comma"}) == 400);
    CHECK_FALSE(entries.rate_of_interval({"never", "text_that_is_not_there"}));
    CHECK(entries.metadata().dump() ==
          R"({"sample_time":"1.0msec","interval_us":250,"plain":4,"comma":"2,5 ms","never":0,"text":"007"})");
}

TEST_CASE("header_text: a text of nothing but keys costs no time without end") {
    HeaderEntries entries;
    for (size_t i = 0; i < HeaderEntries::kMost + 1000; ++i) entries.add("key" + std::to_string(i), "1");
    CHECK(entries.metadata().size() == HeaderEntries::kMost);
    CHECK(entries.integer({"key0"}) == 1);
    CHECK_FALSE(entries.integer({"key" + std::to_string(HeaderEntries::kMost)}));
}

TEST_CASE("header_text: what is nothing but a number becomes one in the metadata") {
    const auto kept = [](const std::string& text) {
        HeaderEntries entries;
        entries.add("key", text);
        return entries.metadata().at("key");
    };
    CHECK(kept("12") == Json(12));
    CHECK(kept("-3").is_number_integer());
    CHECK(kept("2000.0") == 2000.0);
    CHECK(kept("-0.25") == -0.25);
    for (const char* text : {"007", "1.", ".5", "1e5", "1234567890123456", "-", "1.2.3", "5 ms", "--1"}) {
        CAPTURE(text);
        CHECK(kept(text) == text);
    }
    CHECK(kept("\xB5s") == "\xC2\xB5s");
}

}  // namespace reelstore
