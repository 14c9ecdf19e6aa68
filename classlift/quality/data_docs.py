"""Great Expectations' Data Docs, made readable without a network."""

from pathlib import Path

from lxml import html

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 1rem auto; max-width: 70rem; padding: 0 1rem; }
table { border-collapse: collapse; margin: .5rem 0; } td, th { border: 1px solid #d9dde3;
  padding: .25rem .6rem; text-align: left; vertical-align: top; }
.row { display: flex; flex-wrap: wrap; gap: 1rem; } .col-12 { width: 100%; }
nav ol, .breadcrumb { list-style: none; display: flex; gap: 1rem; padding: 0; }
.badge { padding: .1rem .5rem; border-radius: .6rem; background: #eceff3; }
.alert { border-left: 4px solid #8a8f98; padding-left: .8rem; }
.modal, .navbar-toggler, .cooltip-text { display: none; }
.fa-check-circle::before { content: "passed"; color: #2f9e44; }
.fa-times::before { content: "failed"; color: #d6336c; }
.fa-exclamation-triangle::before { content: "could not be checked"; color: #d6336c; }
pre { white-space: pre-wrap; }
"""

_USELESS = " | ".join(
    [
        *(f"//{tag}" for tag in ("script", "link", "iframe", "form", "footer", "button")),
        "//input",
        "//label",
        "//*[starts-with(@src, 'http') or starts-with(@src, '//')]",
        "//*[contains(concat(' ', @class, ' '), ' modal ')]",
    ]
)


def make_offline(site: Path) -> None:
    """Takes out all that pages load from elsewhere, and all scripts, for a small style of our own.

    The pages say the same; collapsed parts stand open. The index, which a script would fill,
    becomes a list of the pages.
    """
    pages = sorted(path.relative_to(site) for path in site.glob("*/**/*.html"))
    index = html.fromstring("<html><head><title>Data Docs</title></head><body></body></html>")
    index.body.append(html.fromstring("<h1>Great Expectations: Data Docs</h1>"))
    for page in pages:
        line = html.fromstring("<p><a></a></p>")
        line[0].set("href", page.as_posix())
        line[0].text = f"{page.parts[0]}: {page.stem}"
        index.body.append(line)
    (site / "index.html").write_bytes(html.tostring(index))
    for path in site.rglob("*.html"):
        page = html.fromstring(path.read_bytes())
        for element in page.xpath(_USELESS):
            element.drop_tree()
        for head in page.xpath("//head")[:1]:
            style = html.Element("style")
            style.text = _STYLE
            head.append(style)
        path.write_bytes(html.tostring(page, encoding="utf-8", doctype="<!doctype html>"))
