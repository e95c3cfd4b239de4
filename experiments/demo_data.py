"""Renders a demo dataset: `python experiments/demo_data.py --out DIR --clips 200`.

Running the command again finds the dataset that it has built. Exit codes: 0 done; 2 invalid input.
"""

import argparse
from pathlib import Path

from hearai.cli import DONE, integer, processes, run_script
from hearai.config.limits import MAX_SAMPLER_SEED, MAX_SEGMENTS


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], epilog=__doc__.split("\n\n")[1], allow_abbrev=False
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="parent folder (default: the cache)")
    parser.add_argument("--clips", type=integer(2, 1_000_000), metavar="N", help="number of clips (default: 1600)")
    parser.add_argument("--frames", type=integer(1, MAX_SEGMENTS), metavar="N", help="frames per clip (default: 8)")
    parser.add_argument("--size", type=integer(1, 4096), metavar="PIXELS", help="side of an image (default: 128)")
    parser.add_argument(
        "--seed",
        type=integer(0, MAX_SAMPLER_SEED),
        metavar="N",
        help="another seed gives other signers, signs and clips (default: 0)",
    )
    parser.add_argument("--workers", type=processes, metavar="N", help="processes (default: one per core)")
    return parser.parse_args()


def main() -> int:
    options = {name: value for name, value in vars(parse_args()).items() if value is not None}
    from hearai.data.demo import demo_dataset  # slow imports: only once the options are valid

    print(demo_dataset(options.pop("out", None), **options))
    return DONE


if __name__ == "__main__":
    run_script(main)
