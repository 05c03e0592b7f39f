"""`hagit validate`: checks a directory of resources and reports every defect."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.options import Output, OutputOption
from reconciler.cli.terminal import styled
from reconciler.core.spec import Configuration, compile_desired, load
from reconciler.errors import ConfigurationError
from reconciler.system.git.tree import read_directory


def validate(
    directory: Annotated[Path, typer.Argument(help="The files to check; need not be committed.")] = Path(),
    output: OutputOption = Output.TEXT,
) -> int:
    """Check a desired state without touching anything; every defect comes at once, with file, line and column.

    \b
    Example:  hagit validate /srv/pair
    """
    as_json = output is Output.JSON
    tree = read_directory(directory)
    try:
        configuration = load(tree)
        for controller in configuration.controllers:
            compile_desired(configuration, controller)
    except ConfigurationError as error:
        if not as_json:
            raise
        complaints = [asdict(complaint) for complaint in error.complaints]
        print(json.dumps({"format": "hagit.complaints/1", "valid": False, "complaints": complaints}, indent=1))
        return 1
    if as_json:
        warnings = [asdict(warning) for warning in configuration.warnings]
        print(json.dumps({"format": "hagit.complaints/1", "valid": True, "complaints": warnings}, indent=1))
        return 0
    for warning in configuration.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"{styled('Valid', 32, 1)}: {_counted(configuration)}.")
    return 0


def _counted(configuration: Configuration) -> str:
    """How many resources there are, and for which controllers."""
    count = 1 + len(configuration.interfaces) + len(configuration.routes) + len(configuration.pools)
    count += len(configuration.datasets)
    single = (configuration.source, configuration.alerting, configuration.failover)
    count += sum(1 for one in single if one is not None)
    names = configuration.controllers
    controllers = f"controller{'s' if len(names) > 1 else ''} {' and '.join(names)}"
    return f"{count} resource{'s' if count > 1 else ''} for {controllers}"
