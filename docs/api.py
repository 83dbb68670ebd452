"""Renders the reference of the Python package, every module and function, as pages to read in a browser.

    python docs/api.py [FOLDER]      # default: target/api; needs brodmann[dist,mudata,plot] and pdoc

A public name that cannot be documented is an error.
"""

import sys
import warnings
from pathlib import Path

import pdoc

import brodmann


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[1] / "target" / "api")
    warnings.simplefilter("error", UserWarning)
    # Types that are imported for checkers alone are shown by the name they have in the source.
    warnings.filterwarnings("ignore", message="Error parsing type annotation")
    # pdoc looks among what is there already; the package imports it when it is first named.
    brodmann.report = brodmann.report
    pdoc.render.configure(docformat="numpy", show_source=False, footer_text=f"brodmann {brodmann.__version__}")
    pdoc.pdoc("brodmann", output_directory=folder)
    print(f"written to {folder / 'index.html'}")


if __name__ == "__main__":
    main()
