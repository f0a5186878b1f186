"""Makes the media that the examples and the emulator ship with: run it, and the files come out the same.

`street.mp4` is a drawn street with a car and a small tune, `clay.png` and `coat.png` are reference images, and the
emulator's `ready.mp4` is a two-second clip that it serves when it does not edit. Needs PyAV and nothing else.
"""

from __future__ import annotations

import math
from array import array
from fractions import Fraction
from pathlib import Path

import av

FRAMES_PER_SECOND = 30
SAMPLES_PER_SECOND = 44_100
NOTES_HERTZ = (261.63, 329.63, 392.00, 523.25, 392.00, 329.63, 293.66, 349.23)
NOTE_SECONDS = 0.5

HERE = Path(__file__).resolve().parent
EMULATOR = HERE.parents[1] / "runner" / "wanrun" / "emulator"

Colour = tuple[int, int, int]


class Canvas:
    """RGB pixels that rectangles and discs are drawn on, row by row."""

    def __init__(self, width: int, height: int, colour: Colour = (0, 0, 0)) -> None:
        self.width, self.height = width, height
        self.pixels = bytearray(bytes(colour) * width * height)

    def box(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        """Fill a rectangle; what lies outside the canvas is left away."""
        for row in range(max(0, round(y)), min(self.height, round(y + height))):
            self._line(round(x), round(x + width), row, colour)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Fill a circle around a point."""
        for row in range(max(0, math.ceil(y - radius)), min(self.height, math.floor(y + radius) + 1)):
            half = math.sqrt(max(0.0, radius**2 - (row - y) ** 2))
            self._line(round(x - half), round(x + half), row, colour)

    def frame(self) -> av.VideoFrame:
        """Return the canvas as a frame of its own."""
        frame = av.VideoFrame(self.width, self.height, "rgb24")
        plane, wide = frame.planes[0], self.width * 3
        rows = (self.pixels[row * wide : (row + 1) * wide] for row in range(self.height))
        plane.update(b"".join(row.ljust(plane.line_size, b"\0") for row in rows))
        return frame

    def _line(self, left: int, right: int, row: int, colour: Colour) -> None:
        left, right = max(0, left), min(self.width, right)
        if right > left:
            start = (row * self.width + left) * 3
            self.pixels[start : start + (right - left) * 3] = bytes(colour) * (right - left)


def street(width: int, height: int, seconds: float) -> Canvas:
    """Draw the street as it looks after some seconds: houses pass slowly, the car crosses the picture."""
    canvas = Canvas(width, height)
    unit = height / 270
    for row in range(height):
        canvas.box(0, row, width, 1, (150 - row // 6, 200 - row // 5, 245 - row // 8))
    canvas.disc(width * 0.8, 52 * unit, 24 * unit, (255, 226, 130))
    _houses(canvas, unit, scroll=seconds * 22)
    canvas.box(0, 196 * unit, width, 14 * unit, (190, 184, 174))
    canvas.box(0, 210 * unit, width, height, (78, 80, 88))
    for mark in range(-1, 9):
        canvas.box((mark * 70 - seconds * 60 % 70) * unit, 238 * unit, 36 * unit, 4 * unit, (236, 232, 210))
    _car(canvas, unit, x=-70 + seconds * 140)
    return canvas


def _houses(canvas: Canvas, unit: float, *, scroll: float) -> None:
    colours = ((196, 106, 84), (222, 184, 120), (126, 152, 142), (168, 132, 158), (208, 150, 102))
    for number in range(8):
        x, tall = number * 92 - scroll, 84 + (number * 37) % 52
        canvas.box(x * unit, (196 - tall) * unit, 84 * unit, tall * unit, colours[number % len(colours)])
        canvas.box((x - 3) * unit, (190 - tall) * unit, 90 * unit, 8 * unit, (92, 62, 58))
        for window in range(2 * (tall // 36)):
            left, top = x + 14 + window % 2 * 34, 208 - tall + window // 2 * 34
            canvas.box(left * unit, top * unit, 20 * unit, 20 * unit, (246, 240, 200))
            canvas.box((left + 9) * unit, top * unit, 2 * unit, 20 * unit, (92, 62, 58))


def _car(canvas: Canvas, unit: float, *, x: float) -> None:
    canvas.box((x + 18) * unit, 190 * unit, 50 * unit, 22 * unit, (206, 58, 56))
    canvas.box((x + 24) * unit, 194 * unit, 17 * unit, 14 * unit, (196, 226, 240))
    canvas.box((x + 45) * unit, 194 * unit, 17 * unit, 14 * unit, (196, 226, 240))
    canvas.box(x * unit, 210 * unit, 90 * unit, 20 * unit, (206, 58, 56))
    for wheel in (20, 70):
        canvas.disc((x + wheel) * unit, 231 * unit, 10 * unit, (30, 30, 34))
        canvas.disc((x + wheel) * unit, 231 * unit, 4 * unit, (190, 190, 196))


def clay() -> Canvas:
    """Draw lumps of modelling clay on a table."""
    canvas = Canvas(320, 320, (236, 226, 208))
    lumps = ((104, 120, 66, (214, 92, 70)), (214, 108, 54, (90, 150, 196)), (150, 222, 70, (240, 188, 84)))
    for x, y, radius, (red, green, blue) in lumps:
        canvas.disc(x + 5, y + 8, radius, (204, 190, 168))
        for ring in range(8):
            colour = (min(255, red + ring * 5), min(255, green + ring * 5), min(255, blue + ring * 5))
            canvas.disc(x - ring * 3, y - ring * 3, radius * (1 - ring / 9), colour)
    return canvas


def coat() -> Canvas:
    """Draw a green coat with buttons on a plain ground."""
    canvas = Canvas(300, 360, (240, 240, 244))
    green, dark = (44, 120, 96), (30, 88, 70)
    canvas.box(86, 60, 128, 250, green)
    canvas.box(46, 66, 44, 190, dark)
    canvas.box(210, 66, 44, 190, dark)
    for row in range(44):
        canvas.box(150 - row * 0.8, 60 + row, row * 1.6, 1, (236, 224, 196))
    canvas.box(148, 104, 4, 206, dark)
    for button in range(5):
        canvas.disc(162, 126 + button * 38, 6, (226, 190, 90))
    return canvas


def write_film(path: Path, *, width: int, height: int, seconds: int, quality: int) -> None:
    """Write the street as H.264 with AAC sound; one thread, so that the bytes come out the same."""
    with av.open(str(path), "w", options={"movflags": "faststart", "fflags": "+bitexact"}) as film:
        picture = film.add_stream("libx264", rate=FRAMES_PER_SECOND, options={"crf": str(quality), "preset": "slow"})
        picture.width, picture.height, picture.pix_fmt = width, height, "yuv420p"
        picture.codec_context.thread_count = 1
        sound = film.add_stream("aac", rate=SAMPLES_PER_SECOND, options={"flags": "+bitexact"})
        sound.layout, sound.bit_rate = "mono", 48_000
        for number in range(seconds * FRAMES_PER_SECOND):
            film.mux(picture.encode(street(width, height, number / FRAMES_PER_SECOND).frame()))
        film.mux(picture.encode(None))
        film.mux(sound.encode(_tune(seconds)))
        film.mux(sound.encode(None))


def _tune(seconds: int) -> av.AudioFrame:
    samples = array("h", (_sample(number / SAMPLES_PER_SECOND) for number in range(seconds * SAMPLES_PER_SECOND)))
    frame = av.AudioFrame("s16", "mono", len(samples))
    frame.planes[0].update(samples.tobytes().ljust(frame.planes[0].buffer_size, b"\0"))
    frame.sample_rate, frame.pts, frame.time_base = SAMPLES_PER_SECOND, 0, Fraction(1, SAMPLES_PER_SECOND)
    return frame


def _sample(at_seconds: float) -> int:
    hertz = NOTES_HERTZ[int(at_seconds / NOTE_SECONDS) % len(NOTES_HERTZ)]
    fading = math.exp(-3 * (at_seconds % NOTE_SECONDS) / NOTE_SECONDS)
    return round(9000 * fading * math.sin(2 * math.pi * hertz * at_seconds))


def write_picture(path: Path, canvas: Canvas) -> None:
    """Write a canvas as an RGB PNG."""
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt = canvas.width, canvas.height, "rgb24"
    encoder.time_base = Fraction(1, FRAMES_PER_SECOND)
    path.write_bytes(b"".join(bytes(packet) for packet in encoder.encode(canvas.frame())))


def main() -> None:
    """Write every file to its place and say how large it is."""
    write_film(HERE / "street.mp4", width=480, height=270, seconds=4, quality=23)
    write_film(EMULATOR / "ready.mp4", width=320, height=240, seconds=2, quality=30)
    write_picture(HERE / "clay.png", clay())
    write_picture(HERE / "coat.png", coat())
    for path in (HERE / "street.mp4", EMULATOR / "ready.mp4", HERE / "clay.png", HERE / "coat.png"):
        print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
