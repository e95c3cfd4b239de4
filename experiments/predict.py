"""Predicts the classes of clips: frame folders or video files.

    python experiments/predict.py --checkpoint runs/hamnosys CLIP.mp4
    python experiments/predict.py --checkpoint runs/mine CLIP --dictionary DATA

Exit codes: 0 done; 2 invalid input.
"""

import json
from pathlib import Path

from hearai.cli import (
    DONE,
    ScriptParser,
    add_code_option,
    frame_pattern,
    gpu_index,
    local_path,
    log_to_stderr,
    positive,
    print_text,
    run_script,
)
from hearai.config.model_parts.code_folder import use_code

RARE = ("--frame-pattern", "--keep-damaged", "--landmark-models", "--code", "--gpu")
"""Options that `--help` names and `--help-all` explains."""


def make_parser() -> ScriptParser:
    parser = ScriptParser(__doc__, rare=RARE)
    group = parser.add_argument_group("model and clips")
    add = group.add_argument
    add("--checkpoint", required=True, metavar="DIR", help="a run, its best folder, or a study")
    add("clips", nargs="+", type=Path, metavar="CLIP", help="frame folders and video files")
    pattern_help = "names of frames, such as 'img_{number}.png' (default: those of the model's data, or NAME_0.jpg)"
    add("--frame-pattern", type=frame_pattern, metavar="PATTERN", help=pattern_help)
    damaged_help = "use the readable frames of damaged videos, with a remark"
    add("--keep-damaged", action="store_true", help=damaged_help)
    models_help = "MediaPipe's models, for a model on landmarks"
    add("--landmark-models", type=Path, metavar="DIR", help=models_help)
    add_code_option(group)
    add = parser.add_argument_group("output").add_argument
    add("--top", type=positive, default=3, metavar="N", help="classes listed per head (default: 3)")
    lexicon_help = "a test_gloss.txt: also the most similar notations"
    add("--lexicon", type=Path, metavar="FILE", help=lexicon_help)
    dictionary_help = "a dataset folder: also its most similar clips, whose signs need not be classes of the model"
    add("--dictionary", type=Path, metavar="DATA", help=dictionary_help)
    save_help = "also each clip with its classes as an image or .mp4"
    add("--save", type=local_path, metavar="OUT.png", help=save_help)
    add("--json", action="store_true", help="print JSON instead of text")
    add("--gpu", type=gpu_index, default=0, metavar="N", help="which GPU; -1 is the CPU (default: 0)")
    return parser


def main() -> int:
    args = make_parser().parse_args()
    use_code(args.code)
    if args.json:
        log_to_stderr()  # log lines are not JSON
    from hearai.reporting.clip_images.prediction_files import save_paths
    from hearai.reporting.prediction import (  # heavy: only after the options are checked
        predict_rows,
        prediction_text,
    )
    from hearai.training.inference.lookup.lexicon import check_lexicon_fits, read_lexicon
    from hearai.training.inference.trained_model import find_best, load_trained
    from hearai.training.optim.torch_options import use_threads
    from hearai.training.runtime import choose_device

    if args.save:
        save_paths(args.save, args.clips)  # refused before a model is loaded
    use_threads()

    trained = load_trained(find_best(args.checkpoint), choose_device(args.gpu))
    lexicon = read_lexicon(args.lexicon) if args.lexicon else None
    if lexicon:
        check_lexicon_fits(trained.num_class)
    rows = predict_rows(
        trained,
        args.clips,
        top=args.top,
        lexicon=lexicon,
        dictionary=args.dictionary,
        save=args.save,
        frame_pattern=args.frame_pattern,
        keep_damaged=args.keep_damaged,
        landmark_models=args.landmark_models,
    )
    if args.json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
    else:
        print_text(prediction_text(rows))
    return DONE


if __name__ == "__main__":
    run_script(main)
