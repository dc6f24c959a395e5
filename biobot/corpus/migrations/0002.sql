-- What biobot.collect keeps here, so that it is committed with the rows that it brought.

CREATE TABLE source (
    number INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    target TEXT NOT NULL,      -- as the config has it, or an id that was found on the way
    root TEXT NOT NULL,        -- "kind:target" of the configured source that led here
    depth INTEGER NOT NULL,    -- steps from that one
    account INTEGER,           -- the id behind a handle
    token TEXT,                -- where to go on
    state TEXT NOT NULL CHECK (state IN ('open', 'done', 'failed')),
    why TEXT NOT NULL,
    people INTEGER NOT NULL,   -- fetched so far
    restarts INTEGER NOT NULL, -- how often its token had expired
    changed INTEGER NOT NULL,
    UNIQUE (root, kind, target)
) STRICT;

CREATE INDEX source_open ON source (root, state, depth, number);

CREATE TABLE paid (            -- who was paid for on a UTC day: once a day is charged
    day TEXT NOT NULL, user INTEGER NOT NULL, PRIMARY KEY (day, user)
) STRICT, WITHOUT ROWID;

CREATE TABLE spend (
    day TEXT NOT NULL, kind TEXT NOT NULL, units INTEGER NOT NULL, usd REAL NOT NULL, PRIMARY KEY (day, kind)
) STRICT, WITHOUT ROWID;
