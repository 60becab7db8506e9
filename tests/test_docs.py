"""The pages of the documentation: every block runs and prints what the page says, every public name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import chainrule as cr
from docs.blocks import PAGES, Mismatch, blocks, check

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_the_blocks_of_a_page(page: Path) -> None:
    check(page)


def test_every_public_name_is_in_the_reference() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in (DOCS / "reference").glob("*.md"))
    documented = set(re.findall(r"^\.\. auto\w+:: chainrule\.(\w+)", text, re.MULTILINE))
    assert documented >= set(cr.__all__), "add them to a page in docs/reference"


PAGE = """
```python
x = 1 / 3
print(f"{x:.2f} s")
```

```outputKIND
SAYS
```
"""


@pytest.mark.parametrize(
    ("kind", "says", "right"),
    [("", "0.33 s", True), ("", "0.34 s", False), (" measured", "0.50 s", True), (" measured", "0.50 ms", False)],
)
def test_a_wrong_page_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, says: str, right: bool
) -> None:
    monkeypatch.setattr("docs.blocks.HERE", tmp_path / "docs")
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    page.write_text(PAGE.replace("KIND", kind).replace("SAYS", says))
    assert blocks(page.read_text())[0].measured is bool(kind)
    if right:
        assert check(page) == 1
    else:
        with pytest.raises(Mismatch, match="line 3"):
            check(page)
