"""Renders a demo dataset; the same command again finds the one that it has built.

    python experiments/demo_data.py --out demo --clips 200

Exit codes: 0 done; 2 invalid input.
"""

from pathlib import Path

from hearai.cli import DONE, ScriptParser, integer, local_path, processes, run_script
from hearai.files import cache_folder, require_free_space, require_writable_folder

BYTES_PER_CLIP, BYTES_PER_PIXEL = 40_000, 0.1
"""About what a clip takes: landmarks and tables, and its JPEGs."""


def make_parser() -> ScriptParser:
    parser = ScriptParser(__doc__)
    parser.add_argument("--out", type=local_path, metavar="DIR", help="parent folder (default: the cache)")
    parser.add_argument("--clips", type=integer(2, 10**6), default=1600, metavar="N", help="clips (default: 1600)")
    parser.add_argument("--frames", type=integer(1, 10**4), default=8, metavar="N", help="frames per clip (default: 8)")
    parser.add_argument(
        "--size", type=integer(16, 4096), default=128, metavar="PIXELS", help="side of an image (default: 128)"
    )
    parser.add_argument(
        "--seed",
        type=integer(0, 2**63 - 1),
        default=0,
        metavar="N",
        help="another seed gives other signers, signs and clips (default: 0)",
    )
    parser.add_argument(
        "--landmarks",
        choices=["exact", "detected"],
        default="exact",
        help="exact: those of the renderer; detected: with jitter, lost and exchanged hands (default: exact)",
    )
    parser.add_argument("--workers", type=processes, metavar="N", help="processes (default: one per core)")
    return parser


def main() -> int:
    args = make_parser().parse_args()
    out: Path = args.out or cache_folder()
    require_writable_folder(out, "--out" if args.out else "HEARAI_CACHE")
    bytes_per_clip = BYTES_PER_CLIP + BYTES_PER_PIXEL * args.size**2 * args.frames
    require_free_space(out, args.clips * bytes_per_clip, f"{args.clips:,} clips")
    from hearai.data.demo import demo_dataset

    folder = demo_dataset(
        out,
        clips=args.clips,
        frames=args.frames,
        size=args.size,
        seed=args.seed,
        workers=args.workers,
        landmarks=args.landmarks,
    )
    print(folder)
    return DONE


if __name__ == "__main__":
    run_script(main)
