-- Written by the version of 2026-11-22 (outbox version 1), with one row of each kind and every flag.
BEGIN TRANSACTION;
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    post INTEGER REFERENCES post (id),       -- NULL: it concerns the whole bot
    at TEXT NOT NULL,
    was TEXT,                                -- the state before; NULL when the row is new
    state TEXT NOT NULL,
    by TEXT NOT NULL,                        -- 'person' or 'policy'
    reason TEXT
) STRICT;
INSERT INTO "audit" VALUES(1,NULL,'2026-11-22T18:00:00.000Z',NULL,'account:x','policy','77');
INSERT INTO "audit" VALUES(2,1,'2026-11-22T18:00:00.000Z',NULL,'held','policy',NULL);
INSERT INTO "audit" VALUES(3,2,'2026-11-22T18:00:00.000Z',NULL,'approved','policy',NULL);
INSERT INTO "audit" VALUES(4,3,'2026-11-22T18:00:00.000Z',NULL,'approved','policy',NULL);
INSERT INTO "audit" VALUES(5,3,'2026-11-22T18:00:00.000Z','approved','rejected','person','rejected by a person');
INSERT INTO "audit" VALUES(6,4,'2026-11-22T18:00:00.000Z',NULL,'approved','policy',NULL);
INSERT INTO "audit" VALUES(7,4,'2026-11-22T18:00:00.000Z','approved','sending','policy',NULL);
INSERT INTO "audit" VALUES(8,4,'2026-11-22T18:00:00.000Z','sending','posted','policy',NULL);
INSERT INTO "audit" VALUES(9,5,'2026-11-22T18:00:00.000Z',NULL,'approved','policy',NULL);
INSERT INTO "audit" VALUES(10,5,'2026-11-22T18:00:00.000Z','approved','sending','policy',NULL);
INSERT INTO "audit" VALUES(11,5,'2026-11-22T18:00:00.000Z','sending','posted','policy',NULL);
INSERT INTO "audit" VALUES(12,5,'2026-11-22T18:00:00.000Z','posted','deleted','person',NULL);
INSERT INTO "audit" VALUES(13,6,'2026-11-22T18:00:00.000Z',NULL,'approved','policy',NULL);
INSERT INTO "audit" VALUES(14,6,'2026-11-22T20:00:00.000Z','approved','sending','policy',NULL);
INSERT INTO "audit" VALUES(15,7,'2026-11-22T18:00:00.000Z',NULL,'approved','policy',NULL);
INSERT INTO "audit" VALUES(16,7,'2026-11-22T18:00:00.000Z','approved','sending','policy',NULL);
INSERT INTO "audit" VALUES(17,7,'2026-11-22T18:00:00.000Z','sending','unconfirmed','policy','the line went dead');
INSERT INTO "audit" VALUES(18,7,'2026-11-22T19:00:00.000Z','unconfirmed','unconfirmed','policy','not on the timeline yet');
INSERT INTO "audit" VALUES(19,8,'2026-11-22T18:00:00.000Z',NULL,'approved','policy',NULL);
INSERT INTO "audit" VALUES(20,8,'2026-11-22T18:00:00.000Z','approved','sending','policy',NULL);
INSERT INTO "audit" VALUES(21,8,'2026-11-22T18:00:00.000Z','sending','unconfirmed','policy','?');
INSERT INTO "audit" VALUES(22,8,'2026-11-22T18:00:00.000Z','unconfirmed','failed','policy','not on the timeline');
INSERT INTO "audit" VALUES(23,9,'2026-11-22T18:00:00.000Z',NULL,'approved','policy',NULL);
INSERT INTO "audit" VALUES(24,9,'2026-11-22T18:00:00.000Z','approved','sending','policy',NULL);
INSERT INTO "audit" VALUES(25,9,'2026-11-22T18:00:00.000Z','sending','failed','policy','X refused (duplicate, HTTP 403)');
INSERT INTO "audit" VALUES(26,10,'2026-11-22T18:00:00.000Z',NULL,'approved','policy',NULL);
INSERT INTO "audit" VALUES(27,10,'2026-11-22T19:00:00.000Z','approved','sending','policy',NULL);
INSERT INTO "audit" VALUES(28,10,'2026-11-22T19:00:00.000Z','sending','unconfirmed','policy','?');
INSERT INTO "audit" VALUES(29,10,'2026-11-22T19:00:00.000Z','unconfirmed','approved','person','sent again by a person');
INSERT INTO "audit" VALUES(30,10,'2026-11-22T20:00:00.000Z','approved','sending','policy',NULL);
INSERT INTO "audit" VALUES(31,10,'2026-11-22T20:00:00.000Z','sending','approved','policy','X refused (rate-limit, HTTP 429)');
INSERT INTO "audit" VALUES(32,11,'2026-11-22T18:00:00.000Z',NULL,'approved','policy',NULL);
INSERT INTO "audit" VALUES(33,11,'2026-11-22T19:00:00.000Z','approved','sending','policy',NULL);
INSERT INTO "audit" VALUES(34,11,'2026-11-22T19:00:00.000Z','sending','unconfirmed','policy','?');
INSERT INTO "audit" VALUES(35,11,'2026-11-22T19:00:00.000Z','unconfirmed','approved','person','sent again by a person');
INSERT INTO "audit" VALUES(36,11,'2026-11-22T20:00:00.000Z','approved','rejected','policy','refused at the last moment: dedupe');
INSERT INTO "audit" VALUES(37,12,'2026-11-22T18:00:00.000Z',NULL,'approved','policy',NULL);
INSERT INTO "audit" VALUES(38,12,'2026-11-22T19:00:00.000Z','approved','sending','policy',NULL);
INSERT INTO "audit" VALUES(39,12,'2026-11-22T19:00:00.000Z','sending','unconfirmed','policy','?');
INSERT INTO "audit" VALUES(40,12,'2026-11-22T19:00:00.000Z','unconfirmed','approved','person','sent again by a person');
INSERT INTO "audit" VALUES(41,12,'2026-11-22T20:00:00.000Z','approved','sending','policy',NULL);
INSERT INTO "audit" VALUES(42,12,'2026-11-22T20:00:00.000Z','sending','failed','policy','X refused (invalid, HTTP 400)');
INSERT INTO "audit" VALUES(43,13,'2026-11-22T18:00:00.000Z',NULL,'skipped','policy','missed: paused');
INSERT INTO "audit" VALUES(44,NULL,'2026-11-22T18:00:00.000Z',NULL,'paused','person','by a person');
INSERT INTO "audit" VALUES(45,NULL,'2026-11-22T18:00:00.000Z',NULL,'blocked','policy','X refused (suspended, HTTP 403): the account is suspended');
INSERT INTO "audit" VALUES(46,NULL,'2026-11-22T18:00:00.000Z',NULL,'wait','policy','2026-11-22T19:00:00.000Z X refused (rate-limit, HTTP 429): Too Many Requests');
INSERT INTO "audit" VALUES(47,NULL,'2026-11-22T18:00:00.000Z',NULL,'resumed','person','2026-11-22T17:00:00.000Z');
CREATE TABLE flag (                          -- paused, blocked, whose account, how far slots are accounted for
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    since TEXT NOT NULL
) STRICT;
INSERT INTO "flag" VALUES('account:x','77','2026-11-22T18:00:00.000Z');
INSERT INTO "flag" VALUES('paused','by a person','2026-11-22T18:00:00.000Z');
INSERT INTO "flag" VALUES('blocked','X refused (suspended, HTTP 403): the account is suspended','2026-11-22T18:00:00.000Z');
INSERT INTO "flag" VALUES('wait','2026-11-22T19:00:00.000Z X refused (rate-limit, HTTP 429): Too Many Requests','2026-11-22T18:00:00.000Z');
INSERT INTO "flag" VALUES('_strikes','rate-limit 2','2026-11-22T18:00:00.000Z');
INSERT INTO "flag" VALUES('resumed','2026-11-22T17:00:00.000Z','2026-11-22T18:00:00.000Z');
INSERT INTO "flag" VALUES('_slots','2026-11-22T18:00:00.000Z 6:00:00 None () local','2026-11-22T18:00:00.000Z');
INSERT INTO "flag" VALUES('_problem:drafts','drawing bios took longer than 30 s','2026-11-22T18:00:00.000Z');
INSERT INTO "flag" VALUES('_refused:dedupe','3','2026-11-22T18:00:00.000Z');
INSERT INTO "flag" VALUES('_refused:length','10','2026-11-22T18:00:00.000Z');
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
INSERT INTO "post" VALUES(1,1,'held','held','held','2026-11-22T19:00:00Z',0,'x','77',0.8,5,'starter','{}','2026-11-22T18:00:00.000Z',NULL,0,NULL,NULL,NULL,0,0,NULL,NULL,0);
INSERT INTO "post" VALUES(2,1,'approved','approved','approved','2026-11-22T20:00:00Z',0,'x','77',0.8,5,'starter','{}','2026-11-22T18:00:00.000Z','policy',0,NULL,NULL,NULL,0,0,NULL,NULL,0);
INSERT INTO "post" VALUES(3,2,'rejected','rejected','rejected','2026-11-22T21:00:00Z',1,'x','77',0.8,5,'starter','{}','2026-11-22T18:00:00.000Z','policy',0,'rejected by a person',NULL,NULL,0,0,NULL,NULL,0);
INSERT INTO "post" VALUES(4,3,'posted','posted','posted','2026-11-22T17:00:00Z',0,'x','77',0.8,5,'starter','{}','2026-11-22T18:00:00.000Z','policy',0,NULL,NULL,'2026-11-22T18:00:00.000Z',0,0,'2026-11-22T18:00:00.000Z','1001',0);
INSERT INTO "post" VALUES(5,4,'deleted','deleted','deleted',NULL,0,'x','77',0.8,5,'starter','{}','2026-11-22T18:00:00.000Z','policy',0,NULL,NULL,'2026-11-22T18:00:00.000Z',0,0,'2026-11-22T18:00:00.000Z','1002',0);
INSERT INTO "post" VALUES(6,2,'sending','sending','sending',NULL,0,'x','77',0.8,5,'starter','{}','2026-11-22T18:00:00.000Z','policy',0,NULL,NULL,'2026-11-22T20:00:00.000Z',0,0,NULL,NULL,0);
INSERT INTO "post" VALUES(7,4,'unconfirmed','unconfirmed','unconfirmed','2026-11-22T16:00:00Z',0,'x','77',0.8,5,'starter','{}','2026-11-22T18:00:00.000Z','policy',0,'the line went dead',NULL,'2026-11-22T18:00:00.000Z',0,1,NULL,NULL,0);
INSERT INTO "post" VALUES(8,4,'failed','given up','given up',NULL,0,'x','77',0.8,5,'starter','{}','2026-11-22T18:00:00.000Z','policy',0,'not on the timeline',NULL,'2026-11-22T18:00:00.000Z',0,0,NULL,NULL,0);
INSERT INTO "post" VALUES(9,3,'failed','refused','refused','2026-11-22T15:00:00Z',1,'x','77',0.8,5,'starter','{}','2026-11-22T18:00:00.000Z','policy',0,'X refused (duplicate, HTTP 403)',NULL,'2026-11-22T18:00:00.000Z',0,0,NULL,NULL,0);
INSERT INTO "post" VALUES(10,6,'approved','sent again, waits','sent again, waits',NULL,0,'x','77',0.8,5,'starter','{}','2026-11-22T18:00:00.000Z','person',0,'X refused (rate-limit, HTTP 429)','2026-11-22T21:00:00.000Z','2026-11-22T20:00:00.000Z',1,0,NULL,NULL,0);
INSERT INTO "post" VALUES(11,5,'rejected','sent again, rejected','sent again, rejected',NULL,1,'x','77',0.8,5,'starter','{}','2026-11-22T18:00:00.000Z','person',0,'refused at the last moment: dedupe',NULL,'2026-11-22T19:00:00.000Z',1,0,NULL,NULL,0);
INSERT INTO "post" VALUES(12,6,'failed','sent again, refused','sent again, refused',NULL,1,'x','77',0.8,5,'starter','{}','2026-11-22T18:00:00.000Z','person',0,'X refused (invalid, HTTP 400)',NULL,'2026-11-22T20:00:00.000Z',1,0,NULL,NULL,0);
INSERT INTO "post" VALUES(13,1,'skipped',NULL,NULL,'2026-11-22T13:00:00Z',0,'x','77',NULL,NULL,NULL,'{}','2026-11-22T18:00:00.000Z',NULL,0,'missed: paused',NULL,NULL,0,0,NULL,NULL,1);
CREATE TABLE spend (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    network TEXT NOT NULL,
    kind TEXT NOT NULL,                      -- a key of [post.prices]
    units INTEGER NOT NULL,
    usd REAL NOT NULL,
    post INTEGER REFERENCES post (id)
) STRICT;
INSERT INTO "spend" VALUES(1,'2026-11-22T18:00:00.000Z','x','post',1,0.015,4);
CREATE UNIQUE INDEX one_post_a_slot ON post (network, account, slot) WHERE slot IS NOT NULL AND freed = 0;
CREATE UNIQUE INDEX one_post_a_text ON post (network, account, folded) WHERE folded IS NOT NULL;
CREATE INDEX by_state ON post (network, state);
CREATE INDEX by_slot ON post (network, slot);
CREATE INDEX by_sending ON post (network, sending);
CREATE INDEX audit_of_post ON audit (post);
CREATE INDEX spend_by_time ON spend (network, at);
COMMIT;
PRAGMA user_version = 1;
