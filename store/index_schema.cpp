#include "store/index_schema.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>

#include <fmt/format.h>

#include "base/error.h"
#include "store/schema.h"

namespace reelstore {

namespace {

/// Of each table its columns with type, place in the key and whether they are computed, which could take any time.
/// Views and virtual tables are no tables.
std::map<std::string, std::set<std::string>> columns_of(const Database& database) {
    std::map<std::string, std::set<std::string>> tables;
    Statement select = database.prepare(
        "SELECT tables.name, columns.name || ' ' || columns.type || ' ' || columns.pk || ' ' || columns.hidden FROM "
        "pragma_table_list AS tables JOIN pragma_table_xinfo(tables.name, 'main') AS columns WHERE tables.schema = "
        "'main' AND tables.type = 'table'");
    while (select.step()) tables[select.column_text(0)].insert(select.column_text(1));
    return tables;
}

/// A statement of the schema without comments and blanks.
std::string bare(const std::string& sql) {
    std::string text;
    for (size_t i = 0; i < sql.size(); ++i) {
        if (sql.compare(i, 2, "--") == 0) {
            i = std::min(sql.find('\n', i), sql.size());
        } else if (!std::isspace(static_cast<unsigned char>(sql[i]))) {
            text += sql[i];
        }
    }
    return text;
}

/// Of each table the statement that made it.
std::map<std::string, std::string> statements_of(const Database& database) {
    std::map<std::string, std::string> tables;
    Statement select = database.prepare("SELECT name, sql FROM sqlite_master WHERE type = 'table'");
    while (select.step()) tables[select.column_text(0)] = select.column_text(1);
    return tables;
}

/// What the schema says, as SQLite understands it.
struct Schema {
    std::map<std::string, std::set<std::string>> columns;
    std::map<std::string, std::string> statements;
};

const Schema& schema() {
    static const Schema kSchema = [] {
        const Database database("the schema", Database::Mode::memory);
        database.execute(kIndexSchema);
        return Schema{columns_of(database), statements_of(database)};
    }();
    return kSchema;
}

}  // namespace

const std::string& schema_of(const std::string& table) {
    return schema().statements.at(table);
}

namespace {

/// Whether the tables are those of the schema. They may have further columns and indexes, but where it is to be
/// written, none of them may compute anything, which could take any time.
void check_tables(const Database& database, bool to_write) {
    const auto& expected = schema().columns;
    const auto found = columns_of(database);
    const auto refuse = [&](const std::string& table) {
        throw Error(ErrorCode::corrupt, {database.path(), {}, {}},
                    fmt::format("the table `{}` is not that of an index; run `store index` to rebuild it", table));
    };
    for (const auto& [table, columns] : expected) {
        const auto own = found.find(table);
        const bool later = std::find(kLaterTables.begin(), kLaterTables.end(), table) != kLaterTables.end();
        if (own == found.end() && later &&
            !database.query_int64(fmt::format("SELECT 1 FROM sqlite_master WHERE lower(name) = '{}'", table)))
            continue;
        if (own == found.end() ||
            !std::includes(own->second.begin(), own->second.end(), columns.begin(), columns.end()))
            refuse(table);
        for (const std::string& column : own->second) {
            if (!column.ends_with(" 0")) refuse(table);
        }
    }
    if (!to_write) return;
    for (const auto& [table, sql] : statements_of(database)) {
        if (expected.contains(table) && bare(sql) != bare(schema_of(table))) refuse(table);
    }
    Statement select = database.prepare("SELECT tbl_name, sql FROM sqlite_master WHERE type = 'index' AND sql <> ''");
    while (select.step()) {
        const std::string sql = bare(select.column_text(1));
        const bool plain = std::count(sql.begin(), sql.end(), '(') == 1 && sql.ends_with(')');
        if (!plain && expected.contains(select.column_text(0))) refuse(select.column_text(0));
    }
}

}  // namespace

void make_index_tables(const Database& database, const std::string& uuid) {
    Transaction transaction(database);
    database.execute(kIndexSchema);
    Statement insert = database.prepare("INSERT INTO store (key, value) VALUES (?1, ?2)");
    insert.bind(1, "uuid").bind(2, uuid).run();
    insert.bind(1, "writer").bind(2, "reelstore").run();
    insert.bind(1, "state").bind(2, "open").run();
    transaction.commit();
}

void check_index_tables(const Database& database, const std::string& uuid, bool to_write) {
    const ErrorPlace place{database.path(), {}, {}};
    if (database.query_int64("PRAGMA application_id") != kIndexApplicationId) {
        throw Error(ErrorCode::corrupt, place, "not the index of a store");
    }
    const int64_t version = database.query_int64("PRAGMA user_version").value_or(0);
    if (version > kIndexVersion) {
        throw Error(
            ErrorCode::unsupported, place,
            fmt::format("the index has version {}; this version of reelstore reads up to {}", version, kIndexVersion));
    }
    check_tables(database, to_write);
    const std::string own = database.query_text("SELECT value FROM store WHERE key = 'uuid'").value_or("");
    if (own != uuid)
        throw Error(ErrorCode::corrupt, place,
                    "the index belongs to another store (its uuid differs from metadata.yaml)");
}

}  // namespace reelstore
