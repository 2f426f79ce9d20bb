#include "tools/codec_options.h"

#include "base/error.h"
#include "base/yaml.h"
#include "tools/verb.h"

namespace reelstore {

namespace {

std::pair<std::string, std::string> split_pair(const std::string& pair, const char* option) {
    const size_t equals = pair.find('=');
    if (equals == std::string::npos || equals == 0)
        throw UsageError(std::string(option) + " takes NAME=VALUE, not \"" + pair + "\"");
    return {pair.substr(0, equals), pair.substr(equals + 1)};
}

}  // namespace

CodecOptions parse_codec_options(const std::vector<std::string>& pairs, const char* option) {
    CodecOptions options;
    for (const std::string& pair : pairs) {
        const auto [name, value] = split_pair(pair, option);
        options.insert_or_assign(name, value);
    }
    return options;
}

std::string parse_user_pairs(const std::vector<std::string>& pairs) {
    Json user = Json::object();
    for (const std::string& pair : pairs) {
        const auto [key, value] = split_pair(pair, "--meta");
        try {
            user[key] = parse_yaml(value, "--meta " + key).value;
        } catch (const Error&) {
            // Not YAML ("a: b: c"): then it is what it looks like, text.
            user[key] = value;
        }
    }
    return user.empty() ? "" : to_yaml(user);
}

}  // namespace reelstore
