"""Named configurations of the Sora-like parts; `small` is the default of each."""

from __future__ import annotations

from vidgen_sora.config import SoraDiTConfig, SoraVAEConfig

__all__ = ["SORA_DIT", "SORA_VAE"]

SORA_VAE: dict[str, SoraVAEConfig] = {
    "tiny": SoraVAEConfig(
        latent_channels=16, encoder_width=32, encoder_depth=1, decoder_width=32, decoder_depth=1,
        kl_weight=1e-5, noise=0.02,
    ),
    "small": SoraVAEConfig(
        latent_channels=16, encoder_width=128, encoder_depth=4, decoder_width=160, decoder_depth=6,
        kl_weight=1e-5, noise=0.02,
    ),
    "base": SoraVAEConfig(
        latent_channels=16, encoder_width=256, encoder_depth=6, decoder_width=384, decoder_depth=8,
        kl_weight=1e-5, noise=0.02,
    ),
}  # fmt: skip

SORA_DIT: dict[str, SoraDiTConfig] = {
    "tiny": SoraDiTConfig(
        width=64,
        depth=2,
        heads=2,
        mlp_ratio=4.0,
        patch=(1, 2, 2),
        time_width=64,
        rope_theta=16.0,
        reach=(0, 0, 0),
    ),
    "mini": SoraDiTConfig(
        width=128,
        depth=5,
        heads=4,
        mlp_ratio=4.0,
        patch=(1, 2, 2),
        time_width=128,
        rope_theta=16.0,
        reach=(0, 0, 0),
    ),
    "small": SoraDiTConfig(
        width=192,
        depth=8,
        heads=3,
        mlp_ratio=4.0,
        patch=(1, 2, 2),
        time_width=256,
        rope_theta=16.0,
        reach=(0, 0, 0),
    ),
    "base": SoraDiTConfig(
        width=768,
        depth=13,
        heads=12,
        mlp_ratio=4.0,
        patch=(1, 2, 2),
        time_width=256,
        rope_theta=100.0,
        reach=(0, 0, 0),
    ),
    "xl": SoraDiTConfig(
        width=1152,
        depth=32,
        heads=16,
        mlp_ratio=4.0,
        patch=(1, 2, 2),
        time_width=256,
        rope_theta=100.0,
        reach=(0, 0, 0),
    ),
}
