from .description import Description as Description
from .export_options import Gate as Gate
from .export_options import Quantisation as Quantisation
from .exporting import export as export
from .extras import DeployError as DeployError
from .runtimes import load as load
