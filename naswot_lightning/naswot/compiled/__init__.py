"""The score's inner loops, compiled: the only room that knows LLVM and addresses of tensors."""

from naswot_lightning.errors import UserError

try:
    import numba
except ValueError as error:
    raise UserError(f"numba cannot be loaded: {error} (NUMBA_NUM_THREADS in the environment)") from None
if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
    raise UserError("NUMBA_DISABLE_JIT is set: scores are counted in compiled code; remove it from the environment")
