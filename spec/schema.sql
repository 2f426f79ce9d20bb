-- The index of a store: STORE/index.sqlite. This file is the schema; the library creates the database from it.
-- spec/format.md says what the columns mean to a reader.

PRAGMA application_id = 1382831700;  -- 'RlsT'
PRAGMA user_version = 1;

-- Facts about the store as a whole. Keys: uuid (equal to metadata.yaml's), writer (program that made it), state ('open'
-- until the writer has closed the store, then 'closed'), first_chunk (lower numbers were removed; missing: none were).
CREATE TABLE store (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- One row a chunk, in order of frame_index. Minimum, maximum and order are of the frames committed so far.
CREATE TABLE chunks (
    chunk             INTEGER PRIMARY KEY,      -- number in the name of its file or folder
    first_index       INTEGER NOT NULL UNIQUE,  -- frame_index of its first frame
    frame_count       INTEGER NOT NULL,
    number_min        INTEGER,                  -- NULL while empty
    number_max        INTEGER,
    numbers_ascending INTEGER NOT NULL,         -- 1: no number is smaller than the one before
    time_min          REAL,                     -- NULL while empty or without any time
    time_max          REAL,
    times_ascending   INTEGER NOT NULL,         -- 1: every frame has a time and none is before the previous one
    state             TEXT NOT NULL CHECK (state IN ('open', 'closed')),
    media_bytes       INTEGER NOT NULL,         -- encoded bytes in the chunk's media
    stream            TEXT                      -- video: what a decoder needs, as JSON
);

-- One row a frame.
CREATE TABLE frames (
    frame_index     INTEGER PRIMARY KEY,  -- 0, 1, 2... in order of writing, counted since the recording began
    frame_number    INTEGER NOT NULL,     -- the camera's; may repeat, go down, have holes
    frame_time      REAL,                 -- seconds, normally since the Unix epoch; NULL only in foreign stores
    chunk           INTEGER NOT NULL,     -- position in the chunk = frame_index - chunks.first_index
    byte_offset     INTEGER,              -- video: the frame's encoded bytes in the chunk's file
    byte_size       INTEGER,              -- image files: of the file
    packet_flags    INTEGER,              -- video: 1 = a decoder can start here, 2 = no other frame needs it, 4 = others may
    packet_pts      INTEGER,              -- video: time stamp in units of stream.time_base; NULL: the nominal one (format.md)
    decode_position INTEGER,              -- video: place in decode order; NULL when equal to the position in the chunk
    checksum        INTEGER               -- lower 32 bits of the XXH3-64 of the frame's encoded bytes, signed; NULL: unknown
);

-- Records tied to frames, in order of writing. data is a JSON object with the user's keys only.
CREATE TABLE extra_data (
    record_id   INTEGER PRIMARY KEY,
    frame_index INTEGER NOT NULL,
    data        TEXT NOT NULL
);
CREATE INDEX extra_data_frame ON extra_data (frame_index);

-- What happened to the recording, in order: frames dropped, faults of the disk, clock steps, repairs (format.md). Early
-- indexes lack this table.
CREATE TABLE events (
    event_id    INTEGER PRIMARY KEY,
    time        REAL NOT NULL,  -- seconds since the Unix epoch by the recording machine's clock
    kind        TEXT NOT NULL,
    frame_index INTEGER,        -- of the first frame written after it happened; NULL when it concerns none
    data        TEXT NOT NULL   -- JSON object
);

-- Summaries of groups of chunks, so that a lookup need not pass over every chunk. The group at `place` of level 1 holds the
-- chunks 32 * place to 32 * place + 31 by number, that of level 2 and 3 likewise 32 groups of the level below. Groups without
-- frames have no row. Early indexes lack this table and the next two.
CREATE TABLE chunk_groups (
    level             INTEGER NOT NULL,
    place             INTEGER NOT NULL,
    number_min        INTEGER NOT NULL,
    number_max        INTEGER NOT NULL,
    numbers_ascending INTEGER NOT NULL,  -- 1: no number of the group is smaller than the one before
    time_min          REAL,              -- NULL without any time
    time_max          REAL,
    times_ascending   INTEGER NOT NULL,  -- 1: every frame has a time and none is before the previous one
    parts             INTEGER NOT NULL,  -- checksum of what it sums up (format.md)
    checksum          INTEGER NOT NULL,  -- of the row (format.md)
    PRIMARY KEY (level, place)
) WITHOUT ROWID;

-- What the sidecar of a closed chunk was when the index and it agreed.
CREATE TABLE sidecars (
    chunk    INTEGER PRIMARY KEY,
    bytes    INTEGER NOT NULL,  -- size of the file
    checksum INTEGER NOT NULL   -- lower 32 bits of the XXH3-64 of its last 4096 bytes, or of all if it is shorter
);

-- Packets of a video chunk that are decoded for the frames but are none themselves: those from the key frame before a cut on,
-- and behind the last frame those that it needs.
CREATE TABLE hidden_packets (
    chunk           INTEGER NOT NULL,
    decode_position INTEGER NOT NULL,  -- place in decode order, counted together with the chunk's frames
    byte_offset     INTEGER NOT NULL,
    byte_size       INTEGER NOT NULL,
    packet_flags    INTEGER NOT NULL,
    packet_pts      INTEGER NOT NULL,
    checksum        INTEGER,
    PRIMARY KEY (chunk, decode_position)
) WITHOUT ROWID;
