"""What a runtime documents for a mode."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["UNDOCUMENTED", "Contract", "Documented"]

#: What happens to the moving statistics, by the documentation.
Documented = Literal["stay", "move", "undocumented"]


class Contract(NamedTuple):
    """What the runtime's documentation says happens to the moving statistics in a mode.

    statistics: "stay", "move", or "undocumented": what the page does not say, even where it seems to go without saying.
    says: the documentation's statement in our words, or what it leaves open.
    link: the page that says so, or the page that ought to.
    """

    statistics: Documented
    says: str
    link: str


#: Nothing is known of what the runtime documents.
UNDOCUMENTED = Contract("undocumented", "", "")
