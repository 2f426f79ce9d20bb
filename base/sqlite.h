#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace reelstore {

/// A prepared statement. Parameters are numbered from 1, columns from 0, as in SQLite. Text is copied on binding. A
/// statement must not outlive its Database.
class Statement {
public:
    Statement(Statement&& other) noexcept;
    Statement& operator=(Statement&& other) noexcept;
    ~Statement();

    Statement& bind(int parameter, int64_t value);
    Statement& bind(int parameter, int value);
    Statement& bind(int parameter, double value);  ///< NaN is stored as NULL
    Statement& bind(int parameter, std::string_view text);

    /// True while there is a row.
    bool step();
    /// Steps to the end, then reset(): a parameter that is not bound again is NULL in the next run.
    void run();
    /// Ready to be bound and stepped again; bindings are cleared.
    void reset();

    bool is_null(int column) const;
    bool is_integer(int column) const;
    bool is_number(int column) const;  ///< integer or real
    int64_t column_int64(int column) const;
    double column_double(int column) const;  ///< NaN for NULL
    std::string column_text(int column) const;

private:
    friend class Database;
    Statement(sqlite3* database, sqlite3_stmt* statement, const std::string* path);
    [[noreturn]] void fail(const char* action) const;

    sqlite3* database_ = nullptr;
    sqlite3_stmt* statement_ = nullptr;
    const std::string* path_ = nullptr;
};

/// One SQLite connection, used by one thread at a time.
///
/// A database may come from anywhere, so it is opened defensively: trusted_schema off, cell size checks on, no
/// extensions, no attached files (and therefore no VACUUM), views and triggers disabled, strings and blobs limited. A
/// statement that works longer than one could that reads everything in the file some times over fails with
/// Error(corrupt): pages that refer to each other in circles have no end. Whoever else has it locked is waited for, up
/// to five seconds; then Error(locked).
class Database {
public:
    enum class Mode {
        read_only,   ///< the file must exist
        read_write,  ///< the file must exist
        create,      ///< the file must not exist
        memory,      ///< private and temporary; the path is only used in messages
        immutable,   ///< read only, and nobody else writes: works on read-only media without any lock file
        unlocked,    ///< the same, but commits in a write-ahead log, which must be there, are read too
    };

    /// Throws Error(not_found) when the file should exist and does not, Error(already_exists) the other way round, and
    /// Error(corrupt) when it is no database. A change that a crash has left half made is undone, also for reading
    /// only; where that may not be written, Error(corrupt).
    Database(const std::filesystem::path& path, Mode mode);
    ~Database();
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;

    /// Exactly one statement.
    Statement prepare(std::string_view sql) const;
    /// Runs one or several statements without parameters.
    void execute(const std::string& sql) const;
    /// First column of the first row of a query; nothing when it has no row or the value is NULL.
    std::optional<int64_t> query_int64(std::string_view sql) const;
    std::optional<std::string> query_text(std::string_view sql) const;
    const std::string& path() const;
    /// True when the path no longer names the file that is open: somebody has replaced, renamed or removed it.
    bool replaced() const;
    /// Whether a transaction is open on this connection.
    bool in_transaction() const;

private:
    friend class ReadTransaction;
    struct Effort;

    void open(const std::string& name, int flags, const char* vfs, Mode mode);
    static void undo_half_change(const std::filesystem::path& path);

    std::unique_ptr<const std::string> path_;
    std::unique_ptr<Effort> effort_;
    sqlite3* database_ = nullptr;
};

/// BEGIN IMMEDIATE now, ROLLBACK in the destructor unless commit() was called.
class Transaction {
public:
    explicit Transaction(const Database& database);
    ~Transaction();
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;
    void commit();

private:
    const Database& database_;
    bool open_ = true;
};

/// What is read while it lives comes from one moment, whatever others commit; and several reads cost the locks and
/// checks of one. Inside another transaction it does nothing.
class ReadTransaction {
public:
    explicit ReadTransaction(const Database& database);
    ~ReadTransaction();
    ReadTransaction(const ReadTransaction&) = delete;
    ReadTransaction& operator=(const ReadTransaction&) = delete;

private:
    const Database* database_;
};

}  // namespace reelstore
