"""report.toml against the code that draws, and Markdown."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tests.experiments.conftest import NEWS, about, tiny_plan
from wave_jax.experiments.command import ITEMS
from wave_jax.experiments.paper_report import CONTENT, Item, Section, write_report
from wave_jax.experiments.plan import Checkpoint, Job, Plan


def test_every_item_is_described() -> None:
    assert list(CONTENT["items"]) == list(ITEMS)
    guessed = {name for name, item in CONTENT["items"].items() if "assumed" in item}
    assert guessed == {name for name in ITEMS if name.startswith("bp-")}, "their paper has no text"
    named = {name for item in CONTENT["items"].values() for name in item.get("deviations", ())}
    assert named == CONTENT["deviations"].keys()


@pytest.fixture
def report(tmp_path: Path) -> Any:
    """Draws a section as `ablations`, with one record of two, and returns report.md.

    The record says how many test texts were cut with `cut`.
    """

    def draw(
        section: Section, *, cut: bool = False, name: str = "ablations", **changes: Any
    ) -> str:
        plan = tiny_plan(tmp_path, changes.pop("data", NEWS), **changes)
        plan.records.claim(about(*plan.datasets))
        made, missing = (Job(key, {}, lambda *_: ({}, {})) for key in ("made", "missing"))
        times = {"total_seconds": 60.0}
        config = {"train": {}, "data": {"max_length": 9, "source": f"x {NEWS.fingerprint[:16]}"}}
        result = {"texts_cut": {"test": 7}} if cut else {}
        plan.records.save(made.key, config=config, seed=0, result=result, time=times)

        def drawn(plan: Plan, found: dict[Any, Any]) -> Section:
            assert list(found) == ["a"], "a key without records is left out"
            return section

        item = Item(name, lambda plan: {"a": [made], "b": [missing]}, drawn)
        write_report(plan, [item], plan.found([made]))
        return (tmp_path / "report.md").read_text()

    return draw


def test_a_section_is_written_as_markdown(report: Any) -> None:
    text = report(Section([("ablations", [["a|b", "1", "2", "3"]])], values={"error": 1.25}))
    assert "- **Time**: 1 records in 1.0 minutes;" in text
    assert "**1 of its records are still missing.**" in text
    assert "AG News, the papers' learning rate and 1 epochs" in text
    assert "texts is 1.25 points" in text
    table = (
        "| choice | validation % | test % | seeds |\n|---|---:|---:|---:|\n| a\\|b | 1 | 2 | 3 |"
    )
    assert f"**Choices**\n\n{table}\n" in text
    assert "reproduce ablations --data ag_news_csv --scale small --seeds 1 --out FOLDER" in text


def test_deviations_are_shown_where_they_hold(report: Any) -> None:
    section, plain = Section(values={"error": 0.0}), dataclasses.replace(NEWS, sentences=False)
    assert "no ends of sentences" not in report(section)
    assert "- No scopes: the texts have no ends of sentences." in report(section, data=plain)
    text = report(section, pretrained=Checkpoint("", "bert 0123"))
    assert "--pretrained bert --out" in text


def test_the_head_says_what_was_not_at_hand_and_what_was_cut(report: Any) -> None:
    text = report(Section(values={"error": 0.0}))
    assert "*The Backpropagation of the Wave Network* (arXiv 2411.06989), was not available" in text
    assert "4 classes, how many are cut is not recorded" in text
    assert "dropout of 0.5 for waves against 0.1 for the Transformer" in text
    assert "figure 6a draws one variant with magnitudes of sentences" in text
    assert "Seeds of each setting: 1." in text
    assert "reading of ours**" not in text, "ablations are no item of the second paper"
    assert "7 of the test texts cut at 9 tokens" in report(Section(values={"error": 0.0}), cut=True)


def test_an_item_whose_paper_was_not_at_hand_says_what_it_assumes(report: Any) -> None:
    text = report(Section(values={"every": 10}), name="bp-figure2")
    assert "**A reading of ours**, as [BP]'s text was not available. Assumed: as [WN]" in text
