"""Checks the lines of a journal: their fields, and that none is missing or in another order.

Optuna's reader skips a line about a study or a trial that it does not know, so a journal that has lost its beginning
would be read as a smaller search.
"""

import functools
import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from optuna.distributions import BaseDistribution, CategoricalDistribution, json_to_distribution
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from hearai.errors import UserError


@functools.lru_cache(maxsize=4096)
def _distribution(text: str) -> BaseDistribution:
    """Raises ValueError if it is not the JSON of a distribution."""
    try:
        return json_to_distribution(text)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a distribution ({error})") from None


def _check_distribution(text: str) -> str:
    _distribution(text)
    return text


def _check_date(text: str) -> str:
    datetime.fromisoformat(text).astimezone()
    return text


def _check_value(distribution: str, value: float) -> None:
    """Raises ValueError if the value has no meaning in a categorical distribution."""
    found = _distribution(distribution)
    if isinstance(found, CategoricalDistribution) and not 0 <= value < len(found.choices):
        raise ValueError(f"{value}: not one of {len(found.choices)} choices")


Date = Annotated[str, AfterValidator(_check_date)]
Distribution = Annotated[str, AfterValidator(_check_distribution)]
Number = Annotated[int, Field(ge=0)]
"""Of a study or a trial."""
Attribute = Annotated[dict[str, Any], Field(min_length=1, max_length=1)]
RUNNING, WAITING = 0, 4
CREATE_STUDY, CREATE_TRIAL, SET_PARAMETER, SET_STATE, SET_INTERMEDIATE_VALUE = 0, 4, 5, 6, 7
"""Operations of Optuna's journal to which the order of lines matters; the classes below have all of them."""
State = Literal[0, 1, 2, 3, 4]


class _Line(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False)
    worker_id: str


class _CreateStudy(_Line):
    op_code: Literal[0]
    study_name: str
    directions: Annotated[list[Literal[0, 1, 2]], Field(min_length=1)]


class _DeleteStudy(_Line):
    op_code: Literal[1]
    study_id: Number


class _StudyUserAttribute(_Line):
    op_code: Literal[2]
    study_id: Number
    user_attr: Attribute


class _StudySystemAttribute(_Line):
    op_code: Literal[3]
    study_id: Number
    system_attr: Attribute


class _CreateTrial(_Line):
    op_code: Literal[4]
    study_id: Number
    datetime_start: Date | None
    datetime_complete: Date | None = None
    state: State = 0
    value: float | None = None
    values: list[float] | None = None
    params: dict[str, float] = {}
    distributions: dict[str, Distribution] = {}
    user_attrs: dict[str, Any] = {}
    system_attrs: dict[str, Any] = {}
    intermediate_values: dict[Annotated[str, Field(pattern=r"^\d{1,9}$")], float] = {}

    @model_validator(mode="after")
    def _check_params(self) -> "_CreateTrial":
        if self.params.keys() != self.distributions.keys():
            raise ValueError("params and distributions have different names")
        for name, value in self.params.items():
            _check_value(self.distributions[name], value)
        return self


class _TrialParameter(_Line):
    op_code: Literal[5]
    trial_id: Number
    param_name: str
    param_value_internal: float
    distribution: Distribution

    @model_validator(mode="after")
    def _check_param(self) -> "_TrialParameter":
        _check_value(self.distribution, self.param_value_internal)
        return self


class _TrialState(_Line):
    op_code: Literal[6]
    trial_id: Number
    state: State
    values: list[float] | None
    datetime_start: Date | None = None
    datetime_complete: Date | None = None

    @model_validator(mode="after")
    def _check_dates(self) -> "_TrialState":
        needed = self.datetime_start if self.state == RUNNING else self.datetime_complete
        if needed is None and self.state != WAITING:
            raise ValueError("without the time of the change")
        return self


class _TrialIntermediateValue(_Line):
    op_code: Literal[7]
    trial_id: Number
    step: Annotated[int, Field(ge=0, lt=10**9)]
    intermediate_value: float


class _TrialUserAttribute(_Line):
    op_code: Literal[8]
    trial_id: Number
    user_attr: Attribute


class _TrialSystemAttribute(_Line):
    op_code: Literal[9]
    trial_id: Number
    system_attr: Attribute


class _DiscardTrials(_Line):
    op_code: Literal[10]


_LINE: TypeAdapter = TypeAdapter(
    Annotated[
        _CreateStudy
        | _DeleteStudy
        | _StudyUserAttribute
        | _StudySystemAttribute
        | _CreateTrial
        | _TrialParameter
        | _TrialState
        | _TrialIntermediateValue
        | _TrialUserAttribute
        | _TrialSystemAttribute
        | _DiscardTrials,
        Field(discriminator="op_code"),
    ]
)


def parse_line(path: Path, number: int, line: bytes) -> dict[str, Any]:
    """The JSON object of a journal line (numbered from 1).

    Raises:
        UserError: it is not a journal line.
    """
    try:
        log = json.loads(line)
        _LINE.validate_python(log)
    except (ValueError, RecursionError) as error:  # ValidationError is a ValueError
        raise damaged_line(path, number, _reason(error)) from None
    return log


def _reason(error: ValueError | RecursionError) -> str:
    """`not a journal line`, and which field is wrong if it has the form of one."""
    if not isinstance(error, ValidationError):
        return "not a journal line"
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"][1:])
    return f"not a journal line ({f'{place}: ' if place else ''}{first['msg']})"


def damaged_line(path: Path, number: int, reason: str = "not a journal line") -> UserError:
    """The error for a damaged journal line, with its remedies."""
    return UserError(
        f"{path}:{number}: damaged: {reason}; nothing was changed. If everything from here to the end is "
        "damaged, running the search again cuts it off and continues. If valid lines follow, put back a copy of the "
        f"file, or discard them: keep a copy, run `sed -i '{number},$d' {path}`, then the same command"
    )


def in_order(path: Path, logs: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The lines of a journal from its first one on, unchanged.

    Raises:
        UserError: lines are missing before one of them, or their order has changed.
    """
    studies: set[str] = set()
    ended: list[bool] = []
    """Whether each trial has ended, by Optuna's id."""
    for number, log in enumerate(logs, start=1):
        op = log["op_code"]
        if number == 1 and op != CREATE_STUDY:
            raise UserError(
                f"{path}:1: the beginning of the journal is missing: its first line must create a study, and this one "
                "is about an existing one; nothing was changed. Put back a copy of the file; without one, move the "
                "folder away and start the search again"
            )
        if log.get("study_id", -1) >= len(studies):
            raise _lost_line(path, number, f"it is about study {log['study_id']}, which no line before it has created")
        if log.get("trial_id", -1) >= len(ended):
            raise _lost_line(path, number, f"it is about trial {log['trial_id']}, which no line before it has created")
        if op in (SET_PARAMETER, SET_STATE, SET_INTERMEDIATE_VALUE) and ended[log["trial_id"]]:
            raise _lost_line(path, number, f"it changes trial {log['trial_id']}, which has ended in a line before it")
        if op == CREATE_STUDY:
            studies.add(log["study_name"])  # Optuna adds such a line each time that a search continues
        elif op == CREATE_TRIAL:
            ended.append(log.get("state", RUNNING) not in (RUNNING, WAITING))
        elif op == SET_STATE:
            ended[log["trial_id"]] = log["state"] not in (RUNNING, WAITING)
        yield log


def _lost_line(path: Path, number: int, reason: str) -> UserError:
    return UserError(
        f"{path}:{number}: lines before this one are missing, or their order has changed: {reason}; nothing was "
        f"changed. Put back a copy of the file, or discard the end: keep a copy, run `sed -i '{number},$d' {path}`, "
        "then the same command"
    )
