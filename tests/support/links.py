"""Where the links of a page lead, and which of them lead nowhere."""

import re
from html.parser import HTMLParser

from lessons import read


def prose(page):
    """A page's text, or a notebook's, without its code."""
    if page.suffix == ".ipynb":
        cells = [
            cell.source for cell in read(page).cells if cell.cell_type == "markdown"
        ]
        text = "\n\n".join(cells)
    else:
        text = page.read_text(encoding="utf-8")
    text = re.sub(r"(?ms)^ *```.*?^ *```", "", text)
    return re.sub(
        r"(?<!`)`[^`\n]+`(?!`)",
        lambda code: code[0].strip("`").replace("](", " "),
        text,
    )


def headings(page):
    """[(level, text), …]"""
    return [
        (len(m), text)
        for m, text in re.findall(r"(?m)^(#{1,6}) +(.*?) *$", prose(page))
    ]


class Tags(HTMLParser):
    """Collects from HTML within a text where it leads, and what can be led to."""

    def __init__(self, text):
        super().__init__()
        self.links, self.ids = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("href", "src"):
                self.links.append(value)
            elif name == "id":
                self.ids.append(value)


def anchors(page):
    """What can follow # in a link to a page: its headings, as GitHub and the site name
    them, and ids in its HTML."""
    found = Tags(prose(page)).ids
    for _, text in headings(page):
        text = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", text).lower()
        slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        again = sum(slug == re.sub(r"-\d+$", "", known) for known in found)
        found.append(f"{slug}-{again}" if again else slug)
    return found


def dead(page):
    """The links of a page that lead nowhere within the project."""
    text = prose(page)
    links = re.findall(r"\]\(([^)\s]+)(?: \"[^\"]*\")?\)", text) + Tags(text).links
    links += re.findall(r"(?m)^\[[^\]]+\]: *(\S+)", text)
    lost = []
    for link in links:
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            lost.append(link)
    return lost
