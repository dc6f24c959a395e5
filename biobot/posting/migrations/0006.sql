-- What looks for the newest or the oldest rows, or for given ids, reads no others, and rows are counted as they change.

CREATE INDEX audit_by_time ON audit (at);
CREATE INDEX skipped ON post (created) WHERE state = 'skipped';
CREATE INDEX by_posted ON post (network, posted);
CREATE INDEX by_remote_id ON post (network, remote_id);

CREATE TABLE tally (                         -- how many rows of a network are in a state
    network TEXT NOT NULL,
    state TEXT NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (network, state)
) STRICT;
INSERT INTO tally SELECT network, state, count(*) FROM post GROUP BY network, state;

CREATE TRIGGER count_new AFTER INSERT ON post BEGIN
    INSERT INTO tally VALUES (new.network, new.state, 1) ON CONFLICT DO UPDATE SET number = number + 1;
END;
CREATE TRIGGER count_gone AFTER DELETE ON post BEGIN
    UPDATE tally SET number = number - 1 WHERE network = old.network AND state = old.state;
END;
CREATE TRIGGER count_moved AFTER UPDATE OF state ON post WHEN old.state != new.state BEGIN
    UPDATE tally SET number = number - 1 WHERE network = old.network AND state = old.state;
    INSERT INTO tally VALUES (new.network, new.state, 1) ON CONFLICT DO UPDATE SET number = number + 1;
END;
