"""Writing your own preference rule."""

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
        # Your own preference

        What an embedding is preferred by is a rule. This one counts the digits of an embedding,
        and of those with the fewest steps prefers the plainest. `place/5` is the predicate of a
        digit: axis, what lies on it, kind, lanes, and what is left to an outer loop.
        """
    )


@app.cell
def _():
    rule = """
    metric(digits).
    cost(digits, N) :- N = #count { X, S : place(X, S, _, _, _) }.
    prefer(steps, 2, 1).
    prefer(digits, 1, 1).
    """
    return (rule,)


@app.cell
def _(rule):
    from pathlib import Path
    from tempfile import mkdtemp

    path = Path(mkdtemp(prefix="rule-")) / "digits.lp"
    path.write_text(rule, encoding="utf-8")
    return (path,)


@app.cell
def _(explorer, path):
    layer = "conv2d:n=1,c=1,h=8,w=8,k=16,r=3,s=3"
    found = explorer.optimize(layer, rules=path)
    found.frame()
    return found, layer


@app.cell
def _(mo):
    mo.md("Without the rule, any of the optima in steps may come:")


@app.cell
def _(explorer, layer):
    every = explorer.optimize(layer, prefer="steps", everything=True)
    every.frame()
    return (every,)


if __name__ == "__main__":
    app.run()
