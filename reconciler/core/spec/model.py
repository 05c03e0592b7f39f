"""What all parts of a resource have in common: camelCase keys, nothing unknown, nothing converted."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from reconciler.core.spec.values import Name

API_VERSION = "hagit/v1"


class Model(BaseModel):
    """Base of everything a person writes. Keys are camelCase; a text is never taken for a number or the reverse."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        alias_generator=to_camel,
        arbitrary_types_allowed=True,
        defer_build=True,
    )


def example(kind: str, name: str, **spec: Any) -> ConfigDict:
    """The configuration of a document's model, with a whole document as example for editors and `explain`."""
    document: dict[str, Any] = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
    return ConfigDict(json_schema_extra={"examples": [document]})


class Metadata(Model):
    """What identifies a resource."""

    name: Name = Field(
        description="The name of this resource, once for each kind. Other resources refer to it by this name. "
        "For a bond, VLAN or bridge it is also the name of the link in the kernel, at most 15 characters."
    )


class Document(Model):
    """One YAML document."""

    api_version: Literal["hagit/v1"] = Field(description="The version of the language; always `hagit/v1`.")
    metadata: Metadata = Field(description="What identifies this resource.")
