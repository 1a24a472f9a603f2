"""Official lists of x-valid and x-test, written by the tests."""

import json


def write_lists(path, valid, test):
    """The benchmark's own format: a type beside a list of words."""
    lists = {"xvalid": ["int", [str(i) for i in valid]], "xtest": ["int", [str(i) for i in test]]}
    path.write_text(json.dumps(lists, indent=2))
    return path
