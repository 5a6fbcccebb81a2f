"""Prints a file in YAML as JSON. What stands there twice is an error."""

import json
import sys

import yaml


class Loader(yaml.SafeLoader):
    """As JSON has it: a key stands once."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        assert len(keys) == len(set(keys)), (keys, str(node.start_mark))
        return super().construct_mapping(node, deep)


with open(sys.argv[1], encoding="utf-8") as file:
    print(json.dumps(yaml.load(file, Loader)))
