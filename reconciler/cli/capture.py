"""What is on this machine, network and pools alike, for whoever describes it. Decides nothing."""

from __future__ import annotations

import shutil
from dataclasses import replace
from types import MappingProxyType

from reconciler.core.facts.network import Network
from reconciler.core.facts.state import Observed


def look_around(network: Network) -> Observed:
    """One look at everything; where ZFS is not installed, there are no pools. Raises ObservationError."""
    from reconciler.system.zfs.tools import PATH

    observed = network.observe()
    if shutil.which("zpool", path=PATH) is None:
        return observed
    from reconciler.core.spec.capturing_pools import languages_properties
    from reconciler.system.zfs.live import LivePools

    look = LivePools(properties=languages_properties()).observe(None)
    facts = MappingProxyType({**observed.facts, **look.facts})
    return replace(observed, facts=facts, unknown=(*observed.unknown, *look.unknown))
