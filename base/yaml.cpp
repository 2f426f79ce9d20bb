#include "base/yaml.h"

#include <cstddef>
#include <deque>
#include <optional>
#include <sstream>
#include <unordered_map>
#include <utility>
#include <vector>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include "base/error.h"
#include "base/utf8.h"
#include "base/yaml_scalar.h"

namespace reelstore {

namespace {

enum class Tag { none, text, integer, floating, boolean, null, list, map };

struct Node {
    enum class Kind { scalar, sequence, mapping };

    Kind kind = Kind::scalar;
    Tag tag = Tag::none;
    bool complete = false;  // false while its children are still being read
    int line = 0;
    std::string text;
    std::vector<const Node*> children;  // of a mapping: key, value, key, value...
};

/// Throws the errors of one document.
class Complaint {
public:
    explicit Complaint(const std::string& path) : path_(path) {}

    [[noreturn]] void operator()(int line, const std::string& message) const {
        std::string where = line > 0 ? "line " + std::to_string(line) + ": " : "";
        throw Error(ErrorCode::corrupt, {.path = path_, .chunk = {}, .frame_index = {}}, where + message);
    }

private:
    const std::string& path_;
};

/// The characters that YAML allows. yaml-cpp would take some of the others for the end of the text.
bool is_allowed(char32_t c) {
    return c == '\t' || c == '\n' || c == '\r' || (c >= 0x20 && c < 0x7f) || c == 0x85 ||
           (c >= 0xa0 && c != 0xfffe && c != 0xffff);
}

void check_characters(std::string_view text, const Complaint& fail) {
    int line = 1;
    for (size_t position = 0; position < text.size();) {
        std::optional<char32_t> c = next_code_point(text, position);
        if (!c) fail(line, "is not valid UTF-8");
        if (!is_allowed(*c)) fail(line, "contains a control character");
        if (*c == '\n') ++line;
    }
}

/// The text with a mark of its end. yaml-cpp takes a quote that is still open behind a last line break for closed.
std::string with_end_mark(std::string_view text) {
    size_t used = text.find_last_not_of(" \t");
    if (used == std::string_view::npos || (text[used] != '\n' && text[used] != '\r')) return std::string(text);
    return std::string(text.substr(0, used + 1)) + "...\n";
}

/// yaml-cpp turns the escapes \N and \_ into single bytes of Latin-1; all other text it gives is UTF-8 as checked.
std::string repaired_text(const std::string& text) {
    std::string result;
    result.reserve(text.size());
    for (size_t position = 0; position < text.size();) {
        size_t start = position;
        if (next_code_point(text, position)) {
            result.append(text, start, position - start);
        } else {
            result += {'\xc2', text[position++]};
        }
    }
    return result;
}

std::optional<Tag> tag_of(std::string_view name) {
    constexpr std::string_view kPrefix = "tag:yaml.org,2002:";
    if (name == "?" || name.empty()) return Tag::none;
    if (name == "!") return Tag::text;  // in quotes, or told not to be resolved
    if (!name.starts_with(kPrefix)) return std::nullopt;
    name.remove_prefix(kPrefix.size());
    constexpr std::pair<std::string_view, Tag> kTags[] = {
        {"str", Tag::text},          {"python/str", Tag::text}, {"python/unicode", Tag::text}, {"int", Tag::integer},
        {"float", Tag::floating},    {"bool", Tag::boolean},    {"null", Tag::null},           {"seq", Tag::list},
        {"python/tuple", Tag::list}, {"map", Tag::map},
    };
    for (const auto& [known, tag] : kTags) {
        if (name == known) return tag;
    }
    return std::nullopt;
}

/// Builds nodes from the parser's events. Aliases become second pointers to a node, so that memory stays in
/// proportion to the text, whatever the aliases would expand to.
class Composer final : public YAML::EventHandler {
public:
    Composer(const YamlLimits& limits, const Complaint& fail) : limits_(limits), fail_(fail) {}

    const Node* root() const { return root_; }

    void OnDocumentStart(const YAML::Mark& mark) override {
        if (++documents_ > 1) fail_(mark.line + 1, "a second document begins; only one is read");
    }
    void OnDocumentEnd() override {}

    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        Node& node = add(mark, anchor, Node::Kind::scalar, Tag::null);
        node.text = "null";  // for the case that it is a key
        node.complete = true;
    }

    void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        int line = mark.line + 1;
        auto known = anchors_.find(anchor);
        if (known == anchors_.end()) fail_(line, "an alias has no anchor");
        if (!known->second->complete) fail_(line, "an alias stands inside of what it repeats");
        count(line);
        attach(known->second);
    }

    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  const std::string& value) override {
        Node& node = add(mark, anchor, Node::Kind::scalar, checked_tag(mark, tag));
        if (node.tag == Tag::list || node.tag == Tag::map) fail_(node.line, "a list or mapping is expected here");
        node.text = repaired_text(value);
        node.complete = true;
    }

    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        open(mark, tag, anchor, Node::Kind::sequence, Tag::list);
    }
    void OnSequenceEnd() override { close(); }

    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        open(mark, tag, anchor, Node::Kind::mapping, Tag::map);
    }
    void OnMapEnd() override { close(); }

private:
    Tag checked_tag(const YAML::Mark& mark, const std::string& name) const {
        std::optional<Tag> tag = tag_of(name);
        if (!tag) fail_(mark.line + 1, "tag \"" + name + "\" is not supported");
        return *tag;
    }

    void count(int line) {
        if (++count_ > limits_.nodes) fail_(line, "has too many values");
    }

    void attach(const Node* node) {
        if (!open_.empty()) {
            open_.back()->children.push_back(node);
        } else {
            root_ = node;
        }
    }

    Node& add(const YAML::Mark& mark, YAML::anchor_t anchor, Node::Kind kind, Tag tag) {
        count(mark.line + 1);
        Node& node = nodes_.emplace_back();
        node.kind = kind;
        node.tag = tag;
        node.line = mark.line + 1;
        if (anchor != YAML::NullAnchor) anchors_[anchor] = &node;
        attach(&node);
        return node;
    }

    void open(const YAML::Mark& mark, const std::string& tag_name, YAML::anchor_t anchor, Node::Kind kind, Tag own) {
        Tag tag = tag_name == "!" ? Tag::none : checked_tag(mark, tag_name);
        if (tag != Tag::none && tag != own) fail_(mark.line + 1, "tag \"" + tag_name + "\" does not fit what follows");
        if (open_.size() >= static_cast<size_t>(limits_.depth)) fail_(mark.line + 1, "is nested too deeply");
        open_.push_back(&add(mark, anchor, kind, own));
    }

    void close() {
        open_.back()->complete = true;
        open_.pop_back();
    }

    const YamlLimits& limits_;
    const Complaint& fail_;
    int documents_ = 0;
    size_t count_ = 0;
    std::deque<Node> nodes_;
    std::unordered_map<YAML::anchor_t, const Node*> anchors_;
    std::vector<Node*> open_;
    const Node* root_ = nullptr;
};

/// Makes values of nodes, counting what the aliases expand to.
class Constructor {
public:
    Constructor(const YamlLimits& limits, const Complaint& fail) : limits_(limits), fail_(fail) {}

    YamlDocument construct_document(const Node& root) {
        YamlDocument document;
        document.value = construct(root, 0);
        if (root.kind == Node::Kind::mapping) note_lines(root, "", document.lines);
        return document;
    }

private:
    using Entry = std::pair<const Node*, const Node*>;

    void enter(const Node& node, int depth) {
        if (depth > limits_.depth) fail_(node.line, "is nested too deeply");
        if (++count_ > limits_.nodes) fail_(node.line, "has too many values once its aliases are expanded");
    }

    std::string take_text(const Node& node) {
        // No escape makes text grow to twice its size, so only aliases can exceed this.
        text_bytes_ += node.text.size();
        if (text_bytes_ > 2 * limits_.bytes) fail_(node.line, "has too much text once its aliases are expanded");
        return node.text;
    }

    Json construct(const Node& node, int depth) {
        enter(node, depth);
        switch (node.kind) {
            case Node::Kind::scalar:
                return construct_scalar(node);
            case Node::Kind::sequence: {
                Json list = Json::array();
                for (const Node* child : node.children) list.push_back(construct(*child, depth + 1));
                return list;
            }
            case Node::Kind::mapping:
                break;
        }
        Json mapping = Json::object();
        auto& members = mapping.get_ref<Json::object_t&>();
        std::unordered_map<std::string, size_t> places;  // the object itself would search its keys one by one
        std::vector<Entry> all = entries(node, depth);
        members.reserve(all.size());
        for (const auto& [key, value] : all) {
            std::string name = key_name(*key);
            auto [known, is_new] = places.emplace(name, members.size());
            if (is_new) {
                members.emplace_back(std::move(name), construct(*value, depth + 1));
            } else {
                (members.begin() + static_cast<std::ptrdiff_t>(known->second))->second = construct(*value, depth + 1);
            }
        }
        return mapping;
    }

    Json construct_scalar(const Node& node) {
        std::string text = take_text(node);
        std::optional<Json> value;
        switch (node.tag) {
            case Tag::text:
                return text;
            case Tag::null:
                return nullptr;
            case Tag::boolean:
                if (std::optional<bool> boolean = yaml_bool(text)) value = *boolean;
                break;
            case Tag::integer:
                value = yaml_integer(text);
                break;
            case Tag::floating: {
                std::optional<double> number = yaml_float(text);
                if (!number) number = decimal_number(text);
                if (number) value = *number;
                break;
            }
            default:
                return resolve_plain_scalar(text);
        }
        if (!value) fail_(node.line, "a value does not fit its tag");
        return *value;
    }

    std::string key_name(const Node& key) {
        if (key.kind != Node::Kind::scalar) fail_(key.line, "a list or mapping cannot be a key");
        return take_text(key);
    }

    static bool is_merge_key(const Node& key) {
        return key.kind == Node::Kind::scalar && key.tag == Tag::none && key.text == "<<";
    }

    /// Keys and values of a mapping, merged ones ("<<") first: of equal keys the last counts.
    std::vector<Entry> entries(const Node& mapping, int depth) {
        std::vector<Entry> merged;
        std::vector<Entry> own;
        for (size_t i = 0; i + 1 < mapping.children.size(); i += 2) {
            const Node* key = mapping.children[i];
            const Node* value = mapping.children[i + 1];
            if (!is_merge_key(*key)) {
                own.emplace_back(key, value);
            } else if (value->kind == Node::Kind::sequence) {
                enter(*value, depth + 1);
                for (auto part = value->children.rbegin(); part != value->children.rend(); ++part) {
                    append_merged(**part, depth, merged);
                }
            } else {
                append_merged(*value, depth, merged);
            }
        }
        merged.insert(merged.end(), own.begin(), own.end());
        return merged;
    }

    void append_merged(const Node& mapping, int depth, std::vector<Entry>& merged) {
        if (mapping.kind != Node::Kind::mapping) fail_(mapping.line, "only mappings can be merged");
        enter(mapping, depth + 1);
        for (const Entry& entry : entries(mapping, depth + 1)) {
            enter(*entry.first, depth + 1);
            merged.push_back(entry);
        }
    }

    void note_lines(const Node& mapping, const std::string& prefix, std::map<std::string, int>& lines) {
        for (const auto& [key, value] : entries(mapping, 0)) {
            lines[prefix + key->text] = key->line;
            if (prefix.empty() && value->kind == Node::Kind::mapping) note_lines(*value, key->text + ".", lines);
        }
    }

    const YamlLimits& limits_;
    const Complaint& fail_;
    size_t count_ = 0;
    size_t text_bytes_ = 0;
};

}  // namespace

YamlDocument parse_yaml(std::string_view text, const std::string& path, const YamlLimits& limits) {
    Complaint fail(path);
    if (text.size() > limits.bytes) fail(0, "is larger than " + std::to_string(limits.bytes) + " bytes");
    check_characters(text, fail);
    Composer composer(limits, fail);
    try {
        std::istringstream stream(with_end_mark(text));
        YAML::Parser parser(stream);
        while (parser.HandleNextDocument(composer)) {
        }
    } catch (const YAML::Exception& error) {
        fail(error.mark.is_null() ? 0 : error.mark.line + 1, "is no valid YAML: " + error.msg);
    }
    if (!composer.root()) return {};
    return Constructor(limits, fail).construct_document(*composer.root());
}

}  // namespace reelstore
