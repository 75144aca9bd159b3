"""Functions of ``keras.ops.image``."""

from __future__ import annotations

import numpy as np
from keras import ops
from ops_harness import Table, floats, ints, unit

CASES = case = Table()

_PICTURE = unit(3, 6, 7, 3)
_FIRST = _PICTURE.transpose(0, 3, 1, 2).copy()
image = ops.image

for name in ("rgb_to_grayscale", "rgb_to_hsv", "hsv_to_rgb", "gaussian_blur", "sobel_edges"):
    f = getattr(image, name)
    case(name, lambda x, f=f: f(x, data_format="channels_last"), _PICTURE)
    case(
        f"{name}/first",
        lambda x, f=f: f(x, data_format="channels_first"),
        _FIRST,
    )
case(
    "rgb_to_grayscale/int",
    image.rgb_to_grayscale,
    ints(3, 6, 7, 3, low=0, high=256, dtype="uint8"),
    tolerance=5e-3,
)
case("rgb_to_hsv/grey", image.rgb_to_hsv, np.round(_PICTURE * 2.0) / 2.0)
case("gaussian_blur/sizes", lambda x: image.gaussian_blur(x, (5, 3), (0.7, 1.9)), _PICTURE)
case("pad_images", lambda x: image.pad_images(x, 1, 2, target_height=9, target_width=12), _PICTURE)
case(
    "pad_images/first",
    lambda x: image.pad_images(x, 1, 2, 3, 0, data_format="channels_first"),
    _FIRST,
)
case("crop_images", lambda x: image.crop_images(x, 1, 2, target_height=4, target_width=3), _PICTURE)
case("crop_images/all", lambda x: image.crop_images(x, 1, 2, 0, 3), _PICTURE)
case("extract_patches", lambda x: image.extract_patches(x, (2, 3)), _PICTURE)
case(
    "extract_patches/same",
    lambda x: image.extract_patches(x, 3, strides=2, padding="same"),
    _PICTURE,
)
case("extract_patches_3d", lambda x: image.extract_patches_3d(x, 2), floats(3, 4, 5, 6, 2))
case("ssim", lambda x, y: image.ssim(x, y, filter_size=5), _PICTURE, unit(3, 6, 7, 3))
_MOVE = np.array([1.1, 0.2, -0.7, -0.1, 0.9, 0.4, 0.0, 0.0], np.float32)
# (The last two numbers of a transform are zeros, or Keras moves pictures from channel to channel.)
_MOVES = (_MOVE + 0.05 * floats(3, 8)) * (np.arange(8) < 6).astype("float32")
for mode in ("constant", "nearest", "wrap", "mirror", "reflect"):
    case(
        f"affine_transform/{mode}",
        lambda x, m=mode: image.affine_transform(x, _MOVES, fill_mode=m, fill_value=0.3),
        _PICTURE,
        fixed=True,
    )
    case(
        f"map_coordinates/{mode}",
        lambda x, c, m=mode: image.map_coordinates(x, c, 1, m, 0.3),
        floats(5, 6),
        floats(2, 4, 5, scale=6.0),
        fixed=True,
    )
case(
    "affine_transform",
    lambda x, t: image.affine_transform(
        x, t, interpolation="nearest", data_format="channels_first"
    ),
    _FIRST,
    _MOVES,
)
case("affine_transform/one", lambda x: image.affine_transform(x, _MOVE), _PICTURE[0], fixed=True)
case(
    "map_coordinates",
    lambda x, c: image.map_coordinates(x, c, 0),
    floats(5, 6),
    floats(2, 9, scale=3.0),
    fixed=True,
)
case(
    "map_coordinates/int",
    lambda x, c: image.map_coordinates(x, c, 1),
    ints(5, 6, low=0, high=99),
    floats(2, 9, scale=3.0),
    fixed=True,
)
_CORNERS = np.array([[0, 0], [6, 0], [0, 5], [6, 5]], np.float32)
for interpolation in ("nearest", "bilinear"):
    case(
        f"perspective_transform/{interpolation}",
        lambda x, s, e, i=interpolation: image.perspective_transform(x, s, e, i, 0.5),
        _PICTURE,
        np.stack([_CORNERS] * 3),
        _CORNERS + 0.7 * floats(3, 4, 2),
    )
case(
    "perspective_transform",
    lambda x: image.perspective_transform(x, _CORNERS, _CORNERS[:, :] * 0.9 + 0.2),
    _PICTURE[0],
    fixed=True,
)
for method in ("linear", "cubic", "lanczos3"):
    case(
        f"scale_and_translate/{method}",
        lambda x, m=method: image.scale_and_translate(
            x,
            (3, 9, 5, 3),
            np.array([1.4, 0.6], "float32"),
            np.array([-0.3, 0.8], "float32"),
            (1, 2),
            m,
        ),
        _PICTURE,
        fixed=True,
    )
case(
    "scale_and_translate",
    lambda x: image.scale_and_translate(
        x,
        (3, 9, 5, 3),
        np.array([1.4, 0.6], "float32"),
        np.array([-0.3, 0.8], "float32"),
        (1, 2),
        "linear",
        antialias=False,
    ),
    _PICTURE,
    fixed=True,
)
for interpolation in ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"):
    case(
        f"resize/{interpolation}",
        lambda x, i=interpolation: image.resize(x, (9, 5), interpolation=i),
        _PICTURE,
    )
case(
    "resize", lambda x: image.resize(x, (4, 4), antialias=True, crop_to_aspect_ratio=True), _PICTURE
)
