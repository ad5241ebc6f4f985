"""Quiz: why is this embedding illegal?"""

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
        # Why is this embedding illegal?

        A convolution with 3 channels, 8×8 pixels and 16 filters of 3×3, on VTA: axis x (1 lane)
        is on ports inp and acc, y (16) on wgt and acc, z (16) on inp and wgt. Think first, then
        choose an id; the rules themselves answer.
        """
    )


@app.cell
def _():
    layer = "conv2d:n=1,c=3,h=8,w=8,k=16,r=3,s=3"
    questions = {
        "y=oh:6": "Output rows on axis y?",
        "z=oc:16": "Output channels on axis z?",
        "y=ic:3": "Input channels on axis y?",
        "y=oc:32": "All the output channels twice?",
        "z=ic:3,kh:3,kw:3": "Channels and taps side by side on z?",
        "y=oc:16/z=ic.kh.kw:16": "Channels and taps flattened into one loop?",
    }
    return layer, questions


@app.cell
def _(mo, questions):
    choice = mo.ui.dropdown({f"{q} {i}": i for i, q in questions.items()}, label="Embedding")
    choice
    return (choice,)


@app.cell
def _(explorer, layer, questions):
    verdicts = {name: explorer.why(layer, name) for name in questions}
    return (verdicts,)


@app.cell
def _(choice, mo, verdicts):
    shown = verdicts[choice.value].lines() if choice.value else ["Choose one."]
    mo.md("  \n".join(shown))


@app.cell
def _(mo):
    mo.md(
        """
        Five of the six are illegal. In three, a tensor moves along an axis that its port does not
        have; in two, there are not that many lanes. Which is which?
        """
    )


if __name__ == "__main__":
    app.run()
