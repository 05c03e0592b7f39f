"""Seeded bugs in how an active controller completes its claim."""

from tests.simulation.mutants_model import Mutant

# Fragments are whole lines of the core, quoted and indented once more.

COMPLETE = (
    Mutant(
        "complete-what-the-pools-have",
        "fence_completion",
        "return replace(completion, kept=alone, stage=following if alone else CompletionStage.DONE)",
        "return replace(completion, kept=True, stage=following)",
        "registers whether or not it could keep the disk: replaced meanwhile, its pools write to the disk again",
    ),
    Mutant(
        "complete-over-newer-keys",
        "key",
        "    if key.side is None or rank(key.epoch) > rank(mine.epoch):\n",
        "    if key.side is None:\n",
        "takes the key of a newer claim for one that is over: who was replaced takes a disk back from its successor",
    ),
    Mutant(
        "complete-and-leave-the-key",
        "fence_completion",
        "        return replace(completion, stage=CompletionStage.LEAVE)\n",
        "        return replace(completion, stage=CompletionStage.DONE)\n",
        "stays registered where another was faster: keeps the disk no longer, and its pools can open it and write",
    ),
    Mutant(
        "complete-without-removing",
        "fence_completion",
        "        return _evict(completion, _over(view, key))\n",
        "        return _evict(completion, ())\n",
        "holds the disk and leaves the keys of others registered there: they can go on writing",
    ),
    Mutant(
        "complete-what-is-registered-only",
        "fence_completion",
        "stage=CompletionStage.SEIZE if registered else CompletionStage.KEEP)",
        "stage=CompletionStage.DONE if registered else CompletionStage.KEEP)",
        "is content with being registered: the disk stays another's, or nobody's, and the fence never holds there",
    ),
    Mutant(
        "complete-until-it-is-silent",
        "fence_completion",
        "stage=stage if stage in REGISTERED else CompletionStage.DONE)",
        "stage=CompletionStage.DONE)",
        "takes silence for the end: keeps the disk no longer, and may be registered there under another's reservation",
    ),
    Mutant(
        "complete-path-without-looking",
        "fence_completion",
        "    if view.holder == key and stage is CompletionStage.EXTENDED:\n",
        "    if stage is CompletionStage.EXTENDED:\n",
        "registers a path and does not look who holds the disk by then: replaced meanwhile, its pools write over it",
    ),
    Mutant(
        "complete-path-in-use",
        "fence_completion",
        "    return replace(completion, over=(), stage=CompletionStage.KEEP_PATHS)\n",
        "    return replace(completion, over=(), kept=True, stage=CompletionStage.EXTEND)\n",
        "registers a path that pools may write over: replaced meanwhile, they write before it is given up",
    ),
    Mutant(
        "complete-no-path",
        "fence_completion",
        "        if view.answered and (_over(view, mine) or view.unregistered if ours else _takeable(view, mine)):\n",
        "        if view.answered and (_over(view, mine) if ours else _takeable(view, mine)):\n",
        "never registers a path that came back: the disk refuses what the pools write over it",
    ),
    Mutant(
        "complete-while-active-only",
        "fence_completion",
        "    waits = state.phase is Phase.IMPORTING and stuck and looks.pools in GONE\n",
        "    waits = False\n",
        "never takes the disk that was waited out and is back: the import does not begin until its time is over",
    ),
)
