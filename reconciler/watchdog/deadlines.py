"""How long what is asked of the arms may take, where the orders do not say it. Milliseconds; decides nothing."""

from __future__ import annotations

from typing import Final

#: One command of a claim; a claim has time for several that are not answered.
COMMAND_MS_MAX: Final = 2_000
#: In which completions of one disk after the other are begun; and until the next try, where one did not become ours.
COMPLETE_MS: Final = 10_000
COMPLETE_AGAIN_MS: Final = 1_000
#: A look at the pools is unanswered after this, or after four times the interval of looks if that is longer.
POOLS_MS: Final = 500
#: No clock of the arm ends an import or export: the core ends what stands still for too long.
MOVE_MS: Final = 24 * 3_600_000
