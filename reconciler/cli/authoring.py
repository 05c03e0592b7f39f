"""Commands for whoever writes the desired state: init, validate, explain, schema, capture, completion."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.options import NodeOption, Output, OutputOption


class Controller(StrEnum):
    """One of the two."""

    A = "a"
    B = "b"


class Shell(StrEnum):
    """A shell that can be completed."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def init(
    directory: Annotated[Path, typer.Argument(help="Where the repository is made; must not exist or be empty.")],
    controller: Annotated[Controller | None, typer.Option("--controller", help="Which one this machine is.")] = None,
    node: NodeOption = None,
    capture: Annotated[
        bool | None, typer.Option("--capture/--example", help="Describe this machine as it is, or write an example.")
    ] = None,
    state: Annotated[Path | None, typer.Option("--state", help="Where the agent keeps its state.")] = None,
    signer: Annotated[
        Path | None,
        typer.Option("--signer", help="Whose signatures count: an SSH public key, or an allowed_signers file."),
    ] = None,
    accept_unsigned: Annotated[
        bool, typer.Option("--accept-unsigned", help="Follow commits without a signature: whoever can push is root.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Take the defaults instead of asking.")] = False,
) -> int:
    """Make a repository that works and the node file of this controller, by a few questions or none.

    Commits are followed only when they are signed. Without --signer a key is made beside the node file, and git signs
    with it in the new repository. On the second controller name the same signer: --signer allowed_signers.

    \b
    Example:  hagit init /srv/pair
              hagit init /srv/pair --controller a --capture --yes
              hagit init /srv/pair --controller b --signer /etc/hagit/allowed_signers --yes
    """
    from reconciler.cli.init import run_init

    chosen = controller.value if controller else None
    return run_init(
        directory,
        controller=chosen,
        node_file=node,
        capture=capture,
        state=state,
        signer=signer,
        accept_unsigned=accept_unsigned,
        yes=yes,
    )


def validate(
    directory: Annotated[Path, typer.Argument(help="The files to check; need not be committed.")] = Path(),
    output: OutputOption = Output.TEXT,
) -> int:
    """Check a desired state without touching anything; every defect comes at once, with file, line and column.

    \b
    Example:  hagit validate /srv/pair
    """
    from reconciler.cli.explain import run_validate

    return run_validate(directory, as_json=output is Output.JSON)


def explain(
    field: Annotated[str, typer.Argument(help="A kind or a field: `interface`, `interface.mtu`, `node`.")] = "",
) -> int:
    """What a field means, its values, its default, with an example.

    \b
    Example:  hagit explain interface.virtual.vhid
    """
    from reconciler.cli.explain import run_explain

    return run_explain(field)


def schema() -> int:
    """The JSON Schema of the language, for editors and CI.

    \b
    Example:  hagit schema > hagit.schema.json
    """
    from reconciler.cli.explain import run_schema

    return run_schema()


def capture(
    controller: Annotated[Controller | None, typer.Option("--controller", help="Which one this machine is.")] = None,
    node: NodeOption = None,
) -> int:
    """Write YAML for this controller as it is now; planning it here changes nothing.

    \b
    Example:  hagit capture --controller a > network.yaml
    """
    from reconciler.cli.explain import run_capture

    return run_capture(node, controller.value if controller else None)


def completion(shell: Annotated[Shell, typer.Argument(help="The shell to complete.")]) -> int:
    """The completion script of a shell.

    \b
    Example:  source <(hagit completion bash)
    """
    from reconciler.cli.completion import SCRIPTS

    print(SCRIPTS[shell.value], end="")
    return 0
