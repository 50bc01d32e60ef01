from .reward import reward as reward
from .search_errors import SearchError as SearchError
from .space import Space as Space
from .training import train_steps as train_steps
