"""Draws the cost of a hit by size as an SVG, one panel for each series."""

from collections.abc import Iterator, Sequence

from bench.growth import Series

WIDTH, HEIGHT = 300, 220
LEFT, RIGHT, TOP, BOTTOM = 44, 24, 34, 46
COLORS = {"orders-bff": "#2563eb", "nginx": "#059669"}
MAX_TICKS = 6


def draw_panels(series: Sequence[Series]) -> str:
    """Return the SVG."""
    highest = max(max(values) for each in series for values in each.microseconds.values())
    step = next(each for each in (5, 10, 20, 50, 100, 200, 10**6) if highest <= each * MAX_TICKS)
    top = -(-highest // step) * step
    size = f"{WIDTH * len(series)} {TOP + HEIGHT + BOTTOM}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" font-size="11"',
        'font-family="system-ui, sans-serif" fill="#334155">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="18">CPU time of one hit, in µs</text>',
    ]
    for at, (server, color) in enumerate(COLORS.items()):
        parts.append(f'<text x="{LEFT + 190 + at * 90}" y="18" fill="{color}">● {server}</text>')
    for index, each in enumerate(series):
        parts += _panel(each, index * WIDTH + LEFT, int(step), top)
    return "\n".join([*parts, "</svg>\n"])


def _panel(series: Series, left: int, step: int, top: float) -> Iterator[str]:
    width = WIDTH - LEFT - RIGHT
    bottom = TOP + HEIGHT
    gap = width / (len(series.sizes) - 1)
    for tick in range(0, int(top) + 1, step):
        y = bottom - tick / top * HEIGHT
        yield f'<path d="M{left} {y:.1f}h{width}" stroke="#e2e8f0"/>'
        yield f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{tick}</text>'
    centered = 'text-anchor="middle"'
    for at, size in enumerate(series.sizes):
        yield f'<text x="{left + at * gap:.1f}" y="{bottom + 16}" {centered}>{size:,}</text>'
    yield f'<text x="{left + width / 2}" y="{bottom + 34}" {centered}>{series.name}</text>'
    for server, values in series.microseconds.items():
        color = COLORS[server]
        points = [
            f"{left + at * gap:.1f},{bottom - value / top * HEIGHT:.1f}"
            for at, value in enumerate(values)
        ]
        yield f'<polyline points="{" ".join(points)}" fill="none" stroke="{color}"/>'
        for point in points:
            x, _, height = point.partition(",")
            yield f'<circle cx="{x}" cy="{height}" r="3" fill="{color}"/>'
