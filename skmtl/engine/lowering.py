"""Numba's compiler, but for its last step to LLVM. Imported by ``engine.compile`` alone.

It asks for vectors of 512 bits where the machine has them. For many such machines LLVM prefers half
of that, since the clock may slow down under the longer ones; the products of BLAS use these all the
time anyway. A step of the digits net takes 5 % less. Without AVX-512 it changes nothing.

And it has functions that are kept on disk call what they bring along, in whatever process. What a
function calls is compiled by itself first, and again as a part of it, which may round otherwise. By
name the process that compiles both would find the first of them, and one that loads the function
from disk the second: the last bits of a fit would hang on whether it is the first.
"""

from llvmlite.binding import Linkage
from numba.core import lowering
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering


class _Lower(lowering.Lower):
    def lower_normal_function(self, fndesc):
        super().lower_normal_function(fndesc)
        # llvmlite's own ``add`` knows the attributes without a value alone.
        set.add(self.function.attributes, '"prefer-vector-width"="512"')


class _EntryLower(_Lower):
    """Hides what is linked with a function from all other code, once it is optimized."""

    def __init__(self, context, library, *args, **kwargs):
        super().__init__(context, library, *args, **kwargs)
        optimize = library._optimize_final_module

        def optimize_and_hide():
            optimize()
            for function in library._final_module.functions:
                if function.linkage == Linkage.linkonce_odr and not function.is_declaration:
                    function.linkage = "internal"

        library._optimize_final_module = optimize_and_hide


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(NativeLowering):
    _name = "native_lowering_for_wide_vectors"
    lowering_class = _Lower


@register_pass(mutates_CFG=True, analysis_only=False)
class _EntryLowering(NativeLowering):
    _name = "native_lowering_of_entries"
    lowering_class = _EntryLower


class Compiler(CompilerBase):
    """That of ``numba.njit``, with long vectors."""

    lowering = _Lowering

    def define_pipelines(self):
        """Give the one pipeline."""
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        pipeline.passes = [
            (self.lowering if one is NativeLowering else one, description)
            for one, description in pipeline.passes
        ]
        pipeline.finalize()
        return [pipeline]


class EntryCompiler(Compiler):
    """Of functions that are kept on disk, and that no other is linked with, likewise."""

    lowering = _EntryLowering
