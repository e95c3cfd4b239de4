"""Imports a part of the user's own and makes it, with messages that name the file and line of their code.

`module:Class` is imported from the folder of `--code` and from nowhere else: a config or checkpoint from others cannot
name code that its user has not chosen.
"""

import importlib
import importlib.machinery
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hearai.config.model_parts.code_folder import code_folder
from hearai.config.model_parts.part_names import PartKind, installed_parts, is_own_name
from hearai.errors import ConfigError
from hearai.files import PACKAGE


def load_class(kind: PartKind, name: str) -> type:
    """The class that a name stands for.

    Raises:
        ConfigError: there is no such module or class, or its module cannot be imported.
    """
    where = f"{kind.name_path}: {name}"
    module, attribute = _import_own(where, name) if is_own_name(name) else _import_installed(where, kind, name)
    found = getattr(module, attribute, None)
    if isinstance(found, type):
        return found
    file = getattr(module, "__file__", None) or module.__name__
    if found is None:
        classes = [key for key, value in vars(module).items() if _is_own_class(value, module.__name__)]
        known = f"it has {', '.join(classes)}" if classes else "it has no class"
        raise ConfigError(f"{where}: {file} has no class {attribute!r}; {known}")
    raise ConfigError(f"{where}: {attribute} in {file} is {_a(found)}; expected a class")


def make_part(
    kind: PartKind,
    name: str,
    kwargs: Mapping[str, Any],
    *args: Any,
    offered: Mapping[str, Any] | None = None,
    base: type = object,
) -> Any:
    """An object of the class that a name stands for.

    Args:
        args, kwargs: its arguments.
        offered: further keyword arguments, as far as the class takes them.
        base: of which it must be a subclass.

    Raises:
        ConfigError: as `load_class`; or the class has another base, takes other arguments, or fails.
    """
    cls = load_class(kind, name)
    if not issubclass(cls, base):
        raise ConfigError(
            f"{kind.name_path}: {name}: {cls.__name__} in {_file_of(cls)} is no subclass of "
            f"{base.__module__.replace('torch.nn.modules.module', 'torch.nn')}.{base.__name__}; make it one"
        )
    try:
        signature = inspect.signature(cls)
    except ValueError:  # a class of a C extension may have none
        return _call(kind, name, cls, args, dict(kwargs))
    given = {key: value for key, value in (offered or {}).items() if takes(signature, key)} | dict(kwargs)
    try:
        signature.bind(*args, **given)
    except TypeError as error:
        path = kind.kwargs_path if kwargs or "missing" in str(error) else kind.name_path
        raise ConfigError(
            f"{path}: {cls.__name__}{signature} of {name} cannot be called with {_arguments(args, given)}: {error}; "
            f"correct {kind.kwargs_path}, or the class in {_file_of(cls)}"
        ) from None
    return _call(kind, name, cls, args, given)


def width_of(kind: PartKind, name: str, part: Any) -> int:
    """The width of a part's output, as its attribute `width` says.

    Raises:
        ConfigError: it has none.
    """
    width = getattr(part, "width", None)
    if isinstance(width, int) and not isinstance(width, bool) and width > 0:
        return width
    found = "is missing" if width is None else f"is {width!r:.60}"
    raise ConfigError(
        f"{kind.name_path}: {name}: the attribute `width` {found}; expected the width of the output, an integer above "
        f"0: set self.width in {_file_of(type(part))}"
    )


def takes(signature: inspect.Signature, key: str) -> bool:
    """Whether a callable takes a keyword argument of this name, also as one of any."""
    parameter = signature.parameters.get(key)
    kinds = {other.kind for other in signature.parameters.values()}
    return inspect.Parameter.VAR_KEYWORD in kinds or (
        parameter is not None
        and parameter.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    )


def describe_error(error: BaseException) -> str:
    """`FILE, line N (its text): TypeError: message`: the last line of the user's code that an error passed through."""
    text = f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}"
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}: {type(error).__name__}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    folder = _given_folder()
    own = [frame for frame in frames if folder and Path(frame.filename).is_relative_to(folder)]
    others = [
        frame
        for frame in frames
        if not Path(frame.filename).is_relative_to(PACKAGE) and "<frozen" not in frame.filename
    ]
    if not (chosen := own or others):
        return text
    line = f" ({chosen[-1].line})" if chosen[-1].line else ""
    return f"{chosen[-1].filename}, line {chosen[-1].lineno}{line}: {text}"


def _given_folder() -> Path | None:
    try:
        return code_folder()
    except ConfigError:
        return None


def _call(kind: PartKind, name: str, cls: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        return cls(*args, **kwargs)
    except (Exception, SystemExit) as error:  # noqa: BLE001  (the user's code may raise anything)
        call = f"{cls.__name__}({_arguments(args, kwargs)})"
        raise ConfigError(f"{kind.name_path}: {name}: {call} failed: {describe_error(error)}") from error


def _arguments(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    shown = [*map(repr, args), *(f"{key}={value!r}" for key, value in kwargs.items())]
    return ", ".join(shown) or "no arguments"


def _import_own(where: str, name: str) -> tuple[Any, str]:
    module, _, attribute = name.partition(":")
    top, folder = module.partition(".")[0], code_folder()
    if folder is None:
        raise ConfigError(
            f"{where}: its code is not known; add --code DIR, the folder with {top}.py or {top}/ (in Python: code=DIR)"
        )
    spec = importlib.machinery.PathFinder.find_spec(top, [str(folder)])
    if spec is None:
        raise ConfigError(f"{where}: {folder} has neither {top}.py nor a folder {top}; correct the name, or --code")
    _require_unique(where, top, spec)
    try:
        return importlib.import_module(module), attribute
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            raise ConfigError(f"{where}: no module {error.name!r} in {folder}; correct the name, or --code") from None
        raise ConfigError(f"{where}: cannot be imported: {describe_error(error)}") from error
    except (Exception, SystemExit) as error:  # noqa: BLE001  (the user's code may raise anything)
        raise ConfigError(f"{where}: cannot be imported: {describe_error(error)}") from error


def _require_unique(where: str, top: str, spec: importlib.machinery.ModuleSpec) -> None:
    """Refuses a module that has the name of another one, which Python would import in its place."""
    known = sys.modules.get(top)
    other = known.__spec__ if known is not None else importlib.util.find_spec(top)
    if other is not None and (other.origin, _places(other)) != (spec.origin, _places(spec)):
        raise ConfigError(
            f"{where}: {spec.origin or _places(spec)[0]} has the name of another module of Python's path "
            f"({other.origin or ', '.join(_places(other)) or 'built in'}); rename yours"
        )
    if other is None and known is not None:  # such as a script that was started as a program
        raise ConfigError(f"{where}: another module of this program is called {top!r}; rename yours")


def _places(spec: importlib.machinery.ModuleSpec) -> list[str]:
    return list(spec.submodule_search_locations or ())


def _import_installed(where: str, kind: PartKind, name: str) -> tuple[Any, str]:
    entries = installed_parts(kind.group).get(name, ())
    if not entries:
        raise ConfigError(f"{where}: no installed package offers it in the group {kind.group}; install its package")
    entry = entries[0]
    if not is_own_name(entry.value):
        raise ConfigError(f"{where}: its entry point is {entry.value!r}; expected module:Class")
    try:
        return importlib.import_module(entry.module), entry.attr
    except (Exception, SystemExit) as error:  # noqa: BLE001  (the package may raise anything)
        raise ConfigError(f"{where} ({entry.value}): cannot be imported: {describe_error(error)}") from error


def _is_own_class(value: Any, module: str) -> bool:
    return isinstance(value, type) and value.__module__ == module


def _a(found: Any) -> str:
    return f"a {type(found).__name__}"


def _file_of(cls: type) -> str:
    module = sys.modules.get(cls.__module__)
    return getattr(module, "__file__", None) or cls.__module__
