#include "store/extra_data_file.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file_system.h"
#include "store/motif_hdf5.h"

namespace reelstore {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{1} << 30;
constexpr int kMaxDepth = 64;
// Json finds a key by looking at all before it, so that an object of very many takes forever.
constexpr size_t kMaxKeys = 10'000;
constexpr size_t kMaxRecordBytes = size_t{16} << 20;
constexpr size_t kMaxWarnings = 20;

bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/// The text of one record as it stands in the file: text[begin, end).
struct RecordSpan {
    size_t end = 0;
    bool has_special_numbers = false;  ///< perhaps NaN or Infinity
};

/// Where the object that begins at `begin` ends. Nothing when it is cut off or cannot be JSON; `reached_end` then says
/// whether the text ended before anything was wrong.
std::optional<RecordSpan> find_record_end(std::string_view text, size_t begin, bool& reached_end) {
    reached_end = false;
    RecordSpan span;
    std::string closers;
    size_t keys = 0;
    bool in_string = false;
    for (size_t i = begin; i < text.size(); ++i) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\') ++i;
            if (c == '"') in_string = false;
            if (static_cast<unsigned char>(c) < 0x20) return std::nullopt;
            continue;
        }
        switch (c) {
            case '"':
                in_string = true;
                break;
            case '{':
            case '[':
                if (closers.size() == kMaxDepth) return std::nullopt;
                closers.push_back(c == '{' ? '}' : ']');
                break;
            case '}':
            case ']':
                if (closers.back() != c) return std::nullopt;
                closers.pop_back();
                if (closers.empty()) {
                    span.end = i + 1;
                    return span;
                }
                break;
            case ':':
                if (++keys > kMaxKeys) return std::nullopt;
                break;
            case 'N':
            case 'I':
                span.has_special_numbers = true;
                break;
            default:
                break;
        }
    }
    reached_end = true;
    return std::nullopt;
}

/// Python writes numbers that JSON does not have as NaN, Infinity and -Infinity.
std::string without_special_numbers(std::string_view text) {
    std::string result;
    result.reserve(text.size());
    bool in_string = false;
    for (size_t i = 0; i < text.size(); ++i) {
        if (!in_string) {
            bool replaced = false;
            for (const std::string_view word : {"-Infinity", "Infinity", "NaN"}) {
                if (text.substr(i).starts_with(word)) {
                    result += "null";
                    i += word.size() - 1;
                    replaced = true;
                    break;
                }
            }
            if (replaced) continue;
        }
        if (text[i] == '"') in_string = !in_string;
        result += text[i];
        if (in_string && text[i] == '\\' && i + 1 < text.size()) result += text[++i];
    }
    return result;
}

/// Takes the records out of the text of an array of objects, passing over what is damaged.
class RecordScanner {
public:
    RecordScanner(std::string_view text, std::string path, const std::function<void(Json&)>& visit)
        : text_(text), path_(std::move(path)), visit_(visit) {}

    /// The warnings.
    std::vector<std::string> scan();

private:
    void skip_blanks() {
        while (position_ < text_.size() && is_blank(text_[position_])) ++position_;
    }
    /// The record at position_, which moves behind it; nothing, and position_ stays, when it is damaged or cut off.
    std::optional<Json> take_record();
    /// Moves to the next undamaged record behind `damage` and takes it; nothing when there is none.
    std::optional<Json> take_record_after(size_t damage);
    void warn(const std::string& what);
    std::vector<std::string> finish();

    std::string_view text_;
    std::string path_;
    const std::function<void(Json&)>& visit_;
    size_t position_ = 0;
    bool reached_end_ = false;  ///< by the last take_record()
    bool damaged_ = false;      ///< other than by being cut off
    size_t records_ = 0;
    size_t warning_count_ = 0;
    std::vector<std::string> warnings_;
};

std::optional<Json> RecordScanner::take_record() {
    const auto span = find_record_end(text_, position_, reached_end_);
    if (!span) return std::nullopt;
    const std::string_view record = text_.substr(position_, span->end - position_);
    Json value = span->has_special_numbers ? Json::parse(without_special_numbers(record), nullptr, false)
                                           : Json::parse(record, nullptr, false);
    if (value.is_discarded()) return std::nullopt;
    position_ = span->end;
    return value;
}

std::optional<Json> RecordScanner::take_record_after(size_t damage) {
    for (size_t brace = text_.find('{', damage + 1); brace != text_.npos; brace = text_.find('{', brace + 1)) {
        size_t before = brace;
        while (before > 0 && is_blank(text_[before - 1])) --before;
        if (before > 0 && text_[before - 1] == ':') continue;  // a value inside a damaged record
        position_ = brace;
        auto record = take_record();
        if (record && (record->contains("frame_number") || record->contains("frame_time"))) return record;
    }
    return std::nullopt;
}

void RecordScanner::warn(const std::string& what) {
    if (++warning_count_ <= kMaxWarnings) warnings_.push_back(path_ + ": " + what);
}

std::vector<std::string> RecordScanner::scan() {
    if (text_.starts_with("\xEF\xBB\xBF")) position_ = 3;
    skip_blanks();
    if (position_ == text_.size()) {
        warn("the file is empty");
        return finish();
    }
    if (text_[position_] == '[') ++position_;
    bool after_record = false;
    while (true) {
        skip_blanks();
        if (after_record && position_ < text_.size() && text_[position_] == ',') {
            ++position_;
            skip_blanks();
        }
        if (position_ < text_.size() && text_[position_] == ']') {
            ++position_;
            skip_blanks();
        }
        if (position_ == text_.size()) return finish();  // a killed writer closes no bracket; nothing is lost by that

        const size_t start = position_;
        bool cut_off = false;
        std::optional<Json> record;
        if (text_[start] == '{') {
            record = take_record();
            cut_off = reached_end_;
        }
        if (!record) {
            record = take_record_after(start);
            if (!record) {
                const std::string kept = std::to_string(records_) + " records before it are kept";
                if (!cut_off) damaged_ = true;
                warn((cut_off ? "the record at byte " + std::to_string(start) + " is cut off and was dropped; "
                              : "damaged from byte " + std::to_string(start) + " on; ") +
                     kept);
                return finish();
            }
            damaged_ = true;
            warn("damaged from byte " + std::to_string(start) + " on; read on behind it");
        }
        ++records_;
        visit_(*record);
        after_record = true;
    }
}

std::vector<std::string> RecordScanner::finish() {
    if (damaged_ && records_ == 0)
        throw Error(ErrorCode::corrupt, {path_, {}, {}}, "it holds no readable record of extra data");
    if (warning_count_ > kMaxWarnings) {
        warnings_.push_back(path_ + ": " + std::to_string(warning_count_ - kMaxWarnings) + " more places are damaged");
    }
    return std::move(warnings_);
}

/// A record's place among others; what has none comes last.
double sort_key(const Json& record, const char* key) {
    const auto value = record.find(key);
    if (value == record.end() || !value->is_number()) return std::numeric_limits<double>::infinity();
    return value->get<double>();
}

void order_motif_records(std::vector<Json>& records) {
    struct Place {
        double index;
        double time;
        size_t position;
        auto operator<=>(const Place&) const = default;
    };
    std::vector<Place> places;
    for (size_t i = 0; i < records.size(); ++i) {
        const auto number = records[i].find("frame_number");
        if (number != records[i].end() && number->is_number() && number->get<double>() < 0) continue;
        places.push_back({sort_key(records[i], "frame_index"), sort_key(records[i], "sensor_time"), i});
    }
    std::sort(places.begin(), places.end(), [](const Place& a, const Place& b) { return (a <=> b) < 0; });
    std::vector<Json> ordered;
    ordered.reserve(places.size());
    for (const Place& place : places) ordered.push_back(std::move(records[place.position]));
    records = std::move(ordered);
}

}  // namespace

std::optional<std::string> refuses_extra_data(std::string_view record) {
    bool cut_off = false;
    if (record.size() > kMaxRecordBytes) return "a record of extra data may not be larger than 16 MiB";
    if (!find_record_end(record, 0, cut_off)) {
        return "a record of extra data may not have more than 10,000 keys or be nested deeper than 64 levels";
    }
    return std::nullopt;
}

std::optional<Json> parse_extra_data(const std::string& record) {
    if (refuses_extra_data(record)) return std::nullopt;
    Json data = Json::parse(record, nullptr, false);
    return data.is_object() ? std::optional(std::move(data)) : std::nullopt;
}

ExtraDataFile read_extra_data_file(const std::filesystem::path& path) {
    const std::string name = path.filename().string();
    if (name.ends_with(".extra_data.h5")) return read_motif_hdf5(path);
    const bool motif = name.ends_with(".extra_data.json");
    if (!motif && !name.ends_with(".extra.json"))
        throw Error(ErrorCode::invalid_argument, {path.string(), {}, {}}, "its name is not that of an extra data file");
    const std::string text = read_text_file(path, kMaxFileBytes);
    ExtraDataFile file;
    const std::function<void(Json&)> keep = [&](Json& record) { file.records.push_back(std::move(record)); };
    file.warnings = RecordScanner(text, path.string(), keep).scan();
    if (motif) order_motif_records(file.records);
    return file;
}

ExtraDataFacts visit_extra_data_file(const std::filesystem::path& path, const std::function<void(Json&)>& visit) {
    if (path.filename().string().ends_with(".extra.json")) {
        const std::string text = read_text_file(path, kMaxFileBytes);
        return {{}, RecordScanner(text, path.string(), visit).scan()};
    }
    // Their records must be put in order first.
    ExtraDataFile file = read_extra_data_file(path);
    for (Json& record : file.records) visit(record);
    return {file.sample_rate, std::move(file.warnings)};
}

bool extra_data_is_closed(const std::filesystem::path& path) {
    std::array<char, 256> tail{};
    const std::unique_ptr<File> file = file_system().open(path, OpenMode::read);
    const uint64_t size = file->size();
    const uint64_t begin = size > tail.size() ? size - tail.size() : 0;
    const std::string_view text(tail.data(), file->read_at(tail.data(), tail.size(), begin));
    const auto last = std::find_if_not(text.rbegin(), text.rend(), is_blank);
    return last != text.rend() && *last == ']';
}

void ExtraDataText::add(const Json& data, double time, int64_t number, int64_t index) {
    if (!data.is_object()) throw Error(ErrorCode::invalid_argument, "a record of extra data must be a JSON object");
    Json record = data;
    record["frame_time"] = time;
    record["frame_number"] = number;
    record["frame_index"] = index;
    try {
        // Escaped to ASCII, because Python decodes a file by the machine's locale.
        const std::string line = record.dump(-1, ' ', true);
        if (!text_.empty()) text_ += ", ";
        text_ += line;
    } catch (const Json::exception&) {
        throw Error(ErrorCode::invalid_argument, "a record of extra data holds text that is not valid UTF-8");
    }
}

std::string ExtraDataText::finish() const {
    return "[" + text_ + "]";
}

}  // namespace reelstore
