"""The kind Source: where the desired state comes from, and which commits count."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from reconciler.core.facts.scope import Scope
from reconciler.core.facts.settings import Applying, UnsignedPolicy
from reconciler.core.spec.interface import Loose
from reconciler.core.spec.limits import LIST_MAX
from reconciler.core.spec.model import Document, Model, example
from reconciler.core.spec.resource_kind import ResourceKind
from reconciler.core.spec.values import Branch, Duration, Folder, Principal, Remote, refuse


def _interval(seconds: float) -> float:
    if not 1 <= seconds <= 86_400:
        raise refuse("duration", "the interval is between 1s and 24h", "60s is a good choice.")
    return seconds


class SourceSpec(Model):
    """Where the desired state comes from and which commits count. There is at most one Source."""

    remotes: list[Remote] = Field(
        min_length=1,
        max_length=16,
        description="The repositories in the order in which they are tried: ssh, https or an absolute path on the "
        "controller. Credentials are never part of them.",
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


SOURCE = ResourceKind("Source", SourceDocument, SourceSpec, Scope.SOURCE, single=True)
