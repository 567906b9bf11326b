"""One malformed input, and what the error must say."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """Files of a folder, the command that reads them, and words that its one-line error must have.

    ``data`` and every option that names one of ``files`` stand for the path of that file.
    """

    name: str
    task: str
    files: dict[str, bytes]
    data: str
    says: list[str]
    options: list[str] = field(default_factory=list)
