"""The service's metrics as the report keeps them."""

import pytest

from demo.local_service import LocalService
from loadtest.scrape import Scraper, parse


def test_samples_are_named_by_their_labels_and_buckets_are_left_out() -> None:
    text = """# TYPE lag histogram
lag_bucket{le="1.0"} 3
lag_bucket{le="+Inf"} 4
lag_sum 2.5
lag_count 4
# TYPE sessions gauge
sessions{state="open"} 2
sessions{state="odd"} NaN
"""
    assert parse(text) == {"lag_sum": 2.5, "lag_count": 4.0, "sessions{state=open}": 2.0}


def test_what_is_no_prometheus_text_is_refused() -> None:
    with pytest.raises(ValueError, match="<html>"):
        parse("<html>")


def test_without_sources_there_is_nothing_to_report() -> None:
    assert Scraper((), every_s=1.0).found() is None


def test_a_source_that_does_not_answer_is_counted() -> None:
    scraper = Scraper(("127.0.0.1:9",), every_s=1.0)
    scraper.sample()
    found = scraper.found()
    assert found is not None
    assert (found.scrapes, found.failed) == (0, 1)


def test_series_that_never_change_are_left_to_first_and_last(service: LocalService) -> None:
    scraper = Scraper((service.metrics,), every_s=1.0)
    scraper.sample()
    scraper.sample()
    found = scraper.found()
    assert found is not None
    assert found.last["chameleon_session_capacity"] == 16
    assert "chameleon_session_capacity" not in found.series
