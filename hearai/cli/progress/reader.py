"""Reads the output of a search elsewhere, such as a job's log: its JSON lines become events of a view here."""

from collections.abc import Callable

from hearai.cli.progress import events


class EventReader:
    """Takes the output in blocks of any size."""

    def __init__(self, show: Callable[[events.Event, float | None], None]):
        """show: is given each event, and when it happened in seconds since 1970; other lines as notes, without one."""
        self._show, self._rest = show, ""

    def __call__(self, text: str) -> None:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._line(line)

    def close(self) -> None:
        """There is no more output."""
        if self._rest:
            self._line(self._rest)
        self._rest = ""

    def _line(self, line: str) -> None:
        event, at = events.from_json_line(line) or (events.Note(line), None)
        self._show(event, at)


def plain_lines(text: str) -> str:
    """The output of a search as lines for people, whether it was written as JSON lines or not."""
    lines: list[str] = []
    reader = EventReader(lambda event, at: lines.append(event.text) if isinstance(event, events.Note) else None)
    reader(text)
    reader.close()
    return "".join(f"{line}\n" for line in lines)
