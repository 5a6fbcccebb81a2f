"""Reads a host's metrics with the parser of Prometheus's own client, which
refuses what OpenMetrics does not allow. Prints each family with its type."""

import sys
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families

with urllib.request.urlopen(sys.argv[1] + "/metrics") as answer:
    kind = answer.headers["content-type"]
    assert kind == "application/openmetrics-text; version=1.0.0; charset=utf-8", kind
    text = answer.read().decode("utf-8")

families = list(text_string_to_metric_families(text))
for family in families:
    assert family.documentation, family.name
    assert family.samples, family.name
    # A unit is the last word of the name, and all samples are of the family.
    assert not family.unit or family.name.endswith("_" + family.unit), family.name
    for sample in family.samples:
        assert sample.name.startswith(family.name), (family.name, sample.name)
    print(family.name, family.type)
