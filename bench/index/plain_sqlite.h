#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

struct sqlite3;
struct sqlite3_stmt;

namespace reelstore::bench {

/// SQLite as it comes, without what base/sqlite.h adds: for peers and limits. Throws Error.
class PlainDatabase {
public:
    /// ":memory:" for one in memory.
    explicit PlainDatabase(const std::filesystem::path& path);
    ~PlainDatabase();
    PlainDatabase(const PlainDatabase&) = delete;
    PlainDatabase& operator=(const PlainDatabase&) = delete;

    void execute(const std::string& sql) const;
    sqlite3* handle() const { return database_; }

private:
    sqlite3* database_ = nullptr;
};

class PlainStatement {
public:
    PlainStatement(const PlainDatabase& database, const std::string& sql);
    ~PlainStatement();
    PlainStatement(const PlainStatement&) = delete;
    PlainStatement& operator=(const PlainStatement&) = delete;

    PlainStatement& bind(int parameter, int64_t value);
    PlainStatement& bind(int parameter, double value);
    /// True when there is a row.
    bool step();
    void reset();
    int64_t column_int64(int column) const;
    double column_double(int column) const;

private:
    sqlite3_stmt* statement_ = nullptr;
};

}  // namespace reelstore::bench
