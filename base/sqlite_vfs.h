#pragma once

#include <string>

namespace reelstore {

enum class SqliteLocks { yes, no };

/// Name of the SQLite VFS through which a Database opens its files, registered at the first call. Locks and shared
/// memory are those of SQLite's own VFS "unix" (without locks: "unix-none"); the data of databases, journals and
/// write-ahead logs go through FileSystem::adopt(), removed and new names through the FileSystem too. Any thread may
/// call it; throws Error(internal) when SQLite lacks its own VFS.
const char* sqlite_vfs_name(SqliteLocks locks);

/// SQLite knows failures by number only. This is the text of the last Error that a file of this thread's databases has
/// thrown since forget_vfs_error(); empty when there was none.
const std::string& last_vfs_error();
void forget_vfs_error();

}  // namespace reelstore
