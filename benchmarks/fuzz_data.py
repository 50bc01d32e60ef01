"""Thousands of mutated data files through our readers, each outcome compared with an independent reading.

python benchmarks/fuzz_data.py                       # 5,000 mutations of fourteen formats, seed 0
python benchmarks/fuzz_data.py --seed 1 --formats masks archives --total 1000

A mutation is handled if it ends as a sample that is what the file says, a note, or an error of ours that names the
file. The exit status is 1 if one is not; its mutation and what was said are printed.
"""

import argparse
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
sys.path[0] = str(Path(__file__).resolve().parents[1])

from tests.fuzz.engine import GOOD, fuzz, table
from tests.fuzz.formats import FORMATS


def main() -> int:
    """Run the mutations and print counts by format and outcome."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--total", type=int, default=5000, help="mutations, spread evenly over the formats")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=[*FORMATS])
    options = parser.parse_args()
    start = time.perf_counter()
    counts, failures = fuzz({name: FORMATS[name] for name in options.formats}, options.total, options.seed)
    print(table(counts, options.formats))
    handled = sum(count for (_, outcome), count in counts.items() if outcome in GOOD)
    seconds = time.perf_counter() - start
    print(f"{handled:,} of {options.total:,} mutations handled in {seconds:.0f} s (seed {options.seed})")
    for name, number, mutation, outcome, said in failures:
        print(f"{name} {number} ({mutation}): {outcome}: {said[:300]}")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
