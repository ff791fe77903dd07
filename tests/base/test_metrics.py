"""Each process's own metrics."""

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from koinon.base import metrics


def families():
    return {family.name: family for family in text_string_to_metric_families(metrics.render().decode())}


def value(family, **labels):
    (sample,) = [s for s in family.samples if s.labels == labels and not s.name.endswith("_created")]
    return sample.value


def test_a_counter_a_gauge_and_a_histogram_are_rendered_with_their_values():
    counted = metrics.counter("koinon_test_refusals_total", "Refusals by code.", ("code",))
    running = metrics.gauge("koinon_test_running", "Running uses.")
    taken = metrics.histogram("koinon_test_seconds", "Time taken.", buckets=(0.1, 1.0))
    counted.labels("bad_signature").inc(3)
    running.set(7)
    taken.observe(0.5)
    found = families()
    assert value(found["koinon_test_refusals"], code="bad_signature") == 3
    assert value(found["koinon_test_running"]) == 7
    assert found["koinon_test_seconds"].documentation == "Time taken."
    buckets = {s.labels["le"]: s.value for s in found["koinon_test_seconds"].samples if "le" in s.labels}
    assert buckets == {"0.1": 0, "1.0": 1, "+Inf": 1}


def test_the_process_itself_is_measured():
    found = families()
    assert value(found["process_resident_memory_bytes"]) > 1_000_000
    assert value(found["process_open_fds"]) > 0


def test_a_metric_of_another_name_is_refused():
    for make in (metrics.counter, metrics.gauge, metrics.histogram):
        with pytest.raises(ValueError, match="koinon_"):
            make("exchanges_total", "Exchanges.")


def test_a_process_without_web_server_serves_its_metrics():
    server = metrics.serve("127.0.0.1", 0)
    try:
        answer = httpx.get(f"http://127.0.0.1:{server.server_port}/metrics", timeout=5)
    finally:
        server.shutdown()
        server.server_close()
    assert answer.status_code == 200
    assert "process_resident_memory_bytes" in answer.text
    assert answer.headers["content-type"].startswith("text/plain")
