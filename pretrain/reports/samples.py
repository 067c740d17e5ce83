"""One self-contained HTML page of samples: frames, where each comes from, and the target.

Legend: N samples, C channels, T frames, Y X picture, K taps.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import gpuaug

from ..tasks.card import COLORS, WIDTH, Card

STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; margin: 24px auto; max-width: 1240px; padding: 0 16px; color: #1d2530;
       background: #f6f7f9 }
h1 { font-size: 22px; margin: 0 } .lead { color: #556; margin: 4px 0 20px }
section { background: #fff; border: 1px solid #dde2e8; border-radius: 8px; padding: 12px 16px; margin: 0 0 16px;
          overflow-x: auto }
h2 { font-size: 15px; margin: 0 0 8px } h2 small { font-weight: normal; color: #667; margin-left: 10px }
.row { white-space: nowrap; font-size: 0 } .row img { margin-right: 2px; box-sizing: border-box }
.row img.new { box-shadow: -4px 0 0 #d0112b } .row img.span { box-shadow: 0 4px 0 #4f9d69; margin-bottom: 4px }
ul { list-style: none; margin: 6px 0 0; padding: 0; font-size: 13px } li i { display: inline-block; width: 10px;
     height: 10px; border-radius: 2px; margin-right: 6px }
svg { display: block; margin-top: 3px } text { font: 11px system-ui, sans-serif }
"""


def write_page(path: Path, title: str, lead: str, cards: Sequence[Card]) -> None:
    """Write the page; every picture is inside the file."""
    body = "\n".join(_section(number, card) for number, card in enumerate(cards))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style><h1>{html.escape(title)}</h1><p class=lead>{html.escape(lead)}</p>\n{body}\n</html>\n",
        encoding="utf-8",
    )


def picture_uri(picture_YXC: NDArray[np.uint8], quality: int = 88) -> str:
    """The picture as a JPEG data URI."""
    buffer = io.BytesIO()
    Image.fromarray(picture_YXC).save(buffer, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _section(number: int, card: Card) -> str:
    images = []
    for t, picture in enumerate(card.frames_TYXC):
        mark = "new" if t == card.boundary else ""
        if card.span and card.span[0] <= t < card.span[1]:
            mark += " span"
        label = f'class="{mark.strip()}" ' if mark else ""
        images.append(f'<img {label}width={WIDTH} alt="frame {t}" src="{picture_uri(picture)}">')
    shown = {int(clip): COLORS[i % len(COLORS)] for i, clip in enumerate(_in_order(card.plan))}
    legend = "".join(
        f'<li><i style="background:{color}"></i>{html.escape(card.names[clip])}</li>' for clip, color in shown.items()
    )
    return (
        f"<section><h2>{number + 1}. {html.escape(card.title)}<small>{html.escape(card.note)}</small></h2>"
        f"<div class=row>{''.join(images)}</div>{_strip(card.plan, shown)}{card.extra}<ul>{legend}</ul></section>"
    )


def _in_order(plan: gpuaug.Plan) -> list[int]:
    """Clip ids in the order in which they first appear with weight."""
    seen = plan.clip[plan.weight > 0]
    _, first = np.unique(seen, return_index=True)
    return seen[np.sort(first)].tolist()


def _strip(plan: gpuaug.Plan, color: dict[int, str], height: int = 34) -> str:
    """Per output frame, one bar per source clip as high as its weight, with the source frame's number."""
    step, parts = WIDTH + 2, []
    _, length, taps = plan.shape
    for t in range(length):
        top = 0.0
        for k in range(taps):
            weight = float(plan.weight[0, t, k])
            if weight == 0:
                continue
            fill, number = color[int(plan.clip[0, t, k])], int(plan.frame[0, t, k])
            h = weight * height
            parts.append(f'<rect x={t * step} y={top:.1f} width={WIDTH} height={h:.1f} fill="{fill}"/>')
            share = "" if weight == 1 else f" × {weight:.2f}"
            if h >= 10:
                parts.append(
                    f'<text x={t * step + WIDTH / 2} y={top + h / 2 + 4:.1f} fill="#fff" text-anchor="middle">'
                    f"frame {number}{share}</text>"
                )
            top += h
    return f'<svg width={length * step} height={height} role="img">{"".join(parts)}</svg>'
