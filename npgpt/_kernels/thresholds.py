"""Thresholds: the sizes at which one way of computing becomes faster than another.

All of npgpt's stand here, each named for what it measures. They decide in which pieces and in which
order numbers are added up, so the last bits of a result, never what is computed: the tests hold
every kernel to the formula in `npgpt.ops`, within the bound of its arithmetic, on both sides of
each of them.

They were measured in turns with what they replaced, on the machine of docs/performance.md's table,
which has the ratios: 2 cores of an Intel Xeon with AVX-512, 2 threads, OpenBLAS 0.3.31. On another
processor they are guesses, if safe ones. "Numbers" are elements of an array, of float32 or float64
alike. Two with one value mean two things, and may part.
"""

# --- The affine map, `kernels.linear`: which product, by rows of x and numbers of W.

# Rows up to which W, in column-major order, is multiplied in tiles of a few columns: up to 1.2
# times as fast as the next form for 2 to 5 rows, and no faster from 9 on.
SKINNY_GEMM_ROWS = 8
# Numbers of W up to which it is not: so small a matrix is in the cache, and one product is faster.
UNTILED_GEMM_WEIGHTS = 1 << 17
# Rows up to which `(Wᵀ xᵀ)ᵀ`, the long matrix in front, is 1.1 to 1.3 times as fast as `x W`, the
# transposition of the result included.
LONG_MATRIX_FIRST_ROWS = 64

# --- Skinny products, `kernels.skinny_gemm`.

# Multiplications of a product that OpenBLAS computes from where the matrices lie. For more it
# first packs them into buffers of its own, which pays for many rows only.
UNPACKED_GEMM_WORK = 1_000_000
# A block's length is a multiple of this, OpenBLAS's inner kernel having no remainder to deal with.
UNPACKED_BLOCK_MULTIPLE = 32
# Columns of a tile: fewer would be mostly calls, and more gain nothing.
COLUMN_TILE_MIN, COLUMN_TILE_MAX = 8, 32
# Numbers of W for each thread: for fewer, waking it takes longer than what it computes.
SKINNY_GEMM_WEIGHTS_PER_THREAD = 1 << 18

# --- Weights in 16 bits, `kernels.upcast` and `kernels.mixed_gemm`.

# Numbers upcast at a time: with the product's operands they stay in a core's second-level cache.
UPCAST_TILE = 1 << 17
# The same where more rows than MIXED_GEMM_ROWS use them, all threads together.
UPCAST_SHARED_TILE = 1 << 20
# Rows up to which the upcast takes longer than the product, so that each thread does both for its
# own tiles; with more rows the upcast is shared out and BLAS multiplies with all its threads.
MIXED_GEMM_ROWS = 24
# Partial sums of a product that is split along W's rows (split-K): the same for any number of
# threads, so that the bits do not depend on it.
SPLIT_K_PIECES = 16
# Multiplications of a product up to which OpenBLAS starts no threads: matrix–matrix, vector–matrix.
ONE_THREAD_GEMM_WORK, ONE_THREAD_GEMV_WORK = 1_000_000, 9_000
# Columns of such a product; with more it is slow where W is transposed.
MIXED_COLUMN_TILE = 64

# --- Attention, `kernels.attention_tiles`.

# Scores (batch · head · query · key) up to which all are one tile: handing work to another thread
# costs 0.15 to 0.25 ms right after a product, whose threads still spin.
ATTENTION_UNTILED_SCORES = 1 << 17
# Queries of a tile. More leave out less of a causal mask, fewer make the products thin.
ATTENTION_TILE_QUERIES = 64
# Scores of a tile, unless one head's are more: they stay in the cache through product, softmax and
# product.
ATTENTION_TILE_SCORES = 1 << 18

# --- Ops on rows (GELU, layer norm), `kernels.tiles`.

# Numbers of a tile. It passes through all of an op's temporaries in the second-level cache; with
# less, calls are so short that threads mostly wait for Python's lock.
ROW_TILE = 1 << 17

# --- Where arrays lie in memory, `kernels.layout`.

# Strides that are a multiple of this many numbers map all rows to the same few sets of the
# processor's cache (aliasing), so that they evict each other; such a stride gets a cache line more.
ALIASING_STRIDE, CACHE_LINE = 128, 16
# Side of the square blocks that a matrix is transposed in: a whole row or column at a time would
# leave the cache before its lines are used again.
TRANSPOSE_BLOCK = 128

# --- Memory rather than time: how many positions the model takes at once.

# Columns of a prompt read by one forward pass.
PREFILL_COLUMNS = 1024
# Columns whose logits, as wide as the vocabulary, a score holds at a time.
SCORE_COLUMNS = 64
