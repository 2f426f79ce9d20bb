#pragma once

#include <array>
#include <string>

#include "base/sqlite.h"

namespace reelstore {

inline constexpr const char* kGroupTable = "chunk_groups";
inline constexpr std::array<const char*, 4> kLaterTables = {"events", kGroupTable, "sidecars", "hidden_packets"};

/// Makes the tables of spec/schema.sql in an empty database, for the store with this uuid.
void make_index_tables(const Database& database, const std::string& uuid);
/// The statement of the schema that makes a table.
const std::string& schema_of(const std::string& table);
/// Throws Error(unsupported) when a newer version wrote the index, Error(corrupt) when it is none, has other tables
/// than those of the schema or belongs to a store with another uuid. To be written it must not compute anything either.
void check_index_tables(const Database& database, const std::string& uuid, bool to_write);

}  // namespace reelstore
