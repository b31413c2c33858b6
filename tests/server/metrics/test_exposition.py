"""What Prometheus reads, judged by its own client."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tidegate.server.metrics.counts import Histogram, Samples, labelled
from tidegate.server.metrics.exposition import FAMILIES, added, exposition, lasting

EXPIRY = labelled("tidegate_certificate_expiry_timestamp_seconds", file='a"\n\\b.pem')


def samples() -> Samples:
    histogram = Histogram()
    histogram.add(0.3)
    return {
        labelled("tidegate_requests_total", method="GET", status="2xx"): 3,
        "tidegate_requests_in_progress": 2,
        "tidegate_loop_stalled_seconds_total": 0.1,
        EXPIRY: 1.5,
        **histogram.samples("tidegate_request_duration_seconds"),
    }


def test_the_text_is_what_prometheus_expects() -> None:
    text = exposition(samples())
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families["tidegate_requests"].type == "counter"
    (sample,) = families["tidegate_requests"].samples
    assert (sample.labels, sample.value) == ({"method": "GET", "status": "2xx"}, 3)
    assert families["tidegate_requests_in_progress"].samples[0].value == 2
    histogram = families["tidegate_request_duration_seconds"]
    assert histogram.type == "histogram"
    assert {sample.name for sample in histogram.samples} == {
        "tidegate_request_duration_seconds_bucket",
        "tidegate_request_duration_seconds_count",
        "tidegate_request_duration_seconds_sum",
    }
    expiry = families["tidegate_certificate_expiry_timestamp_seconds"]
    assert expiry.samples[0].labels == {"file": 'a"\n\\b.pem'}
    assert expiry.documentation


def test_numbers_of_workers_are_added_and_shared_facts_are_not() -> None:
    both = added([samples(), {**samples(), EXPIRY: 1.0}])
    assert both[labelled("tidegate_requests_total", method="GET", status="2xx")] == 6
    assert both["tidegate_requests_in_progress"] == 4
    assert both[EXPIRY] == 1.0
    assert both[labelled("tidegate_request_duration_seconds_bucket", le="+Inf")] == 2
    assert added([]) == {}


def test_counts_outlive_a_worker_and_states_do_not() -> None:
    kept = lasting(samples())
    assert kept[labelled("tidegate_requests_total", method="GET", status="2xx")] == 3
    assert kept["tidegate_request_duration_seconds_count"] == 1
    assert "tidegate_requests_in_progress" not in kept
    assert EXPIRY not in kept


def test_every_family_is_described() -> None:
    for name, (kind, meaning) in FAMILIES.items():
        assert kind in ("counter", "gauge", "histogram")
        assert name.endswith("_total") is (kind == "counter")
        assert meaning.endswith(".")


def test_a_name_that_is_not_described_is_our_own_mistake() -> None:
    with pytest.raises(KeyError):
        exposition({"tidegate_unheard_of": 1})
