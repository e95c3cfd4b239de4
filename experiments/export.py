"""Exports a trained model to one file for other programs, runs it, and compares it with the original.

    python experiments/export.py --checkpoint runs/hamnosys --to onnx

Exit codes: 0 done; 2 invalid input, or outputs differ.
"""

from pathlib import Path

from hearai.cli import DONE, ScriptParser, add_code_option, run_script
from hearai.config.model_parts.code_folder import use_code


def make_parser() -> ScriptParser:
    parser = ScriptParser(__doc__)
    parser.add_argument("--checkpoint", required=True, metavar="DIR", help="a run, its best folder, or a study")
    parser.add_argument("--to", required=True, choices=("onnx", "pt2"), help="ONNX, or PyTorch's torch.export format")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="output file (default: model.onnx or model.pt2 in the checkpoint)"
    )
    add_code_option(parser)
    return parser


def main() -> int:
    args = make_parser().parse_args()
    use_code(args.code)
    import torch  # heavy imports only after the options are checked

    from hearai.training.inference.export import EXPORT_FORMATS, export
    from hearai.training.inference.trained_model import find_best, load_trained

    best = find_best(args.checkpoint)
    exported = export(
        load_trained(best, torch.device("cpu")), args.to, args.out or best / f"model{EXPORT_FORMATS[args.to]}"
    )
    print(f"{exported.path} ({exported.megabytes:.1f} MB)")
    print(f"largest difference from the model's outputs: {exported.difference:.1e}")
    print(f"inputs, outputs and class names: {exported.description}")
    return DONE


if __name__ == "__main__":
    run_script(main)
