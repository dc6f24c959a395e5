-- A timeline may lag: that it does not show a post proves something only some time after it was looked at first.

ALTER TABLE post ADD COLUMN looked TEXT;     -- first look since the last attempt that did not show it, network's clock
