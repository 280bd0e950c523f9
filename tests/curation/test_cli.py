"""The commands as a person types them: manifest, report, sheets, review, and what goes wrong."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner, Result

from curation.cli import app
from curation.ledger import Stage
from curation.store import Store
from curation.triplets import triplets
from evaluation.hgc.bench import read_bench
from tests.curation.conftest import CONFIG, Curated


@pytest.fixture
def out(curated: Curated, tmp_path: Path) -> Path:
    """A copy, to write into."""
    return shutil.copytree(curated.out, tmp_path / "out", ignore=shutil.ignore_patterns("review", "triplets.jsonl"))


def command(name: str, videos: Path, out: Path, config: Path = CONFIG) -> Result:
    arguments = [name, "--videos", str(videos), "--out", str(out), "--config", str(config)]
    return CliRunner().invoke(app, arguments)


def rows(out: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (out / "triplets.jsonl").read_text().splitlines()]


def decide(out: Path, words: dict[str, str]) -> None:
    path = out / "review" / "decisions.csv"
    with path.open() as file:
        table = list(csv.DictReader(file))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "decision", "note"])
        writer.writeheader()
        writer.writerows(row | {"decision": words.get(row["id"], row["decision"])} for row in table)


def test_a_run_that_has_nothing_left_to_do_writes_manifest_report_and_sheets(curated: Curated, out: Path) -> None:
    result = command("run", curated.videos, out)
    assert result.exit_code == 0, result.output
    expected = {triplet.clip.id for triplet in triplets(curated.store)}
    assert {row["id"] for row in rows(out)} == expected
    for row in rows(out):
        for name in ("video", "src_image", "cloth_image"):
            assert (out / row[name]).is_file()
    report = json.loads((out / "report.json").read_text())
    assert (report["videos"], report["clips"], report["triplets"], report["waiting"]) == (18, 19, len(expected), 0)
    assert report["scenes_too_short"] == 1
    assert report["discarded"]["filter"]["duplicate"] == 1
    assert sum(sum(reasons.values()) for reasons in report["discarded"].values()) == 1 + 19 - len(expected)
    assert report["retries"]["garment"]["garment picture: wrong texture"] == 3
    assert "**Simulation**" in result.output
    (sheet,) = (out / "review").glob("sheet-*.jpg")
    with Image.open(sheet) as picture:
        assert picture.height > len(expected) * 200


def test_the_manifest_is_read_by_hgc_bench_s_reader(curated: Curated, out: Path, tmp_path: Path) -> None:
    command("triplets", curated.videos, out)
    bench = tmp_path / "bench"
    bench.mkdir()
    for name in ("garments", "references", "triplets.jsonl"):
        (bench / name).symlink_to(out / name)
    samples = read_bench(bench)
    assert [sample.person.name for sample in samples] == [Path(row["src_image"]).name for row in rows(out)]
    assert all(sample.prompt and sample.description for sample in samples)


def test_what_a_person_rejects_leaves_the_manifest_and_stays_away(curated: Curated, out: Path) -> None:
    command("triplets", curated.videos, out)
    before = [row["id"] for row in rows(out)]
    decide(out, {before[0]: "Reject ", before[1]: "accept"})
    for name in ("triplets", "run"):
        assert command(name, curated.videos, out).exit_code == 0
        assert [row["id"] for row in rows(out)] == before[1:]
    assert json.loads((out / "report.json").read_text())["rejected"] == 1
    decide(out, {before[0]: ""})
    command("triplets", curated.videos, out)
    assert [row["id"] for row in rows(out)] == before


def test_where_review_is_required_only_accepted_triplets_are_in_the_manifest(
    curated: Curated, out: Path, tmp_path: Path
) -> None:
    strict = tmp_path / "strict.yaml"
    strict.write_text(yaml.safe_dump(yaml.safe_load(CONFIG.read_text()) | {"review": {"required": True}}))
    command("triplets", curated.videos, out, strict)
    assert rows(out) == []
    wanted = next(triplets(Store(curated.videos, out))).clip.id
    decide(out, {wanted: "accept"})
    command("triplets", curated.videos, out, strict)
    assert [row["id"] for row in rows(out)] == [wanted]


def test_an_unknown_word_of_a_reviewer_is_told_with_its_line(curated: Curated, out: Path) -> None:
    command("triplets", curated.videos, out)
    decide(out, {rows(out)[1]["id"]: "maybe"})
    result = command("triplets", curated.videos, out)
    assert result.exit_code == 2
    assert "line 3: 'maybe' is neither accept nor reject" in result.stderr


def test_stages_can_be_run_one_by_one(curated: Curated, out: Path) -> None:
    shutil.rmtree(out / "ledger")
    command("filter", curated.videos, out)
    store = Store(curated.videos, out)
    assert {len(store.ledger(clip.id).of(Stage.CAPTION, "caption")) for clip in store.clips()} == {0}
    command("caption", curated.videos, out)
    passed = [clip.id for clip in store.clips() if store.ledger(clip.id).passed(Stage.CAPTION)]
    assert len(passed) == 13
    assert json.loads((out / "report.json").read_text())["waiting"] == 13


def test_models_that_are_missing_stop_the_command_before_any_work(films: Path, tmp_path: Path) -> None:
    content = yaml.safe_load(CONFIG.read_text())
    content["models"]["aesthetics"] = {"kind": "q-align", "weights": str(tmp_path / "one-align")}
    config = tmp_path / "real.yaml"
    config.write_text(yaml.safe_dump(content))
    result = command("filter", films, tmp_path / "out", config)
    assert result.exit_code == 2
    assert f"q-align needs its weights, and there is nothing at {tmp_path / 'one-align'}" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    result = command("run", tmp_path / "none", tmp_path / "out")
    assert result.exit_code == 2
    assert "is no folder" in result.stderr


def test_all_that_is_wrong_with_a_configuration_is_told_at_once(tmp_path: Path) -> None:
    config = tmp_path / "wrong.yaml"
    config.write_text("models: {person: {kind: dog}}\nscenes: {shortest_s: 9}\nfilter: {flow: {}}\nworkers: 0\nx: 1\n")
    result = command("run", tmp_path, tmp_path / "out", config)
    assert result.exit_code == 2
    for told in ("models.person", "models.captioner", "scenes", "filter.flow", "workers", "x: Extra"):
        assert told in result.stderr
