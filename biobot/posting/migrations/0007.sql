-- Sums of reactions are kept instead of counted; and a copy of the outbox that was put back is known by its traces.

CREATE TABLE reactions (                     -- what people did with all posts of a network that are there
    network TEXT PRIMARY KEY,
    posts INTEGER NOT NULL,
    likes INTEGER NOT NULL,
    reposts INTEGER NOT NULL,
    replies INTEGER NOT NULL,
    at TEXT NOT NULL                         -- when it was read last
) STRICT;
INSERT INTO reactions
    SELECT network, count(*), sum(likes), sum(reposts), sum(replies), max(at) FROM engagement JOIN post ON id = post
    WHERE state = 'posted' GROUP BY network;
CREATE INDEX by_reactions ON engagement (likes + reposts + replies);

CREATE TRIGGER reactions_read AFTER INSERT ON engagement BEGIN
    INSERT INTO reactions SELECT network, 1, new.likes, new.reposts, new.replies, new.at FROM post
        WHERE id = new.post AND state = 'posted'
        ON CONFLICT DO UPDATE SET posts = posts + 1, likes = likes + excluded.likes,
            reposts = reposts + excluded.reposts, replies = replies + excluded.replies, at = max(at, excluded.at);
END;
CREATE TRIGGER reactions_read_again AFTER UPDATE ON engagement BEGIN
    UPDATE reactions SET likes = likes + new.likes - old.likes, reposts = reposts + new.reposts - old.reposts,
        replies = replies + new.replies - old.replies, at = max(at, new.at)
        WHERE network = (SELECT network FROM post WHERE id = new.post AND state = 'posted');
END;
CREATE TRIGGER reactions_gone AFTER UPDATE OF state ON post WHEN old.state = 'posted' AND new.state != 'posted' BEGIN
    UPDATE reactions SET posts = posts - 1, likes = reactions.likes - gone.likes,
        reposts = reactions.reposts - gone.reposts, replies = reactions.replies - gone.replies
        FROM (SELECT * FROM engagement WHERE post = new.id) AS gone WHERE network = new.network;
END;

ALTER TABLE bot ADD COLUMN written REAL;     -- when this file was written last, in seconds by the system's clock
ALTER TABLE bot ADD COLUMN copied TEXT;      -- when the file was changed by something that did not note it there
