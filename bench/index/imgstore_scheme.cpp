#include "bench/index/imgstore_scheme.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/error.h"
#include "store/chunk_sidecar.h"

namespace reelstore::bench {

namespace {

std::optional<ImgstoreScheme::Place> first_place(PlainStatement& select) {
    if (!select.step()) return std::nullopt;
    return std::pair(select.column_int64(0), select.column_int64(1));
}

}  // namespace

ImgstoreScheme::ImgstoreScheme(const StoreLayout& layout, int64_t chunks) : database_(":memory:") {
    database_.execute(
        "CREATE TABLE frames (chunk INTEGER, frame_idx INTEGER, frame_number INTEGER, frame_time REAL);"
        "CREATE TABLE chunks (chunk INTEGER, chunk_path TEXT)");
    PlainStatement insert(database_, "INSERT INTO frames VALUES (?,?,?,?)");
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
        const std::optional<ChunkSidecar> sidecar = read_chunk_sidecar(layout, chunk);
        if (!sidecar)
            throw Error(ErrorCode::not_found, {layout.sidecar(chunk).string(), {}, {}}, "there is no sidecar");
        database_.execute("BEGIN");
        for (size_t i = 0; i < sidecar->numbers.size(); ++i) {
            insert.bind(1, chunk).bind(2, static_cast<int64_t>(i));
            insert.bind(3, sidecar->numbers[i]).bind(4, sidecar->times[i]).step();
            insert.reset();
        }
        database_.execute(fmt::format("INSERT INTO chunks VALUES ({}, '{}')", chunk, StoreLayout::chunk_name(chunk)));
        database_.execute("COMMIT");
    }
    // Asked at every opening, too.
    if (!PlainStatement(database_, "SELECT COUNT(1) FROM frames").step()) throw Error(ErrorCode::io, "no frames");
}

std::optional<ImgstoreScheme::Place> ImgstoreScheme::find_index(int64_t index) const {
    PlainStatement select(database_,
                          fmt::format("SELECT chunk, frame_idx FROM frames ORDER BY rowid LIMIT 1 OFFSET {}", index));
    return first_place(select);
}

std::optional<ImgstoreScheme::Place> ImgstoreScheme::find_number(int64_t number) const {
    PlainStatement select(database_, "SELECT chunk, frame_idx FROM frames WHERE frame_number = ?");
    select.bind(1, number);
    return first_place(select);
}

std::optional<ImgstoreScheme::Place> ImgstoreScheme::find_nearest_number(int64_t number) const {
    PlainStatement select(database_, "SELECT chunk, frame_idx FROM frames ORDER BY ABS(? - frame_number) LIMIT 1");
    select.bind(1, number);
    return first_place(select);
}

std::optional<ImgstoreScheme::Place> ImgstoreScheme::find_nearest_time(double time) const {
    PlainStatement select(database_, "SELECT chunk, frame_idx FROM frames ORDER BY ABS(? - frame_time) LIMIT 1");
    select.bind(1, time);
    return first_place(select);
}

}  // namespace reelstore::bench
