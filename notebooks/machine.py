"""Sweeping a machine: how large should the block be?"""

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
        # Sweeping a machine

        A workload of two products, the first of which runs four times, on machines with blocks of
        16 and 32 lanes. Results stay in a folder; a larger sweep later does only what is new.
        """
    )


@app.cell
def _():
    from pathlib import Path
    from tempfile import mkdtemp

    home = Path(mkdtemp(prefix="sweep-"))
    study = home / "study.yaml"
    study.write_text(
        """
        name: net
        workloads: ["4*gemm:m=8,n=32,k=32", "gemm:m=1,n=64,k=16"]
        vary: {LOG_BLOCK: [4, 5]}
        """,
        encoding="utf-8",
    )
    store = home / "results"
    return store, study


@app.cell
def _(explorer, store, study):
    summary = explorer.sweep(study, store)
    totals = explorer.results(store, totals=True)
    totals[["configuration", "cycles", "area", "energy", "utilisation"]]
    return summary, totals


@app.cell
def _(mo):
    mo.md("Which of them does no other beat, in cycles and in area?")


@app.cell
def _(explorer, totals):
    front = explorer.pareto(totals, minimize=["cycles", "area"])
    front[["configuration", "cycles", "area"]]
    return (front,)


@app.cell
def _(mo):
    mo.md("Any other question is SQL:")


@app.cell
def _(explorer, store):
    explorer.results(
        store,
        "select operator, arg_min(configuration, cycles) best from results group by 1 order by 1",
    )


if __name__ == "__main__":
    app.run()
