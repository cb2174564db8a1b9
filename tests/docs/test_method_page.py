"""The method page keeps its word: every symbol leads to code that exists, and its defaults are those of the code."""

import pkgutil
import re
from pathlib import Path
from typing import get_args

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "method.md"
SYMBOLS = (r"\theta_0", "s", "K", "p", "u_i", "P_u", r"\hat t", r"\lambda", r"\mathrm{ema}_t", "R", "Q", r"\eta", "B")
UNCOMPUTED = {"$P$", r"$\eta$, $B$"}
MARKS = ("paper", "reading", "choice")


def symbol_table(text: str) -> dict[str, str]:
    """The last section's table: symbol cell -> `computed by` cell."""
    section = text.partition("## 10. From symbols to code")[2]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    assert lines[0] == ["symbol", "meaning", "computed by"]
    return {symbol: code for symbol, _, code in lines[2:]}


def named(text: str) -> list[str]:
    """Every dotted byorn name in backticks."""
    return re.findall(r"`(byorn\.[\w.]+)`", text)


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_the_table_explains_every_symbol_of_the_method(page: str) -> None:
    listed = {symbol for cell in symbol_table(page) for symbol in re.findall(r"\$(.+?)\$", cell)}
    assert not set(SYMBOLS) - listed


def test_each_symbol_has_one_name_in_the_code_unless_it_is_of_the_proof_alone(page: str) -> None:
    table = symbol_table(page)
    assert {symbol for symbol, code in table.items() if code.startswith("not computed")} == UNCOMPUTED
    assert all(named(code) == [code.strip("`")] for symbol, code in table.items() if symbol not in UNCOMPUTED)


def test_every_name_on_the_page_exists(page: str) -> None:
    for name in named(page):
        pkgutil.resolve_name(name)


@pytest.mark.parametrize("gone", ["scoring.statistics.nll", "training.ema.update_ema", "flagging.table.Flags.replaced"])
def test_a_name_that_vanishes_is_noticed(page: str, monkeypatch: pytest.MonkeyPatch, gone: str) -> None:
    owner, _, name = f"byorn.{gone}".rpartition(".")
    monkeypatch.delattr(pkgutil.resolve_name(owner), name)
    with pytest.raises(AttributeError, match=name):
        test_every_name_on_the_page_exists(page)


def test_the_defaults_on_the_page_are_those_of_the_code(page: str) -> None:
    from byorn.training.config import ByornConfig

    defaults = dict(re.findall(r"`(\w+)` = ([\d.]+)", page.partition("\nDefaults:")[2]))
    assert set(defaults) == {"percentile", "response_temperature", "response_top_p"}
    for name, value in defaults.items():
        assert getattr(ByornConfig, name) == float(value), name


def test_the_options_on_the_page_exist(page: str) -> None:
    from byorn.defenses import DEFENSES
    from byorn.training.settings import Replacement

    assert re.findall(r'`replacement="(\w+)"`', page) == ["drop"]
    assert "drop" in get_args(Replacement)
    assert set(re.findall(r"`--defense ([\w-]+)`", page)) == {"byorn-f", "byorn-soft"} <= set(DEFENSES)


def test_every_section_says_what_is_of_the_paper_and_what_is_ours(page: str) -> None:
    sections = re.split(r"^## \d+\. ", page, flags=re.MULTILINE)[1:]
    assert len(sections) == 10
    for section in sections:
        assert re.search(rf"\*\*\[({'|'.join(MARKS)})\]\*\*", section), section.splitlines()[0]
    assert set(re.findall(r"\*\*\[(\w+)\]\*\*", page)) == set(MARKS)


def test_inline_maths_is_closed_and_breaks_no_table(page: str) -> None:
    prose = re.sub(r"```math\n.*?```", "", page, flags=re.DOTALL)
    assert "```" not in prose
    for number, line in enumerate(prose.splitlines(), 1):
        assert line.count("$") % 2 == 0, f"line {number}: {line}"
        assert not any("|" in maths for maths in re.findall(r"\$(.+?)\$", line)), f"line {number}: use \\mid or \\Vert"
        assert all(m == m.strip() for m in re.findall(r"\$(.+?)\$", line)), f"line {number}: a space next to a dollar"
