"""Processor time of a group of processes, which a busy machine does not change as it does rates."""

from collections.abc import Mapping, Sequence

import psutil

Group = Mapping[str, Sequence[psutil.Process]]


def spent(group: Group) -> dict[str, float]:
    """CPU seconds so far by name: of the processes, their children, and children that ended."""
    return {name: sum(map(_of_tree, processes)) for name, processes in group.items()}


def _of_tree(process: psutil.Process) -> float:
    """0 for a process that has just ended: its parent has that time with the next look."""
    try:
        own, children = process.cpu_times(), process.children()
    except psutil.NoSuchProcess:
        return 0.0
    ended = own.children_user + own.children_system
    return float(own.user + own.system + ended) + sum(map(_of_tree, children))


def per_call(before: Mapping[str, float], after: Mapping[str, float], calls: int) -> str:
    """What was spent meanwhile, in ms of CPU for each call, as a line to print."""
    each = {name: (after[name] - before[name]) / calls * 1000 for name in after}
    return ", ".join(f"{name} {ms:.1f}" for name, ms in each.items())
