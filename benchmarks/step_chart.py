# SPDX-License-Identifier: Apache-2.0
"""The bar chart of compare.py: SVG that is readable on light and on dark pages."""
from dataclasses import dataclass
from html import escape

WIDTH, LEFT, RIGHT, TOP, ROW, HEIGHT_OF_BAR = 720, 220, 80, 84, 34, 20  # pixels

# Ours in blue, the peer in grey; the paler shade is what a step takes beyond its forward passes.
STYLE = """
text { font: 14px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #1f2328; }
.title { font-size: 16px; font-weight: 600; }
.note, .legend { font-size: 12px; fill: #59636e; }
.ours { fill: #0969da; } .ours-rest { fill: #80b9f7; }
.peer { fill: #6e7781; } .peer-rest { fill: #bcc3ca; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .note, .legend { fill: #9198a1; }
  .ours { fill: #4493f8; } .ours-rest { fill: #1d4f91; }
  .peer { fill: #8b949e; } .peer-rest { fill: #484f58; }
}
"""


@dataclass(frozen=True)
class Bar:
    label: str
    ours: bool
    step: float  # seconds
    forwards: float  # seconds of as many bare forward passes as the step has points
    value: str  # what stands at its end


def text(x: float, y: float, words: str, css: str = "", anchor: str = "start") -> str:
    attributes = f' class="{css}"' if css else ""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{attributes}>{escape(words)}</text>'


def rectangle(x: float, y: float, width: float, css: str, height: float = HEIGHT_OF_BAR) -> str:
    return f'<rect x="{x:.1f}" y="{y:g}" width="{width:.1f}" height="{height:g}" class="{css}"/>'


def legend(y: float) -> list[str]:
    parts, x = [], LEFT
    for shades, words in ((("ours", "peer"), "two bare forward passes"),
                          (("ours-rest", "peer-rest"), "directions and update")):
        for shade in shades:
            parts.append(rectangle(x, y - 10, 12, shade, 12))
            x += 14
        parts.append(text(x + 4, y, words, "legend"))
        x += 190
    return parts


def chart(title: str, bars: list[Bar]) -> str:
    """Bars of seconds, one below the other; each is split where its bare forward passes end."""
    height = TOP + ROW * len(bars) + 8
    scale = (WIDTH - LEFT - RIGHT) / max(bar.step for bar in bars)
    parts = [text(16, 28, title, "title"), text(16, 48, "time; shorter is better", "note"), *legend(70)]
    for row, bar in enumerate(bars):
        y = TOP + ROW * row + (ROW - HEIGHT_OF_BAR) / 2
        css = "ours" if bar.ours else "peer"
        solid = scale * min(bar.forwards, bar.step)
        parts += [text(LEFT - 10, y + 15, bar.label, anchor="end"), rectangle(LEFT, y, solid, css),
                  rectangle(LEFT + solid, y, scale * bar.step - solid, css + "-rest"),
                  text(LEFT + scale * bar.step + 8, y + 15, bar.value)]
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            f'viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">\n'
            "<!-- SPDX-License-Identifier: Apache-2.0; written by compare.py -->\n"
            f"<style>{STYLE}</style>\n" + "\n".join(parts) + "\n</svg>\n")
