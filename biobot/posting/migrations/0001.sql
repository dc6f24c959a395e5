-- The outbox. Times are UTC: slots in whole seconds, everything else in milliseconds.

CREATE TABLE post (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    rev INTEGER NOT NULL DEFAULT 1,          -- grows with every change: who decides on a row names what they saw
    state TEXT NOT NULL,
    text TEXT,                               -- only a skipped slot has none
    folded TEXT,                             -- what two texts share that look the same
    slot TEXT,                               -- unjittered; a manual post has none
    freed INTEGER NOT NULL DEFAULT 0,        -- 1: the slot may be filled by another row
    network TEXT NOT NULL,
    account TEXT NOT NULL DEFAULT '',        -- '' until the network has told whose keys these are
    temperature REAL,
    seed INTEGER,
    model TEXT,
    controls TEXT NOT NULL DEFAULT '{}',
    created TEXT NOT NULL,
    approved_by TEXT,                        -- 'person' or 'policy'
    edited INTEGER NOT NULL DEFAULT 0,
    reason TEXT,
    not_before TEXT,
    sending TEXT,                            -- when the last attempt began
    resends INTEGER NOT NULL DEFAULT 0,      -- how often a person had it sent again
    checks INTEGER NOT NULL DEFAULT 0,       -- how often the timeline was searched for it since
    posted TEXT,
    remote_id TEXT,
    missed INTEGER NOT NULL DEFAULT 0        -- 1: skipped because its time went by, not for want of a text
) STRICT;

CREATE UNIQUE INDEX one_post_a_slot ON post (network, account, slot) WHERE slot IS NOT NULL AND freed = 0;
CREATE UNIQUE INDEX one_post_a_text ON post (network, account, folded) WHERE folded IS NOT NULL;
CREATE INDEX by_state ON post (network, state);
CREATE INDEX by_slot ON post (network, slot);
CREATE INDEX by_sending ON post (network, sending);

CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    post INTEGER REFERENCES post (id),       -- NULL: it concerns the whole bot
    at TEXT NOT NULL,
    was TEXT,                                -- the state before; NULL when the row is new
    state TEXT NOT NULL,
    by TEXT NOT NULL,                        -- 'person' or 'policy'
    reason TEXT
) STRICT;

CREATE INDEX audit_of_post ON audit (post);

CREATE TABLE spend (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    network TEXT NOT NULL,
    kind TEXT NOT NULL,                      -- a key of [post.prices]
    units INTEGER NOT NULL,
    usd REAL NOT NULL,
    post INTEGER REFERENCES post (id)
) STRICT;

CREATE INDEX spend_by_time ON spend (network, at);

CREATE TABLE flag (                          -- paused, blocked, whose account, how far slots are accounted for
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    since TEXT NOT NULL
) STRICT;
