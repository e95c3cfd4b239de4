"""Write a demo dataset: python experiments/demo_data.py --out DIR --clips 200"""

import argparse
from pathlib import Path

from hearai.data.demo import demo_dataset


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="parent folder (default: the cache)")
    parser.add_argument("--clips", type=int, help="number of clips")
    parser.add_argument("--frames", type=int, help="frames per clip")
    parser.add_argument("--size", type=int, help="side of an image in pixels")
    parser.add_argument("--seed", type=int, help="another seed gives other signers, signs and clips")
    parser.add_argument("--workers", type=int, help="processes (default: one per core)")
    return parser.parse_args()


def main() -> None:
    options = {name: value for name, value in vars(parse_args()).items() if value is not None}
    print(demo_dataset(options.pop("out", None), **options))


if __name__ == "__main__":
    main()
