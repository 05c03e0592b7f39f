"""`make fuzz RUNS=N`: N inputs, shared among the targets, coverage-guided; ends with 1 if anything was found.

    python -m tests.fuzz RUNS [TARGET...]

What was learned is kept in `build/fuzz/TARGET/corpus` and is where the next run begins. An input that broke something
is kept in `build/fuzz/TARGET/findings`; `python -m tests.fuzz.harness TARGET FILE` shows it again.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz import lines
from tests.fuzz.targets import TARGETS, Target

ROOT = Path(__file__).parent.parent.parent
PLACE = ROOT / "build" / "fuzz"
#: An input that takes longer is a finding: decoders stand in the way of the heartbeat.
INPUT_S_MAX = 2
MEMORY_MB_MAX = 1_024


@dataclass(frozen=True)
class Outcome:
    """What one target's run came to. `edges` are the places reached, as atheris counts them."""

    name: str
    runs: int
    took_s: float
    edges: int
    kept: int
    findings: tuple[str, ...]


def prepare(name: str, target: Target) -> Path:
    """The target's directory, with its seeds and words as libFuzzer reads them."""
    place = PLACE / name
    for part in ("seeds", "corpus", "findings"):
        (place / part).mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (place / "seeds" / str(number)).write_bytes(seed)
    quoted = ("".join(f"\\x{byte:02x}" for byte in word) for word in target.words)
    (place / "words").write_text("".join(f'"{word}"\n' for word in quoted))
    return place


def fuzz(name: str, target: Target, runs: int) -> Outcome:
    place = prepare(name, target)
    command = [
        sys.executable, "-m", "tests.fuzz.harness", name, str(place / "corpus"), str(place / "seeds"), f"-runs={runs}",
        f"-max_len={target.bytes_max}", f"-artifact_prefix={place / 'findings'}/",
        f"-timeout={INPUT_S_MAX}", f"-rss_limit_mb={MEMORY_MB_MAX}", "-print_final_stats=1",
        # Formats of fixed length: there is nothing to be learned from short inputs first.
        "-len_control=0",
        *([f"-dict={place / 'words'}"] if target.words else ()),
    ]  # fmt: skip
    began_s = time.monotonic()
    log = place / "log"
    with log.open("wb") as output:
        ended = subprocess.run(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, check=False)
    text = log.read_text(errors="replace")
    findings = sorted(path.name for path in (place / "findings").iterdir())
    if ended.returncode and not findings:
        findings = [f"ended with {ended.returncode}; see {log.relative_to(ROOT)}"]
    done = re.findall(r"stat::number_of_executed_units: (\d+)", text)
    edges = re.findall(r"\bcov: (\d+)", text)
    kept = sum(1 for _ in (place / "corpus").iterdir())
    took_s = time.monotonic() - began_s
    return Outcome(name, int(done[-1]) if done else 0, took_s, int(edges[-1]) if edges else 0, kept, tuple(findings))


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", type=int, help="inputs in total")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all when none is named")
    chosen = parser.parse_args()
    names = chosen.targets or list(TARGETS)
    if chosen.runs < len(names) or not TARGETS.keys() >= set(names):
        parser.error(f"at least {len(names)} runs, and targets of {', '.join(TARGETS)}")
    # Told to end, take the harness along.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    shares = sum(TARGETS[name].share for name in names)
    outcomes = []
    for name in names:
        outcome = fuzz(name, TARGETS[name], -(-chosen.runs * TARGETS[name].share // shares))
        outcomes.append(outcome)
        print(
            f"{name:16} {outcome.runs:>11,} inputs {outcome.took_s:7.0f} s {outcome.edges:5} edges "
            f"{outcome.kept:5} kept  findings: {', '.join(outcome.findings) or 'none'}",
            flush=True,
        )
    total, took_s = sum(outcome.runs for outcome in outcomes), sum(outcome.took_s for outcome in outcomes)
    print(f"{'together':16} {total:>11,} inputs {took_s:7.0f} s; load {os.getloadavg()[1]:.1f}")
    if set(names) == set(TARGETS):
        lines.show(PLACE)
    return 1 if any(outcome.findings for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
