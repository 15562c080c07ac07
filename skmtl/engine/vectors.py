"""Numba's compiler, asking LLVM for vectors of 512 bits where the machine has them.

For many such machines LLVM prefers half of that, since the clock may slow down under the longer
ones; the products of BLAS use these all the time anyway. A step of the digits net takes 5 %
less. Without AVX-512 it changes nothing. Imported by ``engine.compile`` alone.
"""

from numba.core import lowering
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering


class _Lower(lowering.Lower):
    def lower_normal_function(self, fndesc):
        super().lower_normal_function(fndesc)
        # llvmlite's own ``add`` knows the attributes without a value alone.
        set.add(self.function.attributes, '"prefer-vector-width"="512"')


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(NativeLowering):
    _name = "native_lowering_for_wide_vectors"
    lowering_class = _Lower


class Compiler(CompilerBase):
    """That of ``numba.njit``, but for the last step to LLVM."""

    def define_pipelines(self):
        """Give the one pipeline."""
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        pipeline.passes = [
            (_Lowering if one is NativeLowering else one, description)
            for one, description in pipeline.passes
        ]
        pipeline.finalize()
        return [pipeline]
