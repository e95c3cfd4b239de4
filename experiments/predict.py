"""Predicts the classes of clips: `python experiments/predict.py --checkpoint runs/hamnosys/best CLIP...`

CLIP is a frame folder (NAME/NAME_0.jpg ...) or a video file. Exit codes: 0 done; 2 bad input.
"""

import argparse
import json
from pathlib import Path

from hearai.cli import (
    DONE,
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


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], epilog=__doc__.split("\n\n")[1], allow_abbrev=False
    )
    parser.add_argument("--checkpoint", required=True, metavar="DIR", help="a run, its best folder, or a study")
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP", help="frame folders and video files")
    parser.add_argument("--top", type=positive, default=3, metavar="N", help="classes listed per head (default: 3)")
    parser.add_argument(
        "--lexicon",
        type=Path,
        metavar="FILE",
        help="a test_gloss.txt next to its test_hamnosys.txt: also lists the glosses with the most similar notation",
    )
    parser.add_argument(
        "--dictionary",
        type=Path,
        metavar="DATA",
        help="a dataset folder: also lists its most similar clips, whose signs need not be classes of the model",
    )
    parser.add_argument(
        "--frame-pattern",
        type=frame_pattern,
        metavar="PATTERN",
        help="file names in the frame folders, such as 'img_{number}.png' (default: as in the model's own data, or "
        "NAME_0.jpg ...)",
    )
    parser.add_argument(
        "--keep-damaged",
        action="store_true",
        help="use the readable frames of truncated and damaged videos, with a remark",
    )
    parser.add_argument(
        "--landmark-models",
        type=Path,
        metavar="DIR",
        help="folder of MediaPipe's models, for videos and a model on landmarks (default: the cache)",
    )
    parser.add_argument(
        "--save",
        type=local_path,
        metavar="OUT.png|OUT.mp4",
        help="also write an image or a video of each clip, with landmarks and predicted classes; of several clips "
        "OUT-NAME.png",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument("--gpu", type=gpu_index, default=0, metavar="N", help="which GPU; -1 is the CPU (default: 0)")
    add_code_option(parser)
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    use_code(args.code)
    if args.json:
        log_to_stderr()  # log lines are not JSON
    from hearai.reporting.clip_images.prediction_files import save_paths
    from hearai.reporting.prediction import (  # heavy: only after the options are checked
        predict_rows,
        prediction_text,
    )
    from hearai.training.inference.lexicon import check_lexicon_fits, read_lexicon
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
