"""Which files of this controller a commit may name as secrets of alert targets, and for which hosts.

A commit names such files by path. It must not reach another secret, or any other file that root can read: the files lie
below one directory, are no links, and the node file does not use them itself. `system/secret` decides whether a file is
fit to be a secret at all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from reconciler.system.alerts.targets import AlertmanagerTarget, ChatTarget, Target, WebhookTarget, redacted_url
from reconciler.system.node import Node
from reconciler.system.node_files import files_of
from reconciler.system.secret import next_path, previous_path


def target_refusal(node: Node, target: Target) -> str:
    """Why the node file refuses the secrets of this target; empty when it allows them."""
    match target:
        case AlertmanagerTarget():
            return ""
        case ChatTarget(url_file):
            return secret_file_refusal(node, url_file)
        case WebhookTarget():
            for file in filter(None, (target.secret_file, target.url_file)):
                if why := secret_file_refusal(node, file):
                    return why
            hosts = node.alerts.hosts
            if target.secret_file and target.url and hosts and not _is_for(hosts, target.url):
                return f"{redacted_url(target.url)}: [alerts] hosts of the node file does not name this host"
            return ""


def secret_file_refusal(node: Node, file: str) -> str:
    """Why a commit may not name this file as a secret; empty when it may."""
    directory = node.alerts.secrets
    path, place = Path(file), Path(os.path.realpath(directory))
    if place not in Path(os.path.normpath(path)).parents or path != Path(os.path.normpath(path)):
        return (
            f"{file} is not below {directory}: move it there, or write into the node file: "
            f'[alerts] secrets = "{path.parent}"'
        )
    if Path(os.path.realpath(path)) != path:
        return f"{file} is a symbolic link, or below one; name the file itself"
    if path in {Path(os.path.realpath(own)) for own in _own_files(node)}:
        return f"{file} is a secret of this controller, and none of its alert targets"
    return ""


def _is_for(hosts: tuple[str, ...], url: str) -> bool:
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return host in hosts or f"{host}:{port}" in hosts


def _own_files(node: Node) -> Iterator[Path]:
    """Every file that the node file names, and those that a change of the pair's secret puts beside it."""
    yield from files_of(node)
    if node.watchdog is not None:
        yield from (next_path(node.watchdog.secret), previous_path(node.watchdog.secret))
