from .search_errors import SearchError as SearchError
from .training import train_steps as train_steps
