"""A budget of tokens instead of a number of samples: every size fills a batch alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from vidgen.errors import RecipeError
from vidgen.train.config import TrainRecipe

PARTS = """
[denoiser]
name = "sora-dit"
preset = "tiny"
[text_encoder]
name = "words"
preset = "tiny"
[scheduler]
name = "euler"
"""

HEAD = """
[autoencoder]
name = "sora-vae"
preset = "tiny"
"""


def load(tmp_path: Path, train: str, data: str, parts: str = PARTS) -> TrainRecipe:
    path = tmp_path / "recipe.toml"
    path.write_text(f"{HEAD}{parts}\n[train]\n{train}\n{data}")
    return TrainRecipe.load(path)


def tables(*sizes: str, more: str = "") -> str:
    return "\n".join(f'[[data]]\nname = "kinetic"\nsize = "{size}"\n{more}' for size in sizes)


def test_batches_hold_as_many_samples_as_the_tokens_allow(tmp_path):
    sizes = ("17x64x64", "9x80x48", "33x48x80", "1x96x96", "33x256x256")
    recipe = load(tmp_path, "tokens = 1080", tables(*sizes))
    # 80, 45, 135 and 36 tokens; the last has 2,304, more than the budget
    assert [table.table.batch for table in recipe.data] == [13, 24, 8, 30, 1]


def test_without_a_budget_the_tables_say_it(tmp_path):
    recipe = load(tmp_path, "", tables("17x64x64", more="batch = 3"))
    assert [table.table.batch for table in recipe.data] == [3]


def test_two_words_on_one_thing_are_refused(tmp_path):
    with pytest.raises(RecipeError, match="leave one out"):
        load(tmp_path, "tokens = 1080", tables("17x64x64", more="batch = 3"))
    with pytest.raises(RecipeError, match="takes batch"):
        load(tmp_path, 'train = ["autoencoder"]\ntokens = 1080', tables("17x64x64"), parts="")
