"""Measure on the shared cases: the whole bot, and the forest alone beside other detectors.

usage: measure.py [--shared ../shared] [--logs ...] [--seeds 1 2 3 4 5] [--churns default high]
                  [--pipeline] [--compare forest ECOD ...] [--where FOLDER] [--out FOLDER]

--pipeline runs `audit-bot replay`: shipped rules and forest together. --compare runs detectors on the same windows,
each with thresholds for several budgets. Both by default. Writes OUT/table.md and OUT/recall.png, after each case anew.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from cases import CHURNS, LOGS, Alerts, Case, Rows, Scorer, make, rows_of, run
from detectors import DETECTORS
from rich.progress import track

from bot.detect.forest.budget import threshold
from bot.detect.forest.watcher import TRAIL
from bot.detect.forest.windows import EVERYTHING_NEW
from bot.times import WEEK

BUDGETS = (0.5, 1.0, 2.0, 3.0, 5.0, 7.0)  # alarms a week
WANTED = ("recall", "false_per_week", "worst_week", "ttd_min", "longest_alert_days")


def pipeline(case: Case, scorer: Scorer) -> dict[str, Any]:
    """Return the figures of the whole bot."""
    out, begun = case.folder / "pipeline.jsonl", time.monotonic()
    begin = case.truth["from"]
    replayed = run(["-m", "bot", "replay", case.folder / "events.jsonl", "--from", begin, "--format", "jsonl"])
    out.write_text(replayed, encoding="utf-8")
    return {**scorer.score_file(case, out), "seconds": time.monotonic() - begun}


def compare(case: Case, names: list[str], scorer: Scorer) -> dict[tuple[str, float], dict[str, Any]]:
    """Return the figures of each detector at each budget, all on the same windows."""
    rows = rows_of(case)
    return {
        (name, budget): scorer.score(case, alerts.lines)
        for name in names
        for budget, alerts in watched(rows, name).items()
    }


def watched(rows: Rows, name: str) -> dict[float, Alerts]:
    """Watch the case with one detector: fitted every week on what is older than eight, threshold on these eight."""
    hours, detector = np.array([key.hour for key in rows.keys]), DETECTORS[name]()
    now = np.array([one.now for one in rows.told])
    found = {budget: Alerts() for budget in BUDGETS}
    until = rows.began + (now[0] - rows.began) // WEEK * WEEK
    burn = rows.began + EVERYTHING_NEW
    while until <= now[-1]:
        since = until - TRAIL * WEEK
        detector.fit(rows.closed[(hours >= burn) & (hours < since)])
        recent, live = np.flatnonzero((hours >= since) & (hours < until)), np.flatnonzero(now >= until)
        live = live[now[live] < until + WEEK]
        usual, scores = detector.score(rows.closed[recent]), detector.score(rows.live[live])
        for budget, alerts in found.items():
            limit = threshold([rows.keys[place] for place in recent], usual, round(budget * TRAIL))
            for place in live[scores > limit]:
                alerts.add(rows.told[place])
        until += WEEK
    return found


def bot_table(results: dict[Case, dict[str, Any]]) -> str:
    """Return the table of the whole bot, a row for each case, and means."""
    head = "| log | seed | churn | recall | false a week | worst week | minutes | longest alert, days | seconds |\n"
    text = head + "|---|---|---|---|---|---|---|---|---|\n"
    names = (*WANTED, "seconds")
    for case, figures in results.items():
        cells = " | ".join(f"{figures[name]:.3g}" for name in names)
        text += f"| {case.log} | {case.seed} | {case.churn} | {cells} |\n"
    for churn in sorted({case.churn for case in results}):
        some = [figures for case, figures in results.items() if case.churn == churn]
        cells = " | ".join(f"{statistics.mean(one[name] for one in some):.3g}" for name in names)
        text += f"| **mean** | | {churn} | {cells} |\n"
    return text + "\n" + kinds_table(list(results.values()))


def kinds_table(results: list[dict[str, Any]]) -> str:
    """Return recall by kind of attack and intensity."""
    text = "| attack | low | medium | high | all |\n|---|---|---|---|---|\n"
    for kind in sorted({kind for figures in results for kind in figures["recall_by_scenario"]}):
        mine = [figures["recall_by_scenario"][kind] for figures in results if kind in figures["recall_by_scenario"]]
        levels = [[one[level] for one in mine if one[level] is not None] for level in ("low", "medium", "high", "all")]
        text += f"| {kind} | " + " | ".join(f"{statistics.mean(some):.2f}" if some else "" for some in levels) + " |\n"
    return text


Curves = dict[str, dict[float, list[dict[str, Any]]]]  # detector: budget: figures of the cases


def curves_of(results: dict[Case, dict[tuple[str, float], dict[str, Any]]]) -> Curves:
    """Return the figures by detector and budget."""
    found: Curves = {}
    for figures in results.values():
        for (name, budget), one in figures.items():
            found.setdefault(name, {}).setdefault(budget, []).append(one)
    return found


def mean(some: list[dict[str, Any]], name: str) -> float:
    """Return the mean of a figure over cases that have it."""
    return statistics.mean([one[name] for one in some if one[name] is not None] or [float("nan")])


def detector_table(curves: Curves) -> str:
    """Return recall at each budget, and what it is worth: recall where three false alerts a week are met."""
    text = "| detector | " + " | ".join(f"{budget:g} alarms" for budget in BUDGETS) + " | at 3 false a week |\n"
    text += "|---|" + "---|" * (len(BUDGETS) + 1) + "\n"
    for name, points in curves.items():
        pairs = [(mean(points[budget], "recall"), mean(points[budget], "false_per_week")) for budget in BUDGETS]
        at_three = np.interp(3.0, [false for _, false in pairs], [recall for recall, _ in pairs])
        cells = [f"{recall:.2f} ({false:.1f})" for recall, false in pairs]
        text += f"| {name} | " + " | ".join(cells) + f" | {at_three:.2f} |\n"
    return text + "\nRecall, in brackets the false alerts a week that came with it.\n"


def plot(curves: Curves, bot: list[dict[str, Any]], file: Path) -> None:
    """Draw recall over the alarms a week that were asked for, and over the false alerts a week that came."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (asked, came) = plt.subplots(1, 2, figsize=(11, 4.5), sharey=True, constrained_layout=True)
    for name, points in curves.items():
        recalls = [mean(points[budget], "recall") for budget in BUDGETS]
        asked.plot(BUDGETS, recalls, marker="o", label=name)
        came.plot([mean(points[budget], "false_per_week") for budget in BUDGETS], recalls, marker="o", label=name)
    if bot:
        came.plot(mean(bot, "false_per_week"), mean(bot, "recall"), "k*", markersize=14, label="rules and forest")
    asked.set(xlabel="alarms a week asked for", ylabel="recall", ylim=(0, 1))
    came.set(xlabel="false alerts a week", xlim=(0, 7))
    for axes in (asked, came):
        axes.grid(alpha=0.3)
    came.legend(loc="lower right")
    figure.savefig(file, dpi=120)
    plt.close(figure)


def main() -> None:
    """Measure, and write what was measured after every case."""
    a = arguments()
    a.out.mkdir(parents=True, exist_ok=True)
    scorer = Scorer(a.shared)
    bots: dict[Case, dict[str, Any]] = {}
    compared: dict[Case, dict[tuple[str, float], dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        wanted = [(log, seed, churn) for churn in a.churns for seed in a.seeds for log in a.logs]
        for log, seed, churn in track(wanted, "cases", disable=not sys.stderr.isatty()):
            case = make(a.shared, a.where or Path(temporary), log, seed, churn)
            if a.pipeline:
                bots[case] = pipeline(case, scorer)
            if a.compare:
                compared[case] = compare(case, a.compare, scorer)
            curves = curves_of(compared)
            text = (bot_table(bots) + "\n" if bots else "") + (detector_table(curves) if curves else "")
            (a.out / "table.md").write_text(text, encoding="utf-8")
            plot(curves, list(bots.values()), a.out / "recall.png")
    print(text)


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[2].parent / "shared")
    parser.add_argument("--logs", nargs="+", default=LOGS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    parser.add_argument("--churns", nargs="+", default=CHURNS)
    parser.add_argument("--pipeline", action="store_true", help="the whole bot only, unless --compare is given too")
    parser.add_argument("--compare", nargs="+", choices=list(DETECTORS), help="these detectors only")
    parser.add_argument("--where", type=Path, help="keep the cases here")
    parser.add_argument("--out", type=Path, default=Path("anomaly-benchmark"), help="for the table and the picture")
    a = parser.parse_args()
    if not a.pipeline and not a.compare:
        a.pipeline, a.compare = True, list(DETECTORS)
    return a


if __name__ == "__main__":
    main()
