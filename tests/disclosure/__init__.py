"""What published figures give away: an attack on suppressed cells by all that a reader of ``marts`` sees at once.

``relations`` says which figures are sums or bounds of which, ``knowledge`` turns published rows and these relations into
linear constraints, ``attack`` looks for cells that the constraints leave one value only.
"""

from tests.disclosure.attack import Cell, Finding, attack
from tests.disclosure.knowledge import Marts
from tests.disclosure.published import from_database, from_tables

__all__ = ["Cell", "Finding", "Marts", "attack", "from_database", "from_tables"]
