"""The history shows what people did with a post."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import httpx

from biobot.networks.network import Engagement
from biobot.posting import engagement
from biobot.posting.budget import Budget
from biobot.posting.outbox import Outbox
from tests.posting.world import Net
from tests.web import scene
from tests.web.browser import served


def test_the_history_shows_likes_reposts_and_replies(tmp_path: Path) -> None:
    config, now = scene.fresh(tmp_path), datetime.now(UTC)
    net = Net(lambda: now)
    with Outbox(config.home / "outbox.db", config.settings.post.first) as outbox:
        posts = [(f"Text {number}.", now, net.add(f"Text {number}.").id) for number in range(2)]
        outbox.add_posted(posts)
        net.liked[posts[1][2]] = Engagement(1234, 2, 0)
        engagement.read(net, outbox, Budget(outbox, config.settings.post), now)
    with served(config) as site, httpx.Client(base_url=site.url, timeout=60) as browser:
        browser.get(site.link(), follow_redirects=True)
        page = browser.get("/history").text
    assert page.count("reposts") == 2
    assert "1,234 likes · 2 reposts · 0 replies" in page
