from .description import Description as Description
from .exporting import export as export
from .extras import DeployError as DeployError
from .runtimes import load as load
