-- What people thought of the bot's posts, as last read.

CREATE TABLE engagement (
    post INTEGER PRIMARY KEY REFERENCES post (id),
    at TEXT NOT NULL,                        -- when it was read
    likes INTEGER NOT NULL,
    reposts INTEGER NOT NULL,
    replies INTEGER NOT NULL
) STRICT;
