#include "bench/index/child_process.h"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <string>

#include "base/error.h"
#include "bench/machine.h"

namespace reelstore::bench {

namespace {

void write_all(int file, const std::string& text) {
    for (size_t done = 0; done < text.size();) {
        const ssize_t count = ::write(file, text.data() + done, text.size() - done);
        if (count <= 0) return;
        done += static_cast<size_t>(count);
    }
}

[[noreturn]] void run_child(const std::function<Json()>& measure, int answer) {
    Json result;
    try {
        result["result"] = measure();
    } catch (const std::exception& error) {
        result["error"] = error.what();
    }
    write_all(answer, result.dump());
    std::fflush(nullptr);
    ::_exit(0);
}

}  // namespace

Json in_child_process(const std::function<Json()>& measure) {
    std::fflush(nullptr);
    std::array<int, 2> pipe = {};
    if (::pipe(pipe.data()) != 0) throw Error(ErrorCode::io, "cannot make a pipe");
    const pid_t child = ::fork();
    if (child < 0) throw Error(ErrorCode::io, "cannot start a process");
    if (child == 0) {
        ::close(pipe[0]);
        run_child(measure, pipe[1]);
    }
    ::close(pipe[1]);
    std::string text;
    std::array<char, 65536> block = {};
    for (ssize_t count = 0; (count = ::read(pipe[0], block.data(), block.size())) > 0;)
        text.append(block.data(), static_cast<size_t>(count));
    ::close(pipe[0]);
    ::waitpid(child, nullptr, 0);
    if (!Json::accept(text)) throw Error(ErrorCode::io, "a measuring process died");
    Json answer = Json::parse(text);
    if (answer.contains("error")) throw Error(ErrorCode::io, answer["error"].get<std::string>());
    return answer["result"];
}

ProcessMemory process_memory() {
    ProcessMemory memory = {.resident = static_cast<double>(resident_bytes()) / 1e6};
    std::ifstream file("/proc/self/status");
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("VmHWM:")) memory.largest = std::stod(line.substr(6)) * 1024 / 1e6;
    }
    return memory;
}

}  // namespace reelstore::bench
