"""What every reader's test asks of an error."""

from collections.abc import Callable

import pytest

from tidegate.errors import InputError


def refused(code: str, call: Callable[[], object], *parts: str) -> None:
    """The call ends in an error with this code, which says these parts and what to do."""
    with pytest.raises(InputError) as caught:
        call()
    assert caught.value.code == code
    assert caught.value.fix
    for part in parts:
        assert part in str(caught.value)
