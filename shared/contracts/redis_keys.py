"""Every Redis key, built in one place and hash-tagged by stage and partition.

One tag per partition keeps a batch in one slot (Lua's rule, Redis Cluster's rule) and lets readers find a profile's
keys from its partition alone. `namespace` keeps systems that share a Redis apart.
"""

NOTE = "note:"
"""Views whose names begin so note progress of work that is not in the log: copies take them before the states."""


def _tag(namespace: str, stage: str, partition: int) -> str:
    return f"{namespace}:{{{stage}:{partition}}}"


def fence(namespace: str, stage: str, partition: int) -> str:
    """Hash: `offset` up to which the partition is applied, `clock` its log time, `owner` token of the one allowed to
    write; `moved`: the namespace that took over; `silent`: 1 where states were rebuilt without outputs."""
    return f"{_tag(namespace, stage, partition)}:fence"


def hold(namespace: str, stage: str, partition: int) -> str:
    """String that expires: while it is there no worker claims the partition (restore and switch are at work)."""
    return f"{_tag(namespace, stage, partition)}:hold"


def prefix(namespace: str, stage: str, partition: int) -> str:
    """What every key of a partition begins with."""
    return f"{_tag(namespace, stage, partition)}:"


def state(namespace: str, stage: str, partition: int, key: str) -> str:
    """String: one key's encoded state, which contains the offset up to which it is true."""
    return f"{_tag(namespace, stage, partition)}:state:{key}"


def deadlines(namespace: str, stage: str, partition: int) -> str:
    """Sorted set: key by the earliest instant (µs) at which time alone changes it."""
    return f"{_tag(namespace, stage, partition)}:deadlines"


def view(namespace: str, stage: str, partition: int, name: str) -> str:
    """A key that a stage writes for readers, in the same script as its state."""
    return f"{_tag(namespace, stage, partition)}:{name}"


def members_name(segment: str) -> str:
    """View name (set): the profiles of one partition that are in `segment`."""
    return f"members:{segment}"


def vector_name(feature_set: str, profile: str) -> str:
    """View name (string): a profile's packed feature vector."""
    return f"vector:{feature_set}:{profile}"
