"""How doors and their parts are compiled, by numba, which is imported here and takes a while.

numba makes machine code of every function, and optimises with it all that it calls, at each level
of calls anew. Of a part, which only compiled functions call, none of that is needed: what is kept
is its translation, and the door links the translations of all its parts and optimises them, once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
from numba import types
from numba.core import event
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering, NopythonRewrites
from numba.extending import lower_builtin, register_jitable, type_callable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_OPTIONS: dict[str, Any] = {"error_model": "numpy"}  # no divisor is 0; code that raises takes long

_LEVEL = 2
"""Of optimisation: at the highest, 3, compiling takes a fifth longer and no loop is faster."""


def keep_in(folder: Path) -> None:
    """Tell numba where machine code is kept."""
    numba.config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]


def door(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function on its first call from Python, and keep its machine code if possible.

    Other threads run meanwhile: the one that waits for Ctrl-C must, however long a loop takes.
    """
    try:
        compiled = numba.njit(cache=True, nogil=True, **_OPTIONS)(function)
    except RuntimeError:  # neither the installation nor the user's cache folder can be written
        compiled = numba.njit(nogil=True, **_OPTIONS)(function)
    _doors.append(compiled)
    made: Callable[..., Any] = compiled
    return made


def part(function: Callable[..., Any], *, counted: bool) -> None:
    """Have compiled functions call a function as a part of them.

    Args:
        function: what they call; Python goes on calling it as it is.
        counted: whether it makes or returns arrays, whose references have to be counted then.
    """
    options = _OPTIONS if counted else _OPTIONS | {"_nrt": False}
    register_jitable(
        no_cpython_wrapper=True, no_cfunc_wrapper=True, pipeline_class=_PartCompiler, **options
    )(function)


def emitted(function: Callable[..., Any], generate: Callable[..., Any]) -> None:
    """Have compiled functions contain instructions where they call a function.

    Args:
        function: what they call, with arrays and indices by turns; nothing is returned.
        generate: emits the instructions, of numba's context, LLVM's builder, the call and the
            values passed.
    """

    @type_callable(function)
    def typing(_: Any) -> Callable[..., Any]:
        def typer(acc: Any, a: Any, inp: Any, i: Any, wgt: Any, w: Any) -> Any:
            index = types.intp
            return types.void(acc, index, inp, index, wgt, index)

        return typer

    lower_builtin(function, types.VarArg(types.Any))(generate)


class _Translation(JITCodeLibrary):
    """The translation of one part, without machine code."""

    def finalize(self) -> None:
        """Leave it as it is: whoever links it optimises it and makes machine code."""
        self._finalized = True

    def _get_module_for_linking(self) -> Any:
        """It and all that it calls, each function once, however often it is linked."""
        if self._shared_module is None:
            for library in dict.fromkeys(self._linking_libraries):
                self._final_module.link_in(library._get_module_for_linking(), preserve=True)
            super()._get_module_for_linking()  # type: ignore[no-untyped-call]
        return self._shared_module


@register_pass(mutates_CFG=True, analysis_only=False)
class _Translating(NativeLowering):
    """The last step of compiling a part."""

    _name = "translating"

    def run_pass(self, state: Any) -> bool:
        """Translate it, and tell those who are compiled after it where that is."""
        context = state.targetctx
        name = state.func_id.func_qualname
        state.library = _Translation(context.codegen(), name)  # type: ignore[no-untyped-call]
        state.flags.no_compile = True
        super().run_pass(state)  # type: ignore[no-untyped-call]
        # numba knows a function by what Python would call. Nothing does, but it has to be a
        # built-in function, and another one for each: any method of an object of its own is.
        state.cr = state.cr._replace(cfunc=[].append)
        context.insert_user_function(state.cr.cfunc, state.cr.fndesc, [state.library])
        return True


class _PartCompiler(CompilerBase):
    """numba's compiler, but for the last step."""

    def define_pipelines(self) -> list[Any]:
        """The steps, in order."""
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.passes = [
            (_Translating if step is NativeLowering else step, what)
            for step, what in passes.passes
            if step is not NopythonRewrites  # fuses expressions of arrays, which parts have none of
        ]
        passes.finalize()
        return [passes]


_doors: list[object] = []


class _Thrift(event.Listener):
    """Has a door optimised at the level `_LEVEL`, and what it calls lightly before that.

    The door's own code then contains all of it, so that nothing is lost but time in which the same
    code would be optimised again and again.
    """

    def __init__(self) -> None:
        self._levels: list[tuple[int, object]] = []

    def on_start(self, event: event.Event) -> None:
        """Go over to the door's level, and to light optimisation with the first of its parts."""
        if self._levels or event.data["dispatcher"] in _doors:
            config: Any = numba.config
            self._levels.append((config.OPT, config.LOOP_VECTORIZE))
            kind = type(config.OPT)
            if len(self._levels) == 1:
                config.OPT = kind(min(config.OPT, _LEVEL))
            else:
                config.OPT, config.LOOP_VECTORIZE = kind(1), 0

    def on_end(self, event: event.Event) -> None:
        """Come back to what there was before."""
        if self._levels:
            config: Any = numba.config
            config.OPT, config.LOOP_VECTORIZE = self._levels.pop()


class _Begun(event.Listener):
    """Tells a function of each compilation that begins."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell

    def on_start(self, event: event.Event) -> None:
        """Tell it."""
        self._tell()

    def on_end(self, event: event.Event) -> None:
        """Nothing: the end of the first one is not the end of all."""


def watch(tell: Callable[[], None]) -> None:
    """Have a function called whenever a compilation begins."""
    event.register("numba:compile", _Begun(tell))


event.register("numba:compile", _Thrift())
