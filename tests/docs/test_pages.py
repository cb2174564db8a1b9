"""The pages keep their word: commands parse, names exist, links lead somewhere, and the Python examples run."""

import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import byorn
from byorn.cli.arguments import build_parser
from byorn.cli.main import COMMANDS, command_of

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*/*.md"), *ROOT.glob("recipes/*/*.md")]
)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def byorn_commands(page: Path) -> list[list[str]]:
    """The arguments of every `byorn COMMAND` line in the page's code blocks, continued lines joined."""
    lines = "\n".join(blocks(page, "[a-z]*")).replace("\\\n", " ")
    found = re.findall(rf"^(?:byorn|.* -m byorn) +((?:{'|'.join(COMMANDS)})\b.*)$", lines, re.MULTILINE)
    return [shlex.split(line, comments=True) for line in found]


def test_the_readme_shows_every_command():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    unshown = {name for name in COMMANDS if f"byorn {name}" not in text}
    assert unshown == {"bench", "demo", "push"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_on_the_page_parse(page):
    for command in byorn_commands(page):
        name, declared, arguments = command_of(command[0], command[1:])
        parser = build_parser(name, declared.summary or COMMANDS[command[0]], declared)
        assert parser.parse_known_args(arguments)[1] == [], command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_and_make_targets_of_the_page_exist(page):
    text = page.read_text(encoding="utf-8")
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    missing = [link for link in links if link and not (page.parent / link).exists()]
    assert not missing
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make ([a-z-]+)", "\n".join(blocks(page, "[a-z]*")), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_api_page_lists_exactly_the_public_names():
    listed = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(byorn.__all__)
    assert all(getattr(byorn, name) is not None for name in byorn.__all__)


def test_no_page_has_a_hole_left_in_it():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"\b(TODO|TBD|FIXME|XXX|[A-Z]+_TABLE|RESULTS)\b|@[A-Z0-9]*@", text), page


def test_the_python_example_of_the_api_page_runs(tmp_path, monkeypatch):
    from byorn import ByornConfig
    from byorn.data.files import write_rows
    from byorn.testing import tiny_model, tiny_processor, tiny_rows

    monkeypatch.chdir(tmp_path)
    write_rows(tiny_rows(20), tmp_path / "data")
    processor = tiny_processor()
    names: dict[str, Any] = {"model": tiny_model(processor=processor), "processor": processor}
    monkeypatch.setattr(byorn, "ByornConfig", lambda out: _quick(ByornConfig, out), raising=False)
    code = blocks(ROOT / "docs" / "api.md", "python")[0].replace("data/train.json", "data/rows.jsonl")
    exec(compile(code, "api.md", "exec"), names)
    assert (tmp_path / "out" / "adapter" / "adapter_model.safetensors").is_file()
    assert names["flags"].flagged.tolist() == (names["scores"].nll > names["flags"].threshold).tolist()


def _quick(config, out):
    return config(
        out, max_steps=2, per_device_train_batch_size=4, report_to="none", bf16=False, use_cpu=True, disable_tqdm=True
    )


@pytest.mark.parametrize("page", ["settings", "attacks"])
def test_pages_are_made_from_the_code(page, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    maker = import_module(f"make_{page}")
    assert (ROOT / "docs" / f"{page}.md").read_text() == maker.page(), "run `make docs`"


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120
