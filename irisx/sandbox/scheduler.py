"""`sched_hangup`, `sched_transfer`, `sched_api`: timers that live in the switch.

They survive the death of whoever set them, which is what makes them dead-man switches.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from irisx.sandbox.clock import Clock
from irisx.sandbox.events import EventBus


@dataclass
class Task:
    number: int
    group: str
    description: str
    timer: asyncio.TimerHandle


class Scheduler:
    """Tasks by number; a group is usually a channel's uuid."""

    def __init__(self, clock: Clock, bus: EventBus) -> None:
        self.clock = clock
        self.bus = bus
        self.tasks: dict[int, Task] = {}
        self._last = 0

    def add(self, delay: float, group: str, description: str, action: Callable[[], None]) -> int:
        """Run `action` once after `delay` s; returns the task's number."""
        self._last += 1
        number = self._last

        def run() -> None:
            task = self.tasks.pop(number)
            self._fire("EXE_SCHEDULE", task)
            action()

        task = Task(number, group, description, self.clock.call_later(delay, run))
        self.tasks[number] = task
        self._fire("ADD_SCHEDULE", task)
        return number

    def delete(self, group_or_number: str) -> int:
        """Delete a task by number or all of a group; returns how many."""
        doomed = [
            task
            for task in self.tasks.values()
            if group_or_number in (task.group, str(task.number))
        ]
        for task in doomed:
            task.timer.cancel()
            del self.tasks[task.number]
            self._fire("DEL_SCHEDULE", task)
        return len(doomed)

    def _fire(self, name: str, task: Task) -> None:
        headers = {
            "Task-ID": str(task.number),
            "Task-Desc": task.description,
            "Task-Group": task.group,
        }
        self.bus.fire(name, headers.items())
