"""A network: what its layers cost together, and which layouts they should pass on."""

import marimo

app = marimo.App(width="medium")


@app.cell
def _():
    from pathlib import Path
    from tempfile import mkdtemp

    import marimo as mo
    import pandas as pd

    import explorer
    from explorer.report import network_plan as report

    model = Path(__file__).parents[1] / "docs" / "small_network.yaml"
    kept = mkdtemp()  # candidates, which are evaluated once for all plans
    return explorer, kept, mo, model, pd, report


@app.cell
def _(mo):
    mo.md(
        """
        # A network

        Two convolutions on 8 by 8 pixels, whose input is added again at their end. Each layer by
        itself has a fastest embedding; but what one writes, the next has to read. Where layouts
        differ, the host repacks the tensor in between, here at one cycle a byte.
        """
    )


@app.cell
def _(explorer, kept, model):
    plan = explorer.network_plan(model, "b2", count=6, transitions="stored", store=kept)
    return (plan,)


@app.cell
def _(pd, plan, report):
    best = plan.planned.plans[0]
    rows = pd.DataFrame(report.rows(plan, best))
    rows[["node", "candidate", "cycles", "transitions", "host_bytes"]]
    return best, rows


@app.cell
def _(mo):
    mo.md(
        """
        The same with TVM's layouts throughout, and with each layer's own best, whatever its
        neighbours want:
        """
    )


@app.cell
def _(best, pd, plan):
    sums = pd.DataFrame(
        [
            {"plan": name, **other.cost._asdict()}
            for name, other in (
                ("best", best),
                ("TVM's layouts", plan.fixed),
                ("each node's own best", plan.greedy),
            )
            if other is not None
        ]
    )
    sums
    return (sums,)


@app.cell
def _(mo):
    mo.md(
        """
        How much of the host's work is worth how many cycles? All plans that no other beats in
        both:
        """
    )


@app.cell
def _(explorer, kept, model, pd):
    found = explorer.network_plan(
        model, "b2", count=6, transitions="stored", pareto="cycles,host-bytes", store=kept
    )
    front = pd.DataFrame([each.cost._asdict() for each in found.planned.plans])
    front
    return (front,)


if __name__ == "__main__":
    app.run()
