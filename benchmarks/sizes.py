"""Four sizes from one model, as GIFs for the README.

python -m benchmarks.sizes [--model FOLDER] [--output docs/assets]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import vidgen

SHOWN = {
    "17x64x64": "a large red circle moving left on a black background",
    "33x48x80": "a small yellow cross moving right on a navy background",
    "9x80x48": "a large cyan square growing on a brown background",
    "1x64x64": "a large purple triangle on a grey background",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("docs/assets"))
    args = parser.parse_args()

    pipe = vidgen.load(args.model).to("auto", "auto")
    args.output.mkdir(parents=True, exist_ok=True)
    for text, prompt in SHOWN.items():
        size = vidgen.Size.parse(text)
        video = pipe(prompt, frames=size.frames, height=size.height, width=size.width, seed=args.seed)
        scale = 3
        path = video.resize(size.height * scale, size.width * scale).save(args.output / f"{text}.gif")
        print(f"{path}: {prompt!r}, seed {args.seed}")


if __name__ == "__main__":
    main()
