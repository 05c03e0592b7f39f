"""`hagit validate`: checks a directory of resources and reports every defect."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.options import Output, OutputOption, pair_folder_option
from reconciler.cli.repository_files import configuration_in, folders_of_pairs
from reconciler.cli.terminal import styled
from reconciler.core.spec import Configuration, compile_desired
from reconciler.core.spec.fleet import UniqueValue, doubled, unique_values, without_pair
from reconciler.core.spec.loader import foremost
from reconciler.errors import Complaint, ConfigurationError, UsageError


def validate(
    directory: Annotated[
        Path, typer.Argument(help="The root of the repository; its files need not be committed.")
    ] = Path(),
    path: Annotated[
        str, typer.Option("--path", help="The folder of the pair, in a repository of many.", metavar="FOLDER")
    ] = "",
    every: Annotated[bool, typer.Option("--all", help="Check every pair of the repository, and all together.")] = False,
    output: OutputOption = Output.TEXT,
) -> int:
    """Check a desired state without touching anything; every defect comes at once, with file, line and column.

    \b
    Example:  hagit validate /srv/pair
              hagit validate --all /srv/fleet
              hagit validate --path pairs/shelf1 /srv/fleet
    """
    if path and every:
        raise UsageError("--all checks every folder", where="--path", remedy="leave one of the two out")
    folder = pair_folder_option(path)
    try:
        what, warnings = _every_pair(directory) if every else _one_pair(directory, folder)
    except ConfigurationError as error:
        if output is not Output.JSON:
            raise
        _print_json(error.complaints, valid=False)
        return 1
    if output is Output.JSON:
        _print_json(warnings, valid=True)
        return 0
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"{styled('Valid', 32, 1)}: {what}.")
    return 0


def _one_pair(directory: Path, path: str) -> tuple[str, Sequence[Complaint]]:
    """What was found, in words, and the warnings. Raises ConfigurationError."""
    configuration = _compiled(directory, path)
    return _counted(configuration), configuration.warnings


def _every_pair(directory: Path) -> tuple[str, Sequence[Complaint]]:
    """The same for all pairs of a repository, which are kept one at a time. Raises ConfigurationError."""
    folders, paths = folders_of_pairs(directory)
    complaints: dict[Complaint, None] = {}
    warnings: dict[Complaint, None] = {}
    values: list[UniqueValue] = []
    shared: dict[str, tuple[str, ...]] = {}
    for folder in folders:
        shared[folder] = ()
        try:
            configuration = _compiled(directory, folder)
        except ConfigurationError as error:
            complaints |= dict.fromkeys(error.complaints)
            continue
        warnings |= dict.fromkeys(configuration.warnings)
        values += unique_values(configuration, folder)
        shared[folder] = tuple(configuration.pair.spec.shared)
    complaints |= dict.fromkeys(doubled(values))
    if not folders:
        raise ConfigurationError(
            [Complaint("(all files)", 0, 0, "there is no Pair", "Add a folder with one for each pair.", "pair-missing")]
        )
    if complaints:
        raise ConfigurationError(foremost(list(complaints)))
    warnings |= dict.fromkeys(without_pair(paths, shared))
    return f"{len(folders)} pair{'s' if len(folders) > 1 else ''}", sorted(warnings)


def _compiled(directory: Path, path: str) -> Configuration:
    """The configuration of a pair, which compiles for each of its controllers. Raises ConfigurationError."""
    configuration = configuration_in(directory, path)
    for controller in configuration.controllers:
        compile_desired(configuration, controller)
    return configuration


def _print_json(complaints: Sequence[Complaint], *, valid: bool) -> None:
    documents = [asdict(complaint) for complaint in complaints]
    print(json.dumps({"format": "hagit.complaints/1", "valid": valid, "complaints": documents}, indent=1))


def _counted(configuration: Configuration) -> str:
    """How many resources there are, and for which controllers."""
    count = 1 + len(configuration.interfaces) + len(configuration.routes) + len(configuration.pools)
    count += len(configuration.datasets)
    single = (configuration.source, configuration.alerting, configuration.failover)
    count += sum(1 for one in single if one is not None)
    names = configuration.controllers
    controllers = f"controller{'s' if len(names) > 1 else ''} {' and '.join(names)}"
    return f"{count} resource{'s' if count > 1 else ''} for {controllers}"
