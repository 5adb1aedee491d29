"""Draws `example.png`, the picture that the demo and the README animate: `python draw_example.py [OUT]`."""

import sys
from pathlib import Path

import background
from brush import Canvas
from figure import figure
from finish import finish

OVERSAMPLING = 2


def main():
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("example.png")
    canvas = Canvas(background.WIDTH, background.HEIGHT, OVERSAMPLING)
    background.sky(canvas)
    background.sun(canvas)
    background.clouds(canvas)
    background.gulls(canvas)
    background.headland(canvas)
    background.sea(canvas)
    background.meadow(canvas)
    figure(canvas)
    background.haze(canvas)
    background.foreground(canvas)
    background.petals(canvas)
    finish(canvas).save(out, optimize=True)


if __name__ == "__main__":
    main()
