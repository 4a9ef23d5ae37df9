"""Pure functions on token waves: arrays in, arrays out.

Arrays end in [..., n tokens, d dimensions]. Every function works on one text [n, d] and on batches,
under jit, vmap and grad alike. Padding is given by `mask` (True at real tokens) or by `segment_ids`
(0 at padding; equal positive ids share a scope), and takes part in nothing. Wrong dtypes, shapes
and names raise TypeError or ValueError, which say what was expected and what came.

Numerics: sums and norms are in float32 for bfloat16 and float16, else in the input's dtype; there
is no epsilon and no clamp. Gradients are finite wherever the result is representable.

Equation numbers are those of Zhang & Sheng, Wave Network, arXiv 2411.02674.
"""

from wave_jax.ops.norms import leave_one_out_norm, magnitude
from wave_jax.ops.paths import Path, one_path, split_gradient
from wave_jax.ops.pooled import (
    first_token_norm,
    norm_from_squares,
    others_of_first,
    scaled_squares,
    sum_by_counts,
)
from wave_jax.ops.superposition import (
    ReadoutKind,
    Superposition,
    interfere,
    interference_term,
    modulate,
    readout,
    superpose,
    superpose_parts,
)
from wave_jax.ops.waves import from_polar, phase, to_polar, token_to_wave

__all__ = [
    "Path", "ReadoutKind", "Superposition", "first_token_norm", "from_polar", "interfere",
    "interference_term", "leave_one_out_norm", "magnitude", "modulate", "norm_from_squares",
    "one_path", "others_of_first", "phase", "readout", "scaled_squares", "split_gradient",
    "sum_by_counts", "superpose", "superpose_parts", "to_polar", "token_to_wave",
]  # fmt: skip
