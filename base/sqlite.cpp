#include "base/sqlite.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <sqlite3.h>

#include "base/error.h"
#include "base/file_system.h"
#include "base/sqlite_vfs.h"

namespace reelstore {

namespace {

/// Bytes; a database has at least one page.
constexpr uint64_t kLeastSize = 512;
constexpr int kBusyMilliseconds = 5000;
constexpr int kMaxLength = 64 << 20;

ErrorCode code_of(int result) {
    switch (result & 0xff) {
        case SQLITE_ERROR:  // a table or column that should be there is not
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
        case SQLITE_TOOBIG:
        case SQLITE_INTERRUPT:  // by Effort
            return ErrorCode::corrupt;
        case SQLITE_FULL:
            return ErrorCode::no_space;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
        case SQLITE_PROTOCOL:  // others were at it whenever it was tried
            return ErrorCode::locked;
        case SQLITE_IOERR:
        case SQLITE_CANTOPEN:
        case SQLITE_PERM:
        case SQLITE_READONLY:
            return ErrorCode::io;
        default:
            return ErrorCode::internal;
    }
}

/// What SQLite says, and what the file of the database has said where that is the cause.
std::string reason(sqlite3* database) {
    std::string text = sqlite3_errmsg(database);
    const int result = sqlite3_extended_errcode(database) & 0xff;
    if (result == SQLITE_INTERRUPT) text = "its pages refer to each other without end";
    const bool from_file = result == SQLITE_IOERR || result == SQLITE_FULL || result == SQLITE_CANTOPEN;
    if (from_file && !last_vfs_error().empty()) text += " (" + last_vfs_error() + ")";
    return text;
}

[[noreturn]] void fail_with(sqlite3* database, const std::string& path, const std::string& action) {
    throw Error(code_of(sqlite3_extended_errcode(database)), {.path = path, .chunk = {}, .frame_index = {}},
                "cannot " + action + ": " + reason(database));
}

/// A name that SQLite opens as this file and nothing else: "", ":memory:" and "file:..." mean something to it.
std::string plain_name(const std::filesystem::path& path) {
    return path.is_absolute() ? path.string() : "./" + path.string();
}

std::string immutable_uri(const std::filesystem::path& path) {
    constexpr std::string_view kUnreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
    constexpr const char* kHex = "0123456789ABCDEF";
    std::string uri = "file://";
    for (char c : std::filesystem::absolute(path).string()) {
        if (kUnreserved.find(c) != std::string_view::npos) {
            uri += c;
        } else {
            auto byte = static_cast<unsigned char>(c);
            uri += {'%', kHex[byte >> 4], kHex[byte & 0xf]};
        }
    }
    return uri + "?immutable=1";
}

void check_presence(const std::filesystem::path& path, Database::Mode mode) {
    if (mode == Database::Mode::memory) return;
    ErrorPlace place{.path = path.string(), .chunk = {}, .frame_index = {}};
    if (mode == Database::Mode::create) {
        file_system().open(path, OpenMode::create_exclusive)->close();
        return;
    }
    const FileStatus status = file_system().status(path);
    if (status.kind == FileKind::missing) throw Error(ErrorCode::not_found, place, "there is no such database");
    if (status.kind != FileKind::file) throw Error(ErrorCode::io, place, "is no file");
    // SQLite takes an empty file, and one of a single byte, for a new database, and deletes the log of the one it was.
    if (status.size < kLeastSize) throw Error(ErrorCode::corrupt, place, "is too short for a database");
}

void make_defensive(sqlite3* database) {
    sqlite3_extended_result_codes(database, 1);
    sqlite3_busy_timeout(database, kBusyMilliseconds);
    sqlite3_limit(database, SQLITE_LIMIT_LENGTH, kMaxLength);
    sqlite3_limit(database, SQLITE_LIMIT_ATTACHED, 0);
    for (auto [option, value] : {std::pair{SQLITE_DBCONFIG_DEFENSIVE, 1},
                                 {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
                                 {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
                                 {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
                                 {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0}}) {
        sqlite3_db_config(database, option, value, nullptr);
    }
}

}  // namespace

Statement::Statement(sqlite3* database, sqlite3_stmt* statement, const std::string* path)
    : database_(database), statement_(statement), path_(path) {}

Statement::Statement(Statement&& other) noexcept
    : database_(other.database_), statement_(std::exchange(other.statement_, nullptr)), path_(other.path_) {}

Statement& Statement::operator=(Statement&& other) noexcept {
    std::swap(database_, other.database_);
    std::swap(statement_, other.statement_);
    std::swap(path_, other.path_);
    return *this;
}

Statement::~Statement() {
    sqlite3_finalize(statement_);
}

void Statement::fail(const char* action) const {
    std::string message = std::string("cannot ") + action + ": " + reason(database_);
    ErrorCode code = code_of(sqlite3_extended_errcode(database_));
    sqlite3_reset(statement_);
    throw Error(code, {.path = *path_, .chunk = {}, .frame_index = {}}, message);
}

Statement& Statement::bind(int parameter, int64_t value) {
    if (sqlite3_bind_int64(statement_, parameter, value) != SQLITE_OK) fail("bind a value");
    return *this;
}

Statement& Statement::bind(int parameter, int value) {
    return bind(parameter, int64_t{value});
}

Statement& Statement::bind(int parameter, double value) {
    if (sqlite3_bind_double(statement_, parameter, value) != SQLITE_OK) fail("bind a value");
    return *this;
}

Statement& Statement::bind(int parameter, std::string_view text) {
    // A null pointer would bind NULL; an empty view may hold one.
    const char* data = text.empty() ? "" : text.data();
    if (sqlite3_bind_text64(statement_, parameter, data, text.size(), SQLITE_TRANSIENT, SQLITE_UTF8) != SQLITE_OK) {
        fail("bind a text");
    }
    return *this;
}

bool Statement::step() {
    forget_vfs_error();
    int result = sqlite3_step(statement_);
    if (result == SQLITE_ROW) return true;
    if (result != SQLITE_DONE) fail("run a statement");
    return false;
}

void Statement::run() {
    while (step()) {
    }
    reset();
}

void Statement::reset() {
    // The result repeats an error that step() has reported already.
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
}

bool Statement::is_null(int column) const {
    return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

bool Statement::is_integer(int column) const {
    return sqlite3_column_type(statement_, column) == SQLITE_INTEGER;
}

bool Statement::is_number(int column) const {
    const int type = sqlite3_column_type(statement_, column);
    return type == SQLITE_INTEGER || type == SQLITE_FLOAT;
}

int64_t Statement::column_int64(int column) const {
    return sqlite3_column_int64(statement_, column);
}

double Statement::column_double(int column) const {
    if (is_null(column)) return std::numeric_limits<double>::quiet_NaN();
    return sqlite3_column_double(statement_, column);
}

std::string Statement::column_text(int column) const {
    const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    if (!text) return {};
    return std::string(text, static_cast<size_t>(sqlite3_column_bytes(statement_, column)));
}

/// Instructions that one statement has taken, so that it ends in any file.
struct Database::Effort {
    static constexpr int kStep = 100000;
    static constexpr uint64_t kFree = 4000000;
    /// A row of eight bytes takes some ten instructions; statements go over everything at most some times.
    static constexpr uint64_t kPerByte = 16;

    std::string path;
    uint64_t spent = 0;
    uint64_t allowed = kFree;

    /// Called by SQLite; other than 0 ends the statement.
    static int spend(void* data) {
        auto& effort = *static_cast<Effort*>(data);
        effort.spent += kStep;
        if (effort.spent <= effort.allowed) return 0;
        // Nothing may be thrown through SQLite.
        try {
            uint64_t bytes = file_system().status(effort.path).size;
            bytes += file_system().status(effort.path + "-wal").size;
            effort.allowed = std::max(effort.allowed, kFree + kPerByte * bytes);
        } catch (const std::exception&) {
            return 1;
        }
        return effort.spent <= effort.allowed ? 0 : 1;
    }

    /// Counts anew with every statement that begins.
    static int begin(unsigned /*what*/, void* data, void* /*statement*/, void* /*text*/) {
        static_cast<Effort*>(data)->spent = 0;
        return 0;
    }
};

Database::Database(const std::filesystem::path& path, Mode mode)
    : path_(std::make_unique<const std::string>(path.string())) {
    check_presence(path, mode);
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    std::string name = plain_name(path);
    SqliteLocks locks = SqliteLocks::yes;
    switch (mode) {
        case Mode::read_only:
            flags |= SQLITE_OPEN_READONLY;
            break;
        case Mode::read_write:
        case Mode::create:
            flags |= SQLITE_OPEN_READWRITE;
            break;
        case Mode::memory:
            flags |= SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY;
            name = ":memory:";
            break;
        case Mode::immutable:
            flags |= SQLITE_OPEN_READONLY | SQLITE_OPEN_URI;
            name = immutable_uri(path);
            break;
        case Mode::unlocked:
            flags |= SQLITE_OPEN_READONLY;
            locks = SqliteLocks::no;
            break;
    }
    const char* vfs = mode == Mode::memory ? nullptr : sqlite_vfs_name(locks);
    try {
        open(name, flags, vfs, mode);
    } catch (const Error&) {
        const bool half_changed = sqlite3_extended_errcode(database_) == SQLITE_READONLY_ROLLBACK;
        sqlite3_close_v2(std::exchange(database_, nullptr));
        if (mode != Mode::read_only || !half_changed) throw;
        undo_half_change(path);
        try {
            open(name, flags, vfs, mode);
        } catch (...) {
            sqlite3_close_v2(database_);
            throw;
        }
    }
}

void Database::open(const std::string& name, int flags, const char* vfs, Mode mode) {
    forget_vfs_error();
    if (sqlite3_open_v2(name.c_str(), &database_, flags, vfs) != SQLITE_OK) {
        fail_with(database_, *path_, "open the database");
    }
    make_defensive(database_);
    if (mode != Mode::memory) {
        effort_ = std::make_unique<Effort>();
        effort_->path = *path_;
        sqlite3_progress_handler(database_, Effort::kStep, Effort::spend, effort_.get());
        sqlite3_trace_v2(database_, SQLITE_TRACE_STMT, Effort::begin, effort_.get());
    }
    // Only then the log is read without the file that processes share to find their way in it.
    if (mode == Mode::unlocked) execute("PRAGMA locking_mode = EXCLUSIVE");
    execute("PRAGMA cell_size_check = ON");
    // SQLite opens lazily; this reads the header, so that what is no database fails here.
    execute("PRAGMA schema_version");
}

/// A crash in the midst of a change leaves a journal, from which SQLite undoes it when it may write.
void Database::undo_half_change(const std::filesystem::path& path) {
    try {
        const Database writable(path, Mode::read_write);
    } catch (const Error& error) {
        throw Error(
            ErrorCode::corrupt, {.path = path.string(), .chunk = {}, .frame_index = {}},
            "a crash has left a change half made in the database, and it cannot be undone here: " + error.message());
    }
}

Database::~Database() {
    sqlite3_close_v2(database_);
}

Statement Database::prepare(std::string_view sql) const {
    forget_vfs_error();
    sqlite3_stmt* raw = nullptr;
    const char* rest = nullptr;
    int result = sqlite3_prepare_v3(database_, sql.data(), static_cast<int>(sql.size()), 0, &raw, &rest);
    Statement statement(database_, raw, path_.get());
    if (result != SQLITE_OK) fail_with(database_, *path_, "prepare a statement");
    std::string_view behind = sql.substr(static_cast<size_t>(rest - sql.data()));
    if (!raw || behind.find_first_not_of(" \t\r\n;") != std::string_view::npos) {
        throw Error(ErrorCode::internal, {.path = *path_, .chunk = {}, .frame_index = {}},
                    "not exactly one SQL statement: " + std::string(sql));
    }
    return statement;
}

void Database::execute(const std::string& sql) const {
    forget_vfs_error();
    if (sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
        fail_with(database_, *path_, "run a statement");
    }
}

std::optional<int64_t> Database::query_int64(std::string_view sql) const {
    Statement statement = prepare(sql);
    if (!statement.step() || statement.is_null(0)) return std::nullopt;
    return statement.column_int64(0);
}

std::optional<std::string> Database::query_text(std::string_view sql) const {
    Statement statement = prepare(sql);
    if (!statement.step() || statement.is_null(0)) return std::nullopt;
    return statement.column_text(0);
}

const std::string& Database::path() const {
    return *path_;
}

bool Database::replaced() const {
    int moved = 0;
    return sqlite3_file_control(database_, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved != 0;
}

Transaction::Transaction(const Database& database) : database_(database) {
    database_.execute("BEGIN IMMEDIATE");
}

Transaction::~Transaction() {
    if (!open_) return;
    try {
        database_.execute("ROLLBACK");
    } catch (const Error&) {
        // SQLite has rolled back by itself on the error that ended this transaction.
    }
}

void Transaction::commit() {
    database_.execute("COMMIT");
    open_ = false;
}

bool Database::in_transaction() const {
    return sqlite3_get_autocommit(database_) == 0;
}

ReadTransaction::ReadTransaction(const Database& database)
    : database_(database.in_transaction() ? nullptr : &database) {
    if (database_) database_->execute("BEGIN");
}

ReadTransaction::~ReadTransaction() {
    // COMMIT, so that temporary tables made meanwhile stay; by itself SQLite ends a transaction on some errors.
    if (database_ && sqlite3_exec(database_->database_, "COMMIT", nullptr, nullptr, nullptr) != SQLITE_OK)
        sqlite3_exec(database_->database_, "ROLLBACK", nullptr, nullptr, nullptr);
}

}  // namespace reelstore
