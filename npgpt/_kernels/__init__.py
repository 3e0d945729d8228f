"""Kernels: the ops of `npgpt.ops`, fast. The model computes with these; nothing here is public.

`npgpt.ops` has the formulas, each as it is written in the paper. A kernel has the same name, the
same arguments and, within rounding, the same results. Ops that have no kernel (softmax, embedding,
the exact GELU, relu, silu) are as fast as NumPy makes them. What each kernel buys:

- `linear`: the affine map, by whichever product is fastest for so many rows. It takes
  `skinny_gemm` for 2 to 8 rows (up to 1.2 times as fast as the next form), the long matrix in front
  up to 64 (1.1 to 1.3 times as fast as `x W`), and `mixed_gemm` for weights kept in 16 bits (half
  the memory).
- `attention`, in `attention_tiles`: leaves out the half that a causal mask hides, keeps scores in
  the processor's cache, and holds a prefix that several rows share once.
- `gelu`, `layer_norm`, in `tiles` of rows: temporaries stay in the cache, threads share tiles.
- `upcast`: float16 and bfloat16 to float32, about three times as fast as NumPy.
- `layout`: column-major matrices (1.1 to 1.4 times as fast for 16 to 128 rows), strides that do not
  alias.
- `threads`: work shared out. `thresholds`: every size at which one form takes over from another.

docs/performance.md says how these figures were measured.
"""
