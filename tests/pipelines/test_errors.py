"""What the command line shows as one message."""

import importlib

import pytest

from pipelines.errors import EXPECTED, is_expected


@pytest.mark.parametrize("module", sorted(EXPECTED))
def test_every_expected_error_is_a_class_of_the_module_that_is_named(module):
    for name in EXPECTED[module]:
        kind = getattr(importlib.import_module(module), name)
        assert issubclass(kind, Exception)
        assert kind.__module__ == module, "named where it is only imported, it would never be met"


def test_what_derives_from_an_expected_error_is_expected_and_a_bug_is_not():
    class Missing(FileNotFoundError):
        pass

    assert is_expected(Missing())
    assert not is_expected(ValueError())
