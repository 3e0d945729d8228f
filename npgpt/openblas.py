"""How long OpenBLAS's threads wait for work by spinning: said before NumPy loads it.

By default they spin for tens of milliseconds after a product, and take the processor from every
other thread meanwhile: from those that compute what stands between two products. 2^17 cycles is
about the time between two products of a decoding step. This has no effect where NumPy was imported
before npgpt, nor where the variable is already set.

Source: OpenBLAS, driver/others/blas_server.c; https://github.com/OpenMathLib/OpenBLAS/issues/5171.
"""

import os

os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "17")
