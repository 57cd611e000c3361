"""A Celery worker whose one task does the work; its queue is a folder of the cell."""

from __future__ import annotations

import os
from pathlib import Path

from celery import Celery  # type: ignore[import-untyped]
from celery.signals import worker_ready  # type: ignore[import-untyped]

from tests.e2e.ends.work import Worker

_queue = Path(os.environ["ENDS_FOLDER"]) / "queue"
_queue.mkdir(exist_ok=True)

app = Celery("ends", broker="filesystem://")
app.conf.update(
    broker_transport_options={
        "data_folder_in": str(_queue),
        "data_folder_out": str(_queue),
        "control_folder": str(_queue / "control"),
        "polling_interval": 0.05,
    },
    worker_proc_alive_timeout=60.0,
)


def work() -> None:
    """Do a worker's whole work; where the child ends behind it, wait for the end."""
    worker = Worker("child")
    worker.run()
    if os.environ["ENDS_CELL"] == "celery_one_task":
        worker.wait("end")


task = app.task(work)


def begin(**_: object) -> None:
    """Put the one task into the queue when the worker is up."""
    task.delay()


worker_ready.connect(begin)
