-- Schema version 4, as hosts that know no other left it. It never changes: the
-- tests make databases of it, which must be brought to the version of today.

CREATE TABLE partitions (
    id INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,      -- how often it was claimed
    last_key INTEGER NOT NULL,   -- no instance that was purged had a larger key
    checks INTEGER NOT NULL      -- how often it was tried whether this can be written
) STRICT;
INSERT INTO partitions (id, epoch, last_key, checks) VALUES (0, 0, 0, 0);

CREATE TABLE instances (
    key INTEGER PRIMARY KEY,
    partition INTEGER NOT NULL,
    status INTEGER NOT NULL,     -- 0 Pending, 1 Running, 2 Completed, 3 ContinuedAsNew,
                                 -- 4 Failed, 5 Canceled, 6 Terminated, 7 Suspended
    created INTEGER NOT NULL,    -- times are milliseconds since 1970, UTC
    updated INTEGER NOT NULL,
    wake_at INTEGER,
    busy INTEGER NOT NULL,       -- it has to go on after a restart
    blocked INTEGER NOT NULL,
    saga INTEGER NOT NULL,       -- 0 none, 1 armed, 2 past-pivot, 3 compensating,
                                 -- 4 compensated, 5 stuck, 6 committed
    events INTEGER NOT NULL,
    chunks INTEGER NOT NULL,
    id TEXT NOT NULL,            -- that of an entity begins with '@'
    name TEXT NOT NULL,
    tags TEXT,                   -- a JSON object; NULL where there are none
    stuck TEXT,                  -- JSON, as are the next three
    custom_status TEXT,
    output TEXT,
    input TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX instances_id ON instances (id);
CREATE INDEX instances_open ON instances (key)
    WHERE (status < 2 OR status = 3 OR status = 7) AND (id < '@' OR id >= 'A');
CREATE INDEX instances_ended_busy ON instances (key)
    WHERE busy = 1 AND (status = 2 OR (status BETWEEN 4 AND 6) OR (id >= '@' AND id < 'A'));
CREATE INDEX instances_unsuccessful ON instances (key)
    WHERE (status BETWEEN 4 AND 6) AND (id < '@' OR id >= 'A');
CREATE INDEX instances_off_course ON instances (saga)
    WHERE (saga BETWEEN 3 AND 5) AND (id < '@' OR id >= 'A');
CREATE INDEX instances_entities ON instances (key) WHERE (id >= '@' AND id < 'A');
CREATE INDEX instances_wake ON instances (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX instances_name ON instances (name) WHERE (id < '@' OR id >= 'A');
CREATE INDEX instances_updated ON instances (updated) WHERE (id < '@' OR id >= 'A');

CREATE TABLE tags (
    word TEXT NOT NULL,
    value TEXT NOT NULL,
    key INTEGER NOT NULL,        -- instances.key, of what is no entity
    PRIMARY KEY (word, value, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE journal (
    key INTEGER PRIMARY KEY,     -- instances.key << 24 | number of the chunk, from 0
    chunk BLOB NOT NULL          -- a JSON array: the events of one turn
) STRICT;

CREATE TABLE zones (
    zone INTEGER PRIMARY KEY,    -- instances.key >> 12
    earliest INTEGER NOT NULL,   -- no instance of the zone was created before
    latest INTEGER NOT NULL      -- none was created after
) STRICT;

CREATE TABLE notes (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

PRAGMA application_id = 1396787009;
PRAGMA user_version = 4;
