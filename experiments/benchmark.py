"""Measures parts on the demo data: `python experiments/benchmark.py models`

models: every transformer over the same extractor, and every extractor under the same transformer, with the same clips,
seed, epochs and learning rate. Extractors are pre-trained on single frames and frozen; one over whole clips trains.
"""

import argparse
import logging
import tempfile
from pathlib import Path

from hearai.cli import DONE, positive, run_script
from hearai.config import build_config
from hearai.overrides import override

COMMON = {
    "train_parameters": {"batch_size": 32, "lr": 1.0e-3, "num_segments": 4},
    "feature_extractor": {"model_path": "mobilenetv3_small_050", "pretrained": False, "representation_size": 128},
    "transformer": {"feedforward_size": 256, "num_attention_heads": 4, "num_encoder_layers": 2, "output_size": 128},
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], epilog=__doc__.split("\n\n")[1], allow_abbrev=False
    )
    parser.add_argument("what", choices=("models",))
    parser.add_argument("--clips", type=positive, default=400, metavar="N", help="demo clips; default 400")
    parser.add_argument("--epochs", type=positive, default=10, metavar="N", help="of each run; default 10")
    parser.add_argument("--epochs-frames", type=positive, default=7, metavar="N", help="of pre-training; default 7")
    parser.add_argument("--pixels", type=positive, default=64, metavar="N", help="side of a picture; default 64")
    parser.add_argument("--only", choices=("transformers", "extractors"), help="one of the two tables")
    parser.add_argument("--gpu", type=int, default=0, metavar="N", help="-1 = CPU")
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    logging.getLogger("hearai").setLevel(logging.WARNING)  # the tables are what is to be read
    from hearai.study_file import Pretrain  # heavy imports come when the options are known to be good
    from hearai.training.compare import EXTRACTOR_CASES, TRANSFORMER_CASES, compare
    from hearai.training.prepare import with_data

    size = {f"augmentations_parameters.{name}": args.pixels for name in ("resize_size", "center_crop_size")}
    changes = {**size, "general_parameters.gpu": args.gpu, "train_parameters.epochs": args.epochs}
    base, data = with_data(override(build_config(COMMON), changes), args.clips)
    print(f"{len(data.split.train)} training clips, {args.pixels} pixels, {args.epochs} epochs", flush=True)
    with tempfile.TemporaryDirectory(prefix="hearai-") as folder:
        for what, cases in (("transformers", TRANSFORMER_CASES), ("extractors", EXTRACTOR_CASES)):
            if args.only in (None, what):
                print(f"\n{what:<32}{'parameters':>12}{'val':>8}{'epoch':>7}{'test':>8}{'seconds':>9}", flush=True)
                for row in compare(base, cases, Path(folder) / what, Pretrain(epochs=args.epochs_frames, lr=5.0e-3)):
                    figures = f"{row.val:>8.3f}{row.epoch:>7}{row.test:>8.3f}{row.seconds:>9.1f}"
                    print(f"{row.label:<32}{row.parameters:>12,}{figures}", flush=True)
    return DONE


if __name__ == "__main__":
    run_script(main)
