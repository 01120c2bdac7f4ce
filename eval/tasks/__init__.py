"""Tasks by name. A new task is one file and one line here."""

from __future__ import annotations

from eval.tasks.instructions import INSTRUCTIONS
from eval.tasks.math import MATH
from eval.tasks.summarization import SUMMARIZATION
from eval.tasks.task import Task

TASKS: dict[str, Task] = {task.name: task for task in (MATH, SUMMARIZATION, INSTRUCTIONS)}
