"""The rules of the tree, as functions of any folder of packages; each returns what breaks it, one sentence a fault.

Used by test_architecture.py, on this repository and on small made-up trees. Files are parsed, nothing is imported.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

SOURCES = (".py", ".cu", ".cuh", ".cpp", ".h", ".j2")
NAMEDTUPLE = {"_asdict", "_field_defaults", "_fields", "_make", "_replace"}  # public, whatever they look like
Floors = Sequence[Sequence[str]]  # units, which are modules or packages; a floor may import from those before it


class Import(NamedTuple):
    """`name` taken from the module `target`; empty where the module itself is imported."""

    line: int
    target: str
    name: str


class Module:
    """A parsed file. Its name is dotted, and that of a package's own file ends in __init__."""

    def __init__(self, root: Path, file: Path) -> None:
        self.path = file.relative_to(root)
        self.name = ".".join(self.path.with_suffix("").parts)
        self.package = self.name.rpartition(".")[0]
        tree = ast.parse(file.read_text(encoding="utf-8"))
        self.docstring = ast.get_docstring(tree) or ""
        self.nodes = list(ast.walk(tree))

    @cached_property
    def private(self) -> set[str]:
        """Names with a leading underscore that the file defines: functions, classes, variables, attributes."""
        found = {node.name for node in self.nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        found |= {node.id for node in self.nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        found |= {node.attr for node in self.attributes if isinstance(node.ctx, ast.Store)}
        return set(filter(is_private, found))

    @cached_property
    def attributes(self) -> list[ast.Attribute]:
        return [node for node in self.nodes if isinstance(node, ast.Attribute)]


class Tree:
    """The modules below some folders of `root`; `imports` has those of each, also the ones inside functions."""

    def __init__(self, root: Path, folders: Sequence[str]) -> None:
        files = sorted(file for folder in folders for file in (root / folder).rglob("*.py"))
        self.modules = {module.name: module for module in (Module(root, file) for file in files)}
        self.imports = {module.name: list(self._imports(module)) for module in self.modules.values()}

    def _imports(self, module: Module) -> Iterator[Import]:
        for node in module.nodes:
            if isinstance(node, ast.ImportFrom):
                above = module.name.split(".")[: -node.level] if node.level else []
                base = ".".join([*above, *([node.module] if node.module else [])])
                for alias in node.names:
                    inner = self._known(f"{base}.{alias.name}")
                    if target := inner or self._known(base):
                        yield Import(node.lineno, target, "" if inner else alias.name)
            elif isinstance(node, ast.Import):
                targets = [self._known(alias.name) for alias in node.names]
                yield from (Import(node.lineno, target, "") for target in targets if target)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):  # for importlib
                targets = [self._known(node.value)] if "." in node.value else []
                yield from (Import(node.lineno, target, "") for target in targets if target)

    def _known(self, name: str) -> str:
        return next((known for known in (f"{name}.__init__", name) if known in self.modules), "")


def unit(name: str, floors: Floors) -> tuple[int, str]:
    """(floor, unit) of a module: the unit with the longest name that its own begins with; (−1, "") for none."""
    units = [(i, own) for i, row in enumerate(floors) for own in row if f"{name}.".startswith(f"{own}.")]
    return max(units, key=lambda found: len(found[1]), default=(-1, ""))


def misplaced(tree: Tree, floors: Floors, only: Mapping[str, set[str]]) -> list[str]:
    """Modules without a floor, and imports that do not point to a lower one; `only`: all that some units may import."""
    places = {name: unit(name, floors) for name in tree.modules}
    found = [f"{tree.modules[name].path} has no floor" for name, (floor, _) in places.items() if floor < 0]
    for name, (floor, own) in places.items():
        for line, target, _ in tree.imports[name]:
            below, other = places[target]
            allowed = other in only[own] if own in only else below < floor
            if other != own and not allowed:
                found.append(f"{tree.modules[name].path}:{line}: {own} may not import {target}")
    return found


def circles(tree: Tree, floors: Floors = ()) -> list[str]:
    """A circle of imports between modules or, with floors, between units."""
    places = {name: unit(name, floors)[1] if floors else name for name in tree.modules}
    graph: dict[str, set[str]] = {}
    for name, own in places.items():
        graph.setdefault(own, set()).update({places[found.target] for found in tree.imports[name]} - {own})
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [" imports ".join(reversed(error.args[1]))]
    return []


def private_uses(tree: Tree) -> list[str]:
    """Names with a leading underscore that a package takes from another one."""
    owners: dict[str, set[str]] = {}
    for module in tree.modules.values():
        for name in module.private:
            owners.setdefault(name, set()).add(module.package)
    found = []
    for module in tree.modules.values():
        uses = [(use.line, use.name, {tree.modules[use.target].package}) for use in tree.imports[module.name]]
        uses += [(node.lineno, node.attr, owners.get(node.attr, {module.package})) for node in module.attributes]
        for line, name, packages in uses:
            if is_private(name) and module.package not in packages:
                found.append(f"{module.path}:{line}: {name} is private to {' and '.join(sorted(packages))}")
    return found


def hidden_uses(tree: Tree, library: str, public: set[str], modules: set[str]) -> list[str]:
    """What others use of `library` beside the public names of the package and all names of its public modules."""
    found = []
    for module in tree.modules.values():
        if f"{module.name}.".startswith(f"{library}."):
            continue
        uses = []
        for line, target, name in tree.imports[module.name]:
            place, _, own = target.partition(".")
            if place == library and own not in modules and not (own == "__init__" and name in public | {""}):
                uses.append((line, ".".join(part for part in (own, name) if part)))
        for node in module.attributes:
            if isinstance(node.value, ast.Name) and node.value.id == library and node.attr not in public:
                uses.append((node.lineno, node.attr))
        found += [f"{module.path}:{line}: {library}.{name} is not public" for line, name in uses]
    return found


def foreign(tree: Tree, owners: Mapping[str, str], heavy: set[str]) -> list[str]:
    """Libraries imported by others of the owner's package too, and `heavy` ones where a docstring says "NumPy only"."""
    found = []
    for module in tree.modules.values():
        for node in module.nodes:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [str(node.module)]
            for library in {name.partition(".")[0] for name in names}:
                owner = owners.get(library, module.name)
                if owner != module.name and owner.partition(".")[0] == module.name.partition(".")[0]:
                    found.append(f"{module.path}:{node.lineno}: only {owner} may import {library}")
                if library in heavy and "NumPy only" in module.docstring:
                    found.append(f"{module.path}:{node.lineno}: {library} in a module of NumPy only")
    return found


def silent_packages(tree: Tree) -> list[str]:
    """Packages whose docstring lacks a first line, who uses them, what they may import, or something they do import."""
    found = []
    for module in tree.modules.values():
        if not module.name.endswith(".__init__"):
            continue
        text, own = module.docstring, module.package
        if not first_line(text):
            found.append(f"{module.path} must say what the package is for, on the first line")
        elif "Used by" not in text or not re.search(r"\b[Ii]mport", text):
            found.append(f"{module.path} must say 'Used by …' and what the package may import")
        else:
            rest = re.split(r"\b[Ii]mports?\b", text, maxsplit=1)[-1]
            said = set(re.findall(r"\w+", re.split(r"\bnever\b", rest)[0]))
            members = [name for name, member in tree.modules.items() if member.package == own]
            used = {tree.modules[use.target].package for name in members for use in tree.imports[name]}
            for other in sorted(used):
                if f"{other}.".startswith(f"{own}.") or f"{own}.".startswith(f"{other}."):
                    continue
                library, *inner = other.split(".")
                names = inner if library == own.partition(".")[0] else [library]
                if not said & {"everything", *names}:
                    found.append(f"{module.path} does not say that the package imports {other}")
    return found


def first_line(docstring: str) -> str:
    """What stands on a docstring's first line, without its full stop; empty where it goes on in the second."""
    first, _, rest = docstring.partition("\n")
    return "" if rest.partition("\n")[0].strip() else first.removesuffix(".")


def lines_of_code(root: Path, folders: Sequence[str]) -> dict[Path, int]:
    """Lines of every source file, whatever its language, by its path from `root`."""
    files = sorted(file for folder in folders for file in (root / folder).rglob("*") if file.suffix in SOURCES)
    return {file.relative_to(root): len(file.read_text(encoding="utf-8").splitlines()) for file in files}


def long_files(lines: Mapping[Path, int], most: int) -> list[str]:
    return [f"{path} has {count} lines, at most {most} are allowed" for path, count in lines.items() if count > most]


def full_folders(lines: Mapping[Path, int], limits: Mapping[str, int]) -> list[str]:
    """Folders with too many Python modules, __init__ not counted; of the limits the one with the longest name holds."""
    count: dict[Path, int] = {}
    for path in lines:
        if path.suffix == ".py" and path.name != "__init__.py":
            count[path.parent] = count.get(path.parent, 0) + 1
    found = []
    for folder, have in count.items():
        most = limits[max((key for key in limits if f"{folder.as_posix()}/".startswith(key)), key=len)]
        if have > most:
            found.append(f"{folder} has {have} modules, at most {most} are allowed")
    return found


def over_budget(lines: Mapping[Path, int], budgets: Mapping[str, int]) -> list[str]:
    """Packages with more lines than their budget, and files that count for none; the longest name holds."""
    total, found = dict.fromkeys(budgets, 0), []
    for path, count in lines.items():
        keys = [key for key in budgets if path.as_posix().startswith(f"{key}/")]
        if keys:
            total[max(keys, key=len)] += count
        else:
            found.append(f"{path} belongs to no package that has a budget")
    over = [key for key, most in budgets.items() if total[key] > most]
    return found + [f"{key} has {total[key]} lines, its budget is {budgets[key]}" for key in over]


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in NAMEDTUPLE
