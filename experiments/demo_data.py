"""Renders a demo dataset: `python experiments/demo_data.py --out DIR --clips 200`."""

import argparse
from pathlib import Path

from hearai.data.demo import demo_dataset


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, metavar="DIR", help="parent folder (default: the cache)")
    parser.add_argument("--clips", type=int, metavar="N", help="number of clips (default: 1600)")
    parser.add_argument("--frames", type=int, metavar="N", help="frames per clip (default: 8)")
    parser.add_argument("--size", type=int, metavar="PIXELS", help="side of an image (default: 128)")
    parser.add_argument(
        "--seed", type=int, metavar="N", help="another seed gives other signers, signs and clips (default: 0)"
    )
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one per core)")
    return parser.parse_args()


def main() -> None:
    options = {name: value for name, value in vars(parse_args()).items() if value is not None}
    print(demo_dataset(options.pop("out", None), **options))


if __name__ == "__main__":
    main()
