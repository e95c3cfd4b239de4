"""Measures parts on the demo data: `python experiments/benchmark.py models`

models: every transformer over the same frozen, pre-trained extractor, and every extractor trained from nothing under
the same transformer; the same clips, seed, epochs and learning rate for all of a table.
"""

import argparse
import tempfile
from pathlib import Path

from hearai.cli import DONE, positive, run_script
from hearai.config import Config, build_config
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
    parser.add_argument("--epochs", type=positive, default=5, metavar="N", help="of each extractor; default 5")
    parser.add_argument("--epochs-frozen", type=positive, default=20, metavar="N", help="of each transformer")
    parser.add_argument("--pixels", type=positive, default=64, metavar="N", help="side of a picture; default 64")
    parser.add_argument("--only", choices=("transformers", "extractors"), help="one of the two tables")
    parser.add_argument("--gpu", type=int, default=0, metavar="N", help="-1 = CPU")
    return parser.parse_args()


def print_table(title: str, base: Config, cases: dict, folder: Path) -> None:
    from hearai.training.compare import compare

    print(f"\n{title}\n{'':<32}{'parameters':>12}{'val':>8}{'epoch':>7}{'test':>8}{'seconds':>9}", flush=True)
    for row in compare(base, cases, folder):
        figures = f"{row.val:>8.3f}{row.epoch:>7}{row.test:>8.3f}{row.seconds:>9.1f}"
        print(f"{row.label:<32}{row.parameters:>12,}{figures}", flush=True)


def main() -> int:
    args = parse_args()
    from hearai.study import Pretrain  # heavy imports come when the options are known to be good
    from hearai.training.compare import EXTRACTOR_CASES, TRANSFORMER_CASES
    from hearai.training.prepare import BACKBONE, provide_backbone, with_data

    pictures = {
        "augmentations_parameters.resize_size": args.pixels,
        "augmentations_parameters.center_crop_size": args.pixels,
    }
    base = override(build_config(COMMON), {**pictures, "general_parameters.gpu": args.gpu})
    base, data = with_data(base, args.clips)
    with tempfile.TemporaryDirectory(prefix="hearai-") as name:
        folder = Path(name)
        if args.only != "extractors":
            provide_backbone(base, data, Pretrain(epochs=7, lr=5.0e-3), folder / BACKBONE)
            frozen = {
                "feature_extractor.checkpoint": str(folder / BACKBONE),
                "train_parameters.epochs": args.epochs_frozen,
            }
            title = f"transformers, extractor frozen, {args.epochs_frozen} epochs of {len(data.split.train)} clips"
            print_table(title, override(base, frozen), TRANSFORMER_CASES, folder)
        if args.only != "transformers":
            thawed = {"freeze_scheduler.model_params": {}, "train_parameters.epochs": args.epochs}
            title = (
                f"extractors from nothing, {args.epochs} epochs of {len(data.split.train)} clips, {args.pixels} pixels"
            )
            print_table(title, override(base, thawed), EXTRACTOR_CASES, folder)
    return DONE


if __name__ == "__main__":
    run_script(main)
