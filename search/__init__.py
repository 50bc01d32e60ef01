"""Networks for one's own device: latency tables, NetAdapt and platform-aware search.

Tables of rows in, better tables out; what is found is a checkpoint like any other. __init__.pyi lists what can be
imported from here; it is imported when it is first asked for.
"""

from lazy_loader import attach_stub

import tasks  # noqa: F401 which finds the checkout's datasets

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
