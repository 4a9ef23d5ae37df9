// Palettes that stay apart for colour-blind eyes, in light and in dark.

const dark = window.matchMedia("(prefers-color-scheme: dark)");

const palettes = {
  light: {
    size: [[255, 255, 255], [198, 219, 239], [107, 174, 214], [33, 113, 181], [8, 48, 107]],
    sign: [[5, 48, 97], [67, 147, 195], [247, 247, 247], [224, 130, 20], [127, 59, 8]],
  },
  dark: {
    size: [[26, 31, 37], [24, 62, 104], [38, 110, 176], [107, 174, 232], [222, 240, 255]],
    sign: [[150, 205, 255], [45, 115, 180], [32, 37, 43], [186, 104, 20], [255, 196, 120]],
  },
};

// Heat maps ask for tens of thousands of colours at a time: all are made beforehand.
const SHADES = 512;
const ramp = (stops) => Array.from({ length: SHADES + 1 }, (_, i) => {
  const place = (i / SHADES) * (stops.length - 1);
  const low = Math.min(Math.floor(place), stops.length - 2);
  return stops[low].map((x, k) => Math.round(x + (stops[low + 1][k] - x) * (place - low)));
});
let palette;
const choosePalette = () => {
  const { size, sign } = palettes[dark.matches ? "dark" : "light"];
  palette = { size: ramp(size), sign: ramp(sign) };
};
dark.addEventListener("change", choosePalette);
choosePalette();

// kind "size": t in [0, 1]; kind "sign": t in [-1, 1]. Returns [red, green, blue].
function colour(kind, t) {
  const clipped = Math.min(1, Math.max(kind === "size" ? 0 : -1, t || 0));
  const place = kind === "size" ? clipped : (clipped + 1) / 2;
  return palette[kind][Math.round(place * SHADES)];
}

const css = (rgb) => `rgb(${rgb.join(",")})`;

// Black or white, whichever is read better on the colour.
function ink(rgb) {
  const linear = rgb.map((x) => (x / 255 <= 0.04 ? x / 3294 : ((x / 255 + 0.055) / 1.055) ** 2.4));
  const light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  return light > 0.18 ? "#000" : "#fff";
}

// Small values keep a visible shade: the square root of the share of the largest.
const shade = (x, largest) => Math.sign(x) * Math.sqrt(Math.abs(x) / (largest || 1));
