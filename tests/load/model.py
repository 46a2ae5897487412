"""Play many random scripts of changes on a portal, syncs, faults and kills, and check the mirror after each.

    python -m tests.load.model [--examples N] [--seed N]

The tests play a few scripts. A script that fails is shortened and printed.
"""

import argparse
import asyncio

from hypothesis import HealthCheck, given, seed, settings

from tests.support.sync_model import SCRIPTS, Step, play


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    played = 0

    @seed(options.seed)
    @settings(max_examples=options.examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(SCRIPTS)
    def run(script: list[Step]) -> None:
        nonlocal played
        asyncio.run(play(script))
        played += 1
        if played % 50 == 0:
            print(f"{played:,} scripts played", flush=True)

    run()
    print(f"all {played:,} scripts ended with a mirror that equals the portal")


if __name__ == "__main__":
    main()
