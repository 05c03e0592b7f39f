"""`hagit explain` and `hagit schema`: the language of the resources, and the node file."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from reconciler.core.spec import explanation
from reconciler.core.spec.schema import json_schema


def explain(
    field: Annotated[str, typer.Argument(help="A kind or a field: `interface`, `interface.mtu`, `node`.")] = "",
) -> int:
    """What a field means, its values, its default, with an example.

    \b
    Example:  hagit explain interface.virtual.vhid
    """
    if field.strip().lower() in ("node", "node.toml"):
        print(NODE_PAGE, end="")
        return 0
    print(explanation.explain(field), end="" if not field else "\n")
    return 0


def schema() -> int:
    """The JSON Schema of the language, for editors and CI.

    \b
    Example:  hagit schema > hagit.schema.json
    """
    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
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
  path = "pairs/shelf1"             the folder of this pair in a repository of many; all of the repository when not
                                    given. Another one is followed after `hagit accept-history` only
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
                                    (refuse where signers are named, else accept). With warn and accept everyone who
                                    can push is root here, which status, plan and an alert say until you write
                                    unsigned = "accept-without-warning"
  pair = "north"                    the tip must carry the signed lines Hagit-Pair: north and Hagit-Branch: BRANCH; a
                                    commit that names other pairs or another branch only is never followed. With
                                    `path` above the lines count in commits that change the folder
  floor = "3f2c1ab04d5e"            a commit that the first history adopted here must contain
  [trust.scopes]                    what each signer may change; without the table every trusted signer may change
                                    everything. The same on both controllers. Needs unsigned = "refuse"
  default = []                      signers that are not named, also when a name here is misspelt; when `default` is not
                                    given they may change everything
  "net@example.org" = ["network"]   an SSH signer as allowed_signers names it. Scopes: network (Interface, Route; dns,
                                    domain, dnsUpdate, mdns, search, gateways and virtualHostname of the Pair), storage
                                    (Pool, Dataset),
                                    shares (NfsExport, NfsServer, IscsiTarget, IscsiServer), failover (Failover with its
                                    power, the rest of the Pair, and which interfaces are critical or the interlink),
                                    source (Source, Alerting; shared and site of the Pair), destroy (`destroy` and
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

  [push]                            this controller hosts the repository of its pair and takes `git push`; it then
                                    follows that repository alone. The same table on both controllers
  user = "hagit-git"                who serves git over SSH; its login shell is hagit-git-shell, and nothing else
  port = 9722                       of an SSH server of its own, at every address: ssh://hagit-git@ADDRESS:9722/pair
  directory = "push"                repository, host key and list of keys; in `state` when not given
  host_key = "ssh_host_key"         the same on both controllers; one is made in `directory` when not given
  socket = "/run/hagit/push.sock"   where git's hooks ask the agent

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

  [peer]                            the channel between the agents of an enrolled pair
  addresses = ["192.0.2.12"]        where the peer may be found, besides the addresses of the revision in force and
                                    those of the enrolment; a link-local one names its link: fe80::1%eth0
  listen = ["192.0.2.11"]           where it may find this controller, besides the addresses of the revision in force
  port = 9724                       the same on both controllers

  [power]                           what the fence agent of the peer (Failover, spec.power) is told besides its options
  password = "bmc.password"         an option's name, and a file that root alone may read; its content is given to the
                                    agent on its standard input, and appears nowhere else
  [power.for]                       which agent that is, with every option but outlets and times: otherwise it gets none
  agent = "fence_ipmilan"           of the files, and no power is cut
  ip = "10.0.9.12"
  [chap]                            secrets that targets name (IscsiTarget, initiators): 12 to 255 letters and digits in
  hypervisor1 = "chap/hypervisor1"  a file that root alone may read, the same on both controllers
  [tsig]                            keys that sign updates of DNS (Pair, dnsUpdate), by the name that the server knows:
  shelf1-update = "tsig/shelf1"     a file that root alone may read, as tsig-keygen(8) makes it
  [tsig.for]                        the servers that may get messages signed with a key, by their addresses; without
  shelf1-update = ["10.0.0.2"]      them it is used nowhere
  [fence_agents]                    programs of this controller that a repository may name as fence agents
  fence_local_ups = "/usr/local/sbin/fence_ups"   the program belongs to root, and only root may change it
"""
