"""One operator: from a layer to a verified program."""

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
        # One operator

        A small convolution with 3 input channels. VTA adds up 16 values in a step, so that TVM's
        layout, input channels on axis z, leaves 13 of 16 lanes idle. Which embedding does better?
        """
    )


@app.cell
def _():
    layer = "conv2d:n=1,c=3,h=8,w=8,k=16,r=3,s=3"
    return (layer,)


@app.cell
def _(explorer, layer):
    ranking = explorer.rank(layer, classes="padded,multi", top=5, jobs=1)
    ranking.frame()[["rank", "embedding", "cycles", "speedup", "utilisation"]]
    return (ranking,)


@app.cell
def _(mo):
    mo.md(
        """
        The row of rank 0 is the reference. What follows from the best one, down to where its
        cycles go:
        """
    )


@app.cell
def _(explorer, layer, mo, ranking):
    best = ranking.frame()["embedding"].iloc[0]
    mo.plain_text(explorer.show(layer, best))
    return (best,)


@app.cell
def _(mo):
    mo.md("Its program, executed on random data and compared with the definition bit by bit:")


@app.cell
def _(best, explorer, layer):
    verdict = explorer.verify(layer, best)
    verdict.exact
    return (verdict,)


if __name__ == "__main__":
    app.run()
