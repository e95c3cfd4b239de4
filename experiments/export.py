"""A trained model as one file for other programs: `python experiments/export.py --checkpoint DIR --to onnx`

What was written is run and compared with the model before it counts. Exit codes: 0 done; 2 bad input, or it differs.
"""

import argparse
from pathlib import Path

from hearai.cli import DONE, run_script


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], epilog=__doc__.split("\n\n")[1], allow_abbrev=False
    )
    parser.add_argument("--checkpoint", required=True, metavar="DIR", help="a run, its best folder, or a study")
    parser.add_argument("--to", required=True, choices=("onnx", "pt2"), help="ONNX, or PyTorch's torch.export format")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: model.onnx or model.pt2 in the checkpoint")
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    import torch  # heavy imports come when the options are known to be good

    from hearai.training.inference.export import FORMATS, export
    from hearai.training.inference.trained_model import find_best, load_trained

    best = find_best(args.checkpoint)
    exported = export(load_trained(best, torch.device("cpu")), args.to, args.out or best / f"model{FORMATS[args.to]}")
    print(f"{exported.path} ({exported.megabytes:.1f} MB)")
    print(f"its outputs differ from the model's by {exported.difference:.1e} at most")
    print(f"inputs, outputs and class names: {exported.description}")
    return DONE


if __name__ == "__main__":
    run_script(main)
