-- Typed columns instead of flags, and a mark on every post that may be on the network though nobody saw it there.

ALTER TABLE post RENAME COLUMN freed TO slot_released;
ALTER TABLE post RENAME COLUMN sending TO attempted;            -- when the last attempt began
ALTER TABLE post RENAME COLUMN checks TO reconcile_misses;      -- looks since then that did not find it
ALTER TABLE post ADD COLUMN in_doubt INTEGER NOT NULL DEFAULT 0 -- 1: an attempt's outcome is not known
    CHECK (in_doubt = 0 OR state IN ('approved', 'sending', 'unconfirmed', 'failed'));
ALTER TABLE post ADD COLUMN look_from TEXT;                     -- the network's time at the first such attempt
ALTER TABLE post ADD COLUMN expired TEXT;                       -- when it was rejected because nobody approved it
CREATE INDEX by_expiry ON post (expired) WHERE expired IS NOT NULL;

-- a text that a person had sent again may be on the network, whatever became of the second attempt
INSERT INTO audit (post, at, was, state, by, reason)
    SELECT id, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), state, 'unconfirmed', 'policy', 'it may be on the network'
    FROM post WHERE resends > 0 AND (state = 'rejected' OR (state = 'failed' AND slot_released = 1));
UPDATE post SET state = 'unconfirmed', rev = rev + 1
    WHERE resends > 0 AND (state = 'rejected' OR (state = 'failed' AND slot_released = 1));
UPDATE post SET look_from = CASE WHEN resends > 0 THEN created ELSE attempted END WHERE attempted IS NOT NULL;
UPDATE post SET in_doubt = 1
    WHERE state = 'unconfirmed' OR (state = 'failed' AND slot_released = 0)
       OR (state IN ('approved', 'sending') AND resends > 0);

CREATE TABLE bot (                           -- one row: what the bot must remember from one step to the next
    only INTEGER PRIMARY KEY CHECK (only = 1),
    paused TEXT,                             -- since when, by a person
    blocked TEXT,                            -- why no call is made until a person resumes
    wait_until TEXT,                         -- no call before then
    wait_reason TEXT,
    strike TEXT,                             -- the kind of error of the last call, if it failed
    strikes INTEGER NOT NULL DEFAULT 0,      -- how often in a row
    resumed TEXT,                            -- when a person last resumed
    accounted TEXT,                          -- every slot until then has a row
    schedule TEXT,                           -- the schedule that those slots are of
    restored TEXT                            -- what is older may have been posted by a copy that this one replaced
) STRICT;

INSERT INTO bot (only, paused, blocked, wait_until, wait_reason, strike, strikes, resumed, accounted, schedule)
    SELECT 1, max(CASE name WHEN 'paused' THEN since END),
           max(CASE name WHEN 'blocked' THEN value END),
           max(CASE name WHEN 'wait' THEN substr(value, 1, instr(value, ' ') - 1) END),
           max(CASE name WHEN 'wait' THEN substr(value, instr(value, ' ') + 1) END),
           max(CASE name WHEN '_strikes' THEN substr(value, 1, instr(value, ' ') - 1) END),
           coalesce(max(CASE name WHEN '_strikes' THEN CAST(substr(value, instr(value, ' ') + 1) AS INTEGER) END), 0),
           max(CASE name WHEN 'resumed' THEN value END),
           max(CASE name WHEN '_slots' THEN substr(value, 1, instr(value, ' ') - 1) END),
           max(CASE name WHEN '_slots' THEN substr(value, instr(value, ' ') + 1) END)
    FROM flag;

CREATE TABLE account (                       -- whose keys each network's are
    network TEXT PRIMARY KEY,
    id TEXT NOT NULL,
    since TEXT NOT NULL
) STRICT;

INSERT INTO account SELECT substr(name, 9), value, since FROM flag WHERE substr(name, 1, 8) = 'account:';

CREATE TABLE problem (                       -- what is wrong and was said
    name TEXT PRIMARY KEY,
    text TEXT NOT NULL,
    since TEXT NOT NULL
) STRICT;

INSERT INTO problem SELECT substr(name, 10), value, since FROM flag WHERE substr(name, 1, 9) = '_problem:';

CREATE TABLE refused (                       -- how many candidates each filter refused
    filter TEXT PRIMARY KEY,
    count INTEGER NOT NULL
) STRICT;

INSERT INTO refused SELECT substr(name, 10), CAST(value AS INTEGER) FROM flag WHERE substr(name, 1, 9) = '_refused:';

DROP TABLE flag;
