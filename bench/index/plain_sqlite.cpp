#include "bench/index/plain_sqlite.h"

#include <sqlite3.h>

#include "base/error.h"

namespace reelstore::bench {

namespace {

[[noreturn]] void fail(sqlite3* database) {
    throw Error(ErrorCode::io, std::string("SQLite: ") + sqlite3_errmsg(database));
}

}  // namespace

PlainDatabase::PlainDatabase(const std::filesystem::path& path) {
    if (sqlite3_open(path.c_str(), &database_) != SQLITE_OK) {
        const std::string reason = sqlite3_errmsg(database_);
        sqlite3_close(database_);
        throw Error(ErrorCode::io, {path.string(), {}, {}}, reason);
    }
}

PlainDatabase::~PlainDatabase() {
    sqlite3_close(database_);
}

void PlainDatabase::execute(const std::string& sql) const {
    if (sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) fail(database_);
}

PlainStatement::PlainStatement(const PlainDatabase& database, const std::string& sql) {
    if (sqlite3_prepare_v2(database.handle(), sql.c_str(), -1, &statement_, nullptr) != SQLITE_OK)
        fail(database.handle());
}

PlainStatement::~PlainStatement() {
    sqlite3_finalize(statement_);
}

PlainStatement& PlainStatement::bind(int parameter, int64_t value) {
    sqlite3_bind_int64(statement_, parameter, value);
    return *this;
}

PlainStatement& PlainStatement::bind(int parameter, double value) {
    sqlite3_bind_double(statement_, parameter, value);
    return *this;
}

bool PlainStatement::step() {
    const int result = sqlite3_step(statement_);
    if (result != SQLITE_ROW && result != SQLITE_DONE) fail(sqlite3_db_handle(statement_));
    return result == SQLITE_ROW;
}

void PlainStatement::reset() {
    sqlite3_reset(statement_);
}

int64_t PlainStatement::column_int64(int column) const {
    return sqlite3_column_int64(statement_, column);
}

double PlainStatement::column_double(int column) const {
    return sqlite3_column_double(statement_, column);
}

}  // namespace reelstore::bench
