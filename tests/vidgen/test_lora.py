"""LoRAs against peft's own, and what can be done with them."""

from __future__ import annotations

import copy
import json
import re

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import vidgen
from vidgen.errors import CheckpointError, ConfigError
from vidgen.interfaces import Condition, TextEmbedding
from vidgen.lora import load_lora, merge_loras, unmerge_loras
from vidgen.quantisation import quantise
from vidgen.sampling.offload import Offload
from vidgen.size import Size

SIZE = Size(2, 4, 4)


def stirred(kind, name):
    """A part whose output depends on every weight."""
    torch.manual_seed(0)
    part = vidgen.create(kind, f"{name}/tiny")
    with torch.no_grad():
        for parameter in part.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return part.eval()


@torch.no_grad()
def output(part):
    generator = torch.Generator().manual_seed(3)
    if isinstance(part, vidgen.VideoAutoencoder):
        return part.decode(torch.randn(1, part.latent.channels, *SIZE, generator=generator))
    if isinstance(part, vidgen.TextEncoder):
        return part.encode(["a red circle"]).tokens
    config = part.config.follow()
    text = TextEmbedding(
        torch.randn(1, 5, config.contract().text.width, generator=generator),
        torch.ones(1, 5, dtype=torch.bool),
    )
    noise = torch.randn(1, config.latent_channels, *SIZE, generator=generator)
    return part(noise, torch.tensor([0.6]), part.prepare(text, Condition(), SIZE)).value


def linears(part):
    return {name: one for name, one in part.named_modules() if isinstance(one, nn.Linear)}


def written(part, path, *, rank=2, names=None, prefix="", roles=("lora_A", "lora_B"), seed=1, alpha=None):
    """Write a LoRA of random values for some (or all) linear layers of a part."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, layer in linears(part).items():
        if names is not None and name not in names:
            continue
        down = torch.randn(rank, layer.in_features, generator=generator) / layer.in_features**0.5
        up = torch.randn(layer.out_features, rank, generator=generator) / 4
        tensors[f"{prefix}{name}.{roles[0]}.weight"], tensors[f"{prefix}{name}.{roles[1]}.weight"] = down, up
        if alpha is not None:
            tensors[f"{prefix}{name}.alpha"] = torch.tensor(float(alpha))
    path.parent.mkdir(exist_ok=True, parents=True)
    save_file(tensors, path)
    return path


@pytest.fixture
def part():
    return stirred("denoiser", "sora-dit")


@pytest.mark.parametrize(
    ("kind", "name", "changed"),
    [
        ("denoiser", "sora-dit", "all-linear"),
        ("denoiser", "latte", "all-linear"),
        ("denoiser", "videocrafter2", r".*(to_q|to_v)"),
        ("autoencoder", "kl-vae", r".*(conv|to_q|proj).*"),
        ("text_encoder", "t5", r".*(q|wo)"),
    ],
)
@pytest.mark.parametrize(
    "settings", [{"r": 4, "lora_alpha": 8}, {"r": 3, "lora_alpha": 2, "use_rslora": True}]
)
def test_the_same_as_peft(kind, name, changed, settings, tmp_path):
    peft = pytest.importorskip("peft")
    part = stirred(kind, name)
    if changed == "all-linear":
        target = list(linears(part))
    else:
        import re

        kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
        target = [n for n, one in part.named_modules() if isinstance(one, kinds) and re.fullmatch(changed, n)]
    assert target
    theirs = peft.get_peft_model(copy.deepcopy(part), peft.LoraConfig(target_modules=target, **settings))
    with torch.no_grad():
        for n, parameter in theirs.named_parameters():
            if "lora_" in n:
                parameter.normal_(std=0.1)
    theirs.save_pretrained(tmp_path)
    before, expected = output(part), output(theirs.get_base_model().eval())
    lora = load_lora(part, tmp_path)
    assert len(lora.terms) == len(target)
    moved = (expected - before).abs().max()
    assert moved > 1e-3
    assert (output(part) - expected).abs().max() < 1e-4 * max(1, float(expected.abs().max()))
    merge_loras(part)
    assert (output(part) - expected).abs().max() < 1e-4 * max(1, float(expected.abs().max()))


@pytest.mark.parametrize("layer", [nn.Conv1d, nn.Conv2d, nn.Conv3d])
def test_convolutions_are_the_same_as_peft(layer, tmp_path):
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    part = nn.Sequential(layer(3, 8, 3, padding=1), layer(8, 4, 3, stride=2))
    theirs = peft.get_peft_model(copy.deepcopy(part), peft.LoraConfig(target_modules=["0", "1"], r=2))
    for name, parameter in theirs.named_parameters():
        if "lora_" in name:
            nn.init.normal_(parameter, std=0.1)
    theirs.save_pretrained(tmp_path)
    x = torch.randn(1, 3, *(5, 6, 7)[: part[0].weight.ndim - 2])
    before = part(x)
    load_lora(part, tmp_path)
    assert torch.allclose(part(x), theirs(x), atol=1e-5)
    assert not torch.allclose(part(x), before, atol=1e-2)


def test_peft_reads_what_we_save(part, tmp_path):
    peft = pytest.importorskip("peft")
    base = copy.deepcopy(part)
    lora = load_lora(part, written(part, tmp_path / "a.safetensors", alpha=3))
    lora.save(tmp_path / "out")
    lora.save(tmp_path / "out")  # again, over itself
    theirs = peft.PeftModel.from_pretrained(base, tmp_path / "out").get_base_model()
    assert (output(theirs) - output(part)).abs().max() < 1e-5
    again = stirred("denoiser", "sora-dit")
    load_lora(again, tmp_path / "out")
    assert torch.equal(output(again), output(part))


def test_scale_zero_and_unload_give_the_very_part(part, tmp_path):
    before, names = output(part), list(part.state_dict())
    parameters = dict(part.named_parameters())
    lora = load_lora(part, written(part, tmp_path / "a.safetensors"), scale=0)
    assert torch.equal(output(part), before)
    lora.scale = 0.5
    half = output(part)
    assert not torch.allclose(half, before, atol=1e-3)
    lora.scale = 1
    assert not torch.allclose(output(part), half, atol=1e-3)
    assert list(part.state_dict()) == sorted(
        names, key=list(part.state_dict()).index
    )  # plain names, with a LoRA on
    assert set(part.state_dict()) == set(names)
    lora.unload()
    assert torch.equal(output(part), before)
    assert all(one is parameters[name] for name, one in part.named_parameters())
    assert all(one.requires_grad for one in part.parameters())


def test_two_add_up_and_leave_in_any_order(part, tmp_path):
    one = written(part, tmp_path / "a.safetensors", seed=1)
    other = written(part, tmp_path / "b.safetensors", seed=2, names=list(linears(part))[:3])
    first = load_lora(part, one)
    alone = output(part)
    second = load_lora(part, other, scale=0.7)
    both = output(part)
    assert not torch.allclose(both, alone, atol=1e-3)
    first.unload()
    lone = stirred("denoiser", "sora-dit")
    load_lora(lone, other, scale=0.7)
    assert torch.equal(output(part), output(lone))
    again = load_lora(part, one)
    assert torch.allclose(output(part), both, atol=1e-5)
    second.unload()
    assert torch.equal(output(part), alone)
    again.unload()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_merged_is_the_same_and_undone_bit_for_bit(part, dtype, tmp_path):
    part = part.to(dtype)
    before = {name: value.clone() for name, value in part.state_dict().items()}
    lora = load_lora(part, written(part, tmp_path / "a.safetensors"), scale=0.9)
    values = {name: layer.weight.detach().clone() for name, layer in linears(part).items()}
    count = merge_loras(part)
    assert count == len(lora.terms) > 0
    assert all(torch.equal(layer.weight, values[name]) for name, layer in linears(part).items())
    assert torch.equal(
        part.state_dict()["enter.weight"], values["enter"]
    )  # what is saved is the merged weight
    with pytest.raises(ConfigError, match="unmerge_loras"):
        lora.scale = 0.2
    with pytest.raises(ConfigError, match="unmerge_loras"):
        lora.unload()
    with pytest.raises(ConfigError, match="unmerge_loras"):
        load_lora(part, tmp_path / "a.safetensors")
    assert unmerge_loras(part) == count
    lora.unload()
    assert all(torch.equal(value, before[name]) for name, value in part.state_dict().items())


def test_merged_for_good_leaves_plain_weights(part, tmp_path):
    load_lora(part, written(part, tmp_path / "a.safetensors"))
    made, names = output(part), set(dict(stirred("denoiser", "sora-dit").named_parameters()))
    merge_loras(part, keep=False)
    assert torch.equal(output(part), made)
    assert set(dict(part.named_parameters())) == names
    assert unmerge_loras(part) == 0


@pytest.mark.parametrize(
    ("prefix", "roles", "alpha"),
    [
        ("transformer.", ("lora_A", "lora_B"), None),  # diffusers
        ("base_model.model.", ("lora_A.default", "lora_B.default"), None),
        ("diffusion_model.", ("lora_down", "lora_up"), 1),
        ("model.diffusion_model.", ("lora_A", "lora_B"), 4),
    ],
)
def test_names_of_other_programs(part, prefix, roles, alpha, tmp_path):
    plain = stirred("denoiser", "sora-dit")
    load_lora(plain, written(plain, tmp_path / "plain.safetensors"), scale=(alpha or 2) / 2)
    load_lora(part, written(part, tmp_path / "x.safetensors", prefix=prefix, roles=roles, alpha=alpha))
    assert torch.allclose(output(part), output(plain), atol=1e-6)


def test_names_with_underscores_for_dots(part, tmp_path):
    tensors = load_file(written(part, tmp_path / "a.safetensors", roles=("lora_down", "lora_up"), alpha=2))
    flat = {}
    for name, value in tensors.items():
        owner, dot, role = name.partition(".lora_") if ".lora_" in name else name.partition(".alpha")
        flat[f"lora_unet_{owner.replace('.', '_')}{dot}{role}"] = value
    save_file(flat, tmp_path / "flat.safetensors")
    other = stirred("denoiser", "sora-dit")
    load_lora(other, tmp_path / "a.safetensors")
    load_lora(part, tmp_path / "flat.safetensors")
    assert torch.equal(output(part), output(other))


def test_settings_that_diffusers_writes_into_the_file(part, tmp_path):
    path = written(part, tmp_path / "pytorch_lora_weights.safetensors", prefix="transformer.")
    metadata = {"lora_adapter_metadata": json.dumps({"transformer.r": 2, "transformer.lora_alpha": 6})}
    save_file(load_file(path), path, metadata=metadata)
    lora = load_lora(part, tmp_path)
    assert {term.share for term in lora.terms.values()} == {3.0}


def strange(tensors):
    return tensors | {"far.lora_A.weight": torch.ones(2, 4), "far.lora_B.weight": torch.ones(4, 2)}


def wider(tensors):
    return {n: torch.ones(len(v), v.shape[1] + 1) if "lora_A" in n else v for n, v in tensors.items()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (strange, "another model: SoraDiT has no far"),
        (wider, r"another model: it has other shapes for .*\(here"),
        (lambda t: {n.replace("lora_A", "hada_w1_a"): v for n, v in t.items()}, "only pairs of lora_A"),
        (lambda t: {n: v for n, v in t.items() if "lora_B" not in n}, "only pairs of lora_A and lora_B"),
        (lambda t: t | {"enter.lora_B.bias": torch.ones(3)}, "enter.lora_B.bias"),
        (lambda t: t | {"enter.lora_magnitude_vector": torch.ones(3)}, "lora_magnitude_vector"),
    ],
    ids=["names", "shapes", "kind", "half", "bias", "dora"],
)
def test_a_lora_for_another_model_is_refused_in_one_line(part, change, message, tmp_path):
    before = output(part)
    tensors = load_file(written(part, tmp_path / "a.safetensors"))
    save_file(change(tensors), tmp_path / "b.safetensors")
    with pytest.raises(CheckpointError, match=message) as caught:
        load_lora(part, tmp_path / "b.safetensors")
    assert "\n" not in str(caught.value)
    assert torch.equal(output(part), before)


def test_a_lora_of_another_denoiser_is_refused(part, tmp_path):
    other = stirred("denoiser", "latte")
    with pytest.raises(CheckpointError, match="was made for another model: SoraDiT has no"):
        load_lora(part, written(other, tmp_path / "a.safetensors", prefix="transformer."))


def test_a_lora_of_a_deeper_model_is_refused(part, tmp_path):
    before, path = output(part), tmp_path / "a.safetensors"
    block = r"^(.*blocks)\.0\."
    tensors = load_file(written(part, path, names=[n for n in linears(part) if re.match(block, n)]))
    assert tensors
    for number in (7, 8, 9):
        tensors |= {re.sub(block, rf"\1.{number}.", n): v + 1 for n, v in tensors.items()}
    save_file({f"transformer.{name}": tensor for name, tensor in tensors.items()}, path)
    with pytest.raises(CheckpointError, match=r"another model: SoraDiT has no transformer.*blocks\.7"):
        load_lora(part, path)
    assert torch.equal(output(part), before)


@pytest.mark.parametrize(
    ("settings", "share"),
    [
        ({"lora_alpha": 5, "alpha_pattern": {".*enter.*": 9}}, 4.5),
        ({"lora_alpha": 5, "alpha_pattern": {"ent.r": 9}}, 4.5),
        ({"lora_alpha": 5, "alpha_pattern": {"nter": 9}}, 2.5),
        ({"lora_alpha": 0}, 0.0),
        ({"lora_alpha": None}, 1.0),
    ],
)
def test_alpha_is_what_peft_reads(part, settings, share, tmp_path):
    written(part, tmp_path / "adapter_model.safetensors", names=["enter"])
    (tmp_path / "adapter_config.json").write_text(json.dumps(settings))
    (term,) = load_lora(part, tmp_path).terms.values()
    assert term.share == share


@pytest.mark.parametrize(
    "settings",
    ["[]", '{"lora_alpha": "x"}', '{"alpha_pattern": [1]}', '{"alpha_pattern": {"(": 1}}', "{"],
)
def test_settings_that_cannot_be_read(part, settings, tmp_path):
    written(part, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(settings)
    with pytest.raises(CheckpointError, match=r"adapter_config\.json"):
        load_lora(part, tmp_path)


@pytest.mark.parametrize("change", [lambda v: v[:0], lambda v: v[0, 0].clone()], ids=["rank 0", "scalars"])
def test_tensors_without_rows(part, change, tmp_path):
    tensors = load_file(written(part, tmp_path / "a.safetensors", names=["enter"]))
    save_file({name: change(one) for name, one in tensors.items()}, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match="damaged: rows are missing for enter"):
        load_lora(part, tmp_path / "a.safetensors")


def test_files_that_cannot_be_taken(part, tmp_path):
    with pytest.raises(CheckpointError, match="no file, no folder and no Hub id"):
        load_lora(part, tmp_path / "none.safetensors")
    with pytest.raises(CheckpointError, match="of its safetensors: none"):
        load_lora(part, tmp_path)
    written(part, tmp_path / "a.safetensors"), written(part, tmp_path / "b.safetensors")
    with pytest.raises(CheckpointError, match=r"a\.safetensors, b\.safetensors"):
        load_lora(part, tmp_path)
    assert load_lora(part, tmp_path, file="b.safetensors").terms
    (tmp_path / "c.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(CheckpointError, match="damaged"):
        load_lora(part, tmp_path / "c.safetensors")


@pytest.mark.parametrize("by_block", [False, True])
def test_on_a_part_that_comes_and_goes(part, by_block, tmp_path):
    path = written(part, tmp_path / "a.safetensors")
    plain = stirred("denoiser", "sora-dit")
    load_lora(plain, path)
    offload = Offload([part], torch.device("cpu"), by_block=by_block)
    before = output(part)  # now parts of it are there
    lora = load_lora(part, path)
    assert torch.equal(output(part), output(plain))
    merge_loras(part)
    assert torch.equal(output(part), output(plain))
    unmerge_loras(part)
    lora.unload()
    assert torch.equal(output(part), before)
    offload.lift()


def test_on_top_of_float8(part, tmp_path):
    quantise(part, "fp8")
    rounded = output(part)
    lora = load_lora(part, written(part, tmp_path / "a.safetensors"))
    assert not torch.allclose(output(part), rounded, atol=1e-3)
    with pytest.raises(ConfigError, match="merge first"):
        merge_loras(part)
    lora.unload()
    assert torch.equal(output(part), rounded)
    other = stirred("denoiser", "sora-dit")
    load_lora(other, tmp_path / "a.safetensors")
    with pytest.raises(ConfigError, match="Unload the LoRA"):
        quantise(other, "fp8")


def test_a_pipeline_takes_one_and_is_saved_without_it(tmp_path):
    names = {"autoencoder": "sora-vae/tiny", "denoiser": "sora-dit/tiny", "text_encoder": "words/tiny"}
    pipe = vidgen.compose(**names, scheduler="euler")
    lora = pipe.lora(written(pipe.denoiser, tmp_path / "a.safetensors"), 0.5)
    assert lora.scale == 0.5
    assert "0.5" in repr(lora)
    pipe.save(tmp_path / "pipe")
    again = vidgen.load(tmp_path / "pipe")
    lora.unload()
    for name, value in pipe.denoiser.state_dict().items():
        assert torch.equal(value, again.denoiser.state_dict()[name])
    with pytest.raises(ConfigError, match="not 'vae'"):
        pipe.lora(tmp_path / "a.safetensors", part="vae")
