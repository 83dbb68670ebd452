"""Executes docs/tutorial.py, or another script there, and writes docs/tutorial.md with its output and pictures.

    python docs/render.py [howto | spami | staig]      # needs nothing but brodmann[mudata,plot]

Cells begin with `# %%`, those of text with `# %% [markdown]`, as Jupyter, VS Code and jupytext read them.
"""

import contextlib
import io
import re
import sys
from pathlib import Path

DOCS = Path(__file__).parent


def cells(source):
    """`(is_text, content)` of each cell."""
    for cell in re.split(r"^# %%", source, flags=re.M)[1:]:
        head, _, body = cell.partition("\n")
        if "[markdown]" in head:
            yield True, re.sub(r"^# ?", "", body.strip("\n"), flags=re.M)
        else:
            yield False, body.strip("\n")


def pictures(stem, n_before):
    """Saves the figures that a cell has drawn; their file names."""
    import matplotlib.pyplot as plt
    from PIL import Image  # comes with matplotlib

    names = []
    for number in plt.get_fignums():
        name = f"{stem}-{n_before + len(names) + 1}.png"
        drawn = io.BytesIO()
        plt.figure(number).savefig(drawn, dpi=80, bbox_inches="tight")
        # Domains need few colours; a palette makes the file a fifth as large.
        Image.open(drawn).convert("RGB").quantize(64).save(DOCS / name, optimize=True)
        names.append(name)
    plt.close("all")
    return names


def render(stem):
    import matplotlib

    matplotlib.use("Agg")
    page, names, n_pictures = [], {"__name__": "__main__"}, 0
    for is_text, content in cells((DOCS / f"{stem}.py").read_text()):
        if is_text:
            page.append(content)
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(content, f"{stem}.py", "exec"), names)
        page.append(f"```python\n{content}\n```")
        if printed.getvalue():
            page.append(f"```text\n{printed.getvalue().rstrip()}\n```")
        drawn = pictures(stem, n_pictures)
        n_pictures += len(drawn)
        page.extend(f"![Output of the cell above]({name})" for name in drawn)
    (DOCS / f"{stem}.md").write_text("\n\n".join(page) + "\n")


if __name__ == "__main__":
    render(sys.argv[1] if len(sys.argv) > 1 else "tutorial")
