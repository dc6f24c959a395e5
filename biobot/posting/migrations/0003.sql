-- Keys under which a network knows a post, and several networks at once.

ALTER TABLE post ADD COLUMN key TEXT;                           -- the same at every attempt; NULL before the first
ALTER TABLE post ADD COLUMN request TEXT;                       -- what is sent under it, whole; NULL: the text
ALTER TABLE post ADD COLUMN undone TEXT;                        -- since when it is to be deleted: never sent again
ALTER TABLE post ADD COLUMN origin INTEGER REFERENCES post (id); -- the row of another network that has its text, too
CREATE INDEX by_origin ON post (coalesce(origin, id));
CREATE INDEX by_undone ON post (undone) WHERE undone IS NOT NULL;

CREATE TABLE network (                       -- what the bot must remember of each network; `bot` keeps the pause
    name TEXT PRIMARY KEY,
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

INSERT INTO network
    SELECT known.network, blocked, wait_until, wait_reason, strike, strikes, resumed, accounted, schedule, restored
    FROM bot, (SELECT network FROM post UNION SELECT network FROM account) AS known;

CREATE TABLE pause (                         -- one row
    only INTEGER PRIMARY KEY CHECK (only = 1),
    paused TEXT                              -- since when, by a person, on every network
) STRICT;
INSERT INTO pause SELECT only, paused FROM bot;
DROP TABLE bot;
ALTER TABLE pause RENAME TO bot;
