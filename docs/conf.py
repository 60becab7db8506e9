"""How Sphinx builds the pages: `make docs`. Nothing is fetched while building or reading: formulae are MathML."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent / "src"), str(HERE.parent)]

import chainrule  # noqa: E402

project = "chainrule"
author = "The chainrule authors"
project_copyright = author
version = release = chainrule.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "mathml", "tables"]
exclude_patterns = ["_build"]
default_role = "code"
nitpicky = False
suppress_warnings = ["misc.highlighting_failure"]

myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence", "dollarmath"]
myst_heading_anchors = 3

autodoc_typehints = "none"
autodoc_member_order = "bysource"
add_module_names = False
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "chainrule"
html_static_path = ["_static", "pictures"]
html_css_files = ["chainrule.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "friendly"
pygments_dark_style = "github-dark"

copybutton_selector = ".highlight-python pre, .highlight-console pre, .highlight-pycon pre"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
