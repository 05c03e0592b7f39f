"""What validate, explain, schema and capture do."""

from __future__ import annotations

import json
import socket
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.terminal import paint
from reconciler.errors import ConfigurationError, UsageError

if TYPE_CHECKING:
    from reconciler.core.spec import Configuration


def run_validate(directory: Path, *, as_json: bool) -> int:
    """`hagit validate`."""
    from reconciler.core.spec import compile_desired, load
    from reconciler.system.git.tree import read_directory

    tree = read_directory(directory)
    try:
        configuration = load(tree)
        for controller in configuration.controllers:
            compile_desired(configuration, controller)
    except ConfigurationError as error:
        if as_json:
            complaints = [asdict(complaint) for complaint in error.complaints]
            print(json.dumps({"format": "hagit.complaints/1", "valid": False, "complaints": complaints}, indent=1))
            return 1
        raise
    if as_json:
        warnings = [asdict(warning) for warning in configuration.warnings]
        print(json.dumps({"format": "hagit.complaints/1", "valid": True, "complaints": warnings}, indent=1))
        return 0
    for warning in configuration.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    count = 1 + len(configuration.interfaces) + len(configuration.routes) + len(configuration.pools)
    count += len(configuration.datasets)
    lone = (configuration.source, configuration.alerting, configuration.failover)
    count += sum(1 for one in lone if one is not None)
    print(f"{paint('Valid', 32, 1)}: {count} resource{'s' if count > 1 else ''} for {_names(configuration)}.")
    return 0


def _names(configuration: Configuration) -> str:
    names = configuration.controllers
    return f"controller{'s' if len(names) > 1 else ''} {' and '.join(names)}"


def run_explain(field: str) -> int:
    """`hagit explain`."""
    if field.strip().lower() in ("node", "node.toml"):
        print(NODE_PAGE, end="")
        return 0
    from reconciler.core.spec.explanation import explain

    print(explain(field), end="" if not field else "\n")
    return 0


def run_schema() -> int:
    """`hagit schema`."""
    from reconciler.core.spec.schema import json_schema

    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    return 0


def run_capture(node_file: Path | None, controller: str | None) -> int:
    """`hagit capture`."""
    from reconciler.cli.capture import look_around
    from reconciler.core.spec.capturing import capture
    from reconciler.system.machine import machine_serial
    from reconciler.system.netlink.live import LiveNetwork
    from reconciler.system.node import Node, find_node_file, load_node

    path = find_node_file(node_file)
    node = load_node(path) if path.exists() or node_file is not None else None
    if node is None and controller is None:
        raise UsageError("which controller is this?", remedy="add --controller a, or make a node file: hagit init")
    node = node or Node(path, controller or "a")
    network = LiveNetwork(node.hostname_file, node.resolver_file)
    try:
        live = look_around(network)
        print(
            capture(live, controller or node.controller, socket.gethostname(), machine_serial(node.serial_file)), end=""
        )
    finally:
        network.close()
    return 0


NODE_PAGE = """\
The node file: what one controller knows about itself. TOML, /etc/hagit/node.toml unless --node or HAGIT_NODE names
another. Relative paths are relative to the file. Nothing in the repository can change what stands here.

  controller = "a"                  which of the two this is: "a" or "b"; the only key that must be there
  state = "/var/lib/hagit"          where the agent keeps its state
  listen = false                    no HTTP listener; or a table, see below

  [source]                          where the first revision comes from; a Source resource adds to it from then on
  remotes = ["/srv/pair", "ssh://git@host/pair.git"]
  branch = "main"
  known_hosts = "known_hosts"       SSH host keys that are believed; ~/.ssh/known_hosts when not given
  key = "id_ed25519"                the SSH key of this controller
  certificate_authorities = "ca.pem"   for https
  token = "token"                   a file with user:token, for https
  hosts = ["git.example.org"]       where key and token are used, host or host:port; the hosts of `remotes` above when
                                    not given. Other remotes of a commit, and redirects elsewhere, get neither

  [trust]                           whom this controller believes
  allowed_signers = "signers"       SSH: ssh-keygen(1), ALLOWED SIGNERS
  revoked_keys = "revoked"          SSH keys that count no more
  keyring = "keys.gpg"              OpenPGP: exported public keys
  unsigned = "refuse"               refuse, warn or accept; the repository can only be stricter
                                    (refuse where signers are named, else accept). With warn and accept whoever can push
                                    is root here, which status, plan and an alert say until you write
                                    unsigned = "accept-without-warning"
  pair = "north"                    the tip must carry the signed lines Hagit-Pair: north and Hagit-Branch: BRANCH; a
                                    commit that names another pair or branch is never followed
  floor = "3f2c1ab04d5e"            a commit that the first history adopted here must contain
  [trust.scopes]                    what each signer may change; without the table everybody who is trusted may change
                                    everything. The same on both controllers. Needs unsigned = "refuse"
  default = []                      signers that are not named, also when a name here is misspelt; when `default` is not
                                    given they may change everything
  "net@example.org" = ["network"]   an SSH signer as allowed_signers names it. Scopes: network (Interface, Route; dns,
                                    domain, search, gateways and virtualHostname of the Pair), storage (Pool, Dataset),
                                    failover (Failover with its power, the rest of the Pair, and which interfaces are
                                    critical or the interlink), source (Source, Alerting), destroy (`destroy` and
                                    `protected`). A commit needs the scopes of all in which it differs from any parent;
                                    one that cannot be parsed, or is the first that is adopted here, needs every scope.
                                    With a floor of 40 digits each commit above it is judged instead
  "3E0C54A1B7F2D86690AB1C2D3E4F5061728394A5" = ["all"]   an OpenPGP signer: the fingerprint of the primary key
  [files]
  hostname = "/etc/hostname"
  resolver = "/etc/resolv.conf"
  serial = "/sys/class/dmi/id/product_serial"   must say what the Pair says, if it says a serial number

  [listen]                          /metrics, /healthz and the hook that means "look now"
  address = "127.0.0.1"
  port = 9723                       0 takes any free one; `hagit status -o json` says which
  hosts = ["proxy.example.org"]     names under which it answers, besides addresses, localhost and those of the Pair
  hook_secret = "hook.secret"       signs the hook's requests; without it there is no hook

  [alerts]
  secrets = "/etc/hagit"            where the files lie that a repository may name for alerts; where this file is when
                                    not given. Those that this file names are never among them
  hosts = ["hooks.example.org"]     where signed webhooks may go; anywhere when not given
  [watchdog]                        this controller fails over; without the table nothing does
  secret = "pair.secret"            a file with 32 bytes or more, the same on both controllers: openssl rand -hex 32;
                                    `hagit secret` changes it, with pair.secret.next and pair.secret.previous beside it
  shelf = "disks:/dev/disk/by-id"   where the disks of the orders are found by their names; `?partition=N` or
                                    `?area=BYTE` behind it when ZFS made no partition 9 for records.
                                    simulated:/run/shelf: a model
  carp_password = "carp"            a file; when not given, the password follows from the secret
  run = "/run/hagit"                socket and status; has to be empty after a reset, so never on a disk
  deadman = "/dev/watchdog"         the hardware watchdog; this default takes the best there is, hardware before
                                    softdog; /dev/watchdog1: that one; false: do without
  group = "hagit"                   who may ask the watchdog for something; root's without a group of that name

  [power]                           what the fence agent of the peer (Failover, spec.power) is told besides its options
  password = "bmc.password"         an option's name, and a file that root alone may read; its content is given to the
                                    agent on its standard input, and appears nowhere else
  [power.for]                       which agent that is, with every option but outlets and times: otherwise it gets none
  agent = "fence_ipmilan"           of the files, and no power is cut
  ip = "10.0.9.12"
  [fence_agents]                    programs of this controller that a repository may name as fence agents
  fence_local_ups = "/usr/local/sbin/fence_ups"   the program belongs to root, and nobody else may change it
"""
