"""`hagit init`: makes a repository that works, and the node file of this controller.

An existing repository is joined: then only the node file is made. `first_trust` decides which signatures count.
"""

from __future__ import annotations

import getpass
import json
import sys
from pathlib import Path, PurePosixPath
from typing import Annotated, Final

import typer

from reconciler.cli.capture import captured
from reconciler.cli.first_trust import FirstTrust, choose_trust, prepare_trust
from reconciler.cli.options import NodeOption, pair_folder_option
from reconciler.cli.terminal import ask_text, styled
from reconciler.core.failover.reservations.key import Side
from reconciler.core.spec import load
from reconciler.core.spec.schema import json_schema
from reconciler.errors import UsageError
from reconciler.system.files import PUBLIC, PUBLIC_DIRECTORY, make_directory, write_named
from reconciler.system.git.commit_writer import Author, create_repository, default_author
from reconciler.system.node import Node, find_node_file
from reconciler.system.node_text import render_node

STATE: Final = Path("/var/lib/hagit")
SCHEMA_FILE: Final = "hagit.schema.json"
#: `{up}` leads from the folder of the file to the root of the repository.
MODELINE: Final = "# yaml-language-server: $schema={up}" + SCHEMA_FILE + "\n"
EXAMPLE: Final = """\
# The two controllers, and what they share. `hagit explain pair` says what else can stand here.
apiVersion: hagit/v1
kind: Pair
metadata: {name: pair}
spec:
  a: {hostname: storage-a}
  b: {hostname: storage-b}
---
# One network: an address for each controller, and one that moves to whichever is active.
# Write the MAC addresses of your own NICs (`ip link` shows them).
apiVersion: hagit/v1
kind: Interface
metadata: {name: storage0}
spec:
  a: {match: {mac: "02:00:00:00:0a:01"}, address: 10.0.0.11/24}
  b: {match: {mac: "02:00:00:00:0b:01"}, address: 10.0.0.12/24}
  virtual: {address: 10.0.0.10/24, vhid: 20}
  critical: true
  failoverGroup: 1
---
# The private link between the controllers.
apiVersion: hagit/v1
kind: Interface
metadata: {name: interlink}
spec:
  role: interlink
  a: {match: {mac: "02:00:00:00:0a:02"}, address: 169.254.10.1/30}
  b: {match: {mac: "02:00:00:00:0b:02"}, address: 169.254.10.2/30}
---
# Which disks make the pool: a takeover fences them. Write the names of your own (`ls /dev/disk/by-id`).
apiVersion: hagit/v1
kind: Pool
metadata: {name: tank}
spec:
  vdevs:
    - {type: mirror, disks: [wwn-0x5000c500a1b2c301, wwn-0x5000c500a1b2c302]}
    - {type: mirror, disks: [wwn-0x5000c500a1b2c303, wwn-0x5000c500a1b2c304]}
---
# When the active controller changes by itself. Three of the disks decide who wins when both reach for them.
apiVersion: hagit/v1
kind: Failover
metadata: {name: failover}
spec:
  arbitration: [wwn-0x5000c500a1b2c301, wwn-0x5000c500a1b2c302, wwn-0x5000c500a1b2c303]
"""


def init(
    directory: Annotated[Path, typer.Argument(help="Where the repository is made; must not exist or be empty.")],
    controller: Annotated[Side | None, typer.Option("--controller", help="Which one this machine is.")] = None,
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
        bool, typer.Option("--accept-unsigned", help="Follow unsigned commits: everyone who can push is root.")
    ] = False,
    path: Annotated[
        str, typer.Option("--path", help="The folder of this pair, in a repository of many.", metavar="FOLDER")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Take the defaults instead of asking.")] = False,
) -> int:
    """Make a repository that works and the node file of this controller, by a few questions or none.

    Commits are followed only when they are signed. Without --signer a key is made beside the node file, and git signs
    with it in the new repository. On the second controller name the same signer: --signer allowed_signers.

    \b
    Example:  hagit init /srv/pair
              hagit init /srv/pair --controller a --capture --yes
              hagit init /srv/pair --controller b --signer /etc/hagit/allowed_signers --yes
              hagit init /srv/fleet --path pairs/shelf1
    """
    folder = pair_folder_option(path)
    directory = directory.absolute()
    quiet = yes or not sys.stdin.isatty()
    joins = (directory / ".git").exists() or (directory / "HEAD").is_file()
    file = find_node_file(node)
    if file.exists():
        raise UsageError("there is a node file already", where=str(file), remedy="name another with --node")
    name = _controller(controller, quiet, joins)
    if state is None:
        state = STATE if quiet else Path(ask_text("Where shall the agent keep its state?", str(STATE)))
    if capture is None:
        question = "Describe this machine as it is (capture), or write an example?"
        capture = joins or quiet or ask_text(question, "capture") != "example"
    choice = choose_trust(joins=joins, quiet=quiet, signer=signer, accept_unsigned=accept_unsigned)
    if not joins:
        _require_empty(directory)
    author = _author()
    trust = prepare_trust(choice, file.absolute().parent, author)
    if joins:
        print(f"Joined   {directory}, which is a repository already.")
    else:
        _make_repository(directory, folder, name, capture, author, trust.signing_key)
    _make_node_file(file, name, directory, folder, state, trust)
    option = "" if file == find_node_file(None) else f"--node {file} "
    print(f"\nNext:    edit {directory / folder}/*.yaml, git commit, then {styled(f'hagit {option}plan', 1)}")
    return 0


def _controller(given: Side | None, quiet: bool, joins: bool) -> str:
    """The name of this controller: the given one, or the answer of the operator."""
    if given is not None:
        return given.value
    name = "a" if quiet else ask_text("Which controller is this, a or b?", "b" if joins else "a")
    if name not in ("a", "b"):
        raise UsageError(f"a controller is a or b, not {name!r}")
    return name


def _require_empty(directory: Path) -> None:
    if directory.exists() and any(directory.iterdir()):
        raise UsageError("the directory is not empty", where=str(directory), remedy="choose a new one")


def _author() -> Author:
    """The author of the first commit: git's own, or this user."""
    known = default_author()
    return known if known.name and known.email else Author(getpass.getuser(), f"{getpass.getuser()}@localhost")


def _make_repository(
    directory: Path, folder: str, controller: str, capture: bool, author: Author, signing_key: Path | None
) -> None:
    described = captured(Node(Path(), controller), controller, "") if capture else EXAMPLE
    text = MODELINE.format(up="../" * len(PurePosixPath(folder).parts)) + described
    files = {str(PurePosixPath(folder, "pair.yaml")): text.encode()}
    load(files, folder)
    files[SCHEMA_FILE] = json.dumps(json_schema(), indent=2, ensure_ascii=False).encode() + b"\n"
    what = "Describe this controller as it is" if capture else "Begin with an example"
    commit = create_repository(directory, files, author, f"{what}\n", "main", signing_key)
    signed = "one signed commit" if signing_key else "one commit"
    print(f"Made     {directory} with {signed}, {commit[:7]}: {what.lower()}.")


def _make_node_file(path: Path, controller: str, directory: Path, folder: str, state: Path, trust: FirstTrust) -> None:
    values = {
        "controller": controller,
        "state": str(state.absolute()),
        "source": {"remotes": [str(directory)], **({"path": folder} if folder else {})},
        "trust": trust.table,
    }
    make_directory(path.parent, PUBLIC_DIRECTORY)
    write_named(path, render_node(values).encode(), mode=PUBLIC)
    print(f"Made     {path}: this is controller {controller}, its state is in {state}.")
    signers = trust.table.get("allowed_signers")
    if signers is None:
        print("Trust    unsigned commits are followed: everyone who can push is root here. A warning stands until you")
        print("         name signers, or write that it is meant (`hagit explain node`, [trust]).")
        return
    print(f"Trust    only commits are followed that a key in {path.absolute().parent / signers} signed.")
    if trust.signing_key is None:
        print("         Sign the tip of the branch with one of these keys: git commit -S")
