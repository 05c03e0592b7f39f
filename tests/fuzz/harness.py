"""One target under atheris, which watches what code an input reaches and keeps the inputs that reach more.

    python -m tests.fuzz.harness TARGET CORPUS... [libFuzzer's options]

Started by `python -m tests.fuzz`, in a process of its own: libFuzzer ends the process it runs in.
"""

import sys

import atheris

# Only what is imported in here reports what it reaches.
with atheris.instrument_imports(include=["reconciler", "tests.fuzz.targets"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    name, *options = sys.argv[1:]
    target = TARGETS[name]

    def one(data: bytes) -> None:
        target.test(data)

    atheris.Setup([sys.argv[0], *options], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
