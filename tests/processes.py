"""Looking at the processes of a group that starts and ends them meanwhile."""

import psutil


def parts_named(group: psutil.Process, name: str) -> list[psutil.Process]:
    """Children that run as `… NAME`. One that just ended or has not begun yet is none of them."""
    found = []
    for child in group.children():
        try:
            if child.cmdline()[-1:] == [name]:
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found
