"""Emitted folders: any program of any machine runs from disk as it does from memory."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import explorer as vta
from explorer.embedding.facts import CLASSES
from explorer.operators import document, resolve
from explorer.program.emission import emit, load_data, tensors_of, write_folder
from explorer.program.verification import complete
from explorer.ranking import explore
from explorer.schedule.lowering import Code
from isa.computation import Operator
from isa.config import Config
from isa.errors import InputError
from isa.folder import MANIFEST, read
from isa.folder.manifest import FORMATS, Format
from simulator import folder_run as runner
from simulator import functional
from simulator.implementations import admitted
from simulator.lint import lint
from simulator.reference import epilogue
from tests.strategies import configs, operators

SMALL = "conv2d:n=1,c=3,h=5,w=5,k=20,r=3,s=3,pad=1,bias=1"


@cache
def code(text: str = SMALL) -> Code:
    """The program of a small convolution."""
    operator, config = resolve(text), Config.default()
    embedding = explore.find(operator, config, "reference")
    return explore.evaluate(operator, config, embedding, effort=1).code


@settings(max_examples=25)
@given(operators(4, epilogues=True), configs(), st.sampled_from(FORMATS), st.data())
def test_a_folder_runs_as_expected(
    tmp_path_factory: pytest.TempPathFactory,
    operator: Operator,
    config: Config,
    form: Format,
    data: st.DataObject,
) -> None:
    """Written and read again, the program leaves the expected bytes, in as many cycles."""
    embedding = data.draw(st.sampled_from(explore.embeddings(operator, config)))
    evaluation = explore.evaluate(operator, config, embedding, effort=1)
    if evaluation.scheduled is None:
        return
    path = tmp_path_factory.mktemp("folder") / "program"
    write_folder(path, emit(evaluation.code, form))
    folder = read(path)
    assert not lint(folder.program, folder.inputs)
    result = runner.run(folder)
    assert result.verdict == "as expected"
    assert result.objection is None
    assert [each.implementation for each in result.executions] == list(admitted(config))
    assert {each.verdict for each in result.executions} == {"as expected"}
    assert result.best.compared == evaluation.code.sizes["OUT"]
    assert result.timing.cycles == evaluation.scheduled.cycles


@pytest.mark.parametrize("form", FORMATS)
def test_equal_seeds_give_equal_bytes(form: Format) -> None:
    """Two calls give the same files; another seed other data and the same program."""
    first, again, other = (emit(code(), form, seed=seed) for seed in (3, 3, 4))
    assert first == again
    assert first["input.bin"] != other["input.bin"]
    assert first["expected_out.bin"] != other["expected_out.bin"]
    assert first["instructions.bin"] == other["instructions.bin"]


def test_expected_output_does_not_depend_on_what_was_in_the_scratchpads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bytes of lanes that hold no output are the same whatever a scratchpad starts with."""
    before = emit(code(), "raw")
    monkeypatch.setattr(functional, "_POISON", 0x21)
    assert emit(code(), "raw") == before


def test_the_manifest_says_how_to_pack_and_what_was_made() -> None:
    """The operator comes back from it, and the expected output unpacks to the direct result."""
    files = emit(code(), "raw")
    manifest = json.loads(files[MANIFEST])
    operator = document.parse(manifest["source"]["operator"], MANIFEST)
    assert operator == code().design.operator
    data = complete(operator, {})
    direct = epilogue(operator.epilogue, data.accumulated, data.taken["bias"], operator.computation)
    packed = np.frombuffer(files["expected_out.bin"], np.int8)
    assert np.array_equal(code().design.acc.unpack(packed), direct)
    tensors = {s["name"]: s["tensor"] for s in manifest["sections"] if s["tensor"]}
    assert tensors["OUT"]["shape"] == list(operator.computation.out.shape)
    assert tensors["ACC"]["dtype"] == "int32"
    for name, array in (("INP", "input.bin"), ("WGT", "weight.bin")):
        assert np.prod(tensors[name]["packed"]) == len(files[array])


def test_given_tensors_replace_random_ones(tmp_path: Path) -> None:
    """By place or by name; what is left out stays as the seed has it."""
    operator = code().design.operator
    assert [*tensors_of(operator)] == ["in0", "in1", "bias"]
    rng = np.random.default_rng(9)
    data = rng.integers(-9, 9, operator.computation.in0.shape, np.int8)
    bias = np.arange(20, dtype=np.int32)
    np.save(tmp_path / "data.npy", data)
    np.save(tmp_path / "bias.npy", bias)
    text = f"{tmp_path}/data.npy,bias={tmp_path}/bias.npy"
    given_tensors = load_data(operator, text)
    assert set(given_tensors) == {"in0", "bias"}
    tensors = complete(operator, given_tensors)
    assert np.array_equal(tensors.in0, data)
    assert np.array_equal(tensors.taken["bias"], bias)
    assert np.array_equal(tensors.in1, complete(operator, {}).in1)
    files = emit(code(), "raw", given=given_tensors)
    assert files["weight.bin"] == emit(code(), "raw")["weight.bin"]
    manifest = json.loads(files[MANIFEST])
    assert manifest["source"]["data"]["in0"] == "given"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("none.npy", ["none.npy", "missing"]),
        ("cut.npy", ["cut.npy"]),
        ("text.npy", ["text.npy"]),
        ("archive.npz", ["archive.npz", ".npy"]),
        ("float.npy", ["float64", "int8", "(1, 3, 5, 5)"]),
        ("flat.npy", ["(75,)", "(1, 3, 5, 5)"]),
        ("kernel=ok.npy", ["kernel=ok.npy", "data, weight, bias"]),
        ("ok.npy,data=ok.npy", ["data", "twice"]),
        ("ok.npy,ok.npy,ok.npy,ok.npy", ["ok.npy", "weight"]),
    ],
)
def test_bad_data_is_named(
    text: str, named: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is no array, or one of the wrong type, shape or name, is refused."""
    monkeypatch.chdir(tmp_path)
    good = np.zeros((1, 3, 5, 5), np.int8)
    np.save("ok.npy", good)
    np.save("float.npy", good.astype(np.float64))
    np.save("flat.npy", good.reshape(-1))
    np.savez("archive.npz", good)
    Path("cut.npy").write_bytes(Path("ok.npy").read_bytes()[:-5])
    Path("text.npy").write_text("numbers")
    with pytest.raises(InputError) as caught:
        load_data(code().design.operator, text)
    for token in named:
        assert token in str(caught.value)


def test_folders_are_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that fails leaves what was there; an emitted folder is replaced, another is not."""
    files, path = emit(code(), "raw"), tmp_path / "program"
    write_folder(path, files)
    write_folder(path, {MANIFEST: files[MANIFEST]})
    assert [p.name for p in path.iterdir()] == [MANIFEST]

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(InputError, match="No space"):
            write_folder(path, files)
    assert [p.name for p in path.iterdir()] == [MANIFEST]
    assert [p.name for p in tmp_path.iterdir()] == ["program"]
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("")
    for target in (mine, mine / "notes.txt", tmp_path / "none" / "program", Path("/")):
        with pytest.raises(InputError, match="--out"):
            write_folder(target, files)


def test_the_api_mirrors_the_commands(tmp_path: Path) -> None:
    """A folder written by the function runs, lists, and refuses what the command refuses."""
    path = tmp_path / "program"
    operator = code().design.operator
    bias = np.arange(20, dtype=np.int32)
    vta.emit(operator, "reference", path, form="standalone-vta", data={"bias": bias})
    result = vta.run(path)
    assert result.verdict == "as expected"
    assert vta.run(path, "default").timing.cycles == result.timing.cycles
    assert vta.disasm(path) + "\n" == (path / "program.txt").read_text()
    assert vta.disasm(path).startswith(vta.disasm(path / "instructions.bin", Config.default()))
    for data in ({"bias": bias[:3]}, {"bias": bias.astype(np.int64)}, {"kernel": bias}):
        with pytest.raises(InputError, match="data: "):
            vta.emit(operator, "reference", tmp_path / "other", data=data)
    assert not (tmp_path / "other").exists()


def _packed_as_told(tensor: dict[str, Any], array: NDArray[np.generic]) -> NDArray[np.generic]:
    """A tensor packed by nothing but its entry in the manifest."""

    def value(text: str, names: dict[str, int]) -> Any:
        return eval(re.sub(r"(?<=[A-Za-z_])\.(?=[A-Za-z_])", "__", text), {}, names)

    packed = np.zeros(tensor["packed"], array.dtype)
    outer = len(tensor["coordinates"])
    for place in np.ndindex(*tensor["packed"]):
        names = {
            c["name"].replace(".", "__"): c["first"] + i
            for c, i in zip(tensor["coordinates"], place[:outer], strict=True)
        }
        names |= dict(zip(tensor["axes"], place[outer:], strict=True))
        lanes = {n.replace(".", "__"): value(text, names) for n, text in tensor["lanes"].items()}
        names |= lanes
        index = tuple(value(text, names) for text in tensor["index"].values())
        inside = all(0 <= i < n for i, n in zip(index, tensor["shape"], strict=True))
        if inside and all(value(text, names) for text in tensor["guards"]):
            packed[place] = array[index]
    return packed


@settings(max_examples=40)
@given(operators(3, epilogues=True), st.data())
def test_the_manifest_is_enough_to_pack_tensors(operator: Operator, data: st.DataObject) -> None:
    """Packing by the expressions in the manifest gives the bytes in the files, for every class."""
    config = Config.load("block8")
    embeddings = explore.embeddings(operator, config, tuple(CLASSES))
    evaluation = explore.evaluate(
        operator, config, data.draw(st.sampled_from(embeddings)), effort=1
    )
    if evaluation.scheduled is None:
        return
    design, tensors = evaluation.code.design, complete(operator, {})
    files = emit(evaluation.code, "raw")
    by_section = {
        "INP": getattr(tensors, design.inp.role or ""),
        "WGT": getattr(tensors, design.wgt.role or ""),
        "ACC": tensors.taken.get("bias"),
        "ACC_BIS": tensors.taken.get("residual"),
    }
    for section in json.loads(files[MANIFEST])["sections"]:
        if section["file"] and section["tensor"]:
            array = by_section[section["name"]].astype(section["tensor"]["dtype"])
            assert _packed_as_told(section["tensor"], array).tobytes() == files[section["file"]]
