"""The command line refuses what it would not heed, and a run makes nothing that an option brings."""

import pytest

from training.options import parse, stages


def _parse(line: str, preset: str = "tiny") -> list[str]:
    stage, *options = line.split()
    return stages(parse([stage, "--preset", preset, "--out", "out", *options]))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("teacher --workers 2", "teacher: heeds no --workers"),
        ("reward --init w", "reward: heeds no --init"),
        ("forcing --vanilla", "forcing: heeds no --vanilla"),
        ("vae --text w", "vae: heeds no --text"),
        ("latents --steps 3", "latents: heeds no --steps"),
        ("vae --steps 3", "vae: --init trains a codec on for --steps"),
        ("vae --init w", "vae: --init trains a codec on for --steps"),
        ("teacher --text w", "--text goes with a backbone"),
        ("forcing --tokenizer k", "reads bytes, and heeds no --tokenizer"),
        ("run --data d", "--data comes with the --vae"),
        ("run --data d --vae w --workers 2", "nothing is drawn"),
        ("dmd --vanilla --reward w", "--vanilla weighs by no --reward"),
        ("teacher --steps 0", "0 is less than 1"),
        ("teacher --shards 0", "0 is less than 1"),
        ("teacher --save-every 0", "0 is less than 1"),
    ],
)
def test_options_that_would_change_nothing_are_refused(line: str, why: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        _parse(line)
    assert why in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("vae", "trains no VAE: its latents come from elsewhere"),
        ("teacher --shards 2 --init w --vae w", "heeds neither --vae nor --workers"),
        ("teacher --init w", "does not say how many latent shards"),
        ("run --shards 2", "starts from a published backbone"),
        ("forcing --shards 2 --text t", "--tokenizer: the preset paper_5b has a published text encoder"),
        ("reward --shards 2 --tokenizer k", "reward: heeds no --tokenizer"),
    ],
)
def test_without_a_codec_latents_and_backbone_come_from_elsewhere(
    line: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        _parse(line, "paper_5b")
    assert why in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "preset", "names"),
    [
        ("run", "tiny", "vae latents teacher forcing reward dmd"),
        ("run --workers 2", "tiny", "clips vae latents teacher forcing reward dmd"),
        ("run --vae w", "tiny", "latents teacher forcing reward dmd"),
        ("run --vae w --data d --vanilla", "tiny", "teacher forcing dmd"),
        ("run --reward w", "tiny", "vae latents teacher forcing dmd"),
        ("run --shards 2 --init w --text t --tokenizer k", "paper_5b", "teacher forcing reward dmd"),
        ("consistency", "tiny", "consistency"),
    ],
)
def test_a_run_makes_what_no_option_brings(line: str, preset: str, names: str) -> None:
    assert _parse(line, preset) == names.split()
