"""The page of links in a browser: a webhook is added, its key shown once, tested and deleted."""

from __future__ import annotations

import pytest

from flawmap.station.context import Station
from station.browser.test_pages import violations
from station.browsing import PageAs
from station.delivery.receiving import free_port, receiving
from station.inspecting import wait_until


@pytest.mark.slow
def test_a_webhook_from_the_form_to_a_delivered_test(
    site: tuple[str, Station], page_as: PageAs
) -> None:
    with receiving() as mes:
        page = page_as("engineer", "/links")
        page.locator("#webhook-name").fill("MES " + "long name " * 4)
        page.get_by_label("URL").fill(mes.url)
        page.get_by_text("Add webhook").click()
        assert len(page.locator("#secret").text_content()) > 30
        page.goto(site[0] + "/links")
        assert page.locator("#secret").count() == 0
        page.get_by_role("button", name="Test").click()
        wait_until(lambda: mes.taken)
        assert mes.taken[0]["kind"] == "test"
        page.locator("#mqtt-host").fill("127.0.0.1")
        page.locator("#mqtt-name").fill("dead broker")
        page.locator("#mqtt-port").fill(str(free_port()))
        page.get_by_text("Add broker").click()
        page.get_by_role("button", name="Test: dead broker").click()

        def failing() -> bool:
            page.goto(site[0] + "/links")
            return bool(page.get_by_text("failing").count())

        wait_until(failing)
        assert not violations(page)
        page.on("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Delete: dead broker").click()
        page.wait_for_url("**/links")
        wait_until(lambda: page.get_by_text("dead broker").count() == 0)
