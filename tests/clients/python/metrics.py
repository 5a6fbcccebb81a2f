"""Reads a host's metrics with the parsers of Prometheus's own client: as
OpenMetrics with one that refuses what that does not allow, and as plain text.
Prints, in JSON, each family with its type, and each sample with its value, of
both."""

import json
import sys
import urllib.request

from prometheus_client import parser
from prometheus_client.openmetrics import parser as strict

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PLAIN = "text/plain; version=0.0.4; charset=utf-8"


def read(accept, expected, parse):
    request = urllib.request.Request(sys.argv[1] + "/metrics", headers={"accept": accept})
    with urllib.request.urlopen(request) as answer:
        kind = answer.headers["content-type"]
        assert kind == expected, kind
        text = answer.read().decode("utf-8")
    families, samples = {}, {}
    for family in parse(text):
        assert family.name not in families, family.name
        assert family.documentation, family.name
        assert family.samples, family.name
        # A unit is the last word of the name, and all samples are of the family.
        assert not family.unit or family.name.endswith("_" + family.unit), family.name
        families[family.name] = family.type
        for sample in family.samples:
            assert sample.name.startswith(family.name), (family.name, sample.name)
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            name = sample.name + ("{" + labels + "}" if labels else "")
            assert name not in samples, name
            samples[name] = sample.value
    return {"families": families, "samples": samples}


print(json.dumps({
    "openMetrics": read("*/*", OPENMETRICS, strict.text_string_to_metric_families),
    "plain": read("text/plain", PLAIN, parser.text_string_to_metric_families),
}))
