"""The vision tower of the real small model, as a plugin: `--plugin recipes/real/tower.py` before its folder is loaded.

EfficientNet-Lite0 (Tan and Le 2019, without squeeze-and-excitation, ReLU6) as a transformers model. Its batch
normalizations are folded into the convolutions, so that train() and eval() compute the same. The 7 x 7 grid of 1,280
channels that it sees in 224 x 224 pixels is averaged to `grid` x `grid` tokens: on a CPU the language model pays for
every one of them.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

STAGES = (
    # expansion, kernel, stride, channels, blocks
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)


class EfficientNetLite0Config(PreTrainedConfig):
    """Pixels of the square image, channels out, and the side of the grid of tokens."""

    model_type = "efficientnet-lite0"

    image_size: int = 224
    patch_size: int = 56
    num_channels: int = 3
    hidden_size: int = 1280
    grid: int = 4
    initializer_range: float = 0.02


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow pads "SAME": where the padding is odd, more of it at the end."""

    def forward(self, input: Tensor) -> Tensor:
        height, width = (self._padding(size) for size in input.shape[-2:])
        return super().forward(F.pad(input, (width // 2, width - width // 2, height // 2, height - height // 2)))

    def _padding(self, size: int) -> int:
        stride, kernel = self.stride[0], self.kernel_size[0]
        return max((-(-size // stride) - 1) * stride + kernel - size, 0)


class Block(nn.Module):
    """Expand, filter each channel, project; added to the input where shapes allow."""

    def __init__(self, inside: int, outside: int, expansion: int, kernel: int, stride: int):
        super().__init__()
        width = expansion * inside
        self.expand = SameConv2d(inside, width, 1) if expansion > 1 else None
        self.filter = SameConv2d(width, width, kernel, stride, groups=width)
        self.project = SameConv2d(width, outside, 1)
        self.adds = stride == 1 and inside == outside

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.filter(y)))
        return x + y if self.adds else y


class EfficientNetLite0Model(PreTrainedModel):
    """pixel_values [n, 3, 224, 224] -> last_hidden_state [n, grid * grid, 1280], rows of the grid first."""

    config_class = EfficientNetLite0Config
    base_model_prefix = "efficientnet_lite0"
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    _no_split_modules = ["Block"]  # noqa: RUF012
    _supports_sdpa = True  # there is no attention, so that every kernel is right

    def __init__(self, config: EfficientNetLite0Config):
        super().__init__(config)
        self.stem = SameConv2d(config.num_channels, 32, 3, 2)
        blocks, inside = [], 32
        for expansion, kernel, stride, outside, count in STAGES:
            for index in range(count):
                blocks.append(Block(inside, outside, expansion, kernel, stride if index == 0 else 1))
                inside = outside
        self.blocks = nn.ModuleList(blocks)
        self.head = SameConv2d(inside, config.hidden_size, 1)
        self.post_init()

    def forward(self, pixel_values: Tensor, return_dict: bool | None = None, **ignored: Any) -> Any:
        x = pixel_values.to(self.stem.weight.dtype).contiguous(memory_format=torch.channels_last)  # twice as fast
        x = F.relu6(self.stem(x))
        for block in self.blocks:
            x = block(x)
        channels = F.adaptive_avg_pool2d(F.relu6(self.head(x)), self.config.grid)
        tokens = channels.flatten(2).transpose(1, 2)
        out = BaseModelOutputWithPooling(
            last_hidden_state=tokens, pooler_output=tokens.mean(1), hidden_states=(tokens,)
        )
        return out if return_dict in (None, True) else out.to_tuple()


AutoConfig.register("efficientnet-lite0", EfficientNetLite0Config, exist_ok=True)
AutoModel.register(EfficientNetLite0Config, EfficientNetLite0Model, exist_ok=True)
