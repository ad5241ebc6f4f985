"""Adding an instruction."""

import marimo

app = marimo.App(width="medium")


@app.cell
def _():
    import marimo as mo

    import explorer

    return explorer, mo


@app.cell
def _(mo):
    mo.md(
        """
        # An instruction of your own

        An instruction is data: axes, and for each port where it reads or writes along them. This
        one is an outer product: every value of `a` with every value of `b`, nothing added up.
        """
    )


@app.cell
def _():
    document = """
    name: outer
    axes: {x: 4, y: 4}
    in0: {name: a, index: [x]}
    in1: {name: b, index: [y]}
    out: {name: c, index: [x, y]}
    """
    return (document,)


@app.cell
def _(document):
    from pathlib import Path
    from tempfile import mkdtemp
    from textwrap import dedent

    path = Path(mkdtemp(prefix="instruction-")) / "outer.yaml"
    path.write_text(dedent(document), encoding="utf-8")
    return (path,)


@app.cell
def _(explorer, path):
    layer = "gemm:m=6,n=8,k=3"
    found = explorer.enumerate(layer, intrinsic=str(path))
    [embedding.id for embedding in found]
    return found, layer


@app.cell
def _(mo):
    mo.md("Each of them, executed step by step and compared with the definition:")


@app.cell
def _(explorer, found, layer, path):
    outcomes = {
        embedding.id: [o.wrong for o in explorer.execute(layer, embedding, intrinsic=str(path))]
        for embedding in found
    }
    outcomes
    return (outcomes,)


@app.cell
def _(mo):
    mo.md("And on the tensor core of NVIDIA's `mma.m16n8k16`, which ships:")


@app.cell
def _(explorer, layer):
    shipped = explorer.enumerate(layer, intrinsic="m16n8k16")
    [embedding.id for embedding in shipped]


if __name__ == "__main__":
    app.run()
