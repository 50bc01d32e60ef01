"""Heads: named feature maps in, raw predictions out; with the losses and the decoding of those predictions.

__init__.pyi lists what can be imported from here; it is imported when it is first asked for.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
