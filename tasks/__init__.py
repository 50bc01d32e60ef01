"""Tasks: a network together with its criterion, its metrics and its predictions.

__init__.pyi lists what can be imported from here; it is imported when it is first asked for.
"""

import sys
from pathlib import Path

from lazy_loader import attach_stub

CHECKOUT = Path(__file__).resolve().parents[1]
if str(CHECKOUT) not in sys.path:  # an install makes backbones, heads and tasks known to other programs, and no more
    sys.path.append(str(CHECKOUT))

import datasets

if Path(datasets.__file__ or "").resolve().parent.parent != CHECKOUT:
    raise ImportError(
        f'tasks needs MobileDense\'s own datasets, and "import datasets" finds {datasets.__file__}, another package of '
        f'that name; write sys.path.insert(0, "{CHECKOUT}") before all other imports of a program that needs tasks'
    )

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
