-- The corpus. Texts, authors and who opted out; `audit` holds nobody's words.

CREATE TABLE bio (
    id INTEGER PRIMARY KEY,
    hash INTEGER NOT NULL UNIQUE,
    text TEXT NOT NULL,
    source TEXT,
    seen INTEGER NOT NULL,     -- unix seconds
    bytes INTEGER NOT NULL,
    traits INTEGER NOT NULL,   -- see clean.traits
    unsigned INTEGER NOT NULL  -- 1: it also came without its author, so that no author takes it away
) STRICT;

CREATE TABLE author (
    id INTEGER PRIMARY KEY,    -- X's; below 0 where only the handle is known
    handle TEXT,               -- lower case
    bio INTEGER NOT NULL REFERENCES bio (id),
    source TEXT,
    seen INTEGER NOT NULL
) STRICT;

CREATE INDEX author_bio ON author (bio);

CREATE INDEX author_handle ON author (handle);

CREATE TABLE forgotten (
    key BLOB PRIMARY KEY,      -- of an id, a handle or a text: no person's words
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (at INTEGER NOT NULL, what TEXT NOT NULL) STRICT;

CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE tally (
    traits INTEGER NOT NULL, bytes INTEGER NOT NULL, bios INTEGER NOT NULL, PRIMARY KEY (traits, bytes)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER bio_in AFTER INSERT ON bio BEGIN
    INSERT INTO tally VALUES (new.traits, new.bytes, 1) ON CONFLICT DO UPDATE SET bios = bios + 1;
END;

CREATE TRIGGER bio_out AFTER DELETE ON bio BEGIN
    UPDATE tally SET bios = bios - 1 WHERE traits = old.traits AND bytes = old.bytes;
END;

CREATE TRIGGER bio_change AFTER UPDATE OF traits ON bio WHEN old.traits != new.traits BEGIN
    UPDATE tally SET bios = bios - 1 WHERE traits = old.traits AND bytes = old.bytes;
    INSERT INTO tally VALUES (new.traits, new.bytes, 1) ON CONFLICT DO UPDATE SET bios = bios + 1;
END;
