"""Backbones: an image in, named feature maps out.

from backbones import create_backbone, mobilenet_v3_large
features = mobilenet_v3_large(weights="imagenet")(images)      # {"c1": ..., ..., "c5": ...}

__init__.pyi lists what can be imported from here; it is imported when it is first asked for.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
