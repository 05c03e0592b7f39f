"""The kind Source: where the desired state comes from, and which commits count."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from reconciler.core.facts.scope import Scope
from reconciler.core.facts.settings import AlonePolicy, Applying, UnsignedPolicy
from reconciler.core.spec.defect import Finding, defect
from reconciler.core.spec.interface import Loose
from reconciler.core.spec.limits import LIST_MAX
from reconciler.core.spec.model import Document, Model, example
from reconciler.core.spec.resource_kind import ResourceKind
from reconciler.core.spec.topology import SpecDraft
from reconciler.core.spec.values import Branch, Duration, Folder, Principal, PublicKey, Remote, refuse


def _interval(seconds: float) -> float:
    if not 1 <= seconds <= 86_400:
        raise refuse("duration", "the interval is between 1s and 24h", "60s is a good choice.")
    return seconds


class PushSpec(Model):
    """Who may push to a pair that hosts its repository itself, and what happens while one controller is away.

    The node file of each controller switches this on, with the table [push].
    """

    keys: list[PublicKey] = Field(
        default_factory=list,
        max_length=LIST_MAX,
        description="SSH public keys that may push, each a line of an id_*.pub file, besides the SSH keys of trusted "
        "signers. A key lets in, and signs nothing: a commit needs the signature that the trust of each controller "
        "asks for.",
    )
    alone: Annotated[AlonePolicy, Loose] = Field(
        AlonePolicy.REFUSE,
        description="What becomes of a push while the peer does not answer: `refuse` it, or `accept` it on one "
        "controller, with an alert until the peer has it. `git push -o alone` accepts one push.",
    )


class SourceSpec(Model):
    """Where the desired state comes from and which commits count. There is at most one Source."""

    remotes: list[Remote] = Field(
        default_factory=list,
        max_length=16,
        description="The repositories in the order in which they are tried: ssh, https or an absolute path on the "
        "controller. Credentials are never part of them. A pair that hosts its repository itself (`push`) needs none, "
        "and follows none of them.",
    )
    push: PushSpec | None = Field(
        None, description="The pair hosts its repository itself, and takes pushes at its virtual addresses."
    )
    branch: Branch = Field("main", description="The branch to follow, fast-forward only.")
    path: Folder | None = Field(
        None,
        description="The folder of this pair in a repository of many pairs. The node file of each controller names it "
        "([source] path); here it may stand as well, and must be the same. A Source that pairs share has none.",
    )
    interval: Annotated[Duration, AfterValidator(_interval)] = Field(
        60.0,
        validate_default=False,
        description="How often to look for new commits, 1s to 24h; some jitter is added. A push or a change of a local "
        "repository is seen at once.",
        json_schema_extra={"default": "60s"},
    )
    trusted_signers: list[Principal] = Field(
        default_factory=list,
        max_length=LIST_MAX,
        description="Whose signatures count: SSH signers by their principals in the controller's own file of allowed "
        "signers, OpenPGP signers by the whole fingerprint of their primary key (gpg --fingerprint; without spaces), "
        "because anyone can write a user id into a key. The keys stand in files outside the repository, so that a "
        "commit cannot vouch for itself.",
    )
    unsigned: Annotated[UnsignedPolicy, Loose] = Field(
        UnsignedPolicy.REFUSE, description="What to do with a commit without a trusted signature."
    )
    apply: Annotated[Applying, Loose] = Field(
        Applying.AUTOMATIC, description="Whether new commits are applied by themselves or wait for `hagit apply`."
    )


class SourceDocument(Document):
    """Where the desired state comes from and which commits count."""

    model_config = example(
        "Source",
        "source",
        remotes=["ssh://git@git.example.org/storage/shelf1.git"],
        branch="main",
        trustedSigners=["storage-admins@example.org"],
    )

    kind: Literal["Source"] = Field(description="Always `Source`.")
    spec: SourceSpec = Field(description="Repositories, branch and signatures.")


@defect("source-nowhere")
def source_nowhere(draft: SpecDraft) -> Iterator[Finding]:
    """A Source names no repository, and the pair hosts none."""
    if draft.source is not None and not draft.source.spec.remotes and draft.source.spec.push is None:
        what = "this Source names no repository to follow"
        yield draft.source, ("remotes",), what, "Name one in `remotes`, or write `push:` for a pair that hosts its own."


SOURCE = ResourceKind("Source", SourceDocument, SourceSpec, Scope.SOURCE, single=True, defects=(source_nowhere,))
