"""A folder keeps what made it, and is refused to anything else."""

import hashlib
import json
from pathlib import Path

import pytest

from training.origin import RECORD, OriginError, bind, check, digest, digest_of, read

MADE = {"preset": "nano", "seed": 1, "codec": "sha256:" + 64 * "a", "init": None}


def test_what_made_a_folder_is_kept_in_it_and_found_again(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "latents"
    bind(folder, MADE)
    (folder / "0000.npz").touch()
    bind(folder, MADE)
    check(folder, {"seed": 1})
    assert read(folder) == json.loads((folder / RECORD).read_text()) == MADE


def test_a_refusal_names_both_and_says_what_to_do(tmp_path: Path) -> None:
    bind(tmp_path, MADE)
    (tmp_path / "step-0000001").mkdir()
    with pytest.raises(OriginError) as refused:
        bind(tmp_path, {**MADE, "preset": "nano_gpu", "codec": "sha256:" + 64 * "b", "init": 3})
    assert str(refused.value).startswith(
        f"{tmp_path} was made of something else: preset was nano and is nano_gpu, "
        "codec was sha256:aaaaaaaaaaaa and is sha256:bbbbbbbbbbbb, init was none and is 3. Choose another --out"
    )
    assert read(tmp_path) == MADE


@pytest.mark.parametrize("ask", [bind, check])
def test_a_folder_of_before_does_not_say_and_is_refused(ask: object, tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").touch()
    with pytest.raises(OriginError, match=r"does not say what made it .* --vae, --init"):
        ask(tmp_path, MADE)  # type: ignore[operator]
    assert not (tmp_path / RECORD).exists()


def test_a_start_that_made_nothing_binds_nobody(tmp_path: Path) -> None:
    bind(tmp_path, MADE)
    bind(tmp_path, {**MADE, "init": 3})
    assert read(tmp_path) == {**MADE, "init": 3}


def test_one_process_writes_and_a_half_written_record_is_none(tmp_path: Path) -> None:
    (tmp_path / f"{RECORD}.partial").write_text("{")
    bind(tmp_path, MADE, writes=False)
    assert read(tmp_path) is None
    bind(tmp_path, MADE)
    assert [path.name for path in tmp_path.iterdir()] == [RECORD]


def test_a_checkpoint_is_known_by_its_contents_alone_or_in_shards(tmp_path: Path) -> None:
    for number, content in enumerate((b"one", b"two"), 1):
        (tmp_path / f"model-0000{number}-of-00002.safetensors").write_bytes(content)
    one, two = sorted(tmp_path.iterdir())
    assert digest(one) == "sha256:" + hashlib.sha256(b"one").hexdigest()
    assert digest(tmp_path) == digest_of((one, two)) != digest_of((two, one))
    with pytest.raises(FileNotFoundError, match="three"):
        digest(tmp_path / "three.safetensors")
