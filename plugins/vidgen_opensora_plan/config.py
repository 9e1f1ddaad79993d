"""What Open-Sora Plan's parts can be set to, and what they declare. No torch here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Literal, Self

from vidgen.config import config, require
from vidgen.contract import (
    AutoencoderContract,
    DenoiserConfig,
    DenoiserContract,
    KLAutoencoderConfig,
    LatentSpec,
)
from vidgen.errors import ConfigError
from vidgen.process import ProcessSpec
from vidgen.published import translate

__all__ = ["CausalVAEConfig", "OpenSoraPlanConfig", "WFVAEConfig"]

Attention = Literal["AttnBlock3D", "AttnBlock3DFix"]
Block = Literal["ResnetBlock2D", "ResnetBlock3D"]
Conv = Literal["CausalConv3d", "Conv2d"]
DownSpace = Literal["", "Downsample", "SpatialDownsample2x", "Spatial2xTime2x3DDownsample"]
DownTime = Literal["", "TimeDownsample2x", "TimeDownsampleRes2x"]
UpSpace = Literal["", "Upsample", "SpatialUpsample2x", "Spatial2xTime2x3DUpsample"]
UpTime = Literal["", "TimeUpsample2x", "TimeUpsampleRes2x"]


@config
class CausalVAEConfig(KLAutoencoderConfig):
    """Settings of CausalVideoVAE; the defaults are those of the published class (version 1.0).

    Attributes:
        latent_channels: Channels C of the latents.
        encoder_channels: Channels of the encoder's mean, before the 1x1 convolution to C.
        width: Channels of the finest level.
        multipliers: Channels of each level over `width`, finest first.
        blocks: Residual blocks a level in the encoder; the decoder has one more.
        resolution: Pixels of the training videos, which `attention_resolutions` refer to.
        attention_resolutions: Resolutions of the levels with attention.
        quant_conv: The 1x1 convolutions about the latents; empty for none.
        encoder_conv_in: First convolution.
        encoder_conv_out: Last convolution.
        encoder_attention: Attention of the middle.
        encoder_blocks: Residual blocks of each level.
        encoder_space: What halves height and width after each level.
        encoder_time: What halves the frames after that.
        encoder_middle: Residual blocks of the middle.
        decoder_conv_in: First convolution.
        decoder_conv_out: Last convolution.
        decoder_attention: Attention of the middle.
        decoder_blocks: Residual blocks of each level, finest first as for the encoder.
        decoder_space: What doubles height and width after each level.
        decoder_time: What doubles the frames after that.
        decoder_middle: Residual blocks of the middle.
    """

    latent_channels: int = 4
    encoder_channels: int = 4
    width: int = 128
    multipliers: tuple[int, ...] = (1, 2, 4, 4)
    blocks: int = 2
    resolution: int = 256
    attention_resolutions: tuple[int, ...] = ()
    quant_conv: Literal["", "CausalConv3d"] = "CausalConv3d"
    encoder_conv_in: Conv = "CausalConv3d"
    encoder_conv_out: Conv = "CausalConv3d"
    encoder_attention: Attention = "AttnBlock3D"
    encoder_blocks: tuple[Block, ...] = ("ResnetBlock3D",) * 4
    encoder_space: tuple[DownSpace, ...] = (*("SpatialDownsample2x",) * 3, "")
    encoder_time: tuple[DownTime, ...] = ("", "TimeDownsample2x", "TimeDownsample2x", "")
    encoder_middle: Block = "ResnetBlock3D"
    decoder_conv_in: Conv = "CausalConv3d"
    decoder_conv_out: Conv = "CausalConv3d"
    decoder_attention: Attention = "AttnBlock3D"
    decoder_blocks: tuple[Block, ...] = ("ResnetBlock3D",) * 4
    decoder_space: tuple[UpSpace, ...] = ("", *("SpatialUpsample2x",) * 3)
    decoder_time: tuple[UpTime, ...] = ("", "", "TimeUpsample2x", "TimeUpsample2x")
    decoder_middle: Block = "ResnetBlock3D"
    latent_scale: tuple[float, ...] = (0.18215,)

    def validate(self) -> None:
        """Check that each level says everything, and that the decoder undoes the encoder's strides."""
        require(
            self.width >= 32 and self.width % 32 == 0,
            f"CausalVAEConfig.width must be a multiple of 32 (the norms' groups), not {self.width}.",
        )
        for field in ("latent_channels", "encoder_channels", "blocks", "resolution"):
            require(getattr(self, field) >= 1, f"CausalVAEConfig.{field} must be at least 1.")
        levels = len(self.multipliers)
        require(
            levels >= 1 and min(self.multipliers) >= 1,
            "CausalVAEConfig.multipliers needs a number from 1 each level.",
        )
        for side in ("encoder", "decoder"):
            for what in ("blocks", "space", "time"):
                count = len(getattr(self, f"{side}_{what}"))
                require(
                    count == levels,
                    f"CausalVAEConfig.{side}_{what} needs {levels} entries, one a level, not {count}.",
                )
        require(
            self.encoder_space[-1] == "" and self.encoder_time[-1] == "",
            "CausalVAEConfig: the encoder's last level changes no size (the published code drops what it would give).",
        )
        down, up = (self._strides(side) for side in ("encoder", "decoder"))
        require(
            down == up, f"CausalVAEConfig: the encoder strides {down} and the decoder {up} (time, space)."
        )
        KLAutoencoderConfig.validate(self)

    def _strides(self, side: str) -> tuple[int, int]:
        space, time = getattr(self, f"{side}_space"), getattr(self, f"{side}_time")
        halvings = sum("Time2x" in name for name in space) + sum(bool(name) for name in time)
        return 2**halvings, 2 ** sum(bool(name) for name in space)

    def contract(self) -> AutoencoderContract:
        """Return what this autoencoder declares."""
        time, space = self._strides("encoder")
        latent = LatentSpec(
            space=self.space,
            channels=self.latent_channels,
            time_stride=time,
            space_stride=space,
            frame_rule="causal" if time > 1 else "any",
            streaming="windowed",
        )
        return AutoencoderContract(latent=latent)

    @classmethod
    def from_published(cls, data: Mapping[str, Any], tensors: Collection[str]) -> Self:
        """Read the fields of the published ``CausalVAEModel``.

        Raises:
            ConfigError: Without a ``config.json``, for two published variants share all tensor names.
        """
        if not data:
            raise ConfigError(
                "The folder has no config.json, and tensor names do not tell the variants of CausalVideoVAE 1.0 "
                "apart: 'v1.0' halves time at levels 1 and 2 (the class default), 'v1.0-release' at levels 0 and 1 "
                "(scripts/causalvae/release.json). Add the config.json that was published with the weights."
            )
        names = {
            "hidden_size": "width",
            "z_channels": "encoder_channels",
            "embed_dim": "latent_channels",
            "hidden_size_mult": "multipliers",
            "attn_resolutions": "attention_resolutions",
            "num_res_blocks": "blocks",
            "q_conv": "quant_conv",
            "encoder_resnet_blocks": "encoder_blocks",
            "encoder_spatial_downsample": "encoder_space",
            "encoder_temporal_downsample": "encoder_time",
            "encoder_mid_resnet": "encoder_middle",
            "decoder_resnet_blocks": "decoder_blocks",
            "decoder_spatial_upsample": "decoder_space",
            "decoder_temporal_upsample": "decoder_time",
            "decoder_mid_resnet": "decoder_middle",
        }
        same = ("resolution", "encoder_conv_in", "encoder_conv_out", "encoder_attention", "decoder_conv_in",
                "decoder_conv_out", "decoder_attention")  # fmt: skip
        training = ("dropout", "lr", "loss_type", "loss_params", "disc_start", "kl_weight", "logvar_init")
        fields = translate(
            {name: value for name, value in data.items() if name != "use_quant_layer"},
            {**names, **{name: name for name in same}},
            only={"double_z": True},
            ignored=training,
        )
        if not data.get("use_quant_layer", True):
            fields["quant_conv"] = ""
        return cls(**fields)


@config
class WFVAEConfig(KLAutoencoderConfig):
    """Settings of WF-VAE.

    Attributes:
        latent_channels: Channels C of the latents.
        width: Channels of the finest level.
        encoder_blocks: Residual blocks a level in the encoder.
        decoder_blocks: Likewise in the decoder.
        connect_blocks: Residual blocks before each of the decoder's wavelet coefficients.
        encoder_flow: Channels of the encoder's energy path.
        decoder_flow: Channels of the decoder's energy path.
        norm: ``layer`` sees each position by itself, so that streams are exact; ``group`` looks over all frames.
        attention: Attention of the middle; empty for none.
        time_stride: 4, or 8 where the first level halves time too.
        time_interpolation: How the decoder doubles frames.
    """

    latent_channels: int = 8
    width: int = 128
    encoder_blocks: int = 2
    decoder_blocks: int = 2
    connect_blocks: int = 1
    encoder_flow: int = 128
    decoder_flow: int = 128
    norm: Literal["layer", "group"] = "layer"
    attention: Literal["", "AttnBlock3D", "AttnBlock3DFix"] = "AttnBlock3DFix"
    time_stride: Literal[4, 8] = 4
    time_interpolation: Literal["trilinear", "nearest"] = "trilinear"
    latent_scale: tuple[float, ...] = (0.18215,)

    def validate(self) -> None:
        """Check the ranges."""
        for field in ("latent_channels", "width", "encoder_flow", "decoder_flow"):
            require(getattr(self, field) >= 1, f"WFVAEConfig.{field} must be at least 1.")
        for field in ("encoder_blocks", "decoder_blocks", "connect_blocks"):
            require(getattr(self, field) >= 0, f"WFVAEConfig.{field} must be 0 or more.")
        if self.norm == "group":
            for field in ("width", "encoder_flow", "decoder_flow"):
                value = getattr(self, field)
                require(
                    value % 32 == 0,
                    f"WFVAEConfig.{field} must be a multiple of 32 for group norms, not {value}.",
                )
        KLAutoencoderConfig.validate(self)

    def contract(self) -> AutoencoderContract:
        """Return what this autoencoder declares."""
        latent = LatentSpec(
            space=self.space,
            channels=self.latent_channels,
            time_stride=self.time_stride,
            space_stride=8,
            frame_rule="causal",
            streaming="exact" if self.norm == "layer" and self.attention != "AttnBlock3D" else "windowed",
        )
        return AutoencoderContract(latent=latent)

    @classmethod
    def from_published(cls, data: Mapping[str, Any], tensors: Collection[str]) -> Self:
        """Read the fields of the published ``WFVAEModel``; what a file leaves out is as in the published class."""
        rest = dict(data)
        blocks = {
            "down": rest.pop("l1_dowmsample_block", "Downsample"),
            "up": rest.pop("l1_upsample_block", "Upsample"),
        }
        haar = {
            "down": rest.pop("l1_downsample_wavelet", "HaarWaveletTransform2D"),
            "up": rest.pop("l1_upsample_wavelet", "InverseHaarWaveletTransform2D"),
        }
        first = tuple(blocks.values()), tuple(haar.values())
        strides: dict[tuple[tuple[str, ...], ...], Literal[4, 8]] = {
            (("Downsample", "Upsample"), ("HaarWaveletTransform2D", "InverseHaarWaveletTransform2D")): 4,
            (
                ("Spatial2xTime2x3DDownsample", "Spatial2xTime2x3DUpsample"),
                ("HaarWaveletTransform3D", "InverseHaarWaveletTransform3D"),
            ): 8,
        }
        require(
            first in strides,
            f"WF-VAE's first level must be 4x8x8's or 8x8x8's (blocks and wavelets), not {first}.",
        )
        names = {
            "latent_dim": "latent_channels",
            "base_channels": "width",
            "encoder_num_resblocks": "encoder_blocks",
            "decoder_num_resblocks": "decoder_blocks",
            "encoder_energy_flow_hidden_size": "encoder_flow",
            "decoder_energy_flow_hidden_size": "decoder_flow",
            "connect_res_layer_num": "connect_blocks",
            "norm_type": "norm",
            "t_interpolation": "time_interpolation",
            "attention_type": "attention",
            "use_attention": "use_attention",
            "scale": "latent_scale",
            "shift": "latent_shift",
        }
        only = {
            "l2_dowmsample_block": "Spatial2xTime2x3DDownsample",
            "l2_downsample_wavelet": "HaarWaveletTransform3D",
            "l2_upsample_block": "Spatial2xTime2x3DUpsample",
            "l2_upsample_wavelet": "InverseHaarWaveletTransform3D",
        }
        published = {"norm_type": "groupnorm", "t_interpolation": "nearest", "encoder_energy_flow_hidden_size": 64,
                     "connect_res_layer_num": 2}  # fmt: skip
        fields = translate({**published, **rest}, names, only=only, ignored=("dropout",))
        if not fields.pop("use_attention", True):
            fields["attention"] = ""
        fields["norm"] = str(fields["norm"]).removesuffix("norm")
        return cls(**fields, time_stride=strides[first])


V_PREDICTION = ProcessSpec(family="vp-linear", zero_terminal_snr=True)
"""What Open-Sora Plan 1.3 was trained on: DDPM's linear table, rescaled to end in pure noise."""


@config
class OpenSoraPlanConfig(DenoiserConfig):
    """Settings of OpenSoraT2V.

    Attributes:
        heads: Attention heads.
        head_width: Channels of a head, a multiple of 6 (three rotary axes).
        depth: Blocks.
        patch: Latent rows and columns to a token; frames are not joined.
        sparsity: k of skip-sparse attention; 1 for dense attention in all blocks (version 1.2).
        dense_blocks: Blocks at the beginning, and blocks from that number on, whose attention is dense all the same.
        interpolation: Factors (t, h, w) that positions are divided by.
        inpaint: Whether given latents and their mask come in beside the noisy ones.
        mask_channels: Channels of that mask: the autoencoder's stride in time; None follows it.
    """

    FOLLOWS: ClassVar[Mapping[str, str]] = {**DenoiserConfig.FOLLOWS, "mask_channels": "time_stride"}

    heads: int = 24
    head_width: int = 96
    depth: int = 32
    patch: int = 2
    sparsity: int = 4
    dense_blocks: tuple[int, int] = (2, 30)
    interpolation: tuple[float, float, float] = (1.0, 1.0, 1.0)
    inpaint: bool = False
    mask_channels: int | None = None
    process: ProcessSpec = V_PREDICTION
    prediction: Literal["epsilon", "sample", "v", "flow"] = "v"

    def validate(self) -> None:
        """Check the ranges."""
        for field in ("heads", "depth", "patch", "sparsity", "mask_channels"):
            value = getattr(self, field)
            require(value is None or value >= 1, f"OpenSoraPlanConfig.{field} must be at least 1.")
        require(
            self.head_width >= 6 and self.head_width % 6 == 0,
            f"OpenSoraPlanConfig.head_width must be a multiple of 6 (three rotary axes), not {self.head_width}.",
        )
        require(min(self.interpolation) > 0, "OpenSoraPlanConfig.interpolation must be positive.")

    def contract(self) -> DenoiserContract:
        """Return what this denoiser declares."""
        return self.base_contract(
            time_stride=self.mask_channels if self.inpaint else None,
            patch=(1, self.patch, self.patch),
            abilities=frozenset({"given"} if self.inpaint else ()),
        )

    @classmethod
    def from_published(cls, data: Mapping[str, Any], tensors: Collection[str]) -> Self:
        """Read the fields of the published ``OpenSoraT2V_v1_3`` and ``OpenSoraInpaint_v1_3``."""
        names = {
            "num_layers": "depth",
            "num_attention_heads": "heads",
            "attention_head_dim": "head_width",
            "patch_size": "patch",
            "in_channels": "latent_channels",
            "caption_channels": "text_width",
            "sparse_n": "sparsity",
            "vae_scale_factor_t": "mask_channels",
            "sparse1d": "sparse1d",
            "out_channels": "out_channels",
            "cross_attention_dim": "cross_attention_dim",
            **{f"interpolation_scale_{axis}": axis for axis in "thw"},
        }
        only = {
            "patch_size_t": 1,
            "activation_fn": "gelu-approximate",
            "attention_bias": True,
            "norm_elementwise_affine": False,
            "norm_eps": 1e-6,
            "only_cross_attention": False,
            "double_self_attention": False,
            "upcast_attention": False,
        }
        ignored = ("dropout", "sample_size", "sample_size_h", "sample_size_w", "sample_size_t", "hidden_size")
        fields = translate({"vae_scale_factor_t": 4, **data}, names, only=only, ignored=ignored)
        width = fields.get("heads", cls.heads) * fields.get("head_width", cls.head_width)
        for name, value in (("out_channels", fields.get("latent_channels")), ("cross_attention_dim", width)):
            given = fields.pop(name, None)
            require(given in (None, value), f"OpenSoraT2V: {name} must be {value} here, not {given}.")
        if not fields.pop("sparse1d", False):
            fields["sparsity"] = 1
        fields["interpolation"] = tuple(float(fields.pop(axis, 1.0)) for axis in "thw")
        return cls(**fields, inpaint=any("pos_embed_mask." in name for name in tensors))
