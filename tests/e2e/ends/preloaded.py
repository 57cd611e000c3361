"""An application that uses the SDK while gunicorn's master loads it, before the fork."""

from tests.e2e.ends.servers import wsgi
from tests.e2e.ends.work import Worker

__all__ = ["wsgi"]

Worker().run()
